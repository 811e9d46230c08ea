//! From arguments to a plan: read, parse, find out which node this is, refuse what cannot run.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use api::{Break, Mode};
use config::Around;
use config::cluster::{Cluster, DashboardTls};
use config::diagnostic::{Diagnostic, Severity};
use config::haproxy::Haproxy;
use config::keepalived::Node;

use crate::files::{self, FileError, Texts};
use crate::generation::Place;
use crate::secret::MatchError;

/// What the operator asked for.
#[derive(Clone, Debug)]
pub struct Launch {
    pub mode: Mode,
    /// Files or folders in HAProxy's language.
    pub haproxy: Vec<PathBuf>,
    /// Lines in HAProxy's language that stand for arguments; read last.
    pub more_lines: String,
    pub keepalived: Option<PathBuf>,
    /// Of which `@name` are the lines of that file; the host's name up to its first dot, unless given.
    pub config_id: Option<String>,
    /// A file that it includes must be there, whoever includes it.
    pub needs_all_included: bool,
    /// The namespace that all processes run in (`ip netns`), whatever keepalived's file says.
    pub network_namespace: Option<String>,
    pub cluster: Option<PathBuf>,
    /// This node's name in the cluster file; otherwise found by address or host name.
    pub node: Option<String>,
    pub run_dir: Option<PathBuf>,
    pub state_dir: Option<PathBuf>,
    pub pid_file: Option<PathBuf>,
    /// Gets the same number: `keepalived -r`, which tools signal and look at as they do the first one.
    pub vrrp_pid_file: Option<PathBuf>,
    /// Whether the caller returns once the listeners are bound.
    pub daemon: bool,
    /// Processes to end once this one serves (`-sf`, `-st`), and whether softly.
    pub replaces: Vec<(i32, bool)>,
    pub breaks: Vec<Break>,
}

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("cannot use the configuration")]
    File(#[from] FileError),
    /// Errors, or what is not run yet.
    #[error("{}; nothing was started", .0.shown)]
    Config(config::Refused),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
}

impl LaunchError {
    /// In one line, for an event: the first mistake with its file and line.
    pub(crate) fn brief(&self) -> String {
        match self {
            Self::Config(refused) => refused.first.clone(),
            Self::Problems(problems) => {
                problems.first().map(ToString::to_string).unwrap_or_default()
            }
            Self::File(_) => base::Chain(self).to_string(),
        }
    }
}

/// One thing that has to be put right before a start.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error(
        "there is nothing to run: give --config outlast.toml, or --haproxy FILE and --keepalived FILE"
    )]
    Nothing,
    #[error("the files define neither a proxy nor a virtual IP; nothing was started")]
    Empty,
    #[error("the cluster file has no node `{0}`; it has {1}")]
    UnknownNode(String, String),
    #[error(
        "none of this machine's addresses and not its name `{host}` is a node of {file}; say which \
         one it is with --node (it has {known})"
    )]
    WhichNode { host: String, file: String, known: String },
    #[error("{path} is in {}, not in {}: give it with {}", found.name(), wanted.name(), found.option())]
    Language { path: String, found: config::Kind, wanted: config::Kind },
    #[error("{0}")]
    Vip(String),
    #[error(transparent)]
    Trust(#[from] MatchError),
    #[error(
        "this node was started with --haproxy or --keepalived: start it with --config alone, so that its files \
         are those of the generation"
    )]
    Arguments,
    #[error("the files of generation {0} are superseded: another one is written in their place")]
    Superseded(u64),
    /// What a proxy would find missing on this machine, with its place in the file.
    #[error("{0}")]
    Ground(String),
    #[error("`{0}` is known to the peer but not run by outlast yet: {1}")]
    NotYet(String, String),
}

