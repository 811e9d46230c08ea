//! `outlast lab forged SECONDS`: what a flood of forged packets costs an agent and the vip process that holds the
//! address, and whether anybody is accused or an address moves because of it. One sender, as fast as it can: from
//! the address of no node and from that of another one to the agent, sealed packets that cost a try with a key; then
//! refusals (ICMP port unreachable) of packets that it is said to have sent from the port of the beats to a compute
//! node; then sealed packets from another node to the vip process; then adverts to all, with another password, of another
//! router id, and with the right password, as only a holder knows it. A JSON object per sample, as
//! `outlast lab cluster`.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use api::{RefusedAdvert, Role};
use sys::netlink::{AddressOptions, Netlink};
use sys::vrrp;

use super::measure::{FOLDER, NETWORKS, complain, heal, inside, say, used};
use super::{Cluster, Plan, accuses};
use crate::cloud::network::{Host, address};
use crate::cloud::node::OWN;
use crate::wait;

/// `port` of a cluster file without one: the agents'.
const PORT: u16 = 7411;
/// Where no node is.
const STRANGER: u8 = 90;
const VICTIM: u8 = 0;
const FORGED_PEER: u8 = 1;
/// Whose kernel is said to refuse: the only compute node.
const COMPUTE: u8 = 3;
/// Three adverts, beside the start of all.
const PATIENCE: Duration = Duration::from_secs(30);
/// As long as a beat of three nodes.
const BODY: usize = 96;
/// Sends between two looks at the clock.
const BURST: u32 = 64;
/// The virtual IP of all.
const ROUTER_ID: u8 = 51;
const PASSWORD: [u8; 8] = *b"guessme\0";
const VIP: &str = "[vip.lab]\naddress = \"10.79.0.40\"\nrouter_id = 51\npassword = \"guessme\"";

/// What a flood is of.
#[derive(Clone, Copy)]
enum Flood {
    /// Sealed packets of that kind to a port of the victim.
    Sealed {
        role: Role,
        kind: u8,
        port: u16,
    },
    /// ICMP that quotes a packet from this port of the victim.
    Refusals {
        port: u16,
    },
    Adverts {
        router_id: u8,
        password: [u8; 8],
    },
}

/// Must be called before the first thread is started.
pub(crate) fn main(words: &[&str]) -> ExitCode {
    let seconds = match words {
        [seconds] => seconds.parse().ok().filter(|seconds| (1..=600).contains(seconds)),
        _ => None,
    };
    let Some(seconds) = seconds else { return complain("outlast lab forged SECONDS") };
    inside(|| run(Duration::from_secs(seconds)))
}

/// A packet to the victim by its head, under a key that nobody has: see `engine::packet`.
fn forged(kind: u8, victim: u8) -> Vec<u8> {
    let mut packet = b"OUTL\x02".to_vec();
    packet.extend([kind, 0, peer_of(victim), 0, victim, 0, 0]);
    packet.extend(u64::MAX.to_be_bytes());
    packet.extend(1_u64.to_be_bytes());
    packet.resize(packet.len() + BODY, 0x5a);
    packet
}

/// Port unreachable (RFC 792) for a datagram from this port of the victim to that of the compute node.
fn refusal(victim: u8, port: u16) -> Vec<u8> {
    const HEAD: [u8; 12] = [0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0];
    let mut rest = [&[0; 4], HEAD.as_slice()].concat();
    rest.extend(address(victim, 0).octets());
    rest.extend(address(COMPUTE, 0).octets());
    rest.extend([port.to_be_bytes(), PORT.to_be_bytes(), 8_u16.to_be_bytes(), [0; 2]].concat());
    sys::ping::message(3, 3, &rest)
}

/// Another node: whose name is on what is forged.
const fn peer_of(victim: u8) -> u8 {
    if victim == FORGED_PEER { VICTIM } else { FORGED_PEER }
}

