//! The dashboard over TLS, asked by clients that others wrote.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use api::{ProcessState, Role};
use lonely::{Lonely, OUTLAST, OWN, alone, until};

const CLUSTER: &str = r#"[cluster]
name = "cloud"
trust_dir = "trust"
run_dir = "FOLDER/run"
state_dir = "FOLDER/state"
[node.node01]
networks = { management = "10.79.0.41" }
[dashboard]
listen = ["management:7412", "127.0.0.1:7412"]
token_file = "token"
"#;
const OWN_FILES: &str = "tls_cert = \"own.crt\"\ntls_key = \"own.key\"\n";
const TOKEN: &str = "correct-horse-battery";
/// What stands in the node's certificate; the operator's own has another.
const NODE: &str = "node01.node.outlast.internal";
const SITE: &str = "cloud.example";
/// Its user on every machine.
const NOBODY: u32 = 65_534;
/// Handshakes at once of one listener.
const HANDSHAKES: usize = 32;
/// A client that gives up is a scrape that is lost (seconds).
const PATIENCE: &str = "20";

/// A node whose dashboard others can reach.
struct Sealed {
    node: Lonely,
}

fn openssl(words: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new("openssl").args(words).stdin(Stdio::null()).output().ok()?;
    output.status.success().then_some(output.stdout)
}

/// None, with a note, where the clients of others are missing.
fn clients(test: &str) -> Option<()> {
    let is_there = |name: &str| {
        let version = if name == "curl" { "--version" } else { "version" };
        Command::new(name).arg(version).output().is_ok_and(|output| output.status.success())
    };
    if is_there("curl") && is_there("openssl") {
        return Some(());
    }
    lab::skip::note(&format!("outlast::{test}"), "no curl or openssl here");
    None
}

impl Sealed {
    fn new(more: &str) -> Self {
        let node = Lonely::new();
        node.write("outlast.toml", &(CLUSTER.to_owned() + more));
        node.write("token", TOKEN);
        fs::set_permissions(node.path("token"), fs::Permissions::from_mode(0o600)).unwrap();
        let sealed = Self { node };
        let said = sealed.trust(&["init", "cloud", "--node", "node01", "--address", "10.79.0.41"]);
        assert!(said.contains("fingerprint"), "{said}");
        sealed.node.write("ca.pem", &sealed.trust(&["trust", "certificate"]));
        let Self { mut node } = sealed;
        let command = node.command();
        node.start_with(command);
        Self { node }
    }

    fn path(&self, name: &str) -> String {
        self.node.path(name).display().to_string()
    }

    fn trust(&self, words: &[&str]) -> String {
        let folder = self.node.path("trust");
        let output = Command::new(OUTLAST).args(words).arg("--trust-dir").arg(folder).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Exit code of curl and the HTTP status that came, `000` where none did.
    fn curl(&self, name: &str, path: &str, more: &[&str]) -> (i32, String) {
        let mut command = Command::new("curl");
        command.args(["--silent", "--output", "/dev/null", "--max-time", PATIENCE]);
        command.args(["--write-out", "%{http_code}", "--noproxy", "*"]).args(more);
        command.args(["--connect-to", &format!("{name}:7412:{OWN}:7412")]);
        let output = command.arg(format!("https://{name}:7412{path}")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code().unwrap_or(-1), said)
    }

    /// As Prometheus asks.
    fn scrape(&self) -> (i32, String) {
        let bearer = format!("Authorization: Bearer {TOKEN}");
        self.curl(NODE, "/metrics", &["--cacert", &self.path("ca.pem"), "--header", &bearer])
    }

    /// The certificate that is shown now.
    fn shown(&self) -> String {
        let to = format!("{OWN}:7412");
        let said = openssl(&["s_client", "-connect", &to, "-showcerts"]).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        let begin = said.find("-----BEGIN").unwrap_or(0);
        said[begin..].split_inclusive("-----END CERTIFICATE-----").next().unwrap_or("").to_owned()
    }

    /// A certificate of nobody's authority.
    fn own_certificate(&self, file: &str) {
        let (key, certificate) = (self.path("next.key"), self.path("next.crt"));
        let subject = format!("/CN={SITE}");
        let names = format!("subjectAltName=DNS:{SITE}");
        let words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"];
        let more = ["-keyout", &key, "-out", &certificate, "-subj", &subject, "-addext", &names];
        openssl(&[&words[..], &more].concat()).expect("openssl makes a certificate");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(key, self.path(&format!("{file}.key"))).unwrap();
        fs::rename(certificate, self.path(&format!("{file}.crt"))).unwrap();
    }

    fn services(&self) -> Option<i32> {
        let status = self.node.try_status()?;
        let is_it = |process: &&ProcessState| process.role == Role::Services;
        status.processes.iter().find(is_it).map(|process| process.pid)
    }

    /// The processes that keep the dashboard's key.
    fn keepers(&self) -> Vec<i32> {
        let is_keeper = |pid: &i32| {
            let words = fs::read(PathBuf::from(format!("/proc/{pid}/cmdline"))).unwrap_or_default();
            words.ends_with(b"\0keeper\0")
        };
        let all = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let pids = all.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok());
        pids.filter(is_keeper).collect()
    }

