//! Facts about nodes, addresses and servers.

use serde::{Deserialize, Serialize};

use crate::{
    References, RefusedAdverts, RefusedPackets, Role, StoreState, TurnedAway, VipProcess, VipState,
    VoterList,
};

/// How the program was started, and so what it may do beyond its files.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Called as `haproxy`: choices, retries and bytes as HAProxy; no verdict, no hedge.
    Strict,
    /// Called as `keepalived`: RFC timers and the file's checks only.
    Rfc,
    /// `outlast run`: everything.
    Adaptive,
}

/// A fact that concerns another process.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    Node(NodeState),
    Servers(Vec<ServerState>),
    Choice(Choice),
    /// To the vip process: does the balancer of this node serve?
    Balancer(BalancerState),
    /// To agent and proxy: what the vip process holds.
    Vip(VipState),
    /// To the agent: a process started, ended, changed its part.
    Process(ProcessState),
    /// To the agent: where the dashboard answers.
    Dashboard(DashboardState),
    /// To vip process and agent: an operator put this node on standby, drains it, or ended that.
    Duty(Duty),
    /// To everybody who decides: names of the nodes that the cluster has committed as off, this one too; all others
    /// are not. Told once the agent has read them, and whenever they change.
    Proven(Vec<String>),
    /// To the vip process: which networks have a reference point that answers this node.
    References(References),
    /// To the vip process: whether this node coordinates.
    Coordinates(bool),
    /// To the vip process: the newest list of voters that the store has; none: it has none.
    Voters(Option<VoterList>),
    /// To the agent: this node's part of the store.
    Store(Box<StoreState>),
    /// To the agent: what came to the vip process and was not believed.
    Refused(RefusedPackets),
    /// To the agent: counts of what came for virtual IPs and was not obeyed, those that grew.
    Adverts(Vec<RefusedAdverts>),
    /// To the agent: the vip process about itself.
    VipProcess(VipProcess),
    /// To the proxies: the vip process hears nothing of that node, or (false) does again. An opinion, long before that of
    /// the agent, which counts from then on.
    Silence {
        node: String,
        silent: bool,
    },
}

/// Where the dashboard of a node answers.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct DashboardState {
    /// Empty: nowhere.
    pub urls: Vec<String>,
    /// Why it does not answer though nobody said so.
    pub limit: Option<String>,
}

/// What this node's balancer can do for a client.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BalancerState {
    Serving,
    /// Being replaced in place; the sockets are held, nothing to do yet.
    Replacing,
    /// Not served within the limit, or failed too often: the addresses should go.
    Failed,
    /// The files define no proxy; only in a status.
    Absent,
}

/// Who is who among the processes of a node.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ProcessState {
    pub role: Role,
    pub pid: i32,
    pub running: bool,
    pub generation: u64,
    /// Starts of this role since the supervisor started.
    pub starts: u32,
}

/// A node, as one other sees it. Opinion, not fact, unless the verdict is a proven death.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct NodeState {
    pub node: String,
    pub standing: Standing,
    /// Per network, in the order of the cluster file.
    pub cells: Vec<Cell>,
    /// Why it stands so, in words.
    pub why: String,
    /// What is concluded from all evidence, and the rule that concluded it.
    #[serde(default)]
    pub opinion: Opinion,
    /// Whether it takes on work, as it last said itself.
    #[serde(default, skip_serializing_if = "Duty::is_on")]
    pub duty: Duty,
}

/// Whether a node takes on work, as an operator wants it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Duty {
    #[default]
    On,
    /// It holds no address, and its servers come after all others.
    Standby,
    /// The same, and somebody waits for what is still under way there.
    Draining,
}

impl Duty {
    #[must_use]
    pub const fn is_on(&self) -> bool {
        matches!(self, Self::On)
    }
}

/// A verdict with its rule.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Opinion {
    pub verdict: Verdict,
    /// Where it is cut off: names of networks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// The name of the rule, as in `docs/reference/evidence.md`; empty where nothing judges.
    pub rule: String,
}

/// What is concluded of a node.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    #[default]
    Unknown,
    Alive,
    /// In doubt: nothing is concluded yet, or something about it is not well.
    Suspect,
    /// It lives, and does not reach all others on some networks.
    CutOff,
    /// Nobody of a majority hears it.
    Unreachable,
    Leaving,
    /// By a committed entry: it executes nothing any more.
    ProvenDead,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Never heard since this process started.
    Unknown,
    Alive,
    /// Silent on every network: no new request goes there while another server is up.
    Suspect,
    /// Said goodbye.
    Left,
}

/// Liveness of a node on one network.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Cell {
    pub network: String,
    pub alive: bool,
    /// Age of the last proof in milliseconds; none before the first.
    pub age_ms: Option<u64>,
}

/// State of one server of one proxy.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ServerState {
    pub proxy: String,
    pub server: String,
    pub check: ServerCheck,
    /// Adaptive only: evidence beyond the file's checks says no.
    pub suspect: bool,
    /// `Layer4 connection problem, info: "Connection refused"`.
    pub why: String,
    /// Successes or failures counted towards the next change.
    pub count: u16,
    /// Adaptive only: its node is on standby or being drained, so that all others come first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resting: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerCheck {
    /// No `check` on its line.
    Unchecked,
    Up,
    Down,
    /// `set server ... state drain`.
    Drain,
    /// `set server ... state maint`.
    Maintenance,
}

