//! A sync group with one vip lease: two addresses on two networks are on one node together, or nowhere.

use std::net::Ipv4Addr;

use super::*;

const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 80, 0, 40);
/// That of the second one.
const STORAGE: usize = 1;
const MORE: &str = "sync_group = \"router\"\n\
    [vip.inside]\naddress = \"10.80.0.40\"\nnetwork = \"storage\"\nrouter_id = 122\nlease = true\n\
    sync_group = \"router\"\n";

fn has_both() -> [bool; 2] {
    let listed = Netlink::open().and_then(|netlink| netlink.addresses());
    let listed = listed.expect("addresses can be listed");
    [VIP, INSIDE].map(|ip| listed.iter().any(|address| address.ip == ip))
}

impl Stage {
    /// The one node that has both, where no other one that runs has any.
    fn has_group(&self, but: Option<usize>) -> Option<usize> {
        let others = (0..NODES).filter(|node| Some(*node) != but);
        let all: Vec<_> =
            others.filter_map(|node| Some((node, self.cluster.within(node, has_both)?))).collect();
        let holders: Vec<usize> =
            all.iter().filter(|(_, has)| *has == [true; 2]).map(|(node, _)| *node).collect();
        let parts = all.iter().any(|(_, has)| has[0] != has[1]);
        (holders.len() == 1 && !parts).then(|| holders[0])
    }
}

#[test]
fn addresses_of_a_sync_group_have_one_holder_whichever_of_their_networks_fails() {
    let name = "bound::addresses_of_a_sync_group_have_one_holder_whichever_of_their_networks_fails";
    contained(name, || {
        let Some(mut stage) = Stage::laid_out(name, &format!("{LINES}{MORE}")) else { return };
        until("one node has both", || stage.has_group(None).is_some());
        stage.undisturbed(lose_the_second_network);
        stage.undisturbed(lose_all_of_a_group);
        let why = stage.types(stage.holds(), &["why", "vip/inside"]);
        assert!(why.contains("it has one vip lease with internal"), "{why}");
        stage.never_two();
    });
}

/// The network of the first one is as it was.
fn lose_the_second_network(stage: &mut Stage, _: Time) -> Result<(), String> {
    let first = stage.holds();
    until("all grant it", || (0..NODES).all(|node| stage.votes(node)));
    let since = sys::clock::now();
    stage.cluster.set_joined(first, STORAGE, false).expect("a port can be taken out");
    let (second, took) = stage.followed(first, since);
    says("the network of one of a group silent", took);
    until("it has both, and the other one none", || {
        stage.has_group(None) == Some(second) || stage.was_lost(since)
    });
    stage.cluster.set_joined(first, STORAGE, true).expect("a port can be put back");
    stage.stays(second, "who is heard again takes nothing")
}

/// Its kernel has both still, behind the gate.
fn lose_all_of_a_group(stage: &mut Stage, _: Time) -> Result<(), String> {
    let first = stage.holds();
    until("all grant it", || (0..NODES).all(|node| stage.votes(node)));
    let since = sys::clock::now();
    stage.cluster.kill_all(first).expect("its processes can be killed");
    let (second, took) = stage.followed(first, since);
    says("all processes of the holder of a group killed", took);
    until("the next one has both", || {
        stage.has_group(Some(first)) == Some(second) || stage.was_lost(since)
    });
    stage.cluster.start(first).expect("it can be started");
    until("it grants what others ask for", || stage.votes(first));
    until("it has none", || stage.has_group(None).is_some());
    stage.stays(second, "who comes back takes nothing")
}
