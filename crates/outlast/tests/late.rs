//! Networks that come later than the node: its virtual IPs wait for them, and nothing else does.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::net::Ipv4Addr;
use std::process::Command;

use api::{Event, Role, VipCause, VipLine, VipRole};
use lonely::{CLUSTER, Lonely, OUTLAST, alone, contained, plug_in, until};
use sys::netlink::{AddressOptions, Netlink};

/// This node's address on its second network, which is not there at the start.
const LATE: Ipv4Addr = Ipv4Addr::new(10, 80, 0, 41);
const NETWORKS: &str = "{ management = \"10.79.0.41\", storage = \"10.80.0.41\" }";
const STORAGE: &str = r#"[vip.storage]
address = "10.80.0.40"
network = "storage"
router_id = 122
check = "none"
"#;

fn line(node: &Lonely, name: &str) -> Option<VipLine> {
    node.try_status()?.vips.into_iter().find(|line| line.name == name)
}

fn waits(node: &Lonely, name: &str) -> bool {
    line(node, name).is_some_and(|line| {
        let state = (line.state.role, line.state.cause, line.interface.as_str());
        state == (VipRole::Fault, Some(VipCause::NoNetwork), "")
    })
}

fn holds(node: &Lonely, name: &str) -> bool {
    line(node, name).is_some_and(|line| line.state.holding && line.interface == "eth0")
}

/// What an operator reads.
fn said(node: &Lonely, words: &[&str]) -> String {
    let mut command = Command::new(OUTLAST);
    let output = command.args(words).arg("--run-dir").arg(node.path("run")).output();
    String::from_utf8_lossy(&output.expect("the tool runs").stdout).into_owned()
}

fn comes() {
    let netlink = Netlink::open().expect("this is a namespace of the test");
    let device = netlink.link("eth0").expect("links are told").expect("it is there");
    let options = AddressOptions::default();
    netlink.add_address(device.index, LATE.into(), 24, options).expect("it can be added");
}

fn goes() {
    let netlink = Netlink::open().expect("this is a namespace of the test");
    assert_eq!(netlink.delete_everywhere(LATE.into()).expect("it can be removed"), 1);
}

fn events(node: &Lonely, what: &str, object: &str) -> Vec<Event> {
    let is_it = |event: &Event| event.what == what && event.object == object;
    node.events().into_iter().filter(is_it).collect()
}

/// The files are read again: the `nth` time with that outcome. A reload replaces the agent.
fn reload(node: &Lonely, outcome: &str, nth: usize) -> Event {
    node.signal("HUP");
    let mut told = None;
    until("the files are looked at", || {
        told = events(node, outcome, "node/node01").into_iter().nth(nth - 1);
        told.is_some()
    });
    told.expect("it was told")
}

#[test]
fn a_virtual_ip_whose_network_comes_late_stops_nothing_else_and_comes_with_it() {
    const TEST: &str = "a_virtual_ip_whose_network_comes_late_stops_nothing_else_and_comes_with_it";
    alone(TEST, || {
        let mut node = Lonely::new();
        let text = CLUSTER.replace("{ management = \"10.79.0.41\" }", NETWORKS);
        node.write("outlast.toml", &(text + STORAGE));
        node.start();
        let warning = "warning: vip storage: no interface of this node has 10.80.0.41";
        assert!(node.log().contains(warning), "{}", node.log());
        until("it waits", || waits(&node, "storage"));
        let status = said(&node, &["status"]);
        assert!(status.contains("no network yet"), "{status}");
        let why = said(&node, &["why", "vip/storage"]);
        assert!(why.contains("again when an interface has 10.80.0.41"), "{why}");
        until("an event says why", || {
            let told = events(&node, "vip-fault", "vip/storage");
            told.iter().any(|event| event.evidence.contains("10.80.0.41"))
        });
        let process = node.process(Role::Vip);
        // It may never come: other changes are taken meanwhile.
        reload(&node, "reloaded", 1);
        until("both are as they were", || waits(&node, "storage") && holds(&node, "internal"));

        comes();
        until("it comes", || holds(&node, "storage"));
        reload(&node, "reloaded", 2);
        until("both are held", || holds(&node, "storage") && holds(&node, "internal"));
        assert_eq!(node.process(Role::Vip), process, "nobody was replaced");
        let let_go = |name: &str| events(&node, "vip-released", &format!("vip/{name}")).len();
        assert_eq!((let_go("internal"), let_go("storage")), (0, 0));

        // One that was there and is not any more is a fault of this machine.
        goes();
        let refused = reload(&node, "reload-refused", 1);
        assert!(refused.evidence.contains("no interface of this node has 10.80.0.41 any more"));
        until("it is held all the same", || holds(&node, "storage"));
        lonely::kill(process, "KILL");
        until("the next one waits", || waits(&node, "storage"));
        comes();
        until("both are held again", || holds(&node, "internal") && holds(&node, "storage"));
    });
}

#[test]
fn a_node_whose_only_device_comes_late_starts_and_serves_once_it_is_there() {
    contained("a_node_whose_only_device_comes_late_starts_and_serves_once_it_is_there", || {
        let mut node = Lonely::new();
        let mut command = node.command();
        command.args(["--node", "node01"]);
        node.start_with(command);
        until("it waits", || waits(&node, "internal"));
        for role in [Role::Agent, Role::Proxy, Role::Services] {
            node.process(role);
        }
        assert!(!node.serves(node.port));
        plug_in().expect("a device can be made");
        until("it serves behind its virtual IP", || node.serves(node.port));
        until("the status names its device", || holds(&node, "internal"));
    });
}
