//! What an operator tells a node, by the tool, to a real node.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

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
        until("it knows", || node.try_status().is_some_and(|status| status.standby));
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
            (&["node", "standby", "node02"], 1, "commands do not travel yet, type it on node02"),
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
        assert!(has_vip());
        node.signal("TERM");
        node.ended();
        let (code, said) = outlast(&node, &["move", "vip/internal", "node02"]);
        assert_eq!(code, Some(3), "{said}");
    });
}
