//! The driver and the rescue on a real device: this node in one network namespace, its peer, played
//! by the test, in another.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use api::{MAX_MESSAGE, Mode, VipCause, VipRole, VipState};
use config::Source;
use config::cluster::Cluster;
use engine::packet::{Kind, MAX_BODY, MAX_PACKET, Seal};
use engine::vip::refusals::Refusal;
use engine::vip::{Group, HandOver, packet};
use sys::netlink::AddressOptions;
use sys::{netns, socket, vrrp};

use super::rescue::Rescue;
use super::*;
use network::{Network, PEER, VIP, may_make_networks};

mod heir;
mod itself;
mod leased;
mod links;
pub(super) mod network;
mod quiet;
mod retire;
mod script;
mod v6;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const PATIENCE: Duration = Duration::from_secs(20);
const CLUSTER: &str = r#"
[cluster]
name = "test"
record_mb = 0
[node.one]
networks = { lan = "10.79.0.41" }
[node.two]
networks = { lan = "10.79.0.42" }
[vip.internal]
address = "10.79.0.40"
network = "lan"
router_id = 121
check = "none"
"#;

fn texts() -> Texts {
    let source = Source { path: "outlast.toml".to_owned(), text: CLUSTER.to_owned() };
    Texts { cluster: Some(source), secret: Some(SECRET.to_vec()), ..Texts::default() }
}

fn cluster() -> Cluster {
    config::load(texts().sources()).cluster.unwrap()
}

/// The instance of the file above, as node one sees it.
fn vip() -> config::vip::Vip {
    let device = |_| Some("eth0".to_owned());
    config::effective_vips(Some(&cluster()), None, Some(0), false, &device).unwrap().remove(0)
}

fn start() -> Start {
    Start {
        mode: Mode::Adaptive,
        node: "one".to_owned(),
        generation: 1,
        run_dir: String::new(),
        state_dir: String::new(),
        life: 1,
        breaks: vec![],
        files: vec![],
        sockets: vec![],
        adopt: vec![],
        leftovers: vec![],
        closed: false,
        heir: false,
        voters: None,
        servers: vec![],
        choices: vec![],
        nodes: vec![],
    }
}

/// What the other node hears and says.
struct Peer {
    adverts: vrrp::Socket,
    sealed: OwnedFd,
    seal: Seal,
}

impl Peer {
    fn new(network: &Network) -> Self {
        let open = || {
            let port = cluster().port + 1;
            let sealed = socket::udp(SocketAddr::new(PEER.into(), port), None).unwrap();
            (vrrp::Socket::open("eth0", true).unwrap(), sealed)
        };
        let (adverts, sealed) = netns::within(network.peer.as_fd(), open).unwrap();
        Self { adverts, sealed, seal: Seal::shared(SECRET, "test", 2, 1, 1) }
    }

    /// The priority of the next advert.
    fn next_advert(&self) -> (u8, IpAddr) {
        let mut buffer = [0; 256];
        wait_for(self.adverts.as_fd());
        let received = self.adverts.receive(&mut buffer).unwrap();
        let path = packet::Path { source: received.source, destination: received.destination };
        let advert = packet::decode(&buffer[received.payload.clone()], received.ttl, path).unwrap();
        (advert.priority, received.source)
    }

    fn next_hand_over(&mut self) -> HandOver {
        HandOver::decode(&self.next_sealed(Kind::HandOver)).unwrap()
    }

    /// The node speaks on this network, so it hears there, too.
    fn wait_for_hello(&mut self) {
        self.next_sealed(Kind::Hello);
    }

    fn next_sealed(&mut self, kind: Kind) -> Vec<u8> {
        let mut buffer = [0; MAX_PACKET];
        loop {
            wait_for(self.sealed.as_fd());
            let (length, _) = socket::receive_from(self.sealed.as_fd(), &mut buffer).unwrap();
            let mut body = [0; MAX_BODY];
            let opened = self.seal.open(&buffer[..length], &mut body).unwrap();
            if opened.kind == kind {
                return opened.body.to_vec();
            }
        }
    }

    fn hand_over(&mut self, term: u64) {
        let to_life = start().life;
        let message = HandOver { group: Group::of(&vip()), from: 1, to: 0, term, to_life };
        let mut buffer = [0; MAX_PACKET];
        let length = self.seal.seal(Kind::HandOver, (0, 0), &message.encode(), &mut buffer);
        let to = SocketAddr::new(network::NODE.into(), cluster().port + 1);
        socket::send_to(self.sealed.as_fd(), &buffer[..length], to).unwrap();
    }
}

