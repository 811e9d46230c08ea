//! docs/operate/from-keepalived.md, typed as it stands there, on two machines in namespaces with real keepalived at first.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

#[path = "first_cluster/machine.rs"]
mod machine;

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use api::Status;
use lonely::{PATIENCE, contained};
use machine::Machine;

const TEST: &str = "the_commands_of_the_page_bring_a_group_of_keepalived_over_node_by_node";
const KEEPALIVED: &str = "/usr/sbin/keepalived";
const NODES: [&str; 2] = ["node01", "node02"];
const FILE: &str = "/etc/keepalived/keepalived.conf";
/// Each look starts a process.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is indented is typed, or stands in a file.
fn code(page: &str) -> Vec<&str> {
    page.lines().filter_map(|line| line.strip_prefix("    ")).collect()
}

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = sys::clock::now() + PATIENCE;
    while !condition() {
        assert!(sys::clock::now() < end, "waited in vain: {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Those whose kernel has the address.
fn have(machines: &[Machine]) -> Vec<usize> {
    let has = |machine: &Machine| {
        machine.types("ip -4 address show dev eth0", "").out.contains(" 10.79.0.40/")
    };
    (0..machines.len()).filter(|at| has(&machines[*at])).collect()
}

fn answers(machine: &Machine) -> bool {
    serde_json::from_str::<Status>(&machine.types("outlast status --json", "").out).is_ok()
}

#[test]
fn the_commands_of_the_page_bring_a_group_of_keepalived_over_node_by_node() {
    if !Path::new(KEEPALIVED).exists() {
        return lab::skip::note(&format!("outlast::{TEST}"), "no keepalived here");
    }
    contained(TEST, || {
        let page =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operate/from-keepalived.md");
        let page = std::fs::read_to_string(page).expect("the page is there");
        let code = code(&page);
        let is_typed =
            |line: &str| line.split_once("$ ").is_some_and(|(node, _)| NODES.contains(&node));
        let file: String = code
            .iter()
            .take_while(|line| !is_typed(line))
            .map(|line| format!("{line}\n"))
            .collect();
        machine::furnish().expect("a switch of the test's own");
        let addresses = (41..).map(|last| Ipv4Addr::new(10, 79, 0, last));
        let mut machines: Vec<_> =
            NODES.iter().zip(addresses).map(|(name, ip)| Machine::on(name, ip)).collect();
        for (machine, priority) in machines.iter_mut().zip(["150", "100"]) {
            machine.types("mkdir -p /etc/keepalived", "");
            machine
                .writes(&FILE[1..], &file.replace("priority 150", &format!("priority {priority}")));
            // Files of numbers in a folder of the machine's own.
            let numbers = "-p /var/lib/keepalived.pid -r /var/lib/vrrp.pid";
            machine.starts(&format!("{KEEPALIVED} -n -l -f {FILE} {numbers}"));
            eventually("keepalived runs", || {
                machine.types("test -s /var/lib/keepalived.pid", "").is_well
            });
        }
        eventually("the stronger router has the address", || have(&machines) == [0]);

        for line in code.iter().filter(|line| is_typed(line)) {
            let (node, command) = line.split_once("$ ").expect("it was there");
            let at = NODES.iter().position(|name| *name == node).expect("one of the two");
            if command == "systemctl stop keepalived" {
                // What the init of that machine would do.
                let stop = "kill $(cat /var/lib/keepalived.pid); while test -e /var/lib/keepalived.pid; do sleep 0.05; done";
                assert!(machines[at].types(stop, "").is_well);
                eventually("node02 has it, or node01 still", || have(&machines) == [1 - at]);
            } else if let Some(words) = command.strip_prefix("outlast run ") {
                begins(&mut machines, at, words);
            } else if command.ends_with(" status") {
                eventually(line, || machines[at].types(command, "").is_well);
            } else {
                let said = machines[at].types(command, "");
                assert!(said.is_well, "{line}\n{}{}", said.out, said.error);
            }
            assert_eq!(have(&machines).len(), 1, "after {line}");
        }
        eventually("both know each other", || {
            machines.iter().all(|machine| {
                let status: Option<Status> =
                    serde_json::from_str(&machine.types("outlast status --json", "").out).ok();
                status.is_some_and(|status| {
                    status.nodes.iter().all(|line| line.state.standing == api::Standing::Alive)
                })
            })
        });
    });
}

/// Ends what stays in the foreground, in order.
fn ends(machine: &mut Machine) {
    let mut child = machine.supervisor.take().expect("it was started");
    let told = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(told.is_ok_and(|told| told.success()), "{} cannot be told to end", machine.name);
    child.wait().expect("it ends");
}

/// The last two lines take the place of what runs; the page tells in words how the files come there.
fn begins(machines: &mut [Machine], at: usize, words: &str) {
    if words.contains("--config") {
        let secret =
            "head -c 32 /dev/urandom | base64 > /etc/outlast/secret; chmod 600 /etc/outlast/secret";
        if at == 0 {
            assert!(machines[0].types(secret, "").is_well);
            let take_in = "sed -i 's/^# secret_file = \\(\"[^\"]*\"\\).*/secret_file = \\1/' /etc/outlast/outlast.toml";
            assert!(machines[0].types(take_in, "").is_well);
            for file in ["outlast.toml", "secret"] {
                let copy = format!("scp /etc/outlast/{file} node02:/etc/outlast/{file}");
                assert!(machines[0].types(&copy, "").is_well, "{copy}");
            }
        }
        ends(&mut machines[at]);
    }
    machines[at].starts(&format!("outlast run {words}"));
    eventually("the node answers", || answers(&machines[at]));
    eventually("somebody has the address", || have(machines).len() == 1);
}
