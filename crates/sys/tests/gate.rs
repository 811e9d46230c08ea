//! The kernel's gate of a virtual IP, between two namespaces that each test makes: who is answered, and until when.
//!
//! Answers are waited for; that something is silent is said when what was sent after it was answered, and by the count
//! of what was dropped. The kernel may turn two packets around that come by different processors, but then what is late
//! would be an answer: no such test fails for it.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]

extern crate outlast_sys as sys;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::Duration;

use base::Time;
use sys::bpf::Refused;
use sys::bpf::gate::{self, Gate};
use sys::netlink::{AddressOptions, Change, Direction, Monitor, Netlink, Wants};
use sys::ping::Ping;
use sys::{arp, clock, netns, socket};

mod network {
    pub(crate) mod cable;
}

use network::cable::{Cable, inside, may_make_networks, skip, wait_for};

const VIP: Ipv4Addr = Ipv4Addr::new(10, 79, 0, 40);
const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x40);
const LEFT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x41);
const RIGHT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x42);

/// A client on the left, a node with a gate and the virtual IP on the right; none where it cannot be made, which a test
/// says.
fn node(test: &str) -> Option<(Cable, Gate)> {
    if !may_make_networks(test) {
        return None;
    }
    let addresses: [&[IpAddr]; 1] = [&[VIP.into(), VIP6.into()]];
    let mut gate = match Gate::open(&addresses) {
        Ok(gate) => gate,
        Err(refused @ (Refused::NotAllowed | Refused::Missing(_))) => {
            skip(test, &refused.to_string());
            return None;
        }
        Err(refused) => panic!("{refused:?}"),
    };
    let cable = Cable::new();
    inside(&cable.left, || {
        let (netlink, device) = device();
        add(&netlink, device, LEFT6.into(), 64);
    });
    inside(&cable.right, || {
        let (netlink, device) = device();
        add(&netlink, device, RIGHT6.into(), 64);
        gate.attach(&netlink, device).unwrap();
        add(&netlink, device, VIP.into(), 32);
        add(&netlink, device, VIP6.into(), 128);
        [VIP6, RIGHT6].iter().for_each(|ip| wait_until_heard(*ip));
    });
    Some((cable, gate))
}

/// Where neighbours ask for an address of IPv6 (RFC 4291 2.7.1).
fn group_of(ip: Ipv6Addr) -> Ipv6Addr {
    let [.., high, low] = ip.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | high, low)
}

/// Waits until this namespace hears neighbours ask for its new address: the kernel joins their group a little later.
fn wait_until_heard(ip: Ipv6Addr) {
    let group: String = group_of(ip).octets().iter().map(|byte| format!("{byte:02x}")).collect();
    let until = clock::now() + Duration::from_secs(10);
    while !std::fs::read_to_string("/proc/thread-self/net/igmp6").unwrap().contains(&group) {
        assert!(clock::now() < until, "nobody would be heard");
        std::thread::yield_now();
    }
}

fn device() -> (Netlink, u32) {
    let netlink = Netlink::open().unwrap();
    let device = netlink.link("eth0").unwrap().unwrap().index;
    (netlink, device)
}

fn add(netlink: &Netlink, device: u32, ip: IpAddr, prefix: u8) {
    netlink.add_address(device, ip, prefix, AddressOptions::default()).unwrap();
}

/// Asks by ARP, each time from an address that nobody has, so that an answer tells which question it is to.
struct Asker {
    socket: arp::Socket,
    asked: u8,
}

impl Asker {
    fn on(netns: &OwnedFd) -> Self {
        Self { socket: inside(netns, || arp::Socket::open_to_hear("eth0").unwrap()), asked: 100 }
    }

    fn ask(&mut self, ip: Ipv4Addr) -> Ipv4Addr {
        self.asked += 1;
        let source = Ipv4Addr::new(10, 79, 0, self.asked);
        self.socket.probe(source, ip).unwrap();
        source
    }

