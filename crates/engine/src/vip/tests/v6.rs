//! Over IPv6: sources are addresses of the link, which stand in no file.

use std::net::Ipv6Addr;

use super::*;

const LINK_VIP: [[u8; 16]; 1] = [[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40]];
const PSEUDO: Protocol = Protocol::V3 { sends: Checksum::Pseudo };

const fn of_link(last: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, last))
}

fn sixth() -> Config {
    let mut sixth = config();
    sixth.vip.protocol = PSEUDO;
    sixth.vip.password = None;
    sixth.vip.addresses = vec![config::vip::Address::plain(LINK_VIP[0].into())];
    sixth.source = of_link(0x41);
    sixth
}

fn advert(priority: u8) -> Advert<'static> {
    let addresses = packet::Addresses::V6(&LINK_VIP);
    Advert { protocol: PSEUDO, password: None, addresses, ..super::advert(priority) }
}

#[test]
fn an_advert_of_the_other_kind_is_none_of_the_group() {
    let mut bench = Bench::new(Config { peers: vec![], ..sixth() });
    let v4 = Advert { addresses: packet::Addresses::new(&VIP), ..advert(200) };
    bench.tell(100, Input::Advert { source: FOREIGN, advert: v4 });
    bench.tell(200, Input::Advert { source: of_link(0x99), advert: advert(200) });
    let counters = bench.vip.counters();
    assert_eq!((counters.version, counters.obeyed, counters.addresses), (1, 1, 0));
    bench.tell(300, Input::Advert { source: of_link(0x41), advert: advert(255) });
    assert_eq!(bench.vip.counters(), counters, "its own, looped back");
}

#[test]
fn of_equal_priorities_the_higher_address_of_the_link_wins() {
    let mut bench = Bench::master(Config { peers: vec![], ..sixth() });
    bench.tell(9100, Input::Advert { source: of_link(0x40), advert: advert(150) });
    assert!(bench.vip.holding());
    bench.tell(9200, Input::Advert { source: of_link(0x42), advert: advert(150) });
    assert!(!bench.vip.holding());
}

/// What it says of itself is all that is known of its source.
#[test]
fn an_own_node_is_known_by_the_source_that_its_hello_names() {
    let heard = |source: IpAddr| {
        let mut bench = Bench::new(sixth());
        bench.hello(100, 1, |hello| hello.source = source);
        bench.tell(200, Input::Advert { source: of_link(0x42), advert: advert(100) });
        bench.until(3500);
        bench.vip.holding()
    };
    // A weaker holder of ours is waited for: it will name this node. That of somebody else is not.
    assert!(!heard(of_link(0x42)));
    let mut preempting = sixth();
    preempting.vip.preempt = true;
    let mut bench = Bench::new(preempting);
    bench.tell(200, Input::Advert { source: of_link(0x42), advert: advert(100) });
    bench.until(3500);
    assert!(bench.vip.holding());
}

#[test]
fn without_a_source_it_stands_for_nothing_whatever_its_carrier() {
    let mut bench = Bench::new(Config { source: Ipv6Addr::UNSPECIFIED.into(), ..sixth() });
    bench.tell(100, Input::Carrier { interface: 0, up: true });
    assert_eq!((bench.vip.role(), bench.vip.cause()), (Role::Fault, Some(Cause::NoNetwork)));
    bench.tell(200, Input::Network { source: of_link(0x41), network: Some(MANAGEMENT) });
    bench.tell(200, Input::Carrier { interface: 0, up: true });
    assert_eq!(bench.vip.role(), Role::Backup);
    bench.until(9000);
    assert!(bench.vip.holding());
}
