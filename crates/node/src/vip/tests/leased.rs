//! The driver of vip leases on a real device; the other voters are played by the test.

use engine::packet::MAX_BODY;
use engine::vip::lease::{self, BEAT, SPAN, Stand, View, VipLease, Voters};
use sys::netlink::Direction;

use super::super::gate::{Guard, Place};
use super::super::lease::{of_leases, seat};
use super::*;

mod occupied;

const CLUSTER: &str = r#"
[cluster]
name = "test"
record_mb = 0
secret_file = "/none"
[node.one]
networks = { lan = "10.79.0.41", san = "10.80.0.41" }
[node.two]
networks = { lan = "10.79.0.42", san = "10.80.0.42" }
[node.three]
networks = { lan = "10.79.0.43", san = "10.80.0.43" }
"#;
const VIPS: &str = "\
    [vip.first]\n\
    address = \"10.79.0.40\"\n\
    network = \"lan\"\n\
    router_id = 121\n\
    check = \"none\"\nlease = true\n\
    [vip.second]\n\
    address = \"10.79.0.39\"\n\
    network = \"lan\"\n\
    router_id = 122\n\
    check = \"none\"\nlease = true\n";
const LIFE: u64 = 7;
pub(super) const BOTH: [usize; 2] = [0, 1];

pub(super) fn texts() -> Texts {
    texts_of(VIPS)
}

fn texts_of(vips: &str) -> Texts {
    let source = Source { path: "outlast.toml".to_owned(), text: [CLUSTER, vips].concat() };
    Texts { cluster: Some(source), secret: Some(SECRET.to_vec()), ..Texts::default() }
}

/// Node one, and two others that vote and hold nothing: their cables are off.
pub(super) struct Stage<'a> {
    pub(super) driver: Driver<'a>,
    others: Vec<VipLease>,
    ready: Vec<Ready>,
}

impl<'a> Stage<'a> {
    fn new(channel: &'a Channel) -> Self {
        Self::of(channel, &texts())
    }

    fn of(channel: &'a Channel, texts: &Texts) -> Self {
        let driver = Driver::new(channel, &start(), texts).unwrap();
        let cluster = config::load(texts.sources()).cluster.unwrap();
        let other = |node| {
            let config = lease::Config {
                node,
                life: LIFE,
                closed: true,
                nodes: 3,
                networks: 2,
                joined: 0,
                voters: Voters::new(None, &[0, 1, 2]).unwrap(),
                unread: false,
                beat: BEAT,
                span: SPAN,
                referred: 0,
                settle: BEAT,
                calm: BEAT,
                seats: driver
                    .instances
                    .iter()
                    .map(|it| seat(&it.vip, &cluster, &|_| None))
                    .collect(),
            };
            VipLease::new(&config, sys::clock::now())
        };
        let others = [1, 2].map(other).into();
        Self { driver, others, ready: Vec::with_capacity(32) }
    }