    /// Waits for the answer to one of these questions, and tells to which.
    fn answer(&self, questions: &[Ipv4Addr]) -> usize {
        loop {
            match self.socket.receive() {
                Ok(heard) if heard.reply => {
                    if let Some(at) = questions.iter().position(|source| *source == heard.target) {
                        return at;
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                    wait_for(self.socket.as_fd());
                }
            }
        }
    }

    fn waits_for(&mut self, ip: Ipv4Addr) {
        let question = self.ask(ip);
        self.answer(&[question]);
    }

    /// Whether the node answers for itself, but not for the virtual IP.
    fn finds_silent(&mut self) -> bool {
        let questions = [self.ask(VIP), self.ask(Cable::RIGHT)];
        self.answer(&questions) == 1
    }
}

/// The kernel's question for a neighbour, and answers of neighbours: raw messages of ICMPv6.
struct Asker6 {
    socket: OwnedFd,
    mac: [u8; 6],
}

impl Asker6 {
    const SOLICITATION: u8 = 135;
    const ADVERTISEMENT: u8 = 136;

    fn on(netns: &OwnedFd, from: Ipv6Addr) -> Self {
        use rustix::net::{
            AddressFamily, SocketFlags, SocketType, bind, ipproto, socket_with, sockopt,
        };
        let open = || {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let kind = SocketType::RAW;
            let icmp = Some(ipproto::ICMPV6);
            let socket = socket_with(AddressFamily::INET6, kind, flags, icmp).unwrap();
            bind(&socket, &SocketAddr::new(from.into(), 0)).unwrap();
            sockopt::set_ipv6_multicast_hops(&socket, 255).unwrap();
            sockopt::set_ipv6_unicast_hops(&socket, Some(255)).unwrap();
            let mac = Netlink::open().unwrap().link("eth0").unwrap().unwrap().mac;
            Self { socket, mac }
        };
        inside(netns, open)
    }

    /// One of the two messages, about an address, with the own one of Ethernet; the kernel writes its sum.
    fn say(&self, kind: u8, about: Ipv6Addr, to: Ipv6Addr) -> std::io::Result<()> {
        let option = if kind == Self::SOLICITATION { 1 } else { 2 };
        let head = [kind, 0, 0, 0, 0, 0, 0, 0];
        let message = [&head, &about.octets()[..], &[option, 1], &self.mac].concat();
        socket::send_to(self.socket.as_fd(), &message, SocketAddr::new(to.into(), 0)).map(drop)
    }

    fn ask(&self, ip: Ipv6Addr) {
        self.say(Self::SOLICITATION, ip, group_of(ip)).unwrap();
    }

