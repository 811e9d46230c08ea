//! What `outlast.toml` says.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::Span;

use super::{Receiver, Store};
use crate::haproxy::{Mode, Proxy};
use crate::vip::Protocol;

/// The whole file. Every node reads the same one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cluster {
    pub name: String,
    /// At least 32 bytes, the same on every node; none: no beats, no hand-over messages.
    pub secret_file: Option<PathBuf>,
    /// Keys of this node's own instead, per pair of nodes; `secret_file` is not read then.
    pub trust_dir: Option<PathBuf>,
    /// The proxies, in HAProxy's language.
    pub haproxy: Option<PathBuf>,
    /// Virtual IPs in keepalived's language, beside those of this file.
    pub keepalived: Option<PathBuf>,
    pub run_dir: PathBuf,
    pub state_dir: PathBuf,
    /// UDP: beats on `port`, hand-over messages of the vip process on `port` + 1.
    pub port: u16,
    /// From the crash of a node to the verdict on it.
    pub detect: Duration,
    /// Between two beats of vip processes that decide by votes, where all of them are in time for that.
    pub vip_beat: Duration,
    /// What recordings may take on disk, in MB; 0: nothing is recorded.
    pub record_mb: u64,
    /// Addresses beside the cluster that each node pings, in the order of the file.
    pub reference: Vec<Reference>,
    /// Names of networks, in order of first appearance.
    pub networks: Vec<String>,
    /// Controllers first, then compute nodes; each in the order of the file. Positions count from here.
    pub nodes: Vec<Node>,
    pub vips: Vec<Vip>,
    pub services: Vec<Service>,
    pub dashboard: Dashboard,
    pub access: Access,
    /// Who is told of moves, in the order of the file.
    pub notify: Vec<Receiver>,
    /// None: no process of this cluster keeps one.
    pub store: Option<Store>,
}

/// An address that is no node's, mostly a gateway's: who does not reach it may be the one that is cut off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reference {
    pub address: IpAddr,
    /// Position in [`Cluster::networks`]: it is asked from the node's address there.
    pub network: usize,
}

/// Two on each of eight networks: more questions find out no more.
pub const MOST_REFERENCES: usize = 16;

/// A crashed node is known after this if the file does not say otherwise.
pub const DEFAULT_DETECT: Duration = Duration::from_secs(1);
/// Ten beats of 30 ms: shorter ones would be the scheduler's noise.
pub const SHORTEST_DETECT: Duration = Duration::from_millis(300);
/// Longer, and the checks of the balancer's file are faster.
pub const LONGEST_DETECT: Duration = Duration::from_secs(30);

/// Shorter, and a wake-up of the process takes a good part of it.
pub const SHORTEST_VIP_BEAT: Duration = Duration::from_millis(2);
/// On machines that do more than this, which is what holds where the file says nothing (`engine::vip::lease::BEAT`).
pub const LONGEST_VIP_BEAT: Duration = Duration::from_millis(10);

/// Some hours of three controllers at rest.
pub const DEFAULT_RECORD_MB: u64 = 16;
/// More is an archive, which is somebody else's work.
pub const MOST_RECORD_MB: u64 = 1024;

/// `[access]`: who is what. Root and the user of the daemon may everything, whatever stands here.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Access {
    pub admin: Vec<Person>,
    pub operator: Vec<Person>,
    /// None: everybody on the machine.
    pub viewer: Option<Vec<Person>>,
}

/// One user, or all of a group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Person {
    User(String),
    Uid(u32),
    Group(String),
    Gid(u32),
}

impl std::fmt::Display for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(name) => f.write_str(name),
            Self::Uid(number) => write!(f, "{number}"),
            Self::Group(name) => write!(f, "@{name}"),
            Self::Gid(number) => write!(f, "@{number}"),
        }
    }
}