    /// What the metrics count of handshakes.
    fn handshakes(&self, outcome: &str) -> u64 {
        let mut stream = TcpStream::connect("127.0.0.1:7412").unwrap();
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        let head = format!("outlast_dashboard_handshakes_total{{outcome=\"{outcome}\"}} ");
        let line = said.lines().find_map(|line| line.strip_prefix(&head));
        line.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{said}"))
    }
}

#[test]
fn strangers_see_nothing_of_a_dashboard_over_tls_and_who_belongs_to_the_cluster_does() {
    const TEST: &str =
        "strangers_see_nothing_of_a_dashboard_over_tls_and_who_belongs_to_the_cluster_does";
    let Some(()) = clients(TEST) else { return };
    alone(TEST, || {
        let sealed = Sealed::new("");
        until("it answers", || sealed.scrape() == (0, "200".to_owned()));
        let urls = sealed.node.status().dashboard;
        assert_eq!(urls, ["https://10.79.0.41:7412/", "http://127.0.0.1:7412/"]);
        let ca = sealed.path("ca.pem");
        // 60: the certificate is of nobody whom this client believes.
        assert_eq!(sealed.curl(NODE, "/metrics", &[]), (60, "000".to_owned()));
        assert_eq!(sealed.curl(NODE, "/metrics", &["--cacert", &ca]), (0, "401".to_owned()));
        let bearer = format!("Authorization: Bearer {TOKEN}");
        let words = ["--cacert", &ca, "--header", &bearer];
        // What the job of Prometheus says as `server_name`.
        let controller = sealed.curl("controller.outlast.internal", "/metrics", &words);
        assert_eq!(controller, (0, "200".to_owned()));
        sealed.own_certificate("stranger");
        let (crt, key) = (sealed.path("stranger.crt"), sealed.path("stranger.key"));
        let words = ["--cacert", &ca, "--cert", &crt, "--key", &key, "--header", &bearer];
        let failed = sealed.handshakes("failed");
        let (code, said) = sealed.curl(NODE, "/", &words);
        assert!(code != 0 && said == "000", "{code} {said}");
        assert!(sealed.handshakes("failed") > failed);
        // Who forgets the s of https hears why.
        let mut stream = TcpStream::connect(SocketAddr::from((OWN, 7412))).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("speaks TLS"), "{answer}");
        until("it is counted", || sealed.handshakes("plain") == 1);
        // TLS 1.2 is not spoken.
        let (code, _) = sealed.curl(NODE, "/", &["--cacert", &ca, "--tls-max", "1.2"]);
        assert_ne!(code, 0);
    });
}