/// All that a start needs, checked.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) texts: Texts,
    pub(crate) haproxy: Option<Haproxy>,
    pub(crate) cluster: Option<Cluster>,
    /// Position of this node in the cluster file.
    pub(crate) me: Option<usize>,
    pub(crate) node: String,
    pub(crate) vips: Vec<config::vip::Vip>,
    /// Pipes that are told how these stand, and whether they are told again after a reload.
    pub(crate) fifos: (Vec<config::notify::Fifo>, bool),
    /// Where the dashboard is to answer, and whether the operator said so.
    pub(crate) dashboard: (Vec<SocketAddr>, bool),
    pub(crate) run_dir: PathBuf,
    pub(crate) state_dir: PathBuf,
    /// What this node has from its start to its end.
    pub(crate) fixed: config::vip::Fixed,
    /// Files that are made at the start.
    pub(crate) made_files: Vec<config::vip::MadeFile>,
    /// Groups that are told how they stand.
    pub(crate) groups: Vec<config::notify::Group>,
    /// Programs that run before all else starts, and when all else has ended.
    pub(crate) hooks: [config::notify::Hook; 2],
    /// `net_namespace` of keepalived's file.
    pub(crate) network_namespace: Option<String>,
    /// Warnings, rendered.
    pub(crate) warnings: String,
}

impl Plan {
    /// Refuses to forget an interface that the plan in force knows: its network was there, and something is wrong now.
    ///
    /// # Errors
    /// Names each virtual IP that would be let go for it.
    pub(crate) fn has_lost_no_interface_of(&self, before: &Self) -> Result<(), LaunchError> {
        let is_known = |name: &str| {
            before.vips.iter().any(|vip| vip.name == name && !vip.interface.is_empty())
        };
        let lost = self.vips.iter().filter(|vip| vip.interface.is_empty() && !vip.votes_only);
        let lost = lost.filter(|vip| is_known(&vip.name));
        let own = |name| self.cluster.as_ref()?.address_beside(name, self.me?);
        let lost = lost.filter_map(|vip| {
            let (name, own) = (&vip.name, own(&vip.name)?);
            Some(Problem::Vip(format!("vip {name}: no interface of this node has {own} any more")))
        });
        let lost: Vec<_> = lost.collect();
        if lost.is_empty() { Ok(()) } else { Err(LaunchError::Problems(lost)) }
    }

    /// With what the dashboard speaks TLS.
    pub(crate) fn tls(&self) -> Option<&DashboardTls> {
        self.cluster.as_ref().map(|cluster| &cluster.dashboard.tls)
    }
}

impl Launch {
    /// Reads and checks everything; changes nothing.
    pub(crate) fn plan(&self) -> Result<Plan, LaunchError> {
        self.plan_of(self.texts(None)?)
    }

    /// The same of the generation that lies beside the files that are used, as if it lay in their place. What was read
    /// is whole and of that one, or it is refused: another process may write the next one there meanwhile.
    pub(crate) fn plan_staged(&self, number: u64) -> Result<Plan, LaunchError> {
        let by_arguments =
            !self.haproxy.is_empty() || self.keepalived.is_some() || !self.more_lines.is_empty();
        let Some(place) = self.place().filter(|_| !by_arguments) else {
            return Err(LaunchError::Problems(vec![Problem::Arguments]));
        };
        let texts = self.texts(Some(&place))?;
        match place.has_staged(number, &place.named(&texts)) {
            true => self.plan_of(texts),
            false => Err(LaunchError::Problems(vec![Problem::Superseded(number)])),
        }
    }

    /// Where generations are put; none without a cluster file.
    pub(crate) fn place(&self) -> Option<Place> {
        self.cluster.as_deref().map(Place::of)
    }

