//! Over IPv6, where a device has addresses of its own and virtual ones of several groups.

use std::net::Ipv6Addr;

use super::*;

/// Two groups on one device, as a pair of balancers has them.
const PAIR: &str = "
[vip.first]
address = \"fe80::40\"
network = \"lan\"
router_id = 51
interface = \"eth0\"
check = \"none\"
[vip.second]
address = \"fe80::41\"
network = \"lan\"
router_id = 52
interface = \"eth0\"
check = \"none\"
";
const OWN: Ipv6Addr = of_link(0x0a);
const STRANGER: Ipv6Addr = of_link(0x0b);

const fn of_link(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last)
}

fn pair() -> Texts {
    let mut texts = texts();
    texts.cluster.as_mut().unwrap().text += PAIR;
    texts
}

fn is_of_link(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

/// `ips` after the one that the kernel makes, the last one newest: that one it lists first.
fn add(namespace: &OwnedFd, ips: &[Ipv6Addr]) {
    let add = || {
        let has_made =
            |netlink: &Netlink| netlink.addresses().unwrap().iter().any(|it| is_of_link(it.ip));
        network::wait_until(has_made);
        let netlink = Netlink::open().unwrap();
        let device = netlink.link("eth0").unwrap().unwrap().index;
        for ip in ips {
            netlink.add_address(device, (*ip).into(), 64, AddressOptions::default()).unwrap();
        }
    };
    netns::within(namespace.as_fd(), add).unwrap();
}

/// A process that adopts finds the virtual IPs on the device, before its own address, and those that are left over.
#[test]
fn no_group_speaks_from_an_address_of_another_one() {
    if !may_make_networks("v6::no_group_speaks_from_an_address_of_another_one") {
        return;
    }
    let network = Network::new();
    let left = of_link(0x42);
    add(&network.node, &[OWN, of_link(0x40), of_link(0x41), left]);
    let (_supervisor, channel) = Channel::pair().unwrap();
    let start = Start { adopt: vec![0, 1], leftovers: vec![left.into()], ..start() };
    let sources = netns::within(network.node.as_fd(), || {
        let netlink = Netlink::open().unwrap();
        let listed = netlink.addresses().unwrap();
        let first = listed.iter().find(|address| is_of_link(address.ip));
        assert_eq!(first.unwrap().ip, IpAddr::V6(left), "the kernel lists the newest one first");
        let driver = Driver::new(&channel, &start, &pair()).unwrap();
        let six = driver.instances.iter().filter(|instance| instance.vip.is_v6());
        six.map(|instance| instance.source).collect::<Vec<_>>()
    });
    assert_eq!(sources.unwrap(), [IpAddr::V6(OWN); 2]);
}

/// Who is not on the link reaches the node's own address, not ff02::12.
#[test]
fn what_was_sent_to_this_node_alone_takes_no_address_from_a_group_of_all_of_the_link() {
    let test = "what_was_sent_to_this_node_alone_takes_no_address_from_a_group_of_all_of_the_link";
    if !may_make_networks(&format!("v6::{test}")) {
        return;
    }
    let network = Network::new();
    add(&network.node, &[OWN]);
    add(&network.peer, &[STRANGER]);
    let opened = netns::within(network.peer.as_fd(), || vrrp::Socket::open_v6("eth0", false));
    let stranger = opened.unwrap().unwrap();
    let (_supervisor, channel) = Channel::pair().unwrap();
    let driven = netns::within(network.node.as_fd(), || {
        let mut driver = Driver::new(&channel, &start(), &pair()).unwrap();
        driver.begin(&start());
        let six = |instance: &Instance| instance.vip.router_id == 51;
        let number = driver.instances.iter().position(six).unwrap();
        let vip = driver.instances[number].vip.clone();
        let source = IpAddr::V6(STRANGER);
        let say = |destination: IpAddr, hops: u8| {
            let mut bytes = [0; packet::MAX_LENGTH];
            let path = packet::Path { source, destination };
            let length = packet::encode(&vip, 254, path, &mut bytes);
            stranger.send_with(hops, source, destination, &bytes[..length]).unwrap();
        };
        let heard = |driver: &Driver<'_>| {
            let counts = driver.refusals.clone().news(sys::clock::now()).counts;
            let refused = counts.iter().map(|it| (it.refusal, it.count, it.source));
            (driver.instances[number].machine.counters().obeyed, refused.collect::<Vec<_>>())
        };
        let mut hear = |said: u64| {
            let mut ready = Vec::new();
            loop {
                let (obeyed, refused) = heard(&driver);
                if obeyed + refused.iter().map(|(_, count, _)| count).sum::<u64>() == said {
                    return (obeyed, refused);
                }
                driver.poller.wait(&mut ready, Some(PATIENCE)).unwrap();
                assert!(!ready.is_empty(), "an advert is not heard");
                for event in ready.iter().filter(|event| event.token >= SOCKETS) {
                    driver.packets(event.token);
                }
            }
        };
        say(OWN.into(), 64);
        say(OWN.into(), 255);
        let from = Some(source);
        let refused = vec![(Refusal::Source, 1, from), (Refusal::Ttl, 1, from)];
        assert_eq!(hear(2), (0, refused.clone()));
        say(packet::GROUP_V6.into(), 255);
        assert_eq!(hear(3), (1, refused), "what goes to all of the link is obeyed");
    });
    driven.unwrap();
}
