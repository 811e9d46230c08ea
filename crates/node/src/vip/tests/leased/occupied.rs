//! Addresses that somebody else has, and a node that hears nobody.

use api::Event;

use super::*;

/// Over either version of IP; what nobody held before is listened for, for three tenths of a second.
const TWO: &str = "\
    [vip.first]\n\
    address = \"10.79.0.40\"\nnetwork = \"lan\"\nrouter_id = 121\n\
    version = 3\nadvert_interval = \"100ms\"\ncheck = \"none\"\nlease = true\n\
    [vip.second]\n\
    address = \"fd79::40\"\nprefix = 64\nnetwork = \"lan\"\nrouter_id = 122\n\
    advert_interval = \"100ms\"\ncheck = \"none\"\nlease = true\n";
const LAST: &str = "\
    [vip.first]\n\
    address = \"10.79.0.40\"\nnetwork = \"lan\"\nrouter_id = 121\n\
    version = 3\nadvert_interval = \"100ms\"\ncheck = \"none\"\nlease = true\nlast_man = \"1s\"\n";

/// What was told of strangers since it was asked last.
fn told_of_strangers(supervisor: &Channel) -> Vec<Event> {
    let (mut bytes, mut all) = (vec![0; MAX_MESSAGE], vec![]);
    while let Ok(length @ 1..) = supervisor.receive(&mut bytes, &mut Vec::new()) {
        if let Ok(Report::Event(event)) = api::decode(&bytes[..length]) {
            all.push(event);
        }
    }
    all.retain(|event| event.what == "vip-fault" && event.evidence.contains("no router"));
    all
}

#[test]
fn an_address_that_a_stranger_has_is_not_claimed_and_it_is_told_who_has_it() {
    let test = "an_address_that_a_stranger_has_is_not_claimed_and_it_is_told_who_has_it";
    if !may_make_networks(&format!("leased::occupied::{test}")) {
        return;
    }
    let network = Network::new();
    let ips: [IpAddr; 2] = [VIP.into(), "fd79::40".parse().unwrap()];
    let stranger = netns::within(network.peer.as_fd(), || {
        let netlink = Netlink::open().unwrap();
        let link = netlink.link("eth0").unwrap().unwrap();
        for ip in ips {
            let prefix = if ip.is_ipv6() { 64 } else { 32 };
            netlink.add_address(link.index, ip, prefix, AddressOptions::default()).unwrap();
        }
        link.mac
    });
    let stranger = stranger.unwrap();
    let leaves = || {
        let netlink = Netlink::open().unwrap();
        ips.map(|ip| netlink.delete_everywhere(ip).unwrap())
    };
    let (supervisor, channel) = Channel::pair().unwrap();
    let driven = netns::within(network.node.as_fd(), || {
        let mut stage = Stage::of(&channel, &texts_of(TWO));
        stage.driver.begin(&start());
        let why = lease::Cause::Fact(engine::vip::Cause::InUse);
        let known = |driver: &Driver<'_>| {
            BOTH.iter().all(|seat| {
                let view = view(driver, *seat);
                view.stand == Stand::Unfit && view.cause == Some(why)
            })
        };
        stage.run_until("somebody answers for both", known);
        let machine = &stage.driver.vip_leases.as_ref().unwrap().machine;
        assert_eq!(BOTH.map(|seat| machine.in_use_by(seat)), [Some(stranger); 2]);
        assert!(stage.driver.instances.iter().all(|instance| !instance.held));
        assert_eq!(netns::within(network.peer.as_fd(), leaves).unwrap(), [1, 1]);
        let holds = |driver: &Driver<'_>| driver.instances.iter().all(|it| it.held);
        stage.run_until("nobody has them any more", holds);
    });
    driven.unwrap();
    let told = told_of_strangers(&supervisor);
    let mac = stranger.map(|byte| format!("{byte:02x}")).join(":");
    let of = |name: &str| told.iter().filter(|event| event.object == name).collect::<Vec<_>>();
    for name in ["vip/first", "vip/second"] {
        let told = of(name);
        assert!(told.len() == 1 && told[0].evidence.ends_with(&mac), "{name}: {told:?}");
    }
}

/// A network whose address is on no device: the node may be the one that is cut off.
#[test]
fn who_hears_nobody_and_has_a_network_on_no_device_is_not_the_last_one() {
    let test = "who_hears_nobody_and_has_a_network_on_no_device_is_not_the_last_one";
    if !may_make_networks(&format!("leased::occupied::{test}")) {
        return;
    }
    let network = Network::new();
    let (_supervisor, channel) = Channel::pair().unwrap();
    let driven = netns::within(network.node.as_fd(), || {
        let mut stage = Stage::of(&channel, &texts_of(LAST));
        stage.driver.begin(&start());
        // Twice the time after which the last one holds.
        let end = sys::clock::now() + Duration::from_secs(2);
        while sys::clock::now() < end {
            stage.driver.turn(&mut stage.ready).unwrap();
            assert!(!stage.driver.instances[0].held, "its second network is nowhere");
        }
        let netlink = Netlink::open().unwrap();
        netlink.create_veth("eth1", "eth2", None).unwrap();
        let index = |name: &str| netlink.link(name).unwrap().unwrap().index;
        let own = "10.80.0.41".parse().unwrap();
        netlink.add_address(index("eth1"), own, 24, AddressOptions::default()).unwrap();
        netlink.set_up(index("eth2"), true).unwrap();
        netlink.set_up(index("eth1"), true).unwrap();
        let end = sys::clock::now() + PATIENCE;
        while !stage.driver.instances[0].held {
            assert!(sys::clock::now() < end, "it hears nobody, and all of its networks are there");
            stage.driver.turn(&mut stage.ready).unwrap();
        }
        assert!(view(&stage.driver, 0).alone);
    });
    driven.unwrap();
}
