//! What is done to the node that holds the virtual IP, and how it is undone.

use std::io;
use std::time::Duration;

use api::Role;
use sys::process::{SIGKILL, SIGSTOP, Signal};

use crate::cloud::network::DEMO_NETWORKS;
use crate::cloud::node::{Part, Software, kill, signal_all_inside};
use crate::cloud::{Cloud, ask};

/// One row of the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// SIGKILL of the process that has the address: ours the vip process, keepalived's its worker.
    KillVip,
    /// SIGKILL of its parent: the supervisor.
    KillParent,
    /// SIGKILL of all processes of the program at once: nobody is left who could say so.
    KillAll,
    ProxyKilled,
    ProxyFrozen,
    Stop,
    /// The carrier of the client network is lost; the other network is whole.
    LinkDown,
    /// What is sent on the client network is lost without a word; the other network is whole.
    Silent,
    /// Off on all networks at once, and started anew at the heal.
    Gone,
    /// Cut off from all networks while it lives.
    Apart,
    /// No controller reaches another one; the client reaches all.
    Split,
}

impl Fault {
    pub(crate) const ALL: [Self; 11] = [
        Self::KillVip,
        Self::KillParent,
        Self::KillAll,
        Self::ProxyKilled,
        Self::ProxyFrozen,
        Self::Stop,
        Self::LinkDown,
        Self::Silent,
        Self::Gone,
        Self::Apart,
        Self::Split,
    ];

    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::KillVip => "kill-vip",
            Self::KillParent => "kill-parent",
            Self::KillAll => "kill-all",
            Self::ProxyKilled => "proxy-killed",
            Self::ProxyFrozen => "proxy-frozen",
            Self::Stop => "stop",
            Self::LinkDown => "link-down",
            Self::Silent => "silent",
            Self::Gone => "gone",
            Self::Apart => "apart",
            Self::Split => "split",
        }
    }

    #[must_use]
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }

    /// Whether the program has such a part: of keepalived's processes the kernel keeps the address when both are killed.
    #[must_use]
    pub(crate) fn concerns(self, software: &Software) -> bool {
        *software != Software::Stock || self != Self::KillAll
    }

    /// What the heal is called, where it is looked at: the node that was away comes back.
    #[must_use]
    pub(crate) fn heal(self) -> Option<&'static str> {
        match self {
            Self::LinkDown | Self::Silent | Self::Apart => Some("heal"),
            Self::Gone => Some("return"),
            Self::Split => Some("split-heal"),
            Self::KillVip
            | Self::KillParent
            | Self::KillAll
            | Self::ProxyKilled
            | Self::ProxyFrozen
            | Self::Stop => None,
        }
    }

    #[must_use]
    pub(crate) fn hurts_proxy(self) -> bool {
        matches!(self, Self::ProxyKilled | Self::ProxyFrozen)
    }

    /// How long to look.
    #[must_use]
    pub(crate) fn watch(self, software: &Software) -> Duration {
        let stock = *software == Software::Stock;
        Duration::from_millis(match (self, stock) {
            (Self::Gone, false) => 2_000,
            (Self::ProxyFrozen | Self::Silent | Self::Split, false) => 1_200,
            (_, false) => 800,
            (Self::ProxyFrozen, true) => 60_000,
            (Self::Gone, true) => 26_000,
            (Self::ProxyKilled, true) => 12_000,
            (_, true) => 8_000,
        })
    }

    /// Does it to a node; the pids were looked up before.
    pub(crate) fn strike(self, cloud: &mut Cloud, target: &Target) -> io::Result<()> {
        let node = target.node;
        match self {
            Self::KillVip | Self::ProxyKilled => target.signal(SIGKILL),
            Self::ProxyFrozen => target.signal(SIGSTOP),
            Self::KillParent => return cloud.nodes[node].kill(parent(&cloud.software)),
            Self::KillAll => {
                // The supervisor is the first: it must not see the others die.
                target.pids.first().into_iter().for_each(|pid| kill(*pid, SIGSTOP));
                target.pids.iter().rev().for_each(|pid| kill(*pid, SIGKILL));
            }
            Self::Stop => return cloud.stop_gracefully(node),
            Self::LinkDown => return host(cloud, node)?.set_carrier(0, false),
            Self::Silent => return host(cloud, node)?.set_joined(0, false),
            // The client's network last: it is gone when both are.
            Self::Gone | Self::Apart => {
                let host = host(cloud, node)?;
                return (0..DEMO_NETWORKS).rev().try_for_each(|n| host.set_joined(n, false));
            }
            Self::Split => return isolate(cloud, true),
        }
        Ok(())
    }

    /// Undoes it as far as the network is concerned; a node that was off is started.
    pub(crate) fn undo(self, cloud: &mut Cloud, node: usize) -> io::Result<()> {
        match self {
            Self::LinkDown => host(cloud, node)?.set_carrier(0, true),
            Self::Silent => host(cloud, node)?.set_joined(0, true),
            Self::Apart => {
                let host = host(cloud, node)?;
                (0..DEMO_NETWORKS).try_for_each(|n| host.set_joined(n, true))
            }
            Self::Gone => cloud.revive(),
            Self::Split => isolate(cloud, false),
            Self::KillVip
            | Self::KillParent
            | Self::KillAll
            | Self::ProxyKilled
            | Self::ProxyFrozen
            | Self::Stop => Ok(()),
        }
    }
}

