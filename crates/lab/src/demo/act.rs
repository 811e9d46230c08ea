//! What each fault does to the cloud.

use std::io;
use std::time::Duration;

use api::{Command, Role};
use base::Time;
use sys::process::{SIGKILL, SIGSTOP, SIGUSR1};

use super::scenario::{Fault, Scenario};
use crate::cloud::Cloud;
use crate::cloud::node::{Node, Part, Software, kill};

/// Whom a fault will hit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Victims {
    /// Answers for the virtual IP.
    pub(super) holder: usize,
    /// A node that is not the holder, and does not run the database in use if there is one such.
    pub(super) other: usize,
    pub(super) database: usize,
}

impl Victims {
    pub(super) fn choose(cloud: &Cloud) -> io::Result<Self> {
        let none = |what: &str| io::Error::other(format!("there is no {what}"));
        let holder = cloud.holder().ok_or_else(|| none("holder"))?;
        let database = cloud.database_in_use().ok_or_else(|| none("database in use"))?;
        let others =
            || (0..cloud.nodes.len()).filter(|node| *node != holder && cloud.nodes[*node].is_on());
        let other = others().find(|node| *node != database).or_else(|| others().next());
        Ok(Self { holder, other: other.ok_or_else(|| none("other node"))?, database })
    }
}

/// Brings the cloud into the state in which the fault happens.
pub(super) fn prepare(cloud: &mut Cloud, scenario: &Scenario) -> io::Result<Option<Victims>> {
    if scenario.server_timeout.is_some() {
        cloud.write_files(scenario.server_timeout)?;
        cloud.reload()?;
    }
    let victims = Victims::choose(cloud)?;
    if scenario.fault == Fault::StartAll {
        cloud.nodes.iter_mut().try_for_each(Node::power_off)?;
        cloud.nodes.iter_mut().try_for_each(Node::plug_in)?;
        return Ok(None);
    }
    let both = scenario.fault == Fault::TwoReturn;
    if both || scenario.fault == Fault::OneReturns {
        cloud.nodes[victims.holder].power_off()?;
        if both {
            cloud.nodes[victims.other].power_off()?;
        }
        cloud.wait_until_healthy()?;
    }
    Ok(Some(victims))
}

/// Does the fault.
pub(super) fn strike(cloud: &mut Cloud, fault: Fault, victims: Option<Victims>) -> io::Result<()> {
    let Some(Victims { holder, other, database }) = victims else { return cloud.revive() };
    match fault {
        Fault::KillBalancer => kill(balancer(cloud, holder)?, SIGKILL),
        Fault::FreezeBalancer => kill(balancer(cloud, holder)?, SIGSTOP),
        Fault::KillVip => kill(vip(cloud, holder)?, SIGKILL),
        Fault::KillAgent => kill(cloud.pid(holder, Role::Agent)?, SIGKILL),
        Fault::KillSupervisor => {
            let part = supervisor(cloud, holder);
            return cloud.nodes[holder].kill(part);
        }
        Fault::StopNode => return cloud.stop_gracefully(holder),
        Fault::MoveAway => {
            let (vip, to) = (cloud.vip_name(holder)?, cloud.nodes[other].name.clone());
            return cloud.command(holder, Command::Move { vip, to });
        }
        Fault::Standby => {
            let node = cloud.nodes[holder].name.clone();
            return cloud.command(holder, Command::Standby { node });
        }
        Fault::PowerOffHolder => return cloud.nodes[holder].power_off(),
        Fault::HolderLinkDown => {
            if let Some(host) = cloud.nodes[holder].host() {
                host.set_carrier(0, false)?;
            }
        }
        Fault::KillServer => return cloud.nodes[other].kill(Part::Web),
        Fault::VanishServer => return cloud.nodes[other].signal(Part::Web, SIGUSR1),
        Fault::FreezeServer => return cloud.nodes[other].signal(Part::Web, SIGSTOP),
        Fault::KillDatabase => return cloud.nodes[database].kill(Part::Database),
        Fault::PowerOffTwo => {
            // Both cables first: neither may see the other one die.
            for node in [holder, other] {
                if let Some(host) = cloud.nodes[node].host() {
                    host.cut()?;
                }
            }
            cloud.nodes[holder].power_off()?;
            cloud.nodes[other].power_off()?;
        }
        Fault::OneReturns | Fault::TwoReturn | Fault::StartAll => return cloud.revive(),
    }
    Ok(())
}

/// The second half of a fault that has one, after half of the time.
pub(super) fn second_half(
    cloud: &mut Cloud,
    fault: Fault,
    victims: Option<Victims>,
) -> io::Result<()> {
    match (fault, victims) {
        (Fault::KillDatabase, Some(victims)) => cloud.revive_one(victims.database),
        (Fault::Standby, Some(victims)) => {
            let node = cloud.nodes[victims.holder].name.clone();
            cloud.command(victims.holder, Command::Resume { node })
        }
        _ => Ok(()),
    }
}

/// Sleeps until the window of measurement ends; a client that died ends it early.
pub(super) fn until(end: Time, running: impl Fn() -> bool) {
    while running() && sys::clock::now() < end {
        let left = end.since(sys::clock::now());
        std::thread::sleep(left.min(Duration::from_millis(100)));
    }
}

/// Whether the stock pair has the part at all.
pub(super) fn concerns(software: &Software, fault: Fault) -> bool {
    let is_ours = matches!(fault, Fault::KillAgent | Fault::MoveAway | Fault::Standby);
    *software != Software::Stock || !is_ours
}

fn supervisor(cloud: &Cloud, node: usize) -> Part {
    if cloud.nodes[node].software == Software::Stock { Part::Keepalived } else { Part::Outlast }
}

/// Looked up before the fault's clock starts would be better, but takes under a millisecond.
fn balancer(cloud: &mut Cloud, node: usize) -> io::Result<i32> {
    if cloud.nodes[node].software == Software::Stock {
        return cloud.nodes[node].pid_for_fault(Part::Haproxy);
    }
    cloud.pid(node, Role::Proxy)
}

fn vip(cloud: &Cloud, node: usize) -> io::Result<i32> {
    if cloud.nodes[node].software == Software::Stock {
        let text = std::fs::read_to_string(cloud.nodes[node].folder.join("vrrp.pid"))?;
        return text.trim().parse().map_err(io::Error::other);
    }
    cloud.pid(node, Role::Vip)
}
