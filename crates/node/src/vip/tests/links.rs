//! What there is around the addresses of a node: devices of groups, tables of the kernel, names of devices.

use std::process::Command;

use sys::netlink::Macvlan;
use sys::nft::{self, Tables};

use super::*;

fn texts_with(more: &str) -> Texts {
    let source = Source { path: "outlast.toml".to_owned(), text: format!("{CLUSTER}{more}") };
    Texts { cluster: Some(source), ..texts() }
}

/// Turns of the driver until it is so.
fn turn_until(driver: &mut Driver<'_>, what: &str, fits: impl Fn(&Driver<'_>) -> bool) {
    let (end, mut ready) = (sys::clock::now() + PATIENCE, Vec::new());
    while !fits(driver) {
        assert!(sys::clock::now() < end, "in vain: {what}");
        driver.turn_after(Some(Duration::from_millis(1)), &mut ready).unwrap();
    }
}

/// Those of groups, by name.
fn group_device(netlink: &Netlink, name: &str) -> Option<Macvlan> {
    netlink.macvlans().unwrap().into_iter().find(|known| known.link.name == name)
}

#[test]
fn a_table_of_a_process_that_was_killed_goes_where_the_file_lost_the_word_and_no_other_one_does() {
    let test = "a_table_of_a_process_that_was_killed_goes_where_the_file_lost_the_word_and_no_other_one_does";
    if !may_make_networks(&format!("links::{test}")) {
        return;
    }
    let network = Network::new();
    let (_supervisor, channel) = Channel::pair().unwrap();
    let driven = netns::within(network.node.as_fd(), || {
        assert!(nft::is_there(), "this test needs nftables");
        let tables = Tables::open().unwrap();
        let places = [(IpAddr::V4(VIP), 0)];
        for name in ["outlast.eth0.121.4", "outlast.eth7.9.6", "of.somebody"] {
            tables.keep_out(name, &places).unwrap();
        }
        let mut driver = Driver::new(&channel, &start(), &texts()).unwrap();
        driver.begin(&start());
        let gone = |_: &Driver<'_>| tables.names().unwrap() == ["of.somebody"];
        turn_until(&mut driver, "what is left goes", gone);
        drop(driver);
        // A group that is kept out has its own from the start on, and nothing of it is left at the end.
        let texts = texts_with("accept = false\n");
        let mut driver = Driver::new(&channel, &start(), &texts).unwrap();
        driver.begin(&start());
        let there =
            |_: &Driver<'_>| tables.names().unwrap() == ["of.somebody", "outlast.eth0.121.4"];
        turn_until(&mut driver, "the table stands", there);
        driver.step_all(Input::Stop);
        driver.end_links();
        assert_eq!(tables.names().unwrap(), ["of.somebody"]);
    });
    driven.unwrap();
}

#[test]
fn a_device_that_was_made_by_a_killed_process_goes_or_is_finished() {
    let test = "a_device_that_was_made_by_a_killed_process_goes_or_is_finished";
    if !may_make_networks(&format!("links::{test}")) {
        return;
    }
    let network = Network::new();
    let (_supervisor, channel) = Channel::pair().unwrap();
    let driven = netns::within(network.node.as_fd(), || {
        let netlink = Netlink::open().unwrap();
        let below = netlink.link("eth0").unwrap().unwrap().index;
        let mac = |id: u8| [0, 0, 0x5e, 0, 1, id];
        // Killed before it wrote anything at them.
        netlink.create_macvlan("vrrp.7", below, mac(7)).unwrap();
        netlink.create_macvlan("vrrp.121", below, mac(121)).unwrap();
        let others = netlink.create_macvlan("vrrp.9", below, mac(9)).unwrap();
        netlink.finish_macvlan(others, "of somebody").unwrap();
        let texts = texts_with("virtual_mac = true\n");
        let mut driver = Driver::new(&channel, &start(), &texts).unwrap();
        driver.begin(&start());
        let swept = |_: &Driver<'_>| group_device(&netlink, "vrrp.7").is_none();
        turn_until(&mut driver, "that of no group goes", swept);
        let ours = group_device(&netlink, "vrrp.121").expect("that of the group stays");
        assert!(ours.alias.starts_with("outlast "), "{ours:?}");
        assert!(group_device(&netlink, "vrrp.9").is_some(), "that of somebody else stays");
        driver.end_links();
        assert_eq!(group_device(&netlink, "vrrp.121"), None);
    });
    driven.unwrap();
}

