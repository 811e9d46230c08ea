//! Packets of the network: VRRP, and what our own nodes say.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use base::Time;
use config::cluster::Cluster;
use config::vip::Address;
use engine::member::{self, Action, Input, Member};
use engine::packet::{Kind, MAX_BODY, MAX_PACKET, Replay, Seal};
use engine::vip::lease::{self, VipLease};
use engine::vip::packet::{GROUP, GROUP_V6, MAX_LENGTH, Path, Signature, TRAILER, TTL, Trailer};
use engine::vip::{HandOver, Hello, packet};
use engine::{Buffer, errand};

const SECRET: &[u8] = b"a secret of at least 32 bytes ....";
const CLUSTER: &str = "[cluster]\nname = \"c\"\n[node.a]\nnetworks = { m = \"10.0.0.1\", s = \"10.1.0.1\" }\n\
                       [node.b]\nnetworks = { m = \"10.0.0.2\", s = \"10.1.0.2\" }\n";

const PATH: Path =
    Path { source: IpAddr::V4(Ipv4Addr::new(10, 79, 0, 41)), destination: IpAddr::V4(GROUP) };
const PATH_V6: Path = Path {
    source: IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 0x41)),
    destination: IpAddr::V6(GROUP_V6),
};

pub(crate) fn datagram(bytes: &[u8]) {
    advert(bytes, PATH);
    advert(bytes, PATH_V6);
    ip(bytes);
    echo(bytes);
    neighbours(bytes);
    stranger(bytes);
    sealed(bytes);
    bodies(bytes);
}

/// What was read and written again reads the same.
fn advert(bytes: &[u8], path: Path) {
    let Ok((read, trailer)) = packet::read(bytes, TTL, path) else { return };
    assert!(packet::read(bytes, TTL - 1, path).is_err(), "an advert crosses no router");
    assert_eq!(packet::decode(bytes, TTL, path).is_ok(), trailer.is_none());
    assert!(read.interval >= read.protocol.tick() && !read.addresses.is_empty());
    let addresses = read.addresses.iter().map(Address::plain).collect();
    let vip = config::vip::Vip {
        protocol: read.protocol,
        advert_interval: read.interval,
        password: read.password,
        ..config::vip::Vip::plain("", "", read.router_id, addresses)
    };
    if read.addresses.is_v6() && read.addresses.len() > packet::MOST_V6 {
        return; // nobody writes it
    }
    let mut out = [0; MAX_LENGTH];
    let length = packet::encode(&vip, read.priority, path, &mut out);
    assert_eq!(length, bytes.len() - if trailer.is_some() { TRAILER } else { 0 });
    assert_eq!(packet::decode(&out[..length], TTL, path), Ok(read));
    if length + TRAILER <= MAX_LENGTH {
        signed(&vip, &read, path, trailer);
    }
}

/// Who has the key wrote it, and nobody else; what was signed reads as what was not.
fn signed(
    vip: &config::vip::Vip,
    read: &packet::Advert<'_>,
    path: Path,
    came: Option<Trailer<'_>>,
) {
    let key = [7; 32];
    assert!(came.is_none_or(|trailer| !trailer.is_of(&key, path.source)), "nobody has the key");
    let sequence = came.map_or(1, Trailer::sequence);
    let signature = Signature { key: &key, id: 1, sequence };
    let mut out = [0; MAX_LENGTH];
    let length = packet::encode_signed(vip, read.priority, path, &signature, &mut out);
    let (again, trailer) = packet::read(&out[..length], TTL, path).expect("it was written here");
    let trailer = trailer.expect("it was signed");
    assert_eq!((again, trailer.sequence(), trailer.key_id()), (*read, sequence, 1));
    assert!(trailer.is_well_formed() && trailer.is_of(&key, path.source));
    assert!(!trailer.is_of(&[8; 32], path.source));
}