fn wait_for(fd: std::os::fd::BorrowedFd<'_>) {
    let poller = Poller::new().unwrap();
    poller.add(fd, 0, Interest::READ).unwrap();
    let mut ready = Vec::new();
    poller.wait(&mut ready, Some(PATIENCE)).unwrap();
    assert!(!ready.is_empty(), "nothing came in time");
}

/// Reads reports until one about the instance fits.
fn report(channel: &Channel, fits: impl Fn(&VipState) -> bool) -> VipState {
    let mut bytes = vec![0; MAX_MESSAGE];
    loop {
        wait_for(channel.as_fd());
        let length = channel.receive(&mut bytes, &mut Vec::new()).unwrap();
        assert_ne!(length, 0, "the process ended");
        let report = api::decode::<Report>(&bytes[..length]).unwrap();
        if let Report::Vip(state) = report
            && fits(&state)
        {
            return state;
        }
    }
}

#[test]
fn the_named_node_claims_at_once_and_lets_go_when_its_supervisor_is_gone() {
    if !may_make_networks("the_named_node_claims_at_once_and_lets_go_when_its_supervisor_is_gone") {
        return;
    }
    let network = Network::new();
    // Left by a process that died, with nobody there to take it down.
    network.add(VIP);
    let mut peer = Peer::new(&network);
    let (supervisor, channel) = Channel::pair().unwrap();
    std::thread::scope(|scope| {
        let node = network.node.as_fd();
        let process = scope.spawn(move || {
            netns::within(node, || run(&channel, start(), texts(), vec![])).unwrap()
        });
        report(&supervisor, |state| state.role == VipRole::Backup);
        assert!(!network.has(VIP), "a leftover is taken for held");
        let asked = sys::clock::now();
        peer.hand_over(7);
        let state = report(&supervisor, |state| state.role == VipRole::Master);
        assert_eq!((state.holding, state.cause, state.term), (true, Some(VipCause::Named), 7));
        let took = state.took.expect("it was taken, not adopted");
        assert_eq!((took.detect_us, took.answer_us), (None, None), "named, and without a gate");
        // Three adverts and a skew would have been more than 3 s.
        assert!(sys::clock::now().since(asked) < Duration::from_secs(2), "timers were waited for");
        assert!(network.has(VIP));
        assert_eq!(peer.next_advert(), (200, network::NODE.into()));
        network.remove(VIP);
        network.wait_until_held(VIP);
        drop(supervisor);
        process.join().unwrap().unwrap();
        assert!(!network.has(VIP));
        while peer.next_advert() != (0, network::NODE.into()) {}
    });
}

/// Runs `work` as a thread that may not change addresses.
fn without_right<T>(work: impl FnOnce() -> T) -> T {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let before = capabilities(None).unwrap();
    let mut fewer = before;
    fewer.effective.remove(CapabilitySet::NET_ADMIN);
    set_capabilities(None, fewer).unwrap();
    let done = work();
    set_capabilities(None, before).unwrap();
    done
}

/// Everything that was reported and not read.
fn reports(channel: &Channel) -> Vec<Report> {
    let mut bytes = vec![0; MAX_MESSAGE];
    std::iter::from_fn(|| {
        let length = channel.receive(&mut bytes, &mut Vec::new()).ok()?;
        Some(api::decode(&bytes[..length]).unwrap())
    })
    .collect()
}

fn events(reports: &[Report]) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for report in reports {
        if let Report::Event(event) = report {
            found.push((event.what.as_str(), event.evidence.as_str()));
        }
    }
    found
}

fn named(term: u64) -> Input<'static> {
    let to_life = start().life;
    Input::HandOver(HandOver { group: Group::of(&vip()), from: 1, to: 0, term, to_life })
}

#[test]
fn an_address_that_the_kernel_refuses_is_let_go_and_told() {
    if !may_make_networks("an_address_that_the_kernel_refuses_is_let_go_and_told") {
        return;
    }
    let network = Network::new();
    let (supervisor, channel) = Channel::pair().unwrap();
    let driven = netns::within(network.node.as_fd(), || {
        let mut driver = Driver::new(&channel, &start(), &texts()).unwrap();
        driver.begin(&start());
        let _begin = reports(&supervisor);
        without_right(|| driver.step(0, named(7)));
        let refused = reports(&supervisor);
        assert!(refused.contains(&Report::Busy), "the kernel is asked without a word");
        assert_eq!(
            events(&refused),
            [("vip-released", "the kernel did not take the address")],
            "a claim that was not done is told as done"
        );
        let instance = &driver.instances[0];
        assert_eq!((instance.held, instance.machine.holding()), (false, false));
        assert_eq!(instance.machine.cause(), Some(engine::vip::Cause::Refused));
        std::thread::sleep(engine::vip::RECLAIM_PAUSE);
        driver.step(0, Input::Timeout);
        assert_eq!(
            events(&reports(&supervisor)),
            [("vip-standby", "nothing keeps this node from holding any more")]
        );
    });
    driven.unwrap();
    assert!(!network.has(VIP));
}

