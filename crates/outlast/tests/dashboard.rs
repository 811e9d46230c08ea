//! The dashboard of the demo's cloud in a real browser: what is killed turns its cell, the event
//! explains it, and a dead agent turns the page stale.

#[path = "../../services/tests/services/webdriver.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "shared with the services' tests, which use all of it"
)]
#[expect(clippy::unwrap_used, reason = "a test whose browser fails has failed")]
mod webdriver;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use webdriver::Browser;

const OUTLAST: &str = env!("CARGO_BIN_EXE_outlast");
/// What takes a second on an idle machine may take this long on a loaded one.
const PATIENCE: Duration = Duration::from_secs(20);
/// The promise is one second; the machine may be busy with other tests.
const GENEROUS: Duration = Duration::from_secs(10);

/// `outlast demo --stay`; everything in it ends with the value.
struct Demo {
    child: Child,
    /// Of each node, on this machine's loopback.
    dashboards: Vec<String>,
}

impl Demo {
    /// None: namespaces are forbidden here, and the demo said so. Any other end fails the test.
    fn start(words: &[&str]) -> Option<Self> {
        let mut child = Command::new(OUTLAST)
            .arg("demo")
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the executable was just built");
        let mut said = BufReader::new(child.stdout.take().expect("piped"));
        let mut dashboards = vec![];
        while dashboards.len() < 3 {
            let mut line = String::new();
            if said.read_line(&mut line).expect("readable") == 0 {
                let mut why = String::new();
                let mut stderr = child.stderr.take().expect("piped");
                stderr.read_to_string(&mut why).expect("readable");
                drop(child.wait());
                let forbidden =
                    why.contains("cannot make namespaces") || why.contains("cannot mount /proc");
                assert!(forbidden, "the demo ended: {why}");
                return None;
            }
            if let Some(at) = line.find("http://127.0.0.1:").filter(|_| line.contains("dashboard"))
            {
                dashboards.push(line[at..].trim().trim_end_matches('/').to_owned());
            }
        }
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Some(Self { child, dashboards })
    }

    /// Pids of the node's processes, as this machine counts them: its supervisor first.
    fn supervisor(&self, node: &str) -> u32 {
        let words = ["run", "--node", node];
        self.find(&words).expect("the node has a supervisor")
    }

