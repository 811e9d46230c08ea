//! Adverts made by hand: which are obeyed? The oracle is keepalived, asked beside us.

use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::thread;
use std::time::Duration;

use sys::netlink::{AddressOptions, Netlink};
use sys::vrrp;

use crate::group::{GROUP, VIP};
use crate::have;
use crate::lonely::alone;
use crate::member::Maker::{Ours, Theirs};
use crate::member::Transport::{Multicast, Unicast};
use crate::member::{DEVICE, Maker, Manner, Member, Transport, Version};

mod v3;

const MULTICAST: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 41);
const SENDER: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 42);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 43);
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

/// An advert of priority 200; what is not said is as the router expects it.
#[derive(Clone, Copy, Debug)]
struct Advert {
    first: u8,
    group: u8,
    count: Option<u8>,
    auth: u8,
    interval: u8,
    addresses: &'static [Ipv4Addr],
    password: [u8; 8],
    flip: u8,
    extra: &'static [u8],
    ttl: u8,
}

const GOOD: Advert = Advert {
    first: 0x21,
    group: GROUP,
    count: None,
    auth: 1,
    interval: 1,
    addresses: &[VIP],
    password: *b"secret12",
    flip: 0,
    extra: &[],
    ttl: 255,
};

/// What is sent to a router, by which way, and what it does.
struct Case<A> {
    name: &'static str,
    advert: A,
    transport: Transport,
    /// Sent to the router alone, whose group may list nobody.
    is_for_one: bool,
    /// The only router that a unicast group lists.
    listed: Ipv4Addr,
    theirs: Answer,
    ours: Answer,
    /// Why ours does something else than keepalived 2.2.
    reason: &'static str,
}

const fn same<A>(name: &'static str, advert: A, answer: Answer) -> Case<A> {
    Case {
        name,
        advert,
        transport: Multicast,
        is_for_one: false,
        listed: SENDER,
        theirs: answer,
        ours: answer,
        reason: "",
    }
}

/// An advert that was made by hand.
trait Made: Sync + 'static {
    fn ttl(&self) -> u8;

    /// The payload of a packet that goes to `to`.
    fn bytes(&self, to: Ipv4Addr) -> Vec<u8>;
}

const ANOTHER_LIST: &str = "one line forgotten in one file is no reason for two holders; \
                            keepalived 2.4 obeys, too, and `status` counts it";

const NOT_LISTED: &str = "who is not in the list is not in the group: anybody on the network could \
                          depose the holder";

const CASES: [Case<Advert>; 19] = [
    same("as configured", GOOD, Obeys),
    same("wrong password", Advert { password: *b"wrong\0\0\0", ..GOOD }, Ignores),
    same("no authentication", Advert { auth: 0, password: [0; 8], ..GOOD }, Ignores),
    same("authentication header", Advert { auth: 2, ..GOOD }, Ignores),
    same("interval 2 s", Advert { interval: 2, ..GOOD }, Ignores),
    same("interval 0", Advert { interval: 0, ..GOOD }, Ignores),
    same("wrong checksum", Advert { flip: 1, ..GOOD }, Ignores),
    same("version 3", Advert { first: 0x31, ..GOOD }, Ignores),
    same("version 1", Advert { first: 0x11, ..GOOD }, Ignores),
    same("type 2", Advert { first: 0x22, ..GOOD }, Ignores),
    same("forwarded by a router", Advert { ttl: 254, ..GOOD }, Ignores),
    same("another group", Advert { group: GROUP + 1, ..GOOD }, Ignores),
    same("no address", Advert { count: Some(0), addresses: &[], ..GOOD }, Ignores),
    same("more addresses promised than there", Advert { count: Some(3), ..GOOD }, Ignores),
    same("bytes behind the end", Advert { extra: &[1, 2, 3, 4], ..GOOD }, Ignores),
    Case {
        ours: Obeys,
        reason: ANOTHER_LIST,
        ..same("one address more", Advert { addresses: &[VIP, OTHER], ..GOOD }, Ignores)
    },
    Case { is_for_one: true, ..same("to it alone, in a group of all", GOOD, Ignores) },
    Case { transport: Unicast, ..same("unicast from a listed router", GOOD, Obeys) },
    Case {
        transport: Unicast,
        listed: OTHER,
        ours: Ignores,
        reason: NOT_LISTED,
        ..same("unicast from a router that is not listed", GOOD, Obeys)
    },
];

