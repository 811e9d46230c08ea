//! Who is told how virtual IPs stand: programs, and pipes.

use std::time::Duration;

/// A program that is run as keepalived runs its scripts: no shell.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Program {
    /// Its path or name, and its arguments.
    pub command: Vec<String>,
    pub user: Option<String>,
    pub group: Option<String>,
    /// Not run as root while others than root could change it (`enable_script_security`).
    pub secure: bool,
}

/// Programs of one virtual IP (`notify`, `notify_master` and so on).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Notify {
    /// Told of every state, with four arguments: `INSTANCE`, the name, the state, the priority.
    pub every: Option<Program>,
    pub master: Option<Program>,
    pub backup: Option<Program>,
    pub fault: Option<Program>,
    pub stop: Option<Program>,
    pub deleted: Option<Program>,
    /// Told of a weaker router that says that it holds the address while this node does (`notify_master_rx_lower_pri`).
    pub weaker_rival: Option<Program>,
    /// One that goes out of the file is told as `DELETED`; otherwise, as keepalived has it of old, as `FAULT`.
    pub says_deleted: bool,
    /// Pipes are told of each change of the priority, too.
    pub priority_changes: bool,
}

impl Notify {
    /// All programs, to look at or to change.
    pub fn programs(&mut self) -> impl Iterator<Item = &mut Option<Program>> {
        let Self { every, master, backup, fault, stop, deleted, weaker_rival, .. } = self;
        [every, master, backup, fault, stop, deleted, weaker_rival].into_iter()
    }
}

/// Virtual IPs that are held together (`vrrp_sync_group`), as programs and pipes are told of them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Group {
    pub name: String,
    /// Names of its instances; not empty.
    pub members: Vec<String>,
    /// `notify`, `notify_master` and its like of the group.
    pub notify: Notify,
}

/// A program that runs once, at the start or at the end of the node.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Hook {
    pub program: Option<Program>,
    /// After so long it is ended.
    pub timeout: Duration,
}

/// A named pipe that gets a line of each change (`notify_fifo`, `vrrp_notify_fifo`).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Fifo {
    pub path: String,
    /// Whose it is, if it has to be made.
    pub user: Option<String>,
    pub group: Option<String>,
    /// Started with the path as its last argument, to read it.
    pub reader: Option<Program>,
}