/// Whom a fault hits.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) node: usize,
    /// Of the processes that are hit, looked up beforehand.
    pub(crate) pids: Vec<i32>,
}

impl Target {
    pub(crate) fn signal(&self, signal: Signal) {
        self.pids.iter().for_each(|pid| kill(*pid, signal));
    }

    /// # Errors
    /// When the node has no such process.
    pub(crate) fn find(cloud: &mut Cloud, fault: Fault, node: usize) -> io::Result<Self> {
        let stock = cloud.software == Software::Stock;
        let pids = match (fault, stock) {
            (Fault::KillVip, false) => vec![cloud.pid(node, Role::Vip)?],
            (Fault::KillVip, true) => {
                let text = std::fs::read_to_string(cloud.nodes[node].folder.join("vrrp.pid"))?;
                vec![text.trim().parse().map_err(io::Error::other)?]
            }
            (Fault::ProxyKilled | Fault::ProxyFrozen, false) => vec![cloud.pid(node, Role::Proxy)?],
            (Fault::ProxyKilled | Fault::ProxyFrozen, true) => {
                vec![cloud.nodes[node].pid_for_fault(Part::Haproxy)?]
            }
            (Fault::KillAll, _) => {
                let parent = parent(&cloud.software);
                let supervisor = cloud.nodes[node].pid_for_fault(parent)?;
                let status = ask::status(&cloud.nodes[node].folder);
                let status = status.ok_or_else(|| io::Error::other("no answer to `status`"))?;
                let all = status.processes.iter().filter(|p| p.running).map(|p| p.pid);
                let others = all.filter(|pid| *pid != supervisor);
                std::iter::once(supervisor).chain(others).collect()
            }
            (
                Fault::KillParent
                | Fault::Stop
                | Fault::LinkDown
                | Fault::Silent
                | Fault::Gone
                | Fault::Apart
                | Fault::Split,
                _,
            ) => vec![],
        };
        Ok(Self { node, pids })
    }
}

/// Everything is in its switch, has its carrier, sees everybody, and goes on.
pub(crate) fn mend(cloud: &mut Cloud) -> io::Result<()> {
    for node in &cloud.nodes {
        if let Some(host) = node.host() {
            // A port that comes back into its switch reaches everybody there.
            host.join()?;
            (0..DEMO_NETWORKS).try_for_each(|network| host.set_carrier(network, true))?;
            signal_all_inside(host, sys::process::SIGCONT)?;
        }
    }
    isolate(cloud, false)?;
    cloud.revive()
}

fn parent(software: &Software) -> Part {
    if *software == Software::Stock { Part::Keepalived } else { Part::Outlast }
}

fn host(cloud: &Cloud, node: usize) -> io::Result<&crate::cloud::network::Host> {
    let off = || io::Error::other(format!("{} is off", cloud.nodes[node].name));
    cloud.nodes[node].host().ok_or_else(off)
}

/// Of all controllers on all networks.
pub(crate) fn isolate(cloud: &Cloud, isolated: bool) -> io::Result<()> {
    let hosts = cloud.nodes.iter().filter_map(crate::cloud::node::Node::host);
    hosts.into_iter().try_for_each(|host| {
        (0..DEMO_NETWORKS).try_for_each(|network| host.set_isolated(network, isolated))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_found_by_its_name() {
        for fault in Fault::ALL {
            assert_eq!(Fault::named(fault.name()), Some(fault));
        }
        assert_eq!(Fault::named("none"), None);
    }
}