    fn plan_of(&self, mut texts: Texts) -> Result<Plan, LaunchError> {
        let wrong = texts.wrong_languages();
        if !wrong.is_empty() {
            let problem = |(path, found, wanted)| Problem::Language { path, found, wanted };
            return Err(LaunchError::Problems(wrong.into_iter().map(problem).collect()));
        }
        let mut loaded = self.loaded(&mut texts)?;
        let is_warning = |found: &&Diagnostic| found.severity == Severity::Warning;
        let warnings: Vec<_> = loaded.diagnostics.iter().filter(is_warning).cloned().collect();
        let warnings = config::render(&loaded.sources, &warnings);
        if loaded.haproxy.is_none() && loaded.keepalived.is_none() && loaded.cluster.is_none() {
            return Err(LaunchError::Problems(vec![Problem::Nothing]));
        }
        let interfaces = Interfaces::read();
        let host = sys::rights::host_name();
        let me = match &loaded.cluster {
            None => None,
            Some(cluster) => Some(self.which(cluster, &interfaces, &host)?),
        };
        if loaded.cluster.as_ref().zip(me).is_some_and(|(cluster, me)| !cluster.serves(me)) {
            // It runs guests, or votes: no balancer, no addresses.
            (loaded.haproxy, loaded.keepalived) = (None, None);
            (texts.haproxy, texts.keepalived) = (vec![], None);
            (texts.included, texts.flat) = (vec![], None);
        }
        let problems = |problems: Vec<String>| {
            LaunchError::Problems(problems.into_iter().map(Problem::Vip).collect())
        };
        let vips = config::effective_vips(
            loaded.cluster.as_ref(),
            loaded.keepalived.as_ref(),
            me,
            loaded.haproxy.is_some(),
            &|address| interfaces.of(address),
        )
        .and_then(|vips| crate::vip::keys::load(vips, loaded.cluster.as_ref(), &texts))
        .map_err(problems)?;
        let proxies = loaded.haproxy.as_ref().is_some_and(|file| !file.proxies.is_empty());
        if vips.is_empty() && !proxies && loaded.cluster.is_none() {
            return Err(LaunchError::Problems(vec![Problem::Empty]));
        }
        let node = match (&loaded.cluster, me) {
            (Some(cluster), Some(me)) => cluster.nodes[me].name.clone(),
            _ => self.node.clone().unwrap_or(host),
        };
        let warnings = warnings + &late(&vips, loaded.cluster.as_ref().zip(me));
        let warnings = warnings + &trusted(&texts, loaded.cluster.as_ref().zip(me))?;
        let (run_dir, state_dir) = self.folders(loaded.cluster.as_ref());
        let fifos = config::effective_fifos(loaded.keepalived.as_ref());
        let dashboard = self.dashboard(loaded.cluster.as_ref(), me);
        let file = loaded.keepalived.as_ref();
        let (haproxy, cluster) = (loaded.haproxy, loaded.cluster);
        Ok(Plan {
            texts,
            haproxy,
            cluster,
            me,
            node,
            vips,
            fifos,
            dashboard,
            run_dir,
            state_dir,
            network_namespace: file.and_then(|file| file.global.net_namespace.clone()),
            fixed: config::effective_fixed(file),
            made_files: config::effective_made_files(file),
            groups: config::effective_groups(file),
            hooks: config::effective_hooks(file),
            warnings,
        })
    }

    /// What the files mean on this node, with those that keepalived's file includes.
    fn loaded(&self, texts: &mut Texts) -> Result<config::Loaded, LaunchError> {
        let id = self.config_id.clone().unwrap_or_else(sys::rights::short_host_name);
        let folder = std::env::current_dir().ok().map(|folder| folder.display().to_string());
        let needs_all = self.needs_all_included;
        let node = Node { id: Some(&id), folder: folder.as_deref(), needs_all };
        texts.include(node)?;
        let loaded = config::load_with(texts.sources(), Around { node, ..Around::default() });
        if let Some(refused) = config::refused(&loaded) {
            return Err(LaunchError::Config(refused));
        }
        Ok(loaded)
    }

    /// The peers that this program stands in for have none.
    fn dashboard(&self, cluster: Option<&Cluster>, me: Option<usize>) -> (Vec<SocketAddr>, bool) {
        if self.mode != Mode::Adaptive {
            return (vec![], false);
        }
        let wanted = cluster.map(|cluster| cluster.dashboard.clone()).unwrap_or_default();
        let node = cluster.zip(me).and_then(|(cluster, me)| cluster.nodes.get(me));
        (wanted.addresses(node), wanted.is_asked_for)
    }

