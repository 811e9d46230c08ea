//! A gateway that answers some nodes, or none.

use std::net::Ipv4Addr;

use super::*;

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 1);
/// As in [`LINES`].
const DETECT: Duration = Duration::from_secs(2);

#[test]
fn a_holder_that_its_gateway_does_not_answer_hands_over_and_stays_where_it_answers_nobody() {
    let name = "gateway::a_holder_that_its_gateway_does_not_answer_hands_over_and_stays_where_it_answers_nobody";
    contained(name, || {
        let reference = format!("reference = [\"{GATEWAY}\"]\n");
        let Some(mut stage) = Stage::with(name, &reference) else { return };
        let switch = "sw1";
        let add = |netlink: &Netlink, index| {
            netlink.add_address(index, GATEWAY.into(), 24, AddressOptions::default()).map(drop)
        };
        on_device(switch, add);
        until("it answers all", || (0..NODES).all(|node| stage.reaches(node) == Some(true)));
        stage.undisturbed(lose_the_gateway);

        on_device(switch, |netlink, index| {
            netlink.delete_address(index, GATEWAY.into(), 24).map(drop)
        });
        until("it answers nobody", || (0..NODES).all(|node| stage.reaches(node) == Some(false)));
        stage.undisturbed(|stage, _| {
            let since = sys::clock::now();
            let holder = stage.holds();
            let end = since + DETECT * 3;
            until("all had the time to compare", || sys::clock::now() > end);
            stage.stays(holder, "where it answers nobody all stays")
        });
        stage.never_two();
    });
}

fn lose_the_gateway(stage: &mut Stage, _: Time) -> Result<(), String> {
    let first = stage.holds();
    let since = sys::clock::now();
    // What it asks goes to nobody.
    let of = |node, work: &(dyn Fn(&Netlink, u32) -> std::io::Result<()> + Sync)| {
        stage.cluster.within(node, || on_device("eth0", work)).expect("it is on");
    };
    of(first, &|netlink, index| netlink.set_neighbour(index, GATEWAY, [2, 0, 0, 0, 0, 99]));
    let (second, took) = stage.followed(first, since);
    eprintln!("the gateway does not answer the holder: another node answers after {took:?}");
    until("it is told why", || {
        let released = stage.events(first, "vip-released", since);
        let mut why = released.iter().map(|event| event.evidence.as_str());
        why.any(|why| why.contains("no reference point answers this node")) || stage.was_lost(since)
    });
    of(first, &|netlink, index| netlink.delete_neighbour(index, GATEWAY));
    until("it answers all again", || (0..NODES).all(|node| stage.reaches(node) == Some(true)));
    stage.stays(second, "whom it answers again takes nothing")
}