#[test]
fn handshakes_that_are_never_finished_cost_a_bounded_time_and_are_counted() {
    const TEST: &str = "handshakes_that_are_never_finished_cost_a_bounded_time_and_are_counted";
    let Some(()) = clients(TEST) else { return };
    alone(TEST, || {
        let sealed = Sealed::new("");
        until("it answers", || sealed.scrape() == (0, "200".to_owned()));
        let silent = || TcpStream::connect(SocketAddr::from((OWN, 7412))).unwrap();
        let all: Vec<TcpStream> = (0..2 * HANDSHAKES).map(|_| silent()).collect();
        // Loopback is not kept waiting by them.
        assert_eq!(sealed.handshakes("late"), 0);
        until("the first are given up", || sealed.handshakes("late") >= HANDSHAKES as u64);
        until("a client is served again", || sealed.scrape() == (0, "200".to_owned()));
        drop(all);
    });
}

#[test]
fn a_keeper_that_answers_late_is_replaced_and_signs_nothing_afterwards() {
    const TEST: &str = "a_keeper_that_answers_late_is_replaced_and_signs_nothing_afterwards";
    let Some(()) = clients(TEST) else { return };
    alone(TEST, || {
        let sealed = Sealed::new("");
        until("it answers", || sealed.scrape() == (0, "200".to_owned()));
        let (keepers, services) = (sealed.keepers(), sealed.services());
        assert_eq!(keepers.len(), 1);
        lonely::kill(keepers[0], "STOP");
        let (code, said) = sealed.scrape();
        assert!(code != 0 && said == "000", "nobody signs: {code} {said}");
        until("a new pair answers", || sealed.scrape() == (0, "200".to_owned()));
        assert_ne!(sealed.services(), services);
        // It stands still, and is ended with who does not hear it any more.
        until("the late one ends", || sealed.keepers().len() == 1 && !lonely::runs(keepers[0]));
        assert_eq!(sealed.scrape(), (0, "200".to_owned()));
    });
}

/// What the kernel tells of a process.
fn told(pid: i32, file: &str) -> String {
    fs::read_to_string(PathBuf::from(format!("/proc/{pid}/{file}"))).unwrap_or_default()
}

