//! Orders and reports between the supervisor and its children.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{
    Change, Choice, Duty, Event, Mode, NodeState, References, RefusedAdverts, RefusedPackets,
    ServerState, StoreState, VipCounts, VipProcess, VipState, VoterList, VotersInUse,
};

/// The version of every message of this crate.
pub const VERSION: u32 = 2;

/// No message is longer, so a receiver's buffer of this size always suffices (bytes). Lists that
/// could outgrow it are sent in parts.
pub const MAX_MESSAGE: usize = 128 * 1024;

/// The processes of a node.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Supervisor,
    Vip,
    Agent,
    /// The proxy that serves.
    Proxy,
    /// The warm spare: configured, holding the listening sockets, not accepting.
    Spare,
    /// Dashboard and metrics; may crash freely.
    Services,
    /// A member of the replicated store.
    Store,
}

/// Supervisor to child.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The first message. Descriptors: one per entry of `files` (the text, from offset 0), then one
    /// per entry of `sockets`.
    Start(Box<Start>),
    /// Spare: begin to accept. Answered by `Report::Serving` after the first `epoll_wait` returned
    /// to each thread.
    Activate,
    /// Proxy: stop accepting, close idle keep-alive connections, end when the last session ended.
    Drain,
    /// Answered by `Report::Pong` only after every data thread has seen it.
    Ping(u64),
    /// End now, in order: a vip process releases and hands over first.
    Stop,
    /// Vip: end without releasing anything, a successor process has adopted it.
    Retire,
    /// Vip: leave everything to the process at the other end of the descriptor beside it, which reads it in the forms `oldest` to `newest`
    /// ([`crate::bequest`]), say nothing more, and end. Answered by `Report::Kept` where it cannot.
    Succeed { oldest: u32, newest: u32 },
    /// Vip: give these instances up, in order, while the others are held: the next configuration has them no more.
    GiveUp { instances: Vec<u16> },
    /// A fact that changed.
    Change(Change),
    /// Agent only: something another child reported.
    Relay(Role, Box<Report>),
    /// Vip and agent: other keys of the node's pairs from now on. The descriptor beside it has the text.
    Keys,
    /// Vip: an operator wants that node (by its position in the cluster file) to hold the addresses
    /// of this instance.
    Move { instance: u16, to: u16 },
    /// Vip: an operator wants that the address of this instance goes by its rules again.
    Anywhere { instance: u16 },
    /// Vip: what was counted; `clear`: counting begins anew after that.
    Count { clear: bool },
    /// Proxy: an operator wants this server of a listener with one writer to be used.
    Use { proxy: String, server: String },
    /// Agent: the generation that it asked for is not in force, and why. `at_start`: only a start can do what
    /// it needs.
    Refused { generation: u64, why: String, at_start: bool },
}

/// How a child is to run.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Start {
    pub mode: Mode,
    /// The name of this node in the cluster file; the host's name where there is none.
    pub node: String,
    /// Counts configurations in force since the supervisor started.
    pub generation: u64,
    /// Folder for the control socket and the lock.
    pub run_dir: String,
    /// Folder for the event log.
    pub state_dir: String,
    /// Grows with every process that this node ever starts, whatever its clock says: what is sealed
    /// carries it, so that nothing old is taken for new.
    pub life: u64,
    /// Only tests of the demo's judgement set this.
    pub breaks: Vec<Break>,
    pub files: Vec<FileName>,
    pub sockets: Vec<SocketName>,
    /// Vip: instances (by index in the effective configuration) whose address this node holds
    /// already and keeps.
    pub adopt: Vec<u16>,
    /// Vip: what those instances had before and have no more; taken off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<std::net::IpAddr>,
    /// Vip: a process before this one is gone, and nothing answers any more for what it had a vip lease of.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
    /// Vip: a process of this life runs, and leaves what it has to this one through the first descriptor behind those of the files; the second
    /// one, if there is one, has the memory of its gate.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub heir: bool,
    /// Vip: by which list of voters it begins; none: all controllers of the file vote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voters: Option<VotersInUse>,
    /// Proxy: what is known about servers from the generation before.
    pub servers: Vec<ServerState>,
    /// Proxy: the present choice of each listener with one writer.
    pub choices: Vec<Choice>,
    /// Proxy: what is known about nodes.
    pub nodes: Vec<NodeState>,
}

/// A configuration file handed over as a descriptor.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct FileName {
    pub kind: FileKind,
    /// As the operator wrote it, for messages.
    pub path: String,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    Haproxy,
    Keepalived,
    Cluster,
    Secret,
    /// What a browser must know to see the dashboard from elsewhere.
    Token,
}

/// A listening socket handed over as a descriptor.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SocketName {
    /// A proxy's `bind`: name of the proxy, number of the bind line's address within it.
    Bind { proxy: String, index: u16 },
    /// `stats socket`: number in `global`.
    Stats { index: u16 },
    /// The dashboard's: number in `[dashboard] listen`.
    Dashboard { index: u16 },
}

/// Something broken on purpose, so that a test can prove that the demo's judgement notices.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Break {
    /// No warm spare is kept, a dead proxy stays dead for 3 s.
    Spare,
    /// No gratuitous ARP is sent.
    ArpBurst,
    /// A failed connect is not tried elsewhere.
    Redispatch,
    /// Every node takes the address.
    SecondHolder,
    /// The hand-over names nobody and no goodbye is sent.
    Successor,
    /// The database listener goes back to its first server.
    FailBack,
}