#[test]
fn adverts_made_by_hand_are_obeyed_as_by_keepalived() {
    let name = "inject::adverts_made_by_hand_are_obeyed_as_by_keepalived";
    if have("adverts_made_by_hand_are_obeyed_as_by_keepalived", &["keepalived"]) {
        let _alone = lab::trial::alone();
        alone(name, || ask_all(&CASES, Version::Two));
    }
}

fn ask_all<A: Made>(cases: &'static [Case<A>], version: Version) {
    let asked: Vec<(&Case<A>, Answer, Answer)> = thread::scope(|scope| {
        let ask = |(number, case): (usize, &'static Case<A>)| {
            [Theirs, Ours].map(|maker| {
                let folder = format!("/run/inject/{number}-{maker:?}");
                scope.spawn(move || ask(case, version, maker, Path::new(&folder)))
            })
        };
        let running: Vec<_> = cases.iter().enumerate().map(ask).collect();
        let answer = |thread: thread::ScopedJoinHandle<'_, Answer>| thread.join().expect("a case");
        let answers = running.into_iter().map(|pair| pair.map(answer));
        cases.iter().zip(answers).map(|(case, [theirs, ours])| (case, theirs, ours)).collect()
    });
    let mut wrong = Vec::new();
    for (case, theirs, ours) in asked {
        eprintln!("{:42} {theirs:8?} {ours:8?} {}", case.name, case.reason);
        if (theirs, ours) != (case.theirs, case.ours) {
            wrong.push(format!("{}: keepalived {theirs:?}, ours {ours:?}", case.name));
        }
        assert_eq!(case.theirs != case.ours, !case.reason.is_empty(), "{}", case.name);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn ask<A: Made>(case: &Case<A>, version: Version, maker: Maker, folder: &Path) -> Answer {
    let (router, sender) = cable();
    let mut router = Member::new(maker, 100, ROUTER, router, folder.to_owned());
    let transport = case.transport;
    let manner = Manner { transport, version, cluster: false, loser_speaks: false };
    router.configure(manner, &[(maker, 100, ROUTER), (Theirs, 200, case.listed)]);
    let socket = sys::netns::within(sender.as_fd(), || vrrp::Socket::open(DEVICE, false));
    let socket = socket.expect("a namespace").expect("a socket for adverts");
    router.start();
    let to = if case.transport == Unicast || case.is_for_one { ROUTER } else { MULTICAST };
    let end = sys::clock::now() + PATIENCE;
    while sys::clock::now() < end && !router.holds() {
        let packet = case.advert.bytes(to);
        socket
            .send_with(case.advert.ttl(), SENDER.into(), to.into(), &packet)
            .expect("the cable is up");
        thread::sleep(EVERY);
    }
    let answer = if router.holds() { Ignores } else { Obeys };
    router.stop();
    router.reap();
    answer
}

/// Two namespaces with a cable between their `eth0`.
fn cable() -> (OwnedFd, OwnedFd) {
    let (a, b) = (sys::netns::create(), sys::netns::create());
    let (a, b) = (a.expect("a namespace"), b.expect("a namespace"));
    let make = || Netlink::open()?.create_veth(DEVICE, DEVICE, Some(b.as_fd()));
    sys::netns::within(a.as_fd(), make).expect("a namespace").expect("a cable");
    for (end, ip) in [(&a, ROUTER), (&b, SENDER)] {
        let furnish = || {
            let netlink = Netlink::open()?;
            let device = netlink.link(DEVICE)?.map_or(0, |link| link.index);
            netlink.add_address(device, ip.into(), 24, AddressOptions::default())?;
            netlink.set_up(device, true)
        };
        sys::netns::within(end.as_fd(), furnish).expect("a namespace").expect("a device");
    }
    (a, b)
}

impl Made for Advert {
    fn ttl(&self) -> u8 {
        self.ttl
    }

    /// Written independently of the program's own code (RFC 3768 §5.1).
    fn bytes(&self, _: Ipv4Addr) -> Vec<u8> {
        let count = u8::try_from(self.addresses.len()).expect("few addresses");
        let count = self.count.unwrap_or(count);
        let head = [self.first, self.group, 200, count, self.auth, self.interval, 0, 0];
        let addresses = self.addresses.iter().flat_map(Ipv4Addr::octets);
        let rest = addresses.chain(self.password).chain(self.extra.iter().copied());
        let mut bytes: Vec<u8> = head.into_iter().chain(rest).collect();
        let [high, low] = checksum(&bytes).to_be_bytes();
        (bytes[6], bytes[7]) = (high, low ^ self.flip);
        bytes
    }
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded")
}
