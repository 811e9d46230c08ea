//! What the instances of a vip process went through, recorded and played again.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod golden;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use base::Time;
use outlast_engine::Buffer;
use outlast_engine::replay::{End, Head, Machine, Names, Recorder, Recording};
use outlast_engine::vip::packet::Addresses;
use outlast_engine::vip::{Action, Advert, Balancer, Config, Input, Peer, Vip};

const PASSWORD: [u8; 8] = *b"secret12";
const HELD: [[u8; 4]; 1] = [[10, 79, 0, 40]];

fn at(millis: u64) -> Time {
    Time::ZERO + Duration::from_millis(millis)
}

fn own(node: u16) -> IpAddr {
    Ipv4Addr::new(10, 79, 0, 41 + u8::try_from(node).unwrap()).into()
}

/// Node 0 of three is the strongest.
fn vip(node: u16, now: Time) -> Vip {
    let peers = (0..3).filter(|peer| *peer != node);
    let peers = peers.map(|peer| Peer { node: peer, addresses: vec![own(peer)] });
    let ip = Ipv4Addr::from(HELD[0]).into();
    let address = config::vip::Address::plain(ip);
    let script = config::vip::Script {
        name: "alive".to_owned(),
        command: vec!["/usr/bin/true".to_owned()],
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(2),
        fall: 2,
        rise: 2,
        weight: -20,
        starts_failed: false,
        reversed: false,
        user: None,
        group: None,
        secure: false,
    };
    let vip = config::vip::Vip {
        priority: 150 - 10 * u8::try_from(node).unwrap(),
        password: Some(PASSWORD),
        track_interfaces: vec!["eth1".to_owned()],
        track_scripts: vec![script],
        track_balancer: true,
        ..config::vip::Vip::plain("internal", "", 121, vec![address])
    };
    let life = 5;
    Vip::new(
        Config {
            vip,
            node,
            life,
            source: Ipv4Addr::UNSPECIFIED.into(),
            network: None,
            peers: peers.collect(),
            starts_at: Time::ZERO,
            adopted: false,
        },
        now,
    )
}

fn advert(priority: u8, password: Option<[u8; 8]>) -> Advert<'static> {
    Advert {
        protocol: config::vip::Protocol::V2,
        router_id: 121,
        priority,
        interval: Duration::from_secs(1),
        password,
        addresses: Addresses::new(&HELD),
    }
}

/// Three nodes that talk; what the first one goes through is recorded.
struct Cloud {
    vips: Vec<Vip>,
    now: u64,
    recorders: Vec<(Recorder, Vec<u8>)>,
    steps: u64,
}

impl Cloud {
    fn new() -> Self {
        let vips = (0..3).map(|node| vip(node, at(0))).collect();
        Self { vips, now: 0, recorders: vec![], steps: 0 }
    }

    fn record(&mut self) {
        let names = Names {
            nodes: (1..=3).map(|node| format!("node0{node}")).collect(),
            networks: vec!["management".to_owned()],
            instances: vec!["internal".to_owned()],
        };
        let head = Head::new("0.1.0", "node01", names, 1_000_000, at(self.now));
        self.recorders.push(Recorder::begin_vips(head, self.vips[..1].iter()));
    }

    fn give(&mut self, node: u16, input: Input<'_>) {
        let now = at(self.now);
        let mut out = Buffer::new();
        let vip = &mut self.vips[usize::from(node)];
        vip.step(now, input, &mut out);
        if node == 0 {
            self.steps += 1;
            for (recorder, bytes) in &mut self.recorders {
                recorder.note_vip(now, (0, vip), &input, &out);
                if recorder.waiting() > 2000 {
                    bytes.extend(recorder.block());
                }
            }
        }
        for action in out.drain() {
            for to in (0..3).filter(|to| *to != node) {
                match action {
                    Action::Hello(hello) => self.give(to, Input::Hello { network: 0, hello }),
                    Action::HandOver(message) => self.give(to, Input::HandOver(message)),
                    Action::Advertise { priority } => {
                        let advert = advert(priority, Some(PASSWORD));
                        self.give(to, Input::Advert { source: own(node), advert });
                    }
                    Action::Claim
                    | Action::Release
                    | Action::Announce
                    | Action::Probe
                    | Action::Report => {}
                }
            }
        }
    }