    /// One of the demo's processes whose arguments have all these words.
    fn find(&self, words: &[&str]) -> Option<u32> {
        let has_all = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let given: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
            words.iter().all(|word| given.contains(&word.as_bytes()))
        };
        pids().into_iter().filter(has_all).find(|pid| is_below(*pid, self.child.id()))
    }

    /// The process of this role that the supervisor started.
    fn role(&self, node: &str, role: &str) -> Option<u32> {
        let supervisor = self.supervisor(node);
        let is_it = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            parent(*pid) == Some(supervisor)
                && line.split(|byte| *byte == 0).any(|word| word == role.as_bytes())
        };
        pids().into_iter().find(is_it)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("readable").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn parent(pid: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Whether one process descends from the other.
fn is_below(mut pid: u32, ancestor: u32) -> bool {
    while pid > 1 {
        if pid == ancestor {
            return true;
        }
        let Some(parent) = parent(pid) else { return false };
        pid = parent;
    }
    false
}

fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([name, &pid.to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "kill {name} {pid}");
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let begin = sys::clock::now();
    while !is_so() {
        assert!(sys::clock::now().since(begin) < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
    sys::clock::now().since(begin)
}

/// Waits until an element shows all these words.
fn until_shown(browser: &Browser, selector: &str, words: &[&str]) {
    let begin = sys::clock::now();
    loop {
        let text = shown(browser, selector);
        if words.iter().all(|word| text.contains(word)) {
            return;
        }
        let waited = sys::clock::now().since(begin);
        assert!(waited < PATIENCE, "{selector} does not show {words:?} but: {text}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn shown(browser: &Browser, selector: &str) -> String {
    let body = format!("return document.querySelector({selector:?})?.innerText ?? ''");
    browser.script(&body).as_str().unwrap_or_default().to_owned()
}

/// Notes in the page when an element first shows a text, so that asking for it costs no time.
fn watch(browser: &Browser, selector: &str, pattern: &str) {
    browser.script(&format!(
        "window.seen = null; const look = () => {{ \
           const text = document.querySelector({selector:?})?.innerText ?? ''; \
           if (!window.seen && {pattern}.test(text)) window.seen = Date.now(); }}; \
         new MutationObserver(look).observe(document.body, \
           {{subtree: true, childList: true, characterData: true, attributes: true}}); look();"
    ));
}

/// Kills, and tells how long it took until the browser showed it.
fn measured(browser: &Browser, what: &str, kill: impl FnOnce()) -> Duration {
    assert!(browser.script("return window.seen").is_null(), "{what}: shown before it is so");
    let before = sys::clock::wall_ms();
    kill();
    until(what, || !browser.script("return window.seen").is_null());
    let seen = browser.script("return window.seen").as_u64().unwrap_or(u64::MAX);
    let took = Duration::from_millis(seen.saturating_sub(before));
    eprintln!("dashboard: {what}: shown after {} ms", took.as_millis());
    assert!(took < GENEROUS, "{what}: {took:?}");
    took
}

#[test]
#[should_panic(expected = "the demo ended")]
fn a_demo_that_dies_at_its_start_is_no_skip() {
    drop(Demo::start(&["--stay", "--no-such-word"]));
}

#[test]
fn a_kill_in_the_demo_turns_the_right_cell_and_a_dead_agent_the_whole_page() {
    let name = "a_kill_in_the_demo_turns_the_right_cell_and_a_dead_agent_the_whole_page";
    let skip = |reason: &str| lab::skip::note(&format!("outlast::{name}"), reason);
    if !sys::rights::is_root() {
        return skip("a plain user may not signal processes of another user namespace");
    }
    let Some(demo) = Demo::start(&["--stay"]) else {
        return skip("this user may not make namespaces");
    };
    let Some(browser) = Browser::start() else {
        return skip("no chromium or no chromedriver");
    };
    let page = |path: &str| format!("{}{path}", demo.dashboards[0]);
    browser.open(&page("/"));
    until("all is well", || shown(&browser, "#state").contains("All well"));
    until("the page is live", || shown(&browser, "#pulse") == "live");

    // The HTTP servers of one node: its square in their pools, and no other.
    watch(&browser, "#pool-keystone_internal .square:nth-child(3)", "/down|suspect/");
    let web = demo.find(&["lab", "web", "node03"]).expect("node03 has its HTTP servers");
    measured(&browser, "a killed server", || signal(web, "-KILL"));
    let square =
        |at: u8| shown(&browser, &format!("#pool-keystone_internal .square:nth-child({at})"));
    assert!(square(1).contains("node01 up") && square(2).contains("node02 up"));
    until("the event says why", || {
        let events = shown(&browser, "#events");
        events.contains("server-down") || events.contains("server-suspect")
    });
    until("the line says it", || shown(&browser, "#state").contains("node03"));

    // A whole node, whose supervisor takes everything along.
    watch(&browser, "#node-node02", "/left|silent/");
    let supervisor = demo.supervisor("node02");
    measured(&browser, "a killed node", || signal(supervisor, "-KILL"));
    assert!(!shown(&browser, "#node-node03").contains("left"), "the others stay");
    until("the event explains it", || shown(&browser, "#events").contains("node/node02"));
    browser.open(&page("/node/node02"));
    until_shown(&browser, "#why", &["node02", "goodbye"]);
    let policy: Vec<String> = browser
        .complaints()
        .into_iter()
        .filter(|complaint| complaint.contains("Content Security Policy"))
        .collect();
    assert_eq!(policy, Vec::<String>::new());

    // The agent of the node that is looked at; its supervisor is held, or there would be a new one.
    browser.open(&page("/"));
    until("the page is live", || shown(&browser, "#pulse") == "live");
    watch(&browser, "#state", "/No news from the agent of node01/");
    let (supervisor, agent) = (demo.supervisor("node01"), demo.role("node01", "agent"));
    signal(supervisor, "-STOP");
    measured(&browser, "a dead agent", || signal(agent.expect("node01 has an agent"), "-KILL"));
    assert!(shown(&browser, "#nodes").contains("node01"), "what was last known stays");
    let first = shown(&browser, "#state .line");
    until("its age grows", || shown(&browser, "#state .line") != first);
    let stale: Value = browser.script("return document.querySelector('#state').className");
    assert!(stale.as_str().is_some_and(|class| class.contains("stale")), "{stale}");
    signal(supervisor, "-CONT");
    until("a new agent makes it fresh", || !shown(&browser, "#state").contains("No news"));
}