    fn texts(&self, staged: Option<&Place>) -> Result<Texts, FileError> {
        let mut texts = Texts::default();
        let mut haproxy = self.haproxy.clone();
        let mut keepalived = self.keepalived.clone();
        if let Some(path) = &self.cluster {
            let file = staged.map(|place| place.staged().join(api::generation::CLUSTER_FILE));
            let source = files::read(file.as_deref().unwrap_or(path))?;
            let source = config::Source { path: path.display().to_string(), ..source };
            // Mistakes in this file are reported later, together with those of the others.
            if let (Some(cluster), _) = config::cluster::parse(&source, 0) {
                let beside =
                    |file: &Path| path.parent().unwrap_or_else(|| Path::new(".")).join(file);
                let lies = |file: &Path| match staged {
                    Some(place) => place.staged().join(file),
                    None => beside(file),
                };
                // Who runs guests, or votes, has no use for these, nor for the passwords in them.
                let serves = self.serves(&cluster);
                if haproxy.is_empty() {
                    haproxy.extend(cluster.haproxy.as_deref().filter(|_| serves).map(lies));
                }
                let named = cluster.keepalived.as_deref().filter(|_| serves);
                keepalived = keepalived.or_else(|| named.map(lies));
                if let Some(folder) = &cluster.trust_dir {
                    let (owner, secret) = crate::secret::read(&beside(folder))?;
                    (texts.owner, texts.secret) = (Some(owner), Some(secret));
                    texts.trust = Some(beside(folder));
                } else if let Some(secret) = &cluster.secret_file {
                    texts.secret = Some(files::read_secret(&beside(secret))?);
                }
                if let Some(token) = &cluster.dashboard.token_file {
                    texts.token = Some(files::read_token(&beside(token))?);
                }
                for receiver in cluster.notify.iter().filter(|_| serves) {
                    crate::agent::notify::check(receiver, &beside(Path::new("")))?;
                }
                if let DashboardTls::Files { .. } = cluster.dashboard.tls {
                    // The keeper reads them itself; what it could not use is told at once.
                    crate::keeper::sources(&cluster, &source.path)
                        .map(|sources| sources.read())
                        .transpose()?;
                }
            }
            texts.cluster = Some(source);
        }
        for path in &haproxy {
            texts.haproxy.extend(files::read_haproxy(path)?);
        }
        if !self.more_lines.is_empty() {
            let text = self.more_lines.clone();
            texts.haproxy.push(config::Source { path: "command line".to_owned(), text });
        }
        texts.keepalived = keepalived.as_deref().map(files::read).transpose()?;
        if let Some(place) = staged {
            // Whoever reads a message wants to know the file that it will be.
            for source in texts.haproxy.iter_mut().chain(&mut texts.keepalived) {
                let name = Path::new(&source.path).strip_prefix(place.staged());
                if let Some(name) = name.ok().and_then(Path::to_str) {
                    source.path = place.used(name).display().to_string();
                }
            }
        }
        Ok(texts)
    }

    fn serves(&self, cluster: &Cluster) -> bool {
        let has_others = (0..cluster.nodes.len()).any(|node| !cluster.serves(node));
        let me = || self.which(cluster, &Interfaces::read(), &sys::rights::host_name());
        !has_others || me().map_or(true, |me| cluster.serves(me))
    }

    fn which(
        &self,
        cluster: &Cluster,
        interfaces: &Interfaces,
        host: &str,
    ) -> Result<usize, LaunchError> {
        let known =
            cluster.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ");
        let named = |name: &str| cluster.nodes.iter().position(|node| node.name == name);
        if let Some(name) = &self.node {
            return named(name).ok_or_else(|| {
                LaunchError::Problems(vec![Problem::UnknownNode(name.clone(), known)])
            });
        }
        let local = |node: &config::cluster::Node| {
            node.addresses.iter().flatten().any(|address| interfaces.of(*address).is_some())
        };
        cluster.nodes.iter().position(local).or_else(|| named(host)).ok_or_else(|| {
            let file = self.cluster.as_deref().unwrap_or_else(|| Path::new("the cluster file"));
            let file = file.display().to_string();
            let host = host.to_owned();
            LaunchError::Problems(vec![Problem::WhichNode { host, file, known }])
        })
    }