    fn pass(&mut self, millis: u64) {
        for _ in 0..millis / 10 {
            self.now += 10;
            for node in 0..3 {
                if self.vips[usize::from(node)].deadline() <= at(self.now) {
                    self.give(node, Input::Timeout);
                }
            }
        }
    }

    /// All three may hold.
    fn begin(&mut self) {
        for node in 0..3 {
            self.give(node, Input::Network { source: own(node), network: Some(0) });
            self.give(node, Input::Carrier { interface: 0, up: true });
            self.give(node, Input::Carrier { interface: 1, up: true });
            self.give(node, Input::Balancer(Balancer::Serving));
            self.give(node, Input::Script { index: 0, passed: true });
        }
    }

    /// A story with every kind of input; a second recording begins in the middle.
    fn told() -> Self {
        let mut cloud = Self::new();
        cloud.record();
        cloud.begin();
        cloud.pass(4000);
        assert!(cloud.vips[0].holding());
        cloud.give(0, Input::Script { index: 0, passed: false });
        cloud.give(0, Input::AddressLost);
        cloud.give(0, Input::MoveTo { node: 2 });
        cloud.pass(500);
        assert!(cloud.vips[2].holding());
        cloud.record();
        cloud.give(0, Input::NoDevice { interface: 1 });
        cloud.pass(100);
        cloud.give(0, Input::Carrier { interface: 1, up: true });
        let foreign = Ipv4Addr::new(10, 79, 0, 99).into();
        for password in [None, Some(*b"guessed!"), Some(PASSWORD)] {
            cloud.give(0, Input::Advert { source: foreign, advert: advert(1, password) });
        }
        cloud.give(2, Input::Standby(true));
        cloud.pass(3000);
        cloud.give(0, Input::PeerLost { node: 2 });
        cloud.give(1, Input::Stop);
        cloud.pass(500);
        assert!(cloud.vips[0].holding());
        cloud.give(0, Input::Refused);
        cloud.pass(6000);
        cloud.give(0, Input::Balancer(Balancer::Replacing));
        cloud.give(0, Input::Balancer(Balancer::Failed));
        cloud.give(0, Input::Standby(true));
        cloud.give(0, Input::Standby(false));
        cloud.give(0, Input::Stop);
        cloud
    }

    fn files(&mut self) -> Vec<Vec<u8>> {
        let whole = |(recorder, bytes): &mut (Recorder, Vec<u8>)| {
            bytes.extend(recorder.block());
            bytes.clone()
        };
        self.recorders.iter_mut().map(whole).collect()
    }
}

#[test]
fn whatever_an_address_went_through_it_is_decided_the_same_again_from_any_moment_on() {
    let mut cloud = Cloud::told();
    let (files, steps) = (cloud.files(), cloud.steps);
    for file in &files {
        let recording = Recording::open(file).unwrap();
        assert!(recording.head.is_of_vips());
        let mut play = recording.play().unwrap();
        let mut number = 0;
        for step in &mut play {
            assert!(step.is_same(), "{step:?}");
            number = step.number;
        }
        assert_eq!(play.end(), End::Whole);
        assert!(number > 50 && number <= steps, "{number} of {steps} steps");
        let ended = Machine::Vips(vec![cloud.vips[0].clone()]).kept();
        assert_eq!(play.machine().kept(), ended, "and ends as the same");
    }
}

#[test]
fn no_password_is_in_a_recording() {
    for file in Cloud::told().files() {
        for secret in [&PASSWORD[..], b"guessed!", b"/usr/bin/true"] {
            assert!(!file.windows(secret.len()).any(|bytes| bytes == secret));
        }
    }
}

