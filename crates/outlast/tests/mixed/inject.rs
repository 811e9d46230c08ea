//! Adverts made by hand: which are obeyed? The oracle is keepalived, asked beside us.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;
use std::{fs, thread};

use sys::netlink::{AddressOptions, Netlink};
use sys::vrrp;

use self::advert::Advert;
use self::cases::CASES;
use crate::differences::Difference;
use crate::group::far;
use crate::have;
use crate::lonely::alone;
use crate::member::Maker::{Ours, Theirs};
use crate::member::{DEVICE, Maker, Manner, Member, Transport, Version};

pub(crate) mod advert;
mod cases;

const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 41);
const SENDER: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 42);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 43);
/// No router is in it unless its file says so.
const GROUP_OF_FILE: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 99);
/// The sender's of the link.
const NEAR: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x42);
/// A router of priority 100 that obeys nobody holds after 3.6 s.
const PATIENCE: Duration = Duration::from_secs(9);
/// Twice as often as configured, so that one is late now and then.
const EVERY: Duration = Duration::from_millis(500);

/// What a router does with the adverts: obeys them as a backup, or holds as if there were none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Answer {
    Obeys,
    Ignores,
}
use Answer::{Ignores, Obeys};

/// What is sent to a router, by which way, and what it does.
struct Case {
    name: &'static str,
    /// What the router speaks.
    router: Version,
    advert: Advert,
    way: Way,
    theirs: Answer,
    ours: Answer,
    /// Why ours does something else than keepalived 2.2.
    difference: Option<&'static Difference>,
}

/// How an advert comes to the router.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    /// To all of the link.
    All,
    /// The same from an address that is not of the link (IPv6).
    AllFromFar,
    /// To the router alone, whose group lists nobody.
    One,
    /// To the router alone, whose group lists the sender.
    Listed,
    /// To the router alone, whose group lists another one.
    Unlisted,
    /// The same, and its file has `check_unicast_src`.
    Checked,
    /// To all of the link, and the router's file has another group.
    AllButGroup,
    /// To the group in the router's file.
    Group,
    /// To the router alone, which takes the sender's with a hop limit of 250 or more.
    Routed,
}

impl Way {
    const fn transport(self) -> Transport {
        match self {
            Self::All | Self::AllFromFar | Self::One | Self::AllButGroup | Self::Group => {
                Transport::Multicast
            }
            Self::Listed | Self::Unlisted | Self::Checked | Self::Routed => Transport::Unicast,
        }
    }

    /// Behind what every router's file has.
    const fn words(self) -> &'static str {
        match self {
            Self::Checked => "  check_unicast_src\n",
            Self::AllButGroup | Self::Group => "  mcast_dst_ip 224.0.0.99\n",
            Self::Routed => "  unicast_peer {\n    10.79.0.42 min_ttl 250\n  }\n",
            Self::All | Self::AllFromFar | Self::One | Self::Listed | Self::Unlisted => "",
        }
    }

    /// From where to where.
    const fn path(self, is_v6: bool) -> (IpAddr, IpAddr) {
        match (self, is_v6) {
            (Self::All | Self::AllFromFar, false) => (IpAddr::V4(SENDER), IpAddr::V4(vrrp::GROUP)),
            (Self::All, true) => (IpAddr::V6(NEAR), IpAddr::V6(vrrp::GROUP_V6)),
            (Self::AllFromFar, true) => (far(SENDER), IpAddr::V6(vrrp::GROUP_V6)),
            (Self::AllButGroup, false) => (IpAddr::V4(SENDER), IpAddr::V4(vrrp::GROUP)),
            (Self::Group, _) => (IpAddr::V4(SENDER), IpAddr::V4(GROUP_OF_FILE)),
            (_, false) => (IpAddr::V4(SENDER), IpAddr::V4(ROUTER)),
            (_, true) => (far(SENDER), far(ROUTER)),
        }
    }
}

#[test]
fn adverts_made_by_hand_are_obeyed_as_by_keepalived() {
    ask_all("adverts_made_by_hand_are_obeyed_as_by_keepalived", || {
        compare(|case| case.router == Version::Two);
    });
}

#[test]
fn adverts_of_version_3_made_by_hand_are_obeyed_as_by_keepalived() {
    ask_all("adverts_of_version_3_made_by_hand_are_obeyed_as_by_keepalived", || {
        compare(|case| matches!(case.router, Version::Three(_)));
    });
}