/// `[dashboard]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dashboard {
    /// Where it answers; empty: nowhere.
    pub listen: Vec<Listen>,
    /// The file says where: a port that is taken is then an error, not a limit.
    pub is_asked_for: bool,
    /// What a browser must know to see it from elsewhere: at least 16 characters.
    pub token_file: Option<PathBuf>,
    /// What is shown elsewhere than on loopback.
    pub tls: DashboardTls,
}

/// With what the dashboard speaks TLS elsewhere than on loopback.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DashboardTls {
    /// With nothing: loopback only, or in the clear where the operator wrote `insecure = true`.
    None,
    /// The node's certificate of the cluster's authority, from the trust folder.
    Node,
    /// The operator's own, PEM; paths as the file has them.
    Files { certificate: PathBuf, key: PathBuf },
}

/// A place where the dashboard answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Listen {
    Address(SocketAddr),
    /// The node's own address on this network: the file is the same on every node.
    Network {
        network: usize,
        port: u16,
    },
}

impl Dashboard {
    /// TCP port unless the file says another.
    pub const PORT: u16 = 7412;

    /// Where the dashboard of `node` answers.
    #[must_use]
    pub fn addresses(&self, node: Option<&Node>) -> Vec<SocketAddr> {
        let address = |listen: &Listen| match listen {
            Listen::Address(address) => Some(*address),
            Listen::Network { network, port } => {
                Some(SocketAddr::new((*node?.addresses.get(*network)?)?, *port))
            }
        };
        self.listen.iter().filter_map(address).collect()
    }
}

impl Default for Dashboard {
    fn default() -> Self {
        let local = Listen::Address(SocketAddr::from((Ipv4Addr::LOCALHOST, Self::PORT)));
        Self { listen: vec![local], is_asked_for: false, token_file: None, tls: DashboardTls::None }
    }
}

/// `[node.NAME]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Node {
    pub name: String,
    /// Address on each network of [`Cluster::networks`]; none where the node is not on it.
    pub addresses: Vec<Option<IpAddr>>,
    /// VRRP priority for files in keepalived's language that give every node the same.
    pub priority: Option<u8>,
    pub role: NodeRole,
    pub span: Span,
}

/// What a node is for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum NodeRole {
    /// Beats to every other controller, decides, may hold addresses and a member of the store.
    #[default]
    Controller,
    /// A controller that runs no balancer and holds no address: it hears, decides and votes.
    Voter,
    /// Runs guests: gossips, and is watched by the controllers.
    Compute,
}

impl NodeRole {
    /// Whether it beats to every other one, and has a vote.
    #[must_use]
    pub const fn decides(self) -> bool {
        matches!(self, Self::Controller | Self::Voter)
    }
}

/// `[vip.NAME]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Vip {
    pub name: String,
    pub addresses: Vec<IpAddr>,
    /// Prefix length of the address on the device.
    pub prefix: u8,
    /// The network whose interface carries adverts and address.
    pub network: usize,
    pub router_id: u8,
    /// Positions of nodes, the first is preferred at a cold start.
    pub order: Vec<usize>,
    pub check: VipCheck,
    pub password: Option<String>,
    /// What adverts are signed with, by keys that lie in files.
    pub hmac: Option<crate::vip::Hmac>,
    /// Foreign routers on the group, IPv4; nonempty: unicast.
    pub unicast: bool,
    pub interface: Option<String>,
    pub source: Option<IpAddr>,
    /// Between two adverts of the holder, the same on every router of the group; what `protocol` can say.
    pub advert_interval: Duration,
    pub protocol: Protocol,
    /// Devices without which the node gives the address up.
    pub track_interfaces: Vec<String>,
    /// Of those, the ones that must not have a carrier.
    pub reversed_interfaces: Vec<String>,
    /// Those that change the priority instead.
    pub weighed_interfaces: Vec<crate::vip::Weighed>,
    pub track_processes: Vec<crate::vip::TrackedProcess>,
    pub track_files: Vec<crate::vip::TrackedFile>,
    /// Those of one name are held together, or not at all.
    pub sync_group: Option<String>,
    /// Who holds it is decided by a vip lease: never two.
    pub has_lease: bool,
    /// With a vip lease: it leaves a node that does not answer only when that one is proven dead (`after = "proven-dead"`).
    pub needs_proof: bool,
    /// With a vip lease: after so long without a word of another controller a node may hold it without a majority; none: never.
    pub last_man: Option<Duration>,
    /// It lies under the group's own hardware address.
    pub has_virtual_mac: bool,
    /// Who holds it is reached there.
    pub accepts: bool,
    /// A way that has to work, or weighs.
    pub bfd: Option<crate::vip::TrackedBfd>,
    /// With a vip lease: those of one name are held by different nodes, as far as there are enough.
    pub spread: Option<String>,
    /// With a vip lease: positions of virtual IPs that it shares a node with only where no other is left.
    pub apart_from: Vec<usize>,
    /// With a vip lease: positions of virtual IPs that are never on one node with it.
    pub never_with: Vec<usize>,
    /// With a vip lease: it is where the coordinator is.
    pub follows: bool,
    /// Told of every state, as keepalived's `notify`.
    pub notify: Option<crate::notify::Program>,
    pub span: Span,
}