#[test]
fn what_is_told_of_an_address_has_causes_and_names() {
    let file = Cloud::told().files().remove(0);
    let recording = Recording::open(&file).unwrap();
    let names = &recording.head.names;
    let mut told = String::new();
    for step in recording.play().unwrap().filter(|step| !step.is_quiet()) {
        told += &format!("{:.2} {}\n", step.since.as_secs_f64(), step.fact.words(names));
        for decision in step.replayed.iter().filter(|decision| !decision.is_quiet()) {
            told += &format!("  {}\n", decision.words(names));
        }
    }
    expect_test::expect![[r#"
        0.00 vip/internal: the network of the address came: 10.79.0.41 on management
          now out of the race: a tracked interface has no carrier; term 0, nobody could be named
        0.00 vip/internal: tracked device 1 is up
          now out of the race: the balancer of this node does not serve; term 0, nobody could be named
        0.00 vip/internal: the balancer serves
          ask whether somebody has the addresses
          now backup; term 0, nobody could be named
        0.00 vip/internal: a hello of node02 on management: backup, could hold, term 0
          now backup; term 0, node02 would be named
        1.71 vip/internal: time went on
          ask whether somebody has the addresses
        3.42 vip/internal: time went on
          claim the addresses
          now holder: nobody advertised for the master-down interval; term 1, node02 would be named
        4.00 vip/internal: somebody removed an address that is held
          claim the addresses
        4.00 vip/internal: an operator moves the address to node03
          let go of the addresses
          say goodbye: an advert with priority 0
          name node03 as the next holder, in term 2
          now backup: an operator moved it to another node; term 2, node02 would be named
        4.50 vip/internal: tracked device 1 is not there
          now out of the race: an interface that it needs is not there; term 2, node02 would be named
        4.60 vip/internal: tracked device 1 is up
          ask whether somebody has the addresses
          now backup; term 2, node02 would be named
        4.60 vip/internal: a hand-over of node03 that names node02 in term 3
          now backup; term 3, node02 would be named
        7.60 vip/internal: a hand-over of node02 that names node01 in term 4
          claim the addresses
          now holder: the holder named this node; term 4, node02 would be named
        7.60 vip/internal: a hello of node02 on management: out of the race, could not hold, term 4
          now holder: the holder named this node; term 4, nobody could be named
        8.10 vip/internal: the kernel did not take the addresses
          let go of the addresses
          say goodbye: an advert with priority 0
          now out of the race: the kernel did not take the address; term 4, nobody could be named
        13.10 vip/internal: time went on
          ask whether somebody has the addresses
          now backup; term 4, nobody could be named
        14.10 vip/internal: the balancer does not serve
          now out of the race: the balancer of this node does not serve; term 4, nobody could be named
        14.10 vip/internal: an operator puts this node on standby
          now out of the race: an operator put this node on standby; term 4, nobody could be named
        14.10 vip/internal: an operator ends the standby
          now out of the race: the balancer of this node does not serve; term 4, nobody could be named
        14.10 vip/internal: the program was told to end
          now out of the race: the program ends; term 4, nobody could be named
    "#]].assert_eq(&told);
}

#[test]
fn what_repeats_itself_is_written_once() {
    let mut cloud = Cloud::new();
    cloud.record();
    cloud.begin();
    cloud.pass(5000);
    let before = cloud.files().remove(0).len();
    cloud.pass(10_000);
    let grown = cloud.files().remove(0).len();
    // Eight hellos, the own hellos and an advert: 13 steps a second.
    assert!(grown - before < 10 * 300, "{} bytes in 10 s", grown - before);
}

/// What `outlast replay` is tested with, and what keeps the form of the files.
#[test]
fn the_form_of_vips_on_disk_is_that_of_the_golden_file() {
    let mut cloud = Cloud::new();
    cloud.begin();
    cloud.pass(2900);
    cloud.record();
    cloud.pass(1500);
    cloud.give(0, Input::MoveTo { node: 1 });
    cloud.pass(300);
    let file = cloud.files().remove(0);
    golden::keeps("vip-1.rec", &file);
}