/// Real, effective and saved user.
fn users(pid: i32) -> Vec<u32> {
    let status = told(pid, "status");
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    line.split_whitespace().take(3).filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn a_keeper_that_stands_still_ends_with_its_parent_however_that_ends() {
    const TEST: &str = "a_keeper_that_stands_still_ends_with_its_parent_however_that_ends";
    let Some(()) = clients(TEST) else { return };
    alone(TEST, || {
        let sealed = Sealed::new("");
        for killed in ["the dashboard", "the supervisor"] {
            until("it answers", || sealed.scrape() == (0, "200".to_owned()));
            let (keeper, services) = (sealed.keepers()[0], sealed.services().unwrap());
            if !sys::rights::is_contained() {
                // Else the kernel's signal comes from root, who may end everything.
                assert_eq!(users(services), [NOBODY; 3]);
            }
            lonely::kill(keeper, "STOP");
            until("it stands still", || told(keeper, "stat").contains(") T "));
            let parent = if killed == "the dashboard" { services } else { sealed.node.pid() };
            lonely::kill(parent, "KILL");
            until(&format!("it ends with {killed}"), || !lonely::runs(keeper));
        }
    });
}

#[test]
fn a_keepers_memory_is_shut_to_the_user_who_may_end_it() {
    const TEST: &str = "a_keepers_memory_is_shut_to_the_user_who_may_end_it";
    let Some(()) = clients(TEST) else { return };
    alone(TEST, || {
        if sys::rights::is_contained() {
            let why = "there is no other user here to become";
            return lab::skip::note(&format!("outlast::{TEST}"), why);
        }
        let sealed = Sealed::new("");
        until("it answers", || sealed.scrape() == (0, "200".to_owned()));
        let keeper = sealed.keepers()[0];
        assert_eq!(users(keeper), [NOBODY, 0, 0]);
        let nobody = |words: &[&str]| {
            let user = NOBODY.to_string();
            let mut command = Command::new("setpriv");
            command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"]).args(words);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let reads = |pid: i32, file: &str| {
            let path = format!("/proc/{pid}/{file}");
            nobody(&["head", "-c", "1", &path]).status().unwrap().success()
        };
        // What it sees of a process that is wholly its own.
        let mut other = nobody(&["sleep", "600"]).spawn().unwrap();
        let pid = i32::try_from(other.id()).unwrap();
        until("another of that user runs", || told(pid, "comm") == "sleep\n");
        assert!(reads(pid, "maps") && reads(pid, "environ"));
        for file in ["maps", "environ", "mem"] {
            assert!(!reads(keeper, file), "{file} of the keeper");
        }
        assert!(nobody(&["kill", "-0", &keeper.to_string()]).status().unwrap().success());
        other.kill().unwrap();
        other.wait().unwrap();
    });
}

#[test]
fn a_dashboards_certificate_is_changed_while_it_is_scraped_and_no_scrape_is_lost() {
    const TEST: &str =
        "a_dashboards_certificate_is_changed_while_it_is_scraped_and_no_scrape_is_lost";
    let Some(()) = clients(TEST) else { return };
    alone(TEST, || {
        let mut sealed = Sealed::new("");
        until("it answers", || sealed.scrape() == (0, "200".to_owned()));
        let (before, services) = (sealed.shown(), sealed.services());
        assert!(before.contains("BEGIN CERTIFICATE"), "{before}");
        let (is_over, scrapes) = (AtomicBool::new(false), AtomicU32::new(0));
        thread::scope(|scope| {
            let scraper = scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    assert_eq!(sealed.scrape(), (0, "200".to_owned()));
                    scrapes.fetch_add(1, Ordering::Relaxed);
                }
            });
            sealed.trust(&["trust", "rotate", "--forget-after", "120"]);
            until("another certificate is shown", || {
                let now = sealed.shown();
                scraper.is_finished() || (now != before && now.contains("BEGIN CERTIFICATE"))
            });
            let so_far = scrapes.load(Ordering::Relaxed);
            until("it is scraped under that", || {
                scraper.is_finished() || scrapes.load(Ordering::Relaxed) > so_far + 3
            });
            is_over.store(true, Ordering::Relaxed);
            scraper.join().expect("no scrape was lost");
        });
        assert_eq!(sealed.services(), services, "no process was replaced");
        own_files(&mut sealed);
        // Without its keeper the process has nothing to show: both are started anew.
        let keepers = sealed.keepers();
        assert_eq!(keepers.len(), 1);
        lonely::kill(keepers[0], "KILL");
        let (crt, bearer) = (sealed.path("own.crt"), format!("Authorization: Bearer {TOKEN}"));
        let words = ["--cacert", &crt, "--header", &bearer];
        until("it answers again", || sealed.curl(SITE, "/metrics", &words).1 == "200");
        assert_ne!(sealed.keepers(), keepers);
    });
}

/// The operator's own certificate in place of the node's, and then a newer one.
fn own_files(sealed: &mut Sealed) {
    sealed.own_certificate("own");
    sealed.node.write("outlast.toml", &(CLUSTER.to_owned() + OWN_FILES));
    sealed.node.signal("HUP");
    let (crt, bearer) = (sealed.path("own.crt"), format!("Authorization: Bearer {TOKEN}"));
    let words = ["--cacert", &crt, "--header", &bearer];
    let answers = || sealed.curl(SITE, "/metrics", &words) == (0, "200".to_owned());
    until("the operator's own is shown", answers);
    let (shown, services) = (sealed.shown(), sealed.services());
    sealed.own_certificate("own");
    until("the newer one is shown", || answers() && sealed.shown() != shown);
    assert_eq!(sealed.services(), services, "no process was replaced");
    // A key that does not belong to the certificate is refused, and what runs goes on.
    sealed.own_certificate("other");
    let mixed = OWN_FILES.replace("own.key", "other.key");
    sealed.node.write("outlast.toml", &(CLUSTER.to_owned() + &mixed));
    sealed.node.signal("HUP");
    until("it is said", || sealed.node.log().contains("is not that of the certificate"));
    assert!(answers());
}