/// What takes a virtual IP away from a living node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum VipCheck {
    /// `check = "none"`.
    None,
    /// `check = "balancer"`: the balancer of the node serves.
    Balancer,
    /// `check = { script = [...], interval = ..., fall = ..., rise = ... }`.
    Script(crate::vip::Script),
    /// `check = ["balancer", { script = [...] }]`: each of them.
    All(Vec<Self>),
}

/// `[service.NAME]`: what the cluster should know about a proxy beyond its own file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Service {
    pub name: String,
    /// The name of a `listen` or `backend`.
    pub proxy: String,
    pub kind: ServiceKind,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ServiceKind {
    /// Every server may serve at once.
    Api,
    /// One server at a time, sessions of a demoted server are closed.
    Database,
}

impl Cluster {
    /// Each of them hears every other one by beats: with more, beats would be most of what they do.
    pub const MAX_CONTROLLERS: usize = 32;
    /// As many as a roster of the trust folder has room for.
    pub const MAX_NODES: usize = 2_048;

    /// The nodes that decide; their positions are the first ones.
    #[must_use]
    pub fn controllers(&self) -> &[Node] {
        &self.nodes[..self.nodes.partition_point(|node| node.role.decides())]
    }

    /// Whether that node may run a balancer and hold addresses.
    #[must_use]
    pub fn serves(&self, node: usize) -> bool {
        self.nodes.get(node).is_some_and(|node| node.role == NodeRole::Controller)
    }

    /// That node's address on the network of the virtual IP of that name: the device that has it carries the adverts
    /// where the file names none.
    #[must_use]
    pub fn address_beside(&self, vip: &str, node: usize) -> Option<IpAddr> {
        let vip = self.vips.iter().find(|known| known.name == vip)?;
        self.nodes.get(node)?.addresses.get(vip.network).copied().flatten()
    }

    /// Whether this position is a compute node's.
    #[must_use]
    pub fn is_compute(&self, node: usize) -> bool {
        self.nodes.get(node).is_some_and(|node| node.role == NodeRole::Compute)
    }

    /// Whether only one server of `proxy` may serve at a time: by `[service]`, else by the shape
    /// of the proxy, as files from HAProxy say it with `mode tcp` and `backup`.
    #[must_use]
    pub fn is_database(&self, proxy: &Proxy) -> bool {
        match self.services.iter().find(|service| service.proxy == proxy.name) {
            Some(service) => service.kind == ServiceKind::Database,
            None => proxy.mode == Mode::Tcp && proxy.servers.iter().any(|server| server.backup),
        }
    }

    /// A path of this file: relative ones are meant from its folder.
    #[must_use]
    pub fn beside(file: &Path, path: &Path) -> PathBuf {
        file.parent().map_or_else(|| path.to_owned(), |folder| folder.join(path))
    }
}