#[test]
fn adverts_over_ipv6_made_by_hand_are_obeyed_as_by_keepalived() {
    ask_all("adverts_over_ipv6_made_by_hand_are_obeyed_as_by_keepalived", || {
        compare(|case| case.router.is_v6());
    });
}

fn ask_all(test: &str, body: fn()) {
    if have(test, &["keepalived"]) {
        let _alone = lab::trial::alone();
        alone(&format!("inject::{test}"), body);
    }
}

fn compare(which: fn(&Case) -> bool) {
    let cases: Vec<&'static Case> = CASES.iter().filter(|case| which(case)).collect();
    assert!(cases.len() > 20, "cases");
    let asked: Vec<(&Case, Answer, Answer)> = thread::scope(|scope| {
        let ask = |(number, case): (usize, &&'static Case)| {
            let case = *case;
            [Theirs, Ours].map(|maker| {
                let folder = format!("/run/inject/{number}-{maker:?}");
                scope.spawn(move || ask(case, maker, Path::new(&folder)))
            })
        };
        let running: Vec<_> = cases.iter().enumerate().map(ask).collect();
        let answer = |thread: thread::ScopedJoinHandle<'_, Answer>| thread.join().expect("a case");
        let answers = running.into_iter().map(|pair| pair.map(answer));
        cases.iter().zip(answers).map(|(case, [theirs, ours])| (*case, theirs, ours)).collect()
    });
    let mut wrong = Vec::new();
    for (case, theirs, ours) in asked {
        let reason = case.difference.map_or("", |difference| difference.reason);
        eprintln!("{:42} {theirs:8?} {ours:8?} {reason}", case.name);
        if (theirs, ours) != (case.theirs, case.ours) {
            wrong.push(format!("{}: keepalived {theirs:?}, ours {ours:?}", case.name));
        }
        assert_eq!(case.theirs != case.ours, case.difference.is_some(), "{}", case.name);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn ask(case: &Case, maker: Maker, folder: &Path) -> Answer {
    let (router, sender) = cable();
    let mut router = Member::new(maker, 100, ROUTER, router, folder.to_owned());
    let (transport, version) = (case.way.transport(), case.router);
    let manner = Manner { transport, version, cluster: false, loser_speaks: false };
    router.more = case.way.words();
    let listed = if case.way == Way::Listed { SENDER } else { OTHER };
    router.configure(manner, &[(maker, 100, ROUTER), (Theirs, 200, listed)]);
    let open = || match version.is_v6() {
        true => vrrp::Socket::open_v6(DEVICE, false),
        false => vrrp::Socket::open(DEVICE, false),
    };
    let socket = sys::netns::within(sender.as_fd(), open);
    let socket = socket.expect("a namespace").expect("a socket for adverts");
    router.start();
    let (from, to) = case.way.path(version.is_v6());
    let packet = case.advert.bytes(from, to);
    let end = sys::clock::now() + PATIENCE;
    while sys::clock::now() < end && !router.holds() {
        socket.send_with(case.advert.ttl, from, to, &packet).expect("the cable is up");
        thread::sleep(EVERY);
    }
    let answer = if router.holds() { Ignores } else { Obeys };
    router.stop();
    router.reap();
    answer
}

/// Two namespaces with a cable between their `eth0`, which have addresses of both kinds.
fn cable() -> (OwnedFd, OwnedFd) {
    let (a, b) = (sys::netns::create(), sys::netns::create());
    let (a, b) = (a.expect("a namespace"), b.expect("a namespace"));
    let make = || Netlink::open()?.create_veth(DEVICE, DEVICE, Some(b.as_fd()));
    sys::netns::within(a.as_fd(), make).expect("a namespace").expect("a cable");
    for (end, ip) in [(&a, ROUTER), (&b, SENDER)] {
        let furnish = || {
            let netlink = Netlink::open()?;
            let device = netlink.link(DEVICE)?.map_or(0, |link| link.index);
            // No kernel asks for seconds whether its own address is free.
            fs::write(format!("/proc/sys/net/ipv6/conf/{DEVICE}/accept_dad"), "0")?;
            netlink.add_address(device, ip.into(), 24, AddressOptions::default())?;
            netlink.set_up(device, true)?;
            netlink.add_address(device, far(ip), 64, AddressOptions::default()).map(drop)
        };
        sys::netns::within(end.as_fd(), furnish).expect("a namespace").expect("a device");
    }
    (a, b)
}