/// A beat of another vip process, at a machine that asks for the same address: no bytes make it hold more than
/// a majority granted, or order more than a step may.
pub(crate) fn vip_beat(bytes: &[u8]) {
    if let Some(again) = lease::beat::print_again(bytes) {
        assert!(again.len() <= bytes.len());
        assert_eq!(lease::beat::print_again(&again), Some(again));
    }
    let mut node = VipLease::new(&one_of_three(), Time::ZERO);
    let mut now = Time::ZERO;
    let mut step = |node: &mut VipLease, input: lease::Input<'_>| {
        now += Duration::from_millis(5);
        let mut orders = Buffer::new();
        node.step(now, input, &mut orders);
        assert_eq!(orders.lost(), 0);
        now
    };
    step(
        &mut node,
        lease::Input::Fact { vip: 0, fact: lease::Fact::Carrier { interface: 0, up: true } },
    );
    for turn in 0..60 {
        let input = match turn % 3 {
            0 => lease::Input::Beat { network: 0, from: 1, life: 1, body: bytes },
            1 => lease::Input::Beat { network: 1, from: 3, life: turn, body: bytes },
            _ => lease::Input::Timeout,
        };
        let now = step(&mut node, input);
        assert!(node.deadline() >= now, "what is past would be asked for again and again");
        assert!(node.until(0) <= now + lease::MAX_SPAN);
        let mut body = [0; MAX_BODY];
        let length = node.beat(1, &mut body);
        let said = lease::beat::read(&body[..length]);
        assert_eq!(said.expect("it is a beat").entries().count(), 1);
    }
}

fn one_of_three() -> lease::Config {
    let ip = Ipv4Addr::new(10, 79, 0, 40).into();
    let address = Address::plain(ip);
    let vip = config::vip::Vip::plain("internal", "eth0", 121, vec![address]);
    lease::Config {
        node: 0,
        life: 5,
        closed: true,
        nodes: 3,
        networks: 2,
        joined: 0,
        unread: false,
        voters: lease::Voters::new(Some(lease::Number { store: 1, list: 1 }), &[0, 1, 2])
            .expect("three nodes"),
        beat: lease::BEAT,
        span: lease::BEAT * 4,
        settle: lease::BEAT * 10,
        referred: 0,
        calm: lease::BEAT * 2,
        seats: vec![lease::SeatConfig {
            vip,
            beside: vec![],
            order: vec![0, 1, 2],
            networks: 1,
            listens: Duration::ZERO,
            needs_proof: true,
            last_man: Some(lease::BEAT * 100),
            rule: lease::Rule { group: Some(0), apart: 0, never: 0, follows: true },
        }],
    }
}

/// A packet as the raw socket hands it over: the advert lies inside it, behind the header.
fn ip(bytes: &[u8]) {
    let Some(read) = sys::vrrp::header(bytes) else { return };
    assert!(read.payload.start >= 20 && read.payload.end <= bytes.len(), "{read:?}");
    // Whatever is there, looking at it is safe.
    let path = Path { source: read.source, destination: read.destination };
    let _ = packet::decode(&bytes[read.payload], read.ttl, path);
}

/// An answer of a reference point: it says what was asked, and nothing shorter or longer does.
fn echo(bytes: &[u8]) {
    const NONCE: u64 = 0x0102_0304_0506_0708;
    for socket in [(true, true), (true, false), (false, true), (false, false)] {
        let Some(number) = sys::ping::number(bytes, socket, NONCE) else { continue };
        assert!(bytes.ends_with(&[NONCE.to_be_bytes(), number.to_be_bytes()].concat()));
        let longer = [bytes, &[0]].concat();
        assert_eq!(sys::ping::number(&longer, socket, NONCE), None);
    }
}

/// What a neighbour says of its addresses: of what stands in the bytes, and of no others.
fn neighbours(bytes: &[u8]) {
    let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    if let Some(heard) = sys::neighbour::decode(bytes) {
        assert!(has(&heard.ip.octets()) && has(&heard.mac), "{heard:?}");
    }
    if let Some(answer) = sys::syn::read(bytes) {
        let asked = [answer.from.ip().octets(), answer.to.ip().octets()].concat();
        assert!(has(&asked) && has(&answer.mac), "{answer:?}");
    }
}