/// Which server a listener with one writer uses.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Choice {
    pub proxy: String,
    pub server: String,
    /// The higher term wins; equal terms: the higher node position.
    pub term: u64,
    pub by: u16,
}

/// All that a node knows, for `outlast status` and the dashboard.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Status {
    /// When this was true, milliseconds since 1970 (UTC) by this node's clock.
    pub at_ms: u64,
    /// Of the program.
    pub version: String,
    pub node: String,
    pub cluster: Option<String>,
    pub mode: Mode,
    pub generation: u64,
    /// What this mode does not do, in words ("no cluster file: VRRP and the files' checks only").
    pub limits: Vec<String>,
    pub processes: Vec<ProcessState>,
    pub networks: Vec<String>,
    pub nodes: Vec<NodeLine>,
    pub vips: Vec<VipLine>,
    pub balancer: BalancerState,
    pub proxies: Vec<ProxyLine>,
    pub servers: Vec<ServerState>,
    pub choices: Vec<Choice>,
    /// Where the dashboard of this node listens, as URLs; empty if it does not.
    pub dashboard: Vec<String>,
    /// Datagrams that came to the agent and were not believed, since it started.
    #[serde(default)]
    pub refused: RefusedPackets,
    /// The same of the vip process.
    #[serde(default)]
    pub vip_refused: RefusedPackets,
    /// What came for virtual IPs and was not obeyed, since the vip process started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adverts_refused: Vec<RefusedAdverts>,
    /// What the vip process says about itself; none: nothing yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vip_process: Option<VipProcess>,
    /// At this node's door for joins and rosters.
    #[serde(default, skip_serializing_if = "TurnedAway::is_nobody")]
    pub turned_away: TurnedAway,
    /// Of this node: on standby or drained it holds no address.
    #[serde(default, skip_serializing_if = "Duty::is_on")]
    pub duty: Duty,
    /// This node's part of the store; none where it runs none, or its process said nothing yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<Box<StoreState>>,
    /// Who decides for the cluster; none without a `[store]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coordinator: Option<Box<crate::Coordinator>>,
    /// For what the next list of voters of vip leases waits, as far as this node knows, which coordinates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voters_wait: Option<String>,
    /// Who is told of moves, and what waits to be told; none without `[notify.NAME]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<Box<crate::Notifying>>,
    /// Maintenance windows that are open, as far as this node's store tells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub planned: Vec<crate::maintenance::Planned>,
    /// What this node has against itself: while it is not empty, it accuses nobody anew.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own_doubts: Vec<crate::OwnDoubt>,
    /// Reference points of the cluster file that this node pings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reference: Vec<crate::ReferenceLine>,
}

/// A node with what it says of itself in its beats.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct NodeLine {
    pub state: NodeState,
    /// Names of the virtual IPs that it says it holds.
    pub holds: Vec<String>,
    /// None where it was never heard.
    pub load: Option<Load>,
    /// It runs guests; controllers watch it by gossip.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compute: bool,
    /// Its agent has just started: the node that was asked does not call it cut off yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub just_started: bool,
}

/// How busy a machine is, as its own agent measured it (row S2-065 of the requirements).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Load {
    /// Of all cores together over the last second, 0-100.
    pub cpu_percent: u8,
    /// Of the memory, what is not available to a new program, 0-100.
    pub memory_percent: u8,
    /// Fibre channel ports that are online, and all ports; 0 of 0: the machine has none.
    pub fibre_online: u8,
    pub fibre_ports: u8,
    /// Age of this report in milliseconds.
    pub age_ms: u64,
}

/// A vip instance with its names.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct VipLine {
    pub name: String,
    pub addresses: Vec<String>,
    pub state: VipState,
    /// The name behind `state.successor`.
    pub successor: Option<String>,
    /// Who says that it holds the addresses: this node, or what a living peer's last beat said. More
    /// than one name is a fault worth seeing.
    pub holders: Vec<String>,
    pub interface: String,
    pub router_id: u8,
    pub priority: u8,
    /// Nodes that may hold it, the preferred one first; empty without a cluster file.
    pub order: Vec<String>,
}

impl VipLine {
    /// An operator moved it to its holder, and no rule of its place moves it from there.
    #[must_use]
    pub fn stays(&self) -> bool {
        self.state.vip_lease.as_ref().is_some_and(|lease| lease.stays)
    }
}

/// A `frontend`, `backend` or `listen` of the balancer's file.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ProxyLine {
    pub name: String,
    /// `frontend`, `backend` or `listen`.
    pub kind: String,
    /// `http` or `tcp`.
    pub mode: String,
    /// Addresses it listens on.
    pub binds: Vec<String>,
    /// `roundrobin`, `source` ...; empty for a frontend.
    pub balance: String,
    /// Where its requests go if not to its own servers.
    pub default_backend: Option<String>,
    /// A database: one server is used at a time.
    pub one_writer: bool,
}