#[test]
fn an_address_that_the_kernel_keeps_is_told_and_nobody_is_named() {
    if !may_make_networks("an_address_that_the_kernel_keeps_is_told_and_nobody_is_named") {
        return;
    }
    let network = Network::new();
    let mut peer = Peer::new(&network);
    let (supervisor, channel) = Channel::pair().unwrap();
    let driven = netns::within(network.node.as_fd(), || {
        let mut driver = Driver::new(&channel, &start(), &texts()).unwrap();
        driver.begin(&start());
        let hello = engine::vip::Hello {
            group: Group::of(&vip()),
            node: 1,
            source: PEER.into(),
            priority: 150,
            role: engine::vip::Role::Backup,
            eligible: true,
            term: 1,
            life: 3,
        };
        driver.step(0, named(7));
        driver.step(0, Input::Hello { network: 0, hello });
        assert_eq!(driver.instances[0].machine.successor(), Some(1));
        let _begin = reports(&supervisor);
        without_right(|| driver.step(0, Input::Carrier { interface: 0, up: false }));
        let reports = reports(&supervisor);
        let told = events(&reports);
        assert_eq!(told[0].0, "vip-release-failed", "{told:?}");
        assert!(told[0].1.starts_with("the kernel keeps 10.79.0.40: "), "{told:?}");
    });
    driven.unwrap();
    assert!(network.has(VIP), "the test took the address itself");
    while peer.next_advert() != (0, network::NODE.into()) {}
    let mut buffer = [0; MAX_PACKET];
    while let Ok((length, _)) = socket::receive_from(peer.sealed.as_fd(), &mut buffer) {
        let mut body = [0; MAX_BODY];
        let opened = peer.seal.open(&buffer[..length], &mut body).unwrap();
        assert_ne!(opened.kind, Kind::HandOver, "a successor would be a second holder");
    }
}

#[test]
fn a_device_that_is_not_there_is_the_cause_and_told_at_once() {
    if !may_make_networks("a_device_that_is_not_there_is_the_cause_and_told_at_once") {
        return;
    }
    let network = Network::new();
    let (supervisor, channel) = Channel::pair().unwrap();
    let driven = netns::within(network.node.as_fd(), || {
        let mut driver = Driver::new(&channel, &start(), &texts()).unwrap();
        driver.instances[0].vip.interface = "eth7".to_owned();
        driver.begin(&start());
        assert_eq!(driver.instances[0].machine.cause(), Some(engine::vip::Cause::NoDevice));
        let reports = reports(&supervisor);
        assert_eq!(
            events(&reports),
            [("vip-fault", "an interface that it needs is not there: eth7")]
        );
    });
    driven.unwrap();
}

#[test]
fn a_device_that_is_lost_and_made_anew_is_used_again() {
    if !may_make_networks("a_device_that_is_lost_and_made_anew_is_used_again") {
        return;
    }
    let network = Network::new();
    let (supervisor, channel) = Channel::pair().unwrap();
    std::thread::scope(|scope| {
        let node = network.node.as_fd();
        let process = scope.spawn(move || {
            netns::within(node, || run(&channel, start(), texts(), vec![])).unwrap()
        });
        report(&supervisor, |state| state.role == VipRole::Backup);
        network.unplug();
        let state = report(&supervisor, |state| state.role == VipRole::Fault);
        assert!(matches!(state.cause, Some(VipCause::Carrier | VipCause::NoDevice)), "{state:?}");
        network.plug();
        report(&supervisor, |state| state.role == VipRole::Backup);
        let mut peer = Peer::new(&network);
        peer.wait_for_hello();
        peer.hand_over(7);
        assert!(report(&supervisor, |state| state.role == VipRole::Master).holding);
        assert!(network.has(VIP));
        drop(supervisor);
        process.join().unwrap().unwrap();
        assert!(!network.has(VIP));
    });
}

#[test]
fn a_rescue_takes_the_address_down_and_tells_the_successor() {
    if !may_make_networks("a_rescue_takes_the_address_down_and_tells_the_successor") {
        return;
    }
    let network = Network::new();
    let mut peer = Peer::new(&network);
    network.add(VIP);
    let done = netns::within(network.node.as_fd(), || {
        let mut rescue = Rescue::open(&[vip()], Some(&cluster()), Some(0), Some(SECRET)).unwrap();
        rescue.note(&VipState {
            instance: 0,
            role: VipRole::Master,
            holding: true,
            successor: Some(1),
            successor_life: Some(3),
            cause: None,
            term: 4,
            disabled_scripts: vec![],
            interface: None,
            in_use_by: None,
            vip_lease: None,
            priority: None,
            took: None,
        });
        rescue.act(2, &[], false).to_string()
    });
    assert_eq!(done.unwrap(), "10.79.0.40 removed, two told to take over");
    assert!(!network.has(VIP));
    let message = peer.next_hand_over();
    assert_eq!((message.from, message.to, message.to_life, message.term), (0, 1, 3, 5));
    assert_eq!(message.group, Group::of(&vip()));
    assert_eq!(peer.next_advert(), (0, network::NODE.into()));
}

