//! Virtual IPs in a cluster that decides by its store: `outlast move vip/NAME NODE`, and a site of two machines with a
//! third that only votes. Three machines in namespaces, real processes.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;

use api::{Intent, IntentState, VipRole};
use lab::cluster::{Cluster, Plan};
use lonely::{OUTLAST, contained, until};
use sys::netlink::Netlink;

const FOLDER: &str = "/run/lab";
const NODES: [&str; 3] = ["ctl1", "ctl2", "ctl3"];
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 40);
const LINES: &str = r#"detect = "3s"
[vip.internal]
address = "10.79.0.40"
network = "mgmt"
router_id = 121
check = "none"
[store]
"#;

/// Two that may hold the address, and a third that runs nothing else than its vote; as docs/operate/store.md has it.
const ONLY_VOTES: &str = "order = [\"ctl1\", \"ctl2\"]\n[store]\n";

fn plan(lines: &str) -> Plan {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let (names, networks) = (words(&NODES), words(&["mgmt", "storage"]));
    Plan { names, networks, lines: lines.to_owned(), computes: 0 }
}

/// Exit code, and what was printed on both.
fn types(node: usize, words: &[&str]) -> (Option<i32>, String) {
    let run_dir = Path::new(FOLDER).join(NODES[node]).join("run");
    let output = Command::new(OUTLAST).args(words).arg("--run-dir").arg(run_dir).output();
    let output = output.expect("the tool runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

/// Those whose kernel has the address.
fn have(cluster: &Cluster) -> Vec<usize> {
    let has = |node: &usize| {
        let has = cluster.within(*node, || {
            let addresses = Netlink::open().and_then(|netlink| netlink.addresses());
            let addresses = addresses.expect("addresses can be listed");
            addresses.iter().any(|address| address.ip == IpAddr::V4(ADDRESS))
        });
        // A machine without power has nothing.
        has.unwrap_or(false)
    };
    cluster.numbers().filter(has).collect()
}

/// Who holds it, as every node says.
fn holder(cluster: &Cluster) -> Option<usize> {
    let said = |node: usize| {
        let lines = cluster.status(node)?.nodes;
        let holders =
            lines.into_iter().filter(|line| line.holds.iter().any(|vip| vip == "internal"));
        let [holder] = holders.collect::<Vec<_>>().try_into().ok()?;
        NODES.iter().position(|name| *name == holder.state.node)
    };
    let all: Vec<_> = cluster.numbers().map(said).collect();
    all[0].filter(|_| all.iter().all(|holder| *holder == all[0]))
}

fn is_coordinated(cluster: &Cluster, node: usize) -> bool {
    let status = cluster.status(node);
    let coordinator = status.as_ref().and_then(|status| status.coordinator.as_ref());
    let is_led = coordinator.is_some_and(|found| !found.node.is_empty());
    is_led && status.and_then(|status| status.store).is_some_and(|store| store.is_well())
}

fn intents(node: usize) -> Vec<Intent> {
    let (code, said) = types(node, &["intents", "--json"]);
    assert_eq!(code, Some(0), "{said}");
    said.lines().map(|line| serde_json::from_str(line).expect("an intent")).collect()
}

/// Starts all, and waits until all is as it should be; who holds the address.
fn begun(cluster: &mut Cluster) -> usize {
    for node in cluster.numbers() {
        cluster.start(node).expect("it starts");
    }
    until("everybody hears everybody", || cluster.illness().is_none());
    until("one has the address", || holder(cluster).map(|node| vec![node]) == Some(have(cluster)));
    until("somebody coordinates", || cluster.numbers().all(|node| is_coordinated(cluster, node)));
    holder(cluster).expect("it was waited for")
}

#[test]
fn an_address_moves_by_a_decision_of_the_cluster_to_the_node_that_is_named() {
    contained("an_address_moves_by_a_decision_of_the_cluster_to_the_node_that_is_named", || {
        let mut cluster =
            Cluster::lay_out(Path::new(FOLDER), Path::new(OUTLAST), plan(LINES)).expect("a lab");
        let first = begun(&mut cluster);
        let (second, third) = ((first + 1) % 3, (first + 2) % 3);
        // Typed on a node that has no part in it, then on the one that is to hold, then on the one that holds.
        for (number, (from, to, on)) in
            [(first, second, third), (second, first, first), (first, third, first)]
                .into_iter()
                .enumerate()
        {
            let words = ["move", "vip/internal", NODES[to]];
            let (code, said) = types(on, &words);
            assert_eq!(code, Some(0), "{said}");
            assert_eq!(have(&cluster), [to], "when it is told as done it is so: {said}");
            until("all know who holds it", || holder(&cluster) == Some(to));
            let vip = cluster.status(to).and_then(|status| status.vips.into_iter().next());
            assert_eq!(vip.map(|vip| vip.state.role), Some(VipRole::Master));
            for node in cluster.numbers() {
                let done = || {
                    let all = intents(node).into_iter();
                    all.filter(|intent| intent.state == IntentState::Done).collect::<Vec<_>>()
                };
                until("all know that it is done", || done().len() == number + 1);
                let last = done().pop().expect("it was waited for");
                assert_eq!((last.what.as_str(), last.object.as_str()), ("move", "vip/internal"));
                assert_eq!(last.steps[0].node, NODES[from], "who holds it gives it: {last:?}");
            }
            let (code, said) = types(from, &words);
            let why = format!("{} holds vip/internal already", NODES[to]);
            assert!(code == Some(1) && said.contains(&why), "{code:?} {said}");
        }
    });
}

#[test]
fn two_machines_serve_and_decide_with_a_third_that_only_votes_whichever_of_them_is_lost() {
    const TEST: &str =
        "two_machines_serve_and_decide_with_a_third_that_only_votes_whichever_of_them_is_lost";
    contained(TEST, || {
        let lines = LINES.replace("[store]\n", ONLY_VOTES);
        let mut cluster =
            Cluster::lay_out(Path::new(FOLDER), Path::new(OUTLAST), plan(&lines)).expect("a lab");
        let (first, voter) = (begun(&mut cluster), 2);
        assert_ne!(first, voter, "it is not in the order");
        let other = 1 - first;

        // One of those that serve is lost: the other holds the address, and two decide.
        cluster.power_off(first).expect("it can be switched off");
        until("the other one has the address", || have(&cluster) == [other]);
        decides(other, voter);
        cluster.start(first).expect("it can be switched on");
        until("everybody hears everybody", || cluster.illness().is_none());
        assert_eq!(have(&cluster), [other], "it is not taken back");

        // The one that votes is lost: the address stays, and the two decide.
        cluster.power_off(voter).expect("it can be switched off");
        decides(other, first);
        assert_eq!(have(&cluster), [other]);
        // It holds nothing, whoever is lost: the address waits for the one that may.
        cluster.start(voter).expect("it can be switched on");
        until("everybody hears everybody", || cluster.illness().is_none());
        cluster.power_off(first).expect("it can be switched off");
        cluster.power_off(other).expect("it can be switched off");
        cluster.start(first).expect("it can be switched on");
        until("the one that may has the address", || have(&cluster) == [first]);
        decides(first, voter);
    });
}

/// Typed on this node it is done, though one of three is lost: a node goes to rest and on duty again.
fn decides(on: usize, node: usize) {
    let name = NODES[node];
    until("a rest is decided", || types(on, &["node", "standby", name]).0 == Some(0));
    let (code, said) = types(on, &["node", "resume", name]);
    assert_eq!(code, Some(0), "{said}");
}