/// The weakest advert for the address, by RFC 3768 5.1.
fn advert(router_id: u8, password: [u8; 8]) -> Vec<u8> {
    let mut bytes = vec![0x21, router_id, 1, 1, 1, 1, 0, 0, 10, 79, 0, 40];
    bytes.extend(password);
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum = words.sum::<u32>();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap_or(u16::MAX);
    bytes[6..8].copy_from_slice(&(!sum).to_be_bytes());
    bytes
}

fn run(span: Duration) -> io::Result<()> {
    let plan = Plan {
        names: (1..=4).map(|number| format!("node{number:02}")).collect(),
        computes: 1,
        networks: NETWORKS.map(str::to_owned).to_vec(),
        lines: format!("detect = \"1s\"\n{VIP}"),
    };
    let mut cluster = Cluster::lay_out(Path::new(FOLDER), Path::new(OWN), plan)?;
    heal(&mut cluster)?;
    let addresses = [address(STRANGER, 0), address(STRANGER, 1)];
    let forger = Host::plug("forger", &addresses)?;
    let beats = Flood::Sealed { role: Role::Agent, kind: 1, port: PORT };
    let orders = Flood::Sealed { role: Role::Vip, kind: 3, port: PORT + 1 };
    let adverts = |router_id, password| Flood::Adverts { router_id, password };
    let guessed = *b"guessed\0";
    for (name, is_peer, flood) in [
        ("stranger", false, beats),
        ("peer", true, beats),
        ("refusals", false, Flood::Refusals { port: PORT }),
        ("hand-overs", true, orders),
        ("password", false, adverts(ROUTER_ID, guessed)),
        ("router id", false, adverts(ROUTER_ID + 1, PASSWORD)),
        ("weaker", false, adverts(ROUTER_ID, PASSWORD)),
    ] {
        let victim = holder(&cluster)?;
        introduce(&cluster, &forger, victim)?;
        let from = if is_peer { peer_of(victim) } else { STRANGER };
        measure(&cluster, &forger, (name, from, flood, victim), span)?;
        heal(&mut cluster)?;
    }
    Ok(())
}

/// Who holds the address, as soon as somebody does.
fn holder(cluster: &Cluster) -> io::Result<u8> {
    let holds = |node: &usize| {
        let status = cluster.status(*node);
        status.is_some_and(|status| status.vips.iter().any(|vip| vip.state.holding))
    };
    let mut found = None;
    let look = || {
        found = (0..3).find(holds);
        found.is_some()
    };
    if !wait::until(PATIENCE, look) {
        return Err(io::Error::other("nobody holds the address"));
    }
    Ok(found.and_then(|node| u8::try_from(node).ok()).unwrap_or(VICTIM))
}

fn introduce(cluster: &Cluster, forger: &Host, victim: u8) -> io::Result<()> {
    let of_victim = cluster.nodes[usize::from(victim)].host.as_ref();
    let macs = of_victim.map(|host| host.macs(1)).transpose()?.unwrap_or_default();
    forger.introduce(&[(address(victim, 0), 0, macs[0])])
}

/// Sends one packet of the flood.
type Sender = Box<dyn Fn() -> bool + Send>;

fn sender(forger: &Host, from: u8, flood: Flood, victim: u8) -> io::Result<Sender> {
    let source = address(from, 0);
    sys::netns::within(forger.netns(), || {
        if from != STRANGER {
            let netlink = Netlink::open()?;
            let lo = netlink.link("lo")?.ok_or_else(|| io::Error::other("there is no lo"))?;
            netlink.add_address(lo.index, source.into(), 32, AddressOptions::default())?;
        }
        Ok::<Sender, io::Error>(match flood {
            Flood::Sealed { kind, port, .. } => {
                let socket = sys::socket::udp(SocketAddr::new(source.into(), 0), None)?;
                let to = SocketAddr::new(IpAddr::V4(address(victim, 0)), port);
                let packet = forged(kind, victim);
                Box::new(move || sys::socket::send_to(socket.as_fd(), &packet, to).is_ok())
            }
            Flood::Refusals { port } => {
                let socket = sys::ping::raw(source)?;
                let to = SocketAddr::new(IpAddr::V4(address(victim, 0)), 0);
                let packet = refusal(victim, port);
                Box::new(move || sys::socket::send_to(socket.as_fd(), &packet, to).is_ok())
            }
            Flood::Adverts { router_id, password } => {
                let socket = vrrp::Socket::open("eth0", true)?;
                let packet = advert(router_id, password);
                Box::new(move || socket.send(source.into(), vrrp::GROUP.into(), &packet).is_ok())
            }
        })
    })?
}