    /// Until it is so, with what all say to each other.
    pub(super) fn run_until(&mut self, what: &str, fits: impl Fn(&Driver<'_>) -> bool) {
        self.count_until(what, fits);
    }

    /// What the others grant comes so late.
    fn is_granted_late(&mut self, by: Duration) {
        self.driver.turn(&mut self.ready).unwrap();
        let (mut out, mut body) = (Buffer::new(), [0; MAX_BODY]);
        let machine = &self.driver.vip_leases.as_ref().unwrap().machine;
        for (to, other) in (1..).zip(&mut self.others) {
            let length = machine.beat(to, &mut body);
            let (life, said) = (start().life, &body[..length]);
            let heard = lease::Input::Beat { network: 0, from: 0, life, body: said };
            other.step(sys::clock::now(), heard, &mut out);
            out.clear();
        }
        let wake = sys::clock::now() + by;
        while sys::clock::now() < wake {
            std::hint::spin_loop();
        }
        for (from, other) in (1..).zip(&self.others) {
            let length = other.beat(0, &mut body);
            self.driver.hear_beat(0, from, LIFE, &body[..length]);
        }
    }

    /// How often the driver asked for memory meanwhile.
    pub(super) fn count_until(&mut self, what: &str, fits: impl Fn(&Driver<'_>) -> bool) -> u64 {
        let (end, mut count) = (sys::clock::now() + PATIENCE, 0);
        while !fits(&self.driver) {
            assert!(sys::clock::now() < end, "in vain: {what}");
            count += sys::counted::during(|| self.driver.turn(&mut self.ready).unwrap()).1;
            let (mut out, mut body) = (Buffer::new(), [0; MAX_BODY]);
            for (from, other) in (1..).zip(&mut self.others) {
                let machine = &self.driver.vip_leases.as_ref().unwrap().machine;
                let length = machine.beat(from, &mut body);
                let (from_us, life, said) = (0, start().life, &body[..length]);
                let heard = lease::Input::Beat { network: 0, from: from_us, life, body: said };
                other.step(sys::clock::now(), heard, &mut out);
                out.clear();
                let length = other.beat(0, &mut body);
                let hears = || self.driver.hear_beat(0, from, LIFE, &body[..length]);
                count += sys::counted::during(hears).1;
            }
        }
        count
    }
}

pub(super) fn view(driver: &Driver<'_>, seat: usize) -> View {
    driver.vip_leases.as_ref().unwrap().machine.view(seat).unwrap()
}

#[test]
fn all_addresses_that_the_kernel_refuses_in_one_step_are_given_up() {
    let test = "all_addresses_that_the_kernel_refuses_in_one_step_are_given_up";
    if !may_make_networks(&format!("leased::{test}")) {
        return;
    }
    let network = Network::new();
    let (_supervisor, channel) = Channel::pair().unwrap();
    let driven = netns::within(network.node.as_fd(), || {
        let mut stage = Stage::new(&channel);
        stage.driver.begin(&start());
        for instance in &mut stage.driver.instances {
            // No kernel takes such an address.
            instance.vip.addresses[0].prefix = 33;
        }
        let refused = |driver: &Driver<'_>| {
            BOTH.iter().all(|seat| {
                let cause = view(driver, *seat).cause;
                let why = lease::Cause::Fact(engine::vip::Cause::Refused);
                view(driver, *seat).stand == Stand::Unfit && cause == Some(why)
            })
        };
        stage.run_until("both are given up", refused);
    });
    driven.unwrap();
}

fn guard<'a>(driver: &'a mut Driver<'_>) -> &'a mut Guard {
    &mut driver.vip_leases.as_mut().unwrap().guard
}

fn stands_on(driver: &Driver<'_>, device: &str) -> bool {
    let places = &driver.vip_leases.as_ref().unwrap().guard.places;
    matches!(places.get(device), Some(Place::On(_)))
}

/// With a node that runs, in a network of its own; where this machine's kernel takes no gate it is skipped.
pub(super) fn with_gate(module: &str, test: &str, work: impl FnOnce(Stage<'_>, &Channel) + Send) {
    if !may_make_networks(&format!("{module}::{test}")) {
        return;
    }
    let network = Network::new();
    let (supervisor, channel) = Channel::pair().unwrap();
    let driven = netns::within(network.node.as_fd(), || {
        let mut stage = Stage::new(&channel);
        stage.driver.begin(&start());
        if let Some(why) = guard(&mut stage.driver).not_enforced() {
            return network::skip(test, &why);
        }
        work(stage, &supervisor);
    });
    driven.unwrap();
}

#[test]
fn a_claim_looks_at_known_devices_alone_and_a_new_one_is_told_by_its_address() {
    let test = "a_claim_looks_at_known_devices_alone_and_a_new_one_is_told_by_its_address";
    with_gate("leased", test, |mut stage, _| {
        let netlink = Netlink::open().unwrap();
        netlink.create_veth("eth1", "eth2", None).unwrap();
        let new = netlink.link("eth1").unwrap().unwrap().index;
        let own = "10.80.0.41".parse().unwrap();
        netlink.add_address(new, own, 24, AddressOptions::default()).unwrap();
        let known = netlink.link("eth0").unwrap().unwrap().index;
        assert!(netlink.delete_clsact(known).unwrap(), "there was no gate");
        let gated = |index| !netlink.filters(index, Direction::In).unwrap().is_empty();

        stage.driver.look_at_gate();
        assert_eq!((gated(known), gated(new)), (true, false));
        stage.run_until("the gate stands on the new one", |driver| stands_on(driver, "eth1"));
        assert!(gated(new));
    });
}

#[test]
fn what_the_kernel_does_not_say_of_a_gate_takes_nothing_off_and_is_asked_again() {
    let test = "what_the_kernel_does_not_say_of_a_gate_takes_nothing_off_and_is_asked_again";
    let silence = || io::Error::from(io::ErrorKind::TimedOut);
    let place = Place::On(2);
    assert!(!place.lacks(2, || Err(silence())), "it would be put there again, or taken off");
    assert!(place.lacks(2, || Ok(false)) && place.lacks(3, || Ok(true)));

    with_gate("leased", test, |mut stage, _| {
        let driver = &mut stage.driver;
        let (now, voted) = (sys::clock::now(), of_leases(&driver.instances));
        let all = driver.vip_leases.as_mut().unwrap();
        all.guard.stand_where(&driver.netlink, voted, Err(silence()), now);
        let why = all.guard.not_enforced().expect("no device is known, and nobody says so");
        assert!(why.contains("not known which devices there are"), "{why}");
        assert!(stands_on(driver, "eth0"), "what stood is forgotten");
        let enforced = |driver: &Driver<'_>| {
            driver.vip_leases.as_ref().unwrap().guard.not_enforced().is_none()
        };
        stage.run_until("devices are listed again", enforced);

        let driver = &mut stage.driver;
        let index = driver.netlink.link("eth0").unwrap().unwrap().index;
        let (why, again) = ("refused once".to_owned(), sys::clock::now());
        let off = Place::Off { index, why, again };
        guard(driver).places.insert("eth0".to_owned(), off);
        assert!(driver.netlink.delete_clsact(index).unwrap());
        stage.run_until("it is put on again", |driver| stands_on(driver, "eth0"));
        let filters = stage.driver.netlink.filters(index, Direction::In).unwrap();
        assert_eq!(filters.len(), 1);
    });
}

#[test]
fn a_rescue_speaks_for_the_process_and_names_whom_that_would_have_named() {
    if !may_make_networks(
        "leased::a_rescue_speaks_for_the_process_and_names_whom_that_would_have_named",
    ) {
        return;
    }
    let network = Network::new();
    let mut peer = Peer::new(&network);
    network.add(VIP);
    let loaded = config::load(texts().sources());
    let cluster = loaded.cluster.unwrap();
    let device = |_| Some("eth0".to_owned());
    let vips = config::effective_vips(Some(&cluster), None, Some(0), false, &device).unwrap();
    let said = netns::within(network.node.as_fd(), || {
        let mut rescue = Rescue::open(&vips, Some(&cluster), Some(0), Some(SECRET)).unwrap();
        let state = |instance, holding, successor| VipState {
            instance,
            role: if holding { VipRole::Master } else { VipRole::Backup },
            holding,
            successor,
            successor_life: None,
            cause: None,
            term: 4,
            disabled_scripts: vec![],
            interface: None,
            in_use_by: None,
            vip_lease: None,
            priority: None,
            took: None,
        };
        rescue.note(&state(0, true, Some(1)));
        rescue.note(&state(1, false, Some(2)));
        rescue.act(9, &[], true).to_string()
    });
    assert_eq!(said.unwrap(), "10.79.0.40 removed, two told to take over");
    assert!(!network.has(VIP));
    let body = peer.next_sealed(Kind::VipBeat);
    let beat = lease::beat::read(&body).unwrap();
    assert!(beat.head.closed && beat.head.silent, "{beat:?}");
    let entries: Vec<_> =
        beat.entries().map(|e| (e.stand, e.grants, e.successor, e.term)).collect();
    // Of what it did not hold it gives nothing away.
    assert_eq!(entries, [(Stand::Unfit, false, Some(1), 4), (Stand::Unfit, false, None, 4)]);
}

#[test]
fn a_device_that_is_renamed_moves_no_vip_lease_and_its_gate_stands_on() {
    let test = "a_device_that_is_renamed_moves_no_vip_lease_and_its_gate_stands_on";
    with_gate("leased", test, |mut stage, _| {
        let held = |driver: &Driver<'_>| {
            BOTH.iter().all(|seat| view(driver, *seat).stand == Stand::Holder)
        };
        stage.run_until("both are held", held);
        let index = stage.driver.netlink.link("eth0").unwrap().unwrap().index;
        let words = ["link", "set", "dev", "eth0", "name", "lan0"];
        assert!(std::process::Command::new("ip").args(words).status().unwrap().success());
        let follows = |driver: &Driver<'_>| {
            assert!(held(driver), "nothing moves");
            driver.instances.iter().all(|instance| instance.vip.interface == "lan0")
        };
        stage.run_until("they follow", follows);
        assert!(stands_on(&stage.driver, "lan0") && !stands_on(&stage.driver, "eth0"));
        let filters = stage.driver.netlink.filters(index, Direction::In).unwrap();
        assert_eq!(filters.len(), 1, "the gate is on it once");
        // What the device says from now on is heard: a cable that is pulled takes both away.
        stage.driver.netlink.set_up(index, false).unwrap();
        let gone =
            |driver: &Driver<'_>| BOTH.iter().all(|seat| view(driver, *seat).stand == Stand::Unfit);
        stage.run_until("both are given up", gone);
    });
}

#[test]
fn a_vip_lease_that_is_renewed_too_late_is_counted_and_told() {
    let test = "a_vip_lease_that_is_renewed_too_late_is_counted_and_told";
    with_gate("leased", test, |mut stage, supervisor| {
        let held = |driver: &Driver<'_>| {
            BOTH.iter().all(|seat| view(driver, *seat).stand == Stand::Holder)
        };
        let end = sys::clock::now() + PATIENCE;
        let mut told = vec![];
        // The time in which it ran out and what was granted still counts is a beat.
        for by in [28, 30, 26, 32].map(Duration::from_millis).into_iter().cycle() {
            assert!(sys::clock::now() < end, "{told:?}");
            stage.run_until("both are held", held);
            stage.is_granted_late(by);
            for report in reports(supervisor) {
                if let Report::VipProcess(process) = report {
                    told.extend(process.left.into_iter().filter(|left| left.lapses > 0));
                }
            }
            if !told.is_empty() {
                break;
            }
        }
        let lapse = told[0];
        assert!((1..35_000).contains(&lapse.lapsed_us), "{lapse:?}");
        let words = lapse.words();
        assert!(words.contains("renewed too late") && words.contains("was dropped"), "{words}");
    });
}