/// Nobody without the key is believed.
fn stranger(bytes: &[u8]) {
    let mut seal = Seal::shared(SECRET, "c", 2, 0, 1);
    let mut body = [0; MAX_BODY];
    assert!(seal.open(bytes, &mut body).is_err(), "these bytes were not sealed");
    // With a head that looks good, the rest is tried.
    let forged = [&b"OUTL\x02\x01\0\x01\0\0"[..], bytes].concat();
    assert!(seal.open(&forged, &mut body).is_err(), "nor were these");
}

/// Bytes as body: first the kind, then the network, then a place to damage.
fn sealed(bytes: &[u8]) {
    let [kind, network, place, damage, body @ ..] = bytes else { return };
    let kinds = [
        Kind::Beat,
        Kind::Hello,
        Kind::HandOver,
        Kind::Question,
        Kind::Told,
        Kind::Errand,
        Kind::Answer,
    ];
    let kind = kinds[usize::from(*kind) % kinds.len()];
    let mut seal = Seal::shared(SECRET, "c", 2, 1, 7);
    let mut to = Seal::shared(SECRET, "c", 2, 0, 1);
    let mut out = [0; MAX_PACKET];
    let length = seal.seal(kind, (0, *network), body, &mut out);
    assert_eq!(length == 0, body.len() > MAX_BODY);
    if length == 0 {
        return;
    }
    let packet = &out[..length];
    let mut text = [0; MAX_BODY];
    let opened = to.open(packet, &mut text).expect("what was sealed can be opened");
    assert_eq!((opened.kind, opened.network, opened.body), (kind, *network, body));
    assert_eq!((opened.sender, opened.incarnation, opened.seq), (1, 7, 1));
    let mut other = Seal::shared(SECRET, "d", 2, 0, 1);
    let mut nothing = [0; MAX_BODY];
    assert!(other.open(packet, &mut nothing).is_err(), "another cluster's");
    assert!(seal.open(packet, &mut nothing).is_err(), "back at its sender");
    let mut replay = Replay::new();
    let usual = usize::from(*network) < engine::packet::MAX_NETWORKS;
    assert_eq!(replay.is_news(&opened), usual);
    assert!(!replay.is_news(&opened), "once is news, twice is a recording");
    heard(*network, packet);
    if *damage != 0 {
        out[usize::from(*place) % length] ^= damage;
        assert!(to.open(&out[..length], &mut nothing).is_err(), "one bit is enough");
    }
}

/// A beat with this body arrives at the machine that judges nodes.
fn heard(network: u8, bytes: &[u8]) {
    thread_local! {
        static KNOWN: RefCell<Option<Cluster>> = const { RefCell::new(None) };
    }
    KNOWN.with_borrow_mut(|known| {
        let cluster = known.get_or_insert_with(|| {
            let source = config::Source { path: String::new(), text: CLUSTER.to_owned() };
            config::cluster::parse(&source, 0).0.expect("the text above is a cluster")
        });
        let now = Time::from_nanos(1_000_000_000);
        let mut node = Member::new(cluster, 0, Seal::shared(SECRET, "c", 2, 0, 1), now);
        let mut orders: Buffer<Action> = Buffer::new();
        node.step(now, Input::Packet { network: network % 2, bytes }, &mut orders);
        assert_eq!(orders.lost(), 0);
        assert!(node.choices().len() <= member::MAX_CHOICES);
    });
}

fn bodies(bytes: &[u8]) {
    if let Some(hello) = Hello::decode(bytes) {
        assert_eq!(hello.encode()[..], *bytes);
    }
    if let Some(message) = HandOver::decode(bytes) {
        assert_eq!(message.encode(), bytes);
    }
    // What later versions append is not repeated; what was read once is read again.
    if let Some(again) = member::print_again(bytes) {
        assert!(again.len() <= bytes.len());
        assert_eq!(member::print_again(&again), Some(again));
    }
    for kind in [Kind::Errand, Kind::Answer] {
        if let Some(again) = errand::print_again(kind, bytes) {
            assert!(again.len() <= bytes.len());
            assert_eq!(errand::print_again(kind, &again), Some(again));
        }
    }
    if let Some(again) = member::print_news_again(bytes) {
        assert!(again.len() <= bytes.len());
        assert_eq!(member::print_news_again(&again), Some(again));
    }
}