/// What of a flood the victim read, and what the kernel threw away.
fn refused(cluster: &Cluster, flood: Flood, victim: usize) -> io::Result<(u64, u64)> {
    let status = cluster.status(victim).ok_or_else(|| io::Error::other("no answer"))?;
    let sealed = |refused: api::RefusedPackets| (refused.forged, refused.unread);
    Ok(match flood {
        Flood::Sealed { role: Role::Vip, .. } => sealed(status.vip_refused),
        Flood::Sealed { .. } | Flood::Refusals { .. } => sealed(status.refused),
        Flood::Adverts { .. } => {
            let all = status.adverts_refused.iter();
            let (unread, read): (Vec<_>, Vec<_>) =
                all.partition(|adverts| adverts.reason == RefusedAdvert::Unread);
            let sum = |all: Vec<&api::RefusedAdverts>| all.iter().map(|one| one.count).sum();
            (sum(read), sum(unread))
        }
    })
}

fn measure(
    cluster: &Cluster,
    forger: &Host,
    (name, from, flood, victim): (&str, u8, Flood, u8),
    span: Duration,
) -> io::Result<()> {
    let send = sender(forger, from, flood, victim)?;
    let victim = usize::from(victim);
    let role = match flood {
        Flood::Sealed { role, .. } => role,
        Flood::Refusals { .. } => Role::Agent,
        Flood::Adverts { .. } => Role::Vip,
    };
    let pid = cluster.pid(victim, role)?;
    let (before, cpu, begin) = (refused(cluster, flood, victim)?, used(pid)?, sys::clock::now());
    let mut sent = 0_u32;
    while sys::clock::now().since(begin) < span {
        // A full queue of the device is the network's bound, not the victim's.
        sent += (0..BURST).map(|_| u32::from(send())).sum::<u32>();
    }
    let seconds = sys::clock::now().since(begin).as_secs_f64();
    let cpu = used(pid)?.saturating_sub(cpu).as_secs_f64();
    // Once a second it is told what came, and looked at what the kernel threw away.
    std::thread::sleep(Duration::from_secs(2));
    let after = refused(cluster, flood, victim)?;
    let read = count(after.0 - before.0);
    say(&format!("{name}: sent"), f64::from(sent) / seconds)?;
    say(&format!("{name}: read"), read / seconds)?;
    say(&format!("{name}: unread"), count(after.1 - before.1) / seconds)?;
    say(&format!("{name}: cpu"), cpu / seconds * 100.0)?;
    if read > 0.0 {
        say(&format!("{name}: time of one"), cpu * 1e6 / read)?;
    }
    let (mut accused, mut moved) = (0, 0);
    for heard in cluster.heard().iter().filter(|heard| heard.at >= begin) {
        let event = &heard.event;
        let moves = ["vip-claimed", "vip-released", "vip-lost"].contains(&event.what.as_str());
        if accuses(event) || moves {
            let who = cluster.name(heard.node);
            eprintln!("{who} of {}: {} {}", event.object, event.decision, event.evidence);
        }
        accused += u32::from(accuses(event));
        moved += u32::from(moves);
    }
    say(&format!("{name}: false verdicts"), f64::from(accused))?;
    say(&format!("{name}: moves"), f64::from(moved))
}

fn count(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