#[test]
fn a_rescue_of_a_process_that_never_reported_leaves_no_address() {
    if !may_make_networks("a_rescue_of_a_process_that_never_reported_leaves_no_address") {
        return;
    }
    let network = Network::new();
    let peer = Peer::new(&network);
    network.add(VIP);
    let done = netns::within(network.node.as_fd(), || {
        let mut rescue = Rescue::open(&[vip()], None, None, None).unwrap();
        let first = rescue.act(2, &[], false).to_string();
        (first, rescue.act(2, &[], false).to_string())
    });
    let (first, second) = done.unwrap();
    assert_eq!(first, "10.79.0.40 removed, nobody could be named");
    assert_eq!(second, "there was no address to remove");
    assert!(!network.has(VIP));
    assert_eq!(peer.next_advert(), (0, network::NODE.into()));
}

#[test]
fn a_network_that_comes_late_is_one_from_then_on() {
    if !may_make_networks("a_network_that_comes_late_is_one_from_then_on") {
        return;
    }
    let network = Network::new();
    network.remove(network::NODE);
    let (supervisor, channel) = Channel::pair().unwrap();
    std::thread::scope(|scope| {
        let node = network.node.as_fd();
        let process = scope.spawn(move || {
            netns::within(node, || run(&channel, start(), texts(), vec![])).unwrap()
        });
        let state = report(&supervisor, |state| state.cause == Some(VipCause::NoNetwork));
        assert_eq!((state.role, state.interface), (VipRole::Fault, None));
        let mut peer = Peer::new(&network);
        network.arrive();
        let state = report(&supervisor, |state| state.role == VipRole::Backup);
        assert_eq!(state.interface.as_deref(), Some("eth0"));
        peer.wait_for_hello();
        peer.hand_over(7);
        assert!(report(&supervisor, |state| state.role == VipRole::Master).holding);
        assert!(network.has(VIP));
        assert_eq!(peer.next_advert(), (200, network::NODE.into()));
        drop(supervisor);
        process.join().unwrap().unwrap();
        assert!(!network.has(VIP));
    });
}

#[test]
fn who_comes_late_to_a_device_is_heard_there_beside_who_was_there() {
    if !may_make_networks("who_comes_late_to_a_device_is_heard_there_beside_who_was_there") {
        return;
    }
    let network = Network::new();
    network.remove(network::NODE);
    let peer = Peer::new(&network);
    let mut texts = texts();
    texts.cluster.as_mut().unwrap().text += "[vip.first]
address = \"10.79.0.39\"
network = \"lan\"
router_id = 122
interface = \"eth0\"
check = \"none\"
";
    let (supervisor, channel) = Channel::pair().unwrap();
    let driven = netns::within(network.node.as_fd(), || {
        let mut driver = Driver::new(&channel, &start(), &texts).unwrap();
        driver.begin(&start());
        let cause = |driver: &Driver<'_>| driver.instances[0].machine.cause();
        assert_eq!(cause(&driver), Some(engine::vip::Cause::NoNetwork));
        let told = "no network yet: no interface has this node's address on it, 10.79.0.41";
        assert_eq!(events(&reports(&supervisor)), [("vip-fault", told)]);
        network.arrive();
        driver.devices();
        driver.pass_time();
        let told = "nothing keeps this node from holding any more";
        assert_eq!(events(&reports(&supervisor)), [("vip-standby", told)]);
        for instance in &driver.instances {
            let mouth = wire::Mouth::Plain(&peer.adverts);
            wire::advertise(mouth, &instance.vip, PEER.into(), None, 250);
        }
        let obeyed =
            |driver: &Driver<'_>, at: usize| driver.instances[at].machine.counters().obeyed;
        let mut ready = Vec::new();
        while (0..2).any(|at| obeyed(&driver, at) == 0) {
            driver.poller.wait(&mut ready, Some(PATIENCE)).unwrap();
            assert!(!ready.is_empty(), "one is not heard");
            for event in ready.iter().filter(|event| event.token >= SOCKETS) {
                assert_eq!(event.token, SOCKETS, "what is to be obeyed stands among the rest");
                driver.packets(event.token);
            }
        }
    });
    driven.unwrap();
}