    /// Waits until a neighbour tells of one of these.
    fn answer(&self, of: &[Ipv6Addr]) -> Ipv6Addr {
        let mut message = [0; 128];
        loop {
            match socket::receive_from(self.socket.as_fd(), &mut message) {
                Ok((count, _)) if count >= 24 && message[0] == Self::ADVERTISEMENT => {
                    let about: [u8; 16] = message[8..24].try_into().unwrap();
                    if of.contains(&about.into()) {
                        return about.into();
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                    wait_for(self.socket.as_fd());
                }
            }
        }
    }
}

/// Waits until an address answers a ping.
fn pinged(from: &OwnedFd, source: IpAddr, to: IpAddr) {
    let ping = inside(from, || Ping::open(source, to, 7).unwrap());
    ping.ask(1).unwrap();
    while ping.answer().is_none() {
        wait_for(ping.as_fd());
    }
}

fn listen(netns: &OwnedFd, ip: IpAddr) -> (TcpListener, SocketAddr) {
    let listener = inside(netns, || TcpListener::bind((ip, 0)).unwrap());
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn a_gate_that_is_open_answers_and_one_that_is_shut_is_silent() {
    const TEST: &str = "a_gate_that_is_open_answers_and_one_that_is_shut_is_silent";
    let Some((cable, gate)) = node(TEST) else { return };
    let mut asker = Asker::on(&cable.left);
    let listeners = [VIP.into(), VIP6.into()].map(|ip| listen(&cable.right, ip));
    let (_own, own) = listen(&cable.right, Cable::RIGHT.into());
    let connects = |to: SocketAddr, patience| {
        inside(&cable.left, || TcpStream::connect_timeout(&to, patience))
    };
    let long = Duration::from_secs(10);
    assert!(asker.finds_silent(), "a new gate is shut");
    for _ in 0..3 {
        gate.set(0, Time::NEVER);
        asker.waits_for(VIP);
        asker.waits_for(Cable::RIGHT);
        pinged(&cable.left, Cable::LEFT.into(), VIP.into());
        pinged(&cable.left, LEFT6.into(), VIP6.into());
        for (_, vip) in &listeners {
            connects(*vip, long).unwrap();
        }
        assert!(gate.first_answer(0).is_some());
        gate.set(0, Time::ZERO);
        assert!(asker.finds_silent());
        // The client knows where they are: it asks nobody before.
        for (_, vip) in &listeners {
            let before = gate.dropped(0);
            let error = connects(*vip, Duration::from_millis(50)).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
            assert!(gate.dropped(0) > before);
        }
        let pings = [(Cable::LEFT.into(), VIP.into()), (LEFT6.into(), VIP6.into())]
            .map(|(from, to)| inside(&cable.left, || Ping::open(from, to, 8).unwrap()));
        for ping in &pings {
            ping.ask(1).unwrap();
        }
        // The node itself answers as ever, also to whoever asked for the other one before.
        pinged(&cable.left, Cable::LEFT.into(), Cable::RIGHT.into());
        pinged(&cable.left, LEFT6.into(), RIGHT6.into());
        connects(own, long).unwrap();
        assert!(pings.iter().all(|ping| ping.answer().is_none()));
    }
    // A device that is switched off and on has its filters still.
    cable.switch_right(false);
    cable.switch_right(true);
    inside(&cable.right, || {
        let (netlink, device) = device();
        assert!(gate.is_attached(&netlink, device).unwrap());
    });
}

#[test]
fn a_gate_that_is_shut_says_nothing_about_a_neighbour() {
    let Some((cable, gate)) = node("a_gate_that_is_shut_says_nothing_about_a_neighbour") else {
        return;
    };
    let left = Asker6::on(&cable.left, LEFT6);
    let right = Asker6::on(&cable.right, RIGHT6);
    for _ in 0..3 {
        gate.set(0, Time::NEVER);
        left.ask(VIP6);
        assert_eq!(left.answer(&[VIP6, RIGHT6]), VIP6);
        // Its own announcement, and one that another address of the node makes for it.
        right.say(Asker6::ADVERTISEMENT, VIP6, LEFT6).unwrap();
        assert_eq!(left.answer(&[VIP6, RIGHT6]), VIP6);
        gate.set(0, Time::ZERO);
        let before = gate.dropped(0);
        left.ask(VIP6);
        left.ask(RIGHT6);
        assert_eq!(left.answer(&[VIP6, RIGHT6]), RIGHT6);
        assert_eq!(gate.dropped(0), before + 1);
        let announcer = inside(&cable.right, || arp::Socket::open("eth0").unwrap());
        announcer.announce_v6(VIP6).unwrap_err();
        right.say(Asker6::ADVERTISEMENT, VIP6, LEFT6).unwrap_err();
        right.say(Asker6::ADVERTISEMENT, RIGHT6, LEFT6).unwrap();
        assert_eq!(left.answer(&[VIP6, RIGHT6]), RIGHT6);
        assert_eq!(gate.dropped(0), before + 3);
    }
}

#[test]
fn a_gate_that_is_shut_lets_nothing_out_and_what_others_say_in() {
    const TEST: &str = "a_gate_that_is_shut_lets_nothing_out_and_what_others_say_in";
    let Some((cable, gate)) = node(TEST) else { return };
    let mut asker = Asker::on(&cable.left);
    // What the node sends by itself: an announcement, a datagram.
    let announcer = inside(&cable.right, || arp::Socket::open("eth0").unwrap());
    let from_vip = inside(&cable.right, || UdpSocket::bind((VIP, 0)).unwrap());
    let from_own = inside(&cable.right, || UdpSocket::bind((Cable::RIGHT, 0)).unwrap());
    let client = inside(&cable.left, || UdpSocket::bind((Cable::LEFT, 0)).unwrap());
    let to = client.local_addr().unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    asker.waits_for(Cable::RIGHT);
    let refused = announcer.announce(VIP).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::ENOBUFS), "the sender is told");
    let _ = from_vip.send_to(b"vip", to);
    assert_eq!(gate.dropped(0), 2);
    from_own.send_to(b"own", to).unwrap();
    let mut bytes = [0; 8];
    assert_eq!(client.recv_from(&mut bytes).unwrap().1, from_own.local_addr().unwrap());
    gate.set(0, Time::NEVER);
    announcer.announce(VIP).unwrap();
    from_vip.send_to(b"vip", to).unwrap();
    assert_eq!(client.recv_from(&mut bytes).unwrap().1, from_vip.local_addr().unwrap());
    // The address moves to the other node; this one is a client of it, behind its own shut gate.
    gate.set(0, Time::ZERO);
    inside(&cable.right, || {
        netns::set_sysctl("net.ipv4.conf.eth0.arp_accept", "1").unwrap();
        let (netlink, device) = device();
        assert!(netlink.delete_address(device, VIP.into(), 32).unwrap());
    });
    let neighbours = || {
        let knows = || std::fs::read_to_string("/proc/thread-self/net/arp").unwrap();
        inside(&cable.right, knows).lines().filter(|line| line.starts_with("10.79.0.40 ")).count()
    };
    assert_eq!(neighbours(), 0);
    let holder = inside(&cable.left, || {
        let (netlink, device) = device();
        add(&netlink, device, VIP.into(), 32);
        arp::Socket::open("eth0").unwrap()
    });
    let before = gate.dropped(0);
    holder.announce(VIP).unwrap();
    asker.waits_for(Cable::RIGHT);
    assert_eq!(neighbours(), 1, "others' announcements are heard");
    let (_listener, vip) = listen(&cable.left, VIP.into());
    let patience = Duration::from_secs(10);
    inside(&cable.right, || TcpStream::connect_timeout(&vip, patience).unwrap());
    assert_eq!(gate.dropped(0), before);
}

/// How often, and for how long it is opened without anybody who would do more.
const OPENED: usize = 20;
const OPEN_FOR: Duration = Duration::from_millis(50);
const EVERY: Duration = Duration::from_micros(200);

#[test]
fn a_gate_lets_nobody_answer_after_its_moment() {
    let Some((cable, gate)) = node("a_gate_lets_nobody_answer_after_its_moment") else { return };
    let open = |to: Ipv4Addr| {
        inside(&cable.left, || Ping::open(Cable::LEFT.into(), to.into(), 9).unwrap())
    };
    let (vip, own) = (open(VIP), open(Cable::RIGHT));
    // The client learns where it is.
    gate.set(0, Time::NEVER);
    pinged(&cable.left, Cable::LEFT.into(), VIP.into());
    gate.set(0, Time::ZERO);
    let (mut number, mut early) = (0_u64, Vec::new());
    for _ in 0..OPENED {
        let (first, mut sent, mut last) = (number, Vec::new(), None);
        let until = clock::now() + OPEN_FOR;
        gate.set(0, until);
        while clock::now() < until + OPEN_FOR / 5 {
            // The clock is read before it leaves: whoever asked at `until` or later asked too late.
            let now = clock::now();
            sent.push(now);
            vip.ask(number).unwrap();
            number += 1;
            while clock::now() < now + EVERY {
                last = vip.answer().or(last);
            }
        }
        own.ask(number).unwrap();
        while own.answer() != Some(number) {
            wait_for(own.as_fd());
        }
        while let Some(answer) = vip.answer() {
            last = Some(answer);
        }
        // What was asked before this one was opened may be answered now.
        let Some(last) = last.and_then(|last| last.checked_sub(first)) else { continue };
        let asked = sent[usize::try_from(last).unwrap()];
        assert!(asked < until, "asked {:?} too late, and answered", asked - until);
        early.push(until - asked);
    }
    eprintln!("the last question that was answered was asked so long before the end: {early:?}");
    let nearest = early.iter().min().expect("at least one was answered");
    assert!(*nearest < Duration::from_millis(10), "{nearest:?}");
}

/// Does something to the filters of a device, of which the kernel then tells.
fn told(device: u32, act: impl FnOnce()) {
    let mut monitor = Monitor::open_for(Wants { filters: true, ..Wants::default() }).unwrap();
    act();
    loop {
        match monitor.next().unwrap() {
            Some(Change::Filters { index }) if index == device => return,
            Some(_) => {}
            None => wait_for(monitor.as_fd()),
        }
    }
}

#[test]
fn who_takes_a_gate_off_a_device_or_replaces_it_is_noticed() {
    let Some((cable, mut gate)) = node("who_takes_a_gate_off_a_device_or_replaces_it_is_noticed")
    else {
        return;
    };
    inside(&cable.right, || {
        let (netlink, device) = device();
        told(device, || assert!(netlink.delete_clsact(device).unwrap()));
        assert!(!gate.is_attached(&netlink, device).unwrap());
        told(device, || gate.attach(&netlink, device).unwrap());
        assert!(gate.is_attached(&netlink, device).unwrap());
        let addresses: [&[IpAddr]; 1] = [&[VIP.into()]];
        let mut other = Gate::open(&addresses).unwrap();
        told(device, || other.attach(&netlink, device).unwrap());
        assert!(!gate.is_attached(&netlink, device).unwrap());
        told(device, || assert!(gate::detach(&netlink, device).unwrap()));
    });
}

#[test]
fn a_gate_ends_by_itself_when_everything_of_ours_was_killed() {
    const TEST: &str = "a_gate_ends_by_itself_when_everything_of_ours_was_killed";
    const HOLDER: &str = "OUTLAST_TEST_HOLDER";
    if std::env::var_os(HOLDER).is_some() {
        hold();
        return;
    }
    let Some((cable, gate)) = node(TEST) else { return };
    let ping = inside(&cable.left, || Ping::open(Cable::LEFT.into(), VIP.into(), 9).unwrap());
    // Another process takes the place of this one's gate, which is shut.
    let program = std::env::current_exe().unwrap();
    let mut holder = inside(&cable.right, || {
        let mut command = Command::new(&program);
        command.args([OsStr::new("--exact"), TEST.as_ref(), "--nocapture".as_ref()]);
        command.env(HOLDER, "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        command.spawn().unwrap()
    });
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    let until = lines.find_map(|line| line.unwrap().strip_prefix("until ")?.parse().ok());
    let until = Time::from_nanos(until.expect("the holder opens its gate"));
    holder.kill().unwrap();
    holder.wait().unwrap();
    let (killed, mut sent, mut last) = (clock::now(), Vec::new(), 0);
    while clock::now() < until + OPEN_FOR {
        let now = clock::now();
        sent.push(now);
        ping.ask(u64::try_from(sent.len()).unwrap()).unwrap();
        while clock::now() < now + EVERY * 5 {
            last = ping.answer().unwrap_or(last);
        }
    }
    assert!(last > 0, "the kernel answers for the dead, {:?} more", until - killed);
    let asked = sent[usize::try_from(last).unwrap() - 1];
    assert!(asked < until, "asked {:?} too late, and answered", asked - until);
    assert!(Asker::on(&cable.left).finds_silent());
    // A later process knows the filters of the dead one for ours, and leaves nothing behind.
    inside(&cable.right, || {
        let (netlink, device) = device();
        assert!(!gate.is_attached(&netlink, device).unwrap());
        assert_eq!(netlink.filters(device, Direction::Out).unwrap().len(), 1);
        assert!(gate::detach(&netlink, device).unwrap());
        assert_eq!(netlink.filters(device, Direction::Out).unwrap(), []);
    });
    Asker::on(&cable.left).waits_for(VIP);
}

/// Opens a gate for seconds, says until when, and does nothing more.
fn hold() {
    let mut gate = Gate::open(&[[IpAddr::from(VIP)]]).unwrap();
    let (netlink, device) = device();
    gate.attach(&netlink, device).unwrap();
    let until = clock::now() + Duration::from_secs(2);
    gate.set(0, until);
    let mut out = std::io::stdout();
    writeln!(out, "until {}", until.as_nanos()).unwrap();
    let _ = std::io::stdin().read(&mut [0]);
}