    /// Under a peer's name several may run on one machine, so their folders carry the pid.
    fn folders(&self, cluster: Option<&Cluster>) -> (PathBuf, PathBuf) {
        let name = match self.mode {
            Mode::Strict => format!("haproxy-{}", std::process::id()),
            Mode::Rfc => format!("keepalived-{}", std::process::id()),
            Mode::Adaptive => "local".to_owned(),
        };
        let base = base_folder();
        let run = match (&self.run_dir, cluster) {
            (Some(folder), _) => folder.clone(),
            (None, Some(cluster)) => cluster.run_dir.clone(),
            (None, None) => base.join(&name),
        };
        let state = match (&self.state_dir, cluster) {
            (Some(folder), _) => folder.clone(),
            (None, Some(cluster)) => cluster.state_dir.clone(),
            (None, None) if self.mode == Mode::Adaptive && sys::rights::is_root() => {
                PathBuf::from("/var/lib/outlast").join(&name)
            }
            (None, None) => run.join("state"),
        };
        (run, state)
    }
}

/// Says which virtual IPs wait for a network that is not there yet.
fn late(vips: &[config::vip::Vip], ours: Option<(&Cluster, usize)>) -> String {
    let waits = vips.iter().filter(|vip| vip.interface.is_empty() && !vip.votes_only);
    let own = |name: &str| ours.and_then(|(cluster, me)| cluster.address_beside(name, me));
    waits.filter_map(|vip| Some(warn_of_late(&vip.name, own(&vip.name)?))).collect()
}

fn warn_of_late(vip: &str, own: IpAddr) -> String {
    format!(
        "warning: vip {vip}: no interface of this node has {own}: this node takes part as soon as one has it. \
         Whether the address is right here is not known before\n"
    )
}

/// Refuses the trust folder of another node, and says who is neither heard nor told.
fn trusted(texts: &Texts, ours: Option<(&Cluster, usize)>) -> Result<String, LaunchError> {
    let (Some(owner), Some(secret), Some((cluster, me))) = (&texts.owner, &texts.secret, ours)
    else {
        return Ok(String::new());
    };
    let node = &cluster.nodes[me].name;
    let wrong = |error| LaunchError::Problems(vec![Problem::Trust(error)]);
    owner.is(&cluster.name, node).map_err(wrong)?;
    let names: Vec<_> = crate::secret::strangers(secret, cluster, me).collect();
    Ok(match names.is_empty() {
        true => String::new(),
        false => format!(
            "warning: not in this node's roster, so neither heard nor told until they join: {}\n",
            names.join(", ")
        ),
    })
}

/// Where folders of running instances are: `/run/outlast`, or the user's own.
fn base_folder() -> PathBuf {
    if sys::rights::is_root() {
        return PathBuf::from("/run/outlast");
    }
    std::env::var_os("XDG_RUNTIME_DIR")
        .map_or_else(std::env::temp_dir, PathBuf::from)
        .join("outlast")
}

/// This machine's addresses with the devices they are on.
pub(crate) struct Interfaces(Vec<(IpAddr, String)>);

impl Interfaces {
    /// Empty where the kernel does not tell; the caller's question then has no answer, which is
    /// reported as such.
    pub(crate) fn read() -> Self {
        let list = || -> std::io::Result<Vec<(IpAddr, String)>> {
            let netlink = sys::netlink::Netlink::open()?;
            let links = netlink.links()?;
            let name = |index: u32| {
                links.iter().find(|link| link.index == index).map(|link| link.name.to_string())
            };
            let addresses = netlink.addresses()?;
            Ok(addresses
                .into_iter()
                .filter_map(|address| Some((address.ip, name(address.index)?)))
                .collect())
        };
        Self(list().unwrap_or_default())
    }

    pub(crate) fn of(&self, address: IpAddr) -> Option<String> {
        self.0.iter().find(|(ip, _)| *ip == address).map(|(_, name)| name.clone())
    }
}
