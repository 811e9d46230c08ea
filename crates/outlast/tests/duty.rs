//! What an operator tells a node, by the tool, to a real node.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;

use api::{VipCause, VipRole};
use lonely::{Lonely, OUTLAST, alone, has_vip, until};

const CLUSTER: &str = r#"[cluster]
name = "lonely"
secret_file = "secret"
haproxy = "haproxy.cfg"
run_dir = "FOLDER/run"
state_dir = "FOLDER/state"
[node.node01]
networks = { management = "10.79.0.41" }
[node.node02]
networks = { management = "10.79.0.42" }
[vip.internal]
address = "10.79.0.40"
router_id = 121
"#;

/// Exit code, and what it printed on both.
fn outlast(node: &Lonely, words: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(OUTLAST);
    command.args(words).arg("--run-dir").arg(node.path("run"));
    let output = command.output().expect("the tool starts");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

/// Starts the node; whether it holds anything is the test's business.
fn start(node: &mut Lonely) {
    let command = node.command();
    node.start_with(command);
    until("the agent answers", || node.try_status().is_some());
}

fn cause(node: &Lonely) -> Option<VipCause> {
    node.try_status()?.vips.first()?.state.cause
}

#[test]
fn a_standby_is_kept_over_restarts_and_ends_by_command() {
    alone("a_standby_is_kept_over_restarts_and_ends_by_command", || {
        let mut node = Lonely::new();
        node.write("outlast.toml", CLUSTER);
        start(&mut node);
        // It holds nothing yet, so nobody else is needed.
        let (code, said) = outlast(&node, &["node", "standby", "node01"]);
        assert_eq!((code, said.trim()), (Some(0), "node01 is on standby"), "{}", node.log());
        until("it is out of the race", || node.vip_role() == Some(VipRole::Fault));
        assert_eq!(cause(&node), Some(VipCause::Standby));
        let (code, said) = outlast(&node, &["node", "standby", "node01"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("node01 is on standby already"), "{said}");
        let (_, status) = outlast(&node, &["status"]);
        assert!(status.contains("on standby: holds no address until"), "{status}");
        let (_, why) = outlast(&node, &["why", "vip/internal"]);
        assert!(why.contains("an operator put this node on standby"), "{why}");
        assert!(why.contains("somebody types `outlast node resume node01`"), "{why}");

        let agent = node.process(api::Role::Agent);
        lonely::kill(agent, "KILL");
        until("there is another agent", || node.process(api::Role::Agent) != agent);
        until("it knows", || node.try_status().is_some_and(|status| !status.duty.is_on()));
        let vip = node.process(api::Role::Vip);
        lonely::kill(vip, "KILL");
        until("there is another vip process", || node.process(api::Role::Vip) != vip);
        until("it knows", || cause(&node) == Some(VipCause::Standby));

        node.signal("TERM");
        node.ended();
        start(&mut node);
        until("it is out of the race again", || cause(&node) == Some(VipCause::Standby));
        // Longer than anybody waits for silence.
        let asked = sys::clock::now();
        until("it had time to claim", || {
            assert!(!has_vip());
            sys::clock::now().since(asked) > std::time::Duration::from_secs(5)
        });
        assert!(lonely::runs(node.process(api::Role::Proxy)), "its balancer goes on");

        let (code, said) = outlast(&node, &["node", "resume", "node01"]);
        assert_eq!(code, Some(0), "{said}");
        until("it holds", has_vip);
        let (code, said) = outlast(&node, &["node", "resume", "node01"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("node01 is not on standby"), "{said}");
        let told = |what: &str| node.events().iter().filter(|event| event.what == what).count();
        assert_eq!((told("standby-began"), told("standby-ended")), (1, 1));
    });
}

#[test]
fn commands_that_make_no_sense_are_refused_by_name_and_change_nothing() {
    alone("commands_that_make_no_sense_are_refused_by_name_and_change_nothing", || {
        let mut node = Lonely::new();
        node.write("outlast.toml", CLUSTER);
        start(&mut node);
        until("it holds", || has_vip() && cause(&node) == Some(VipCause::Silence));
        let rows: [(&[&str], i32, &str); 8] = [
            (&["node", "standby", "node01"], 1, "nobody else could hold vip/internal now"),
            (&["node", "standby", "node02"], 1, "node02 is not alive as far as this node knows"),
            (&["node", "standby", "node9"], 2, "there is no node9 here; did you mean"),
            (&["node", "resume", "node01"], 1, "node01 is not on standby"),
            (&["move", "vip/internal", "node01"], 1, "node01 holds vip/internal already"),
            (&["move", "vip/internal", "node02"], 1, "node02 is not alive"),
            (&["move", "vip/external", "node02"], 2, "there is no vip/external here"),
            (&["move", "balancer", "node02"], 2, "balancer cannot be moved: write vip/NAME"),
        ];
        for (words, expected, text) in rows {
            let (code, said) = outlast(&node, words);
            assert_eq!(code, Some(expected), "{words:?}: {said}");
            assert!(said.contains(text), "{words:?}: {said}");
        }
        let (_, audit) = outlast(&node, &["audit"]);
        let refused = "move internal to node02: node02 is not alive";
        assert!(audit.lines().any(|line| line.contains(refused)), "{audit}");
        assert!(has_vip());
        node.signal("TERM");
        node.ended();
        let (code, said) = outlast(&node, &["move", "vip/internal", "node02"]);
        assert_eq!(code, Some(3), "{said}");
    });
}

/// Whoever has the token of a program may what it says, and all of it is written down.
#[test]
fn programs_may_what_their_tokens_say_and_every_command_is_in_the_audit_log() {
    alone("programs_may_what_their_tokens_say_and_every_command_is_in_the_audit_log", || {
        let mut node = Lonely::new();
        let dashboard = "[dashboard]\nlisten = \"127.0.0.1:7412\"\n[access]\nviewer = [\"root\"]\n";
        // Nobody claims the address for minutes: it may stand by although nobody else could hold.
        let slow = "advert_interval = \"60s\"\n";
        node.write("outlast.toml", &format!("{CLUSTER}{slow}{dashboard}"));
        start(&mut node);
        let add = |name: &str, words: &[&str]| {
            let (code, said) = outlast(&node, &[&["access", "add", name], words].concat());
            assert_eq!(code, Some(0), "{said}");
            node.write(name, &said);
            (node.path(name).display().to_string(), said.trim().to_owned())
        };
        let (ci, _) = add("ci", &["--scope", "read", "--scope", "standby"]);
        let (_, scraper) = add("scraper", &["--scope", "metrics", "--days", "1"]);
        for (words, expected, text) in [
            (&["node", "standby", "node01", "--token-file", &ci][..], 0, "is on standby"),
            (&["node", "resume", "node01", "--token-file", &ci], 0, "is on duty again"),
            (&["move", "vip/internal", "node02", "--token-file", &ci], 1, "the role operator"),
            (&["audit", "--token-file", &ci], 1, "this needs the role admin"),
            (&["access", "list"], 0, "scraper  metrics  until "),
        ] {
            let (code, said) = outlast(&node, words);
            assert_eq!(code, Some(expected), "{words:?}: {said}");
            assert!(said.contains(text), "{words:?}: {said}");
        }
        let get = |path: &str, token: Option<&str>| {
            let bearer = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
            let bearer = bearer.unwrap_or_default();
            let head = format!(
                "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{bearer}\r\n"
            );
            let mut answer = String::new();
            let mut stream = std::net::TcpStream::connect("127.0.0.1:7412").ok()?;
            stream.write_all(head.as_bytes()).ok()?;
            stream.read_to_string(&mut answer).ok()?;
            answer.split(' ').nth(1).map(str::to_owned)
        };
        // Until the agent has answered in time, a dashboard says 503.
        let answers = |path: &str, token: Option<&str>, wanted: &str| {
            until(&format!("{path} with {token:?} is {wanted}"), || {
                let code = get(path, token);
                let is_busy = code.as_deref().is_none_or(|code| code == "503");
                assert!(is_busy || code.as_deref() == Some(wanted), "{path}: {code:?}");
                !is_busy
            });
        };
        answers("/metrics", None, "401");
        answers("/metrics", Some("outlast_00"), "401");
        answers("/metrics", Some(&scraper), "200");
        answers("/", Some(&scraper), "403");
        let (code, said) = outlast(&node, &["access", "revoke", "scraper"]);
        assert_eq!(code, Some(0), "{said}");
        until("it is known", || get("/metrics", Some(&scraper)).as_deref() == Some("401"));

        let (_, log) = outlast(&node, &["audit"]);
        for line in [
            "access add ci: done",
            ")  node standby node01: done",
            ")  node resume node01: done",
            ")  move internal to node02: this needs the role operator",
            ")  audit: this needs the role admin",
            "access revoke scraper: done",
        ] {
            assert!(log.contains(line), "{line}: {log}");
        }
        assert!(log.contains("token ci of uid 0 (pid "), "{log}");
        assert!(!log.contains(&scraper) && !node.log().contains(&scraper), "no secret is written");
    });
}

/// What changes servers past the agent, by whoever the kernel says.
#[test]
fn what_the_statistics_socket_is_told_is_in_the_audit_log_with_who_said_it() {
    alone("what_the_statistics_socket_is_told_is_in_the_audit_log_with_who_said_it", || {
        let mut node = Lonely::new();
        let sockets = format!(
            "global\n stats socket {0}/admin mode 666 level admin\n stats socket {0}/look level operator\n",
            node.folder.display()
        );
        node.write("haproxy.cfg", &(sockets + &node.haproxy(&[node.port])));
        node.start();
        let server = format!("api{}/one", node.port);
        let says = |socket: &str, words: &str| {
            let mut stream = UnixStream::connect(node.path(socket)).expect("it listens");
            writeln!(stream, "{words}").expect("it reads");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("it answers");
            answer.trim().to_owned()
        };
        for words in [
            format!("set server {server} state drain"),
            // The same wish of the same user again: it is counted, and told when it is over.
            format!("set server {server} state drain; show info"),
            format!("disable server {server}; enable server {server}"),
        ] {
            let answer = says("admin", &words);
            assert!(!answer.contains("denied"), "{answer}");
        }
        assert_eq!(says("look", &format!("disable server {server}")), "Permission denied");
        let by = format!("uid 0 (pid {})  set server {server}: ", std::process::id());
        let mut told = vec![];
        until("all of it is written down", || {
            let (_, log) = outlast(&node, &["audit"]);
            let lines = log.lines().filter_map(|line| Some(line.split_once(&by)?.1.to_owned()));
            told = lines.collect();
            told.len() >= 3
        });
        assert_eq!(told, ["drain", "maint", "ready"]);
    });
}
