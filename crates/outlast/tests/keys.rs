//! The demo with somebody at the keyboard.

#[expect(unreachable_pub, reason = "shared by test programs")]
#[path = "screen/tmux.rs"]
mod tmux;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use lab::trial;
use tmux::Terminal;

const OUTLAST: &str = env!("CARGO_BIN_EXE_outlast");

/// The node that the screen shows as the holder.
fn holder(text: &str) -> Option<&str> {
    let line = text.lines().find(|line| line.contains("machines"))?;
    line[..line.find(": HOLDS THE ADDRESS")?].split(' ').next_back()
}

/// The lines of deeds with their cost.
fn deeds(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.contains(" ago  ") && line.contains("longest gap")).collect()
}

fn answers(url: &str) -> Option<String> {
    let address = url.strip_prefix("http://")?.trim_end_matches('/');
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn keys_hurt_the_cloud_and_the_screen_says_what_it_cost() {
    const TEST: &str = "keys_hurt_the_cloud_and_the_screen_says_what_it_cost";
    let _alone = trial::alone();
    let line = format!("env -u CI {OUTLAST} demo");
    let Some(terminal) = Terminal::start(TEST, (190, 50), &line) else { return };
    let text = terminal.until("a cloud, or a machine that forbids it", |text| {
        holder(text).is_some() || text.contains("ended with")
    });
    if text.contains("cannot make namespaces") || text.contains("cannot mount /proc") {
        return lab::skip::note(&format!("outlast::{TEST}"), text.trim());
    }
    let first = holder(&text).expect("a cloud that is up has a holder").to_owned();

    // A killed balancer: a figure, and stock's beside it. The address stays.
    terminal.press(&["k"]);
    let text = terminal.until("the cost of a killed balancer", |text| {
        deeds(text).iter().any(|line| line.contains("kill the balancer") && line.contains("stock:"))
    });
    assert!(text.contains(&format!("kill the balancer of {first}")), "{text}");

    // A stop in order: the address moves, which the screen below sees too.
    terminal.press(&["s"]);
    let text = terminal.until("another holder", |text| {
        let moved = format!("the address left {first}");
        holder(text).is_some_and(|now| now != first) && text.contains(&moved)
    });
    let second = holder(&text).expect("it was looked for").to_owned();
    terminal.until("the holder in the operator's own table", |text| {
        text.lines().any(|line| line.contains("● internal") && line.contains(&second))
    });
    assert!(text.contains(&format!("{first}: stopped")), "{text}");

    // A silent cut of a chosen node, and everything healed.
    let number = &second[second.len() - 1..];
    terminal.press(&[number, "x"]);
    terminal.until("a third holder", |text| {
        holder(text).is_some_and(|now| now != second) && text.contains("cut off")
    });
    terminal.press(&["h"]);
    terminal.until("three nodes without a mark", |text| {
        let line = text.lines().find(|line| line.contains("machines")).unwrap_or_default();
        line.matches(": on").count() == 2 && !line.contains("stopped") && !line.contains("cut off")
    });

    // Doors to the dashboards, from the machine's own network.
    let urls: Vec<String> = terminal
        .text()
        .split_whitespace()
        .filter(|word| word.starts_with("http://127.0.0.1:"))
        .map(str::to_owned)
        .collect();
    assert_eq!(urls.len(), 3, "{}", terminal.text());
    terminal.until("a dashboard through each door", |_| {
        urls.iter().all(|url| answers(url).is_some_and(|page| page.starts_with("HTTP/1.1 200")))
    });

    terminal.press(&["q"]);
    let text = terminal.until("the end", |text| text.contains("ended with 0"));
    assert!(text.contains("kill the balancer"), "the deeds stay on the terminal:\n{text}");
    assert!(answers(&urls[0]).is_none(), "the doors are closed");
}

/// What a demo says until it is up; nothing where it ends before.
fn invitation(stdout: &mut impl BufRead) -> Option<Vec<String>> {
    let mut said = vec![];
    loop {
        let mut line = String::new();
        if stdout.read_line(&mut line).expect("the demo speaks UTF-8") == 0 {
            return None;
        }
        let last = line.contains("node03") && line.contains("nsenter");
        said.push(line);
        if last {
            return Some(said);
        }
    }
}

#[test]
fn a_cloud_that_stays_says_how_to_look_into_it_and_hears_sigint() {
    const TEST: &str = "outlast::a_cloud_that_stays_says_how_to_look_into_it_and_hears_sigint";
    let _alone = trial::alone();
    // As a shell starts what is in the background: deaf to SIGINT.
    let line = format!("trap '' INT; exec {OUTLAST} demo --stay");
    let mut command = Command::new("sh");
    command.args(["-c", &line]).stdin(Stdio::null());
    let mut demo = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A demo that nobody listens to any more ends: the reader lives on.
    let mut stdout = BufReader::new(demo.stdout.take().unwrap());
    let Some(said) = invitation(&mut stdout) else {
        let mut why = String::new();
        demo.stderr.take().unwrap().read_to_string(&mut why).unwrap();
        demo.wait().unwrap();
        let forbidden = why.contains("cannot make namespaces") || why.contains("mount /proc");
        assert!(forbidden, "{why}");
        return lab::skip::note(TEST, why.trim());
    };
    let line = |what: &str| {
        let line = said.iter().find(|line| line.contains("nsenter") && line.contains(what));
        line.unwrap_or_else(|| panic!("no line with {what} in {said:?}")).clone()
    };
    // As they are printed, and by whoever started the demo.
    for (what, expected) in [(" status ", "node01 of cloud"), ("curl ", "node0")] {
        let output = Command::new("sh").args(["-c", &line(what)]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let wrong = String::from_utf8_lossy(&output.stderr);
        // curl is no package of ours.
        assert!(text.contains(expected) || wrong.contains("curl"), "{what}: {text}{wrong}");
    }
    assert!(line(" events ").contains("--follow"));
    let pid = demo.id().to_string();
    let killed = Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(killed.success());
    let end = sys::clock::now() + Duration::from_secs(20);
    while demo.try_wait().unwrap().is_none() {
        assert!(sys::clock::now() < end, "SIGINT was not heard");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_broken_file_is_told_before_anything_is_built() {
    let file = std::env::temp_dir().join(format!("outlast-broken-{}.cfg", std::process::id()));
    std::fs::write(&file, "listen a\n  bind 10.79.0.40:5000\n  blaance roundrobin\n").unwrap();
    let mut demo = Command::new(OUTLAST);
    let output = demo.args(["demo", "--haproxy"]).arg(&file).output().unwrap();
    std::fs::remove_file(&file).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(":3:3") && said.contains("did you mean `balance`?"), "{said}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("three controllers"));
}