#[test]
fn a_device_goes_down_without_a_wait_and_is_up_where_it_was_claimed_meanwhile() {
    let test = "a_device_goes_down_without_a_wait_and_is_up_where_it_was_claimed_meanwhile";
    if !may_make_networks(&format!("links::{test}")) {
        return;
    }
    let network = Network::new();
    let (_supervisor, channel) = Channel::pair().unwrap();
    let driven = netns::within(network.node.as_fd(), || {
        let netlink = Netlink::open().unwrap();
        let texts = texts_with("virtual_mac = true\n");
        let mut driver = Driver::new(&channel, &start(), &texts).unwrap();
        driver.begin(&start());
        let is_up = |up| {
            move |_: &Driver<'_>| {
                group_device(&Netlink::open().unwrap(), "vrrp.121")
                    .is_some_and(|it| it.link.up == up)
            }
        };
        // What the kernel takes for it, at its best.
        let device = group_device(&netlink, "vrrp.121").unwrap().link.index;
        let mut best = PATIENCE;
        for _ in 0..3 {
            netlink.set_up(device, true).unwrap();
            let begin = sys::clock::now();
            netlink.set_up(device, false).unwrap();
            best = best.min(sys::clock::now().since(begin));
        }
        let mut terms = 7..;
        let mut next = || named(terms.next().unwrap());
        let mut took = PATIENCE;
        for _ in 0..5 {
            driver.step(0, next());
            assert!(is_up(true)(&driver) && network.has(VIP));
            driver.step(0, Input::Standby(true));
            assert!(!network.has(VIP) && is_up(true)(&driver), "it goes down later");
            let begin = sys::clock::now();
            driver.instances[0].rests_at = begin;
            driver.let_rest(begin);
            took = took.min(sys::clock::now().since(begin));
            turn_until(&mut driver, "it goes down", is_up(false));
            driver.step(0, Input::Standby(false));
        }
        // Where the kernel is quick there is nothing to tell the two apart by.
        if best > Duration::from_millis(4) {
            assert!(took < best / 2, "it took {took:?}, the kernel takes {best:?}");
        }
        for _ in 0..10 {
            driver.step(0, next());
            driver.step(0, Input::Standby(true));
            // In the moment in which the order is given, or before, or after.
            driver.instances[0].rests_at = sys::clock::now();
            driver.let_rest(sys::clock::now());
            driver.step(0, Input::Standby(false));
            driver.step(0, next());
            assert!(driver.instances[0].held);
        }
        let held = |driver: &Driver<'_>| is_up(true)(driver) && network.has(VIP);
        turn_until(&mut driver, "it is up and has the address", held);
    });
    driven.unwrap();
}

fn rename(from: &str, to: &str) {
    let done = Command::new("ip").args(["link", "set", "dev", from, "name", to]).status();
    assert!(done.unwrap().success(), "{from} to {to}");
}

#[test]
fn who_goes_by_its_network_follows_its_device_to_another_name_and_nothing_moves() {
    let test = "who_goes_by_its_network_follows_its_device_to_another_name_and_nothing_moves";
    if !may_make_networks(&format!("links::{test}")) {
        return;
    }
    let network = Network::new();
    let peer = Peer::new(&network);
    let (supervisor, channel) = Channel::pair().unwrap();
    let driven = netns::within(network.node.as_fd(), || {
        let mut driver = Driver::new(&channel, &start(), &texts()).unwrap();
        driver.begin(&start());
        driver.step(0, named(7));
        assert!(network.has(VIP));
        let term = driver.instances[0].machine.term();
        let _before = reports(&supervisor);
        for (from, to) in [("eth0", "lan0"), ("lan0", "eth0")] {
            rename(from, to);
            let follows = |driver: &Driver<'_>| {
                assert!(network.has(VIP), "it is never away");
                driver.instances[0].vip.interface == to
            };
            turn_until(&mut driver, "it follows", follows);
            let told = reports(&supervisor);
            let said = format!(
                "{from} is called {to} now, and this node's address on the network is on it"
            );
            assert_eq!(events(&told), [("vip-device-renamed", said.as_str())]);
            let is_learned = told.iter().any(|report| {
                matches!(report, Report::Vip(state) if state.holding && state.interface.as_deref() == Some(to))
            });
            assert!(is_learned, "the supervisor knows: {told:?}");
            // It goes on speaking there.
            while peer.adverts.receive(&mut [0; 256]).is_ok() {}
            let sent = driver.instances[0].counts.sent;
            turn_until(&mut driver, "it adverts", |driver| driver.instances[0].counts.sent > sent);
            assert_eq!(peer.next_advert(), (200, network::NODE.into()));
            let instance = &driver.instances[0];
            assert_eq!((instance.held, instance.machine.term()), (true, term), "nothing moved");
        }
    });
    driven.unwrap();
}

#[test]
fn who_names_its_device_loses_it_under_another_name_as_with_keepalived() {
    let test = "who_names_its_device_loses_it_under_another_name_as_with_keepalived";
    if !may_make_networks(&format!("links::{test}")) {
        return;
    }
    let network = Network::new();
    let (supervisor, channel) = Channel::pair().unwrap();
    let driven = netns::within(network.node.as_fd(), || {
        let texts = texts_with("interface = \"eth0\"\n");
        let mut driver = Driver::new(&channel, &start(), &texts).unwrap();
        driver.begin(&start());
        driver.step(0, named(7));
        let _before = reports(&supervisor);
        rename("eth0", "lan0");
        let is_fault = |driver: &Driver<'_>| driver.instances[0].role() == engine::vip::Role::Fault;
        turn_until(&mut driver, "it has no device", is_fault);
        assert!(!network.has(VIP), "nothing answers for it under the other name");
        let told = reports(&supervisor);
        let said = events(&told);
        assert!(
            said.iter().any(|(what, evidence)| {
                *what == "vip-released" && evidence.contains("eth0 is called lan0 now")
            }),
            "{said:?}"
        );
        rename("lan0", "eth0");
        turn_until(&mut driver, "it is back", |driver| !is_fault(driver));
        driver.step(0, named(9));
        assert!(network.has(VIP), "it may be held again");
    });
    driven.unwrap();
}
