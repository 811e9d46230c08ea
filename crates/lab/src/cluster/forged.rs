//! `outlast lab forged SECONDS`: what a flood of forged datagrams costs an agent, and whether anybody is accused
//! because of it. One sender, as fast as it can, once from the address of no node and once from that of another
//! node; each packet has a head that costs a try with a key. A JSON object per sample, as `outlast lab cluster`.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use api::Role;
use sys::netlink::{AddressOptions, Netlink};

use super::measure::{FOLDER, NETWORKS, complain, heal, inside, say, used};
use super::{Cluster, Plan, accuses};
use crate::cloud::network::{Host, address};
use crate::cloud::node::OWN;

/// `port` of a cluster file without one: the agents'.
const PORT: u16 = 7411;
/// Where no node is.
const STRANGER: u8 = 90;
const VICTIM: u8 = 0;
const FORGED_PEER: u8 = 1;
/// As long as a beat of three nodes.
const BODY: usize = 96;
/// Sends between two looks at the clock.
const BURST: u32 = 64;

/// Must be called before the first thread is started.
pub(crate) fn main(words: &[&str]) -> ExitCode {
    let seconds = match words {
        [seconds] => seconds.parse().ok().filter(|seconds| (1..=600).contains(seconds)),
        _ => None,
    };
    let Some(seconds) = seconds else { return complain("outlast lab forged SECONDS") };
    inside(|| run(Duration::from_secs(seconds)))
}

/// A beat to the victim by its head, under a key that nobody has: see `engine::packet`.
fn forged() -> Vec<u8> {
    let mut packet = b"OUTL\x02\x01".to_vec();
    packet.extend([0, FORGED_PEER, 0, VICTIM, 0, 0]);
    packet.extend(u64::MAX.to_be_bytes());
    packet.extend(1_u64.to_be_bytes());
    packet.resize(packet.len() + BODY, 0x5a);
    packet
}

fn run(span: Duration) -> io::Result<()> {
    let plan = Plan {
        names: (1..=3).map(|number| format!("node{number:02}")).collect(),
        networks: NETWORKS.map(str::to_owned).to_vec(),
        lines: "detect = \"1s\"".to_owned(),
        ..Plan::default()
    };
    let mut cluster = Cluster::lay_out(Path::new(FOLDER), Path::new(OWN), plan)?;
    heal(&mut cluster)?;
    let addresses = [address(STRANGER, 0), address(STRANGER, 1)];
    let forger = Host::plug("forger", &addresses)?;
    let of_victim = cluster.nodes[usize::from(VICTIM)].host.as_ref();
    let macs = of_victim.map(|host| host.macs(1)).transpose()?.unwrap_or_default();
    forger.introduce(&[(address(VICTIM, 0), 0, macs[0])])?;
    for (name, from) in [("stranger", STRANGER), ("peer", FORGED_PEER)] {
        flood(&cluster, &forger, (name, from), span)?;
        heal(&mut cluster)?;
    }
    Ok(())
}

fn flood(
    cluster: &Cluster,
    forger: &Host,
    (name, from): (&str, u8),
    span: Duration,
) -> io::Result<()> {
    let victim = usize::from(VICTIM);
    let source = address(from, 0);
    let socket = sys::netns::within(forger.netns(), || {
        if from != STRANGER {
            let netlink = Netlink::open()?;
            let lo = netlink.link("lo")?.ok_or_else(|| io::Error::other("there is no lo"))?;
            netlink.add_address(lo.index, source.into(), 32, AddressOptions::default())?;
        }
        sys::socket::udp(SocketAddr::new(source.into(), 0), None)
    })??;
    let refused = || {
        let status = cluster.status(victim).ok_or_else(|| io::Error::other("no answer"))?;
        Ok::<_, io::Error>((status.refused.forged, status.refused.unread))
    };
    let pid = cluster.pid(victim, Role::Agent)?;
    let (before, cpu, begin) = (refused()?, used(pid)?, sys::clock::now());
    let to = SocketAddr::new(IpAddr::V4(address(VICTIM, 0)), PORT);
    let (packet, mut sent) = (forged(), 0_u32);
    while sys::clock::now().since(begin) < span {
        // A full queue of the device is the network's bound, not the victim's.
        sent += (0..BURST)
            .map(|_| u32::from(sys::socket::send_to(socket.as_fd(), &packet, to).is_ok()))
            .sum::<u32>();
    }
    let seconds = sys::clock::now().since(begin).as_secs_f64();
    let cpu = used(pid)?.saturating_sub(cpu).as_secs_f64();
    // The agent looks once a second at what the kernel threw away.
    std::thread::sleep(Duration::from_secs(2));
    let after = refused()?;
    let forged = count(after.0 - before.0);
    say(&format!("{name}: sent"), f64::from(sent) / seconds)?;
    say(&format!("{name}: read"), forged / seconds)?;
    say(&format!("{name}: unread"), count(after.1 - before.1) / seconds)?;
    say(&format!("{name}: agent cpu"), cpu / seconds * 100.0)?;
    if forged > 0.0 {
        say(&format!("{name}: time of one"), cpu * 1e6 / forged)?;
    }
    let heard = cluster.heard();
    let wrong = heard.iter().filter(|heard| heard.at >= begin && accuses(&heard.event));
    let mut accused = 0;
    for heard in wrong {
        let event = &heard.event;
        let who = cluster.name(heard.node);
        eprintln!("{who} of {}: {} {}", event.object, event.decision, event.evidence);
        accused += 1;
    }
    say(&format!("{name}: false verdicts"), f64::from(accused))
}

fn count(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