/// Child to supervisor.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// Configured; a spare may be activated from now on.
    Ready {
        generation: u64,
    },
    /// Vip, one that is to go on in the place of another: everything is open. It reads what is left to it in the forms `oldest` to `newest`.
    Heir {
        oldest: u32,
        newest: u32,
    },
    /// Vip: the answer to `Order::Succeed`: nothing was left to anybody, this process goes on. `again`: another one may read it.
    Kept {
        why: String,
        again: bool,
    },
    /// Accepting connections.
    Serving {
        generation: u64,
    },
    Pong(u64),
    /// Is about to wait for the kernel, which may take longer than a ping may: another process may
    /// hold the lock of all networks. The next pong ends it.
    Busy,
    /// Cannot go on, and why; the child ends after it.
    Failed {
        why: String,
    },
    Vip(VipState),
    /// Vip: the memory by which the kernel ends its vip leases is behind the descriptor beside this, with so many cells.
    /// Whoever has it can shut them.
    Gate {
        cells: u16,
    },
    /// Vip: the answer to `Order::Count`, one for each instance.
    Counts(Vec<VipCounts>),
    /// Servers whose state changed (at start: all), at most 256 per message.
    Servers(Vec<ServerState>),
    Choice(Choice),
    Node(NodeState),
    /// Vip: datagrams that were not believed, since it started; once a second at most.
    Refused(RefusedPackets),
    /// Vip: counts of what was not obeyed, those that grew, 128 at most; once a second at most.
    Adverts(Vec<RefusedAdverts>),
    /// Vip: that node (by its position in the cluster file) is silent in vip beats on every network, or (false) no more.
    /// An opinion.
    Silence {
        node: u16,
        silent: bool,
    },
    /// Vip: a weaker router says that it holds the address of this instance, which this node does; at most each 10 ms.
    Rival {
        instance: u16,
    },
    /// Vip: about itself; once a second at most.
    VipProcess(VipProcess),
    Event(Event),
    /// Agent: an operator put this node on standby, drains it, or ended that; it is on the disk.
    Duty(Duty),
    /// Agent: names of the nodes that the cluster has committed as off.
    Proven(Vec<String>),
    /// Agent: which networks have a reference point that answers this node.
    References(References),
    /// Agent: the trust folder has other keys than those it was told last.
    Keys,
    /// Agent: this generation of the configuration lies beside the files that are used. Answered by
    /// `Order::Refused`, or by a new agent that is started with it.
    Apply {
        generation: u64,
    },
    /// Agent: an operator wants this, and nothing speaks against it.
    Move {
        instance: u16,
        to: u16,
    },
    /// Agent: an operator wants this, and nothing speaks against it.
    Anywhere {
        instance: u16,
    },
    /// Agent: whether this node coordinates, as the store says.
    Coordinates(bool),
    /// Agent: the newest list of voters that the store has; none: it has none. It is on this node's disk.
    Voters(Option<VoterList>),
    /// Agent: an operator wants this server to be used, and nothing speaks against it.
    Use {
        proxy: String,
        server: String,
    },
    /// Proxy: what its statistics socket was told to do with a server, by whom.
    Wished(Wished),
    /// Store: its part of the store, whenever that changed; at most twice a second.
    Store(Box<StoreState>),
}

/// What somebody wants of a server of the balancer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Wished {
    /// `uid 0 (pid 812)` by the kernel's word, or an address.
    pub by: String,
    /// `PROXY/SERVER`.
    pub server: String,
    /// `ready`, `drain` or `maint`.
    pub to: String,
    /// 0: this is one wish. Else so many more like it, which were only counted; with an empty `server`, so
    /// many of anybody for anything.
    #[serde(default)]
    pub more: u64,
}

/// Why bytes are no message.
#[derive(Debug)]
pub enum ReadError {
    Json(serde_json::Error),
    /// Another version of the program speaks.
    Version(u32),
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Json(_) => f.write_str("cannot read a message"),
            Self::Version(v) => {
                write!(f, "a message has version {v}, this program speaks {VERSION}")
            }
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Json(error) => Some(error),
            Self::Version(_) => None,
        }
    }
}

#[derive(Serialize)]
struct Out<'a, T> {
    v: u32,
    msg: &'a T,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

#[derive(Deserialize)]
struct In<T> {
    msg: T,
}

/// Writes `message` behind what `buffer` already holds.
///
/// # Panics
/// Never for the types of this crate: they have no maps with keys that are not strings.
pub fn encode<T: Serialize>(message: &T, buffer: &mut Vec<u8>) {
    serde_json::to_writer(buffer, &Out { v: VERSION, msg: message })
        .expect("a Vec takes every byte and the types have string keys only");
}

/// Reads one message.
///
/// # Errors
/// When the bytes are not a message of this version.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ReadError> {
    let version: Version = serde_json::from_slice(bytes).map_err(ReadError::Json)?;
    if version.v != VERSION {
        return Err(ReadError::Version(version.v));
    }
    serde_json::from_slice::<In<T>>(bytes).map(|read| read.msg).map_err(ReadError::Json)
}
