//! `outlast init`, `token`, `join` and `trust`: who is in the cluster.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use trust::{ENDS_SOON_MS, Entry, Folder, JoinError, Member, State, TrustError};

pub mod desk;
pub mod fetch;
pub mod init;
pub mod join;
pub mod spare;
pub mod token;

/// Beside the dashboard's 7412.
const PORT: u16 = 7413;

/// Where the cluster's file is on every node.
const CLUSTER_FILE: &str = "/etc/outlast/outlast.toml";

/// The cluster's file: it knows the addresses that nodes did not say when they joined.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Filed {
    /// The cluster's file, for addresses that nodes have not said [default: /etc/outlast/outlast.toml if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Filed {
    /// The first address of a node; none where the file has none, or is that of another cluster.
    ///
    /// # Errors
    /// When a file that was named cannot be read.
    pub(crate) fn address(
        &self,
        cluster: &str,
        node: &str,
    ) -> Result<Option<IpAddr>, CommandError> {
        let path = self.config.as_deref().unwrap_or_else(|| Path::new(CLUSTER_FILE));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(_) if self.config.is_none() => return Ok(None),
            Err(source) => return Err(CommandError::Config { path: path.to_owned(), source }),
        };
        let source = config::Source { path: path.display().to_string(), text };
        let found = config::cluster::parse(&source, 0).0.filter(|found| found.name == cluster);
        let found =
            found.and_then(|found| found.nodes.into_iter().find(|other| other.name == node));
        Ok(found.and_then(|node| node.addresses.into_iter().flatten().next()))
    }

    /// Where this node answers joins unless it is said otherwise.
    ///
    /// # Errors
    /// When neither the roster nor the file says an address of it.
    pub(crate) fn own_desk(
        &self,
        state: &State,
        option: &'static str,
    ) -> Result<SocketAddr, CommandError> {
        let said = state.roster.find(&state.node).and_then(|member| member.address);
        let address = match said {
            Some(address) => Some(address),
            None => self.address(&state.cluster, &state.node)?,
        };
        address.map(|ip| SocketAddr::new(ip, PORT)).ok_or(CommandError::Address(option))
    }
}

/// Where this node keeps what it knows of its cluster.
#[derive(Clone, Debug, clap::Args)]
pub struct Place {
    /// Folder of the authority, identity and roster
    #[arg(long, value_name = "FOLDER", default_value = "/var/lib/outlast/trust")]
    trust_dir: PathBuf,
    /// File with the key under which the secrets of the folder are sealed; in the folder by default
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl Place {
    pub(crate) fn folder(&self) -> Folder {
        // What is read from here on must not lie about in a file of a crash.
        sys::rights::keep_out_of_core_dumps();
        Folder::new(&self.trust_dir, self.key_file.as_deref())
    }
}

/// Why a command of this family did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Join(#[from] JoinError),
    #[error(transparent)]
    Token(#[from] trust::TokenError),
    #[error("{0}")]
    Fingerprint(&'static str),
    #[error("cannot read the token from standard input")]
    Input(#[source] io::Error),
    #[error("cannot take the token out of the list of processes: give it to `outlast join -`")]
    Hide(#[source] io::Error),
    #[error(
        "this node has said no address to the cluster, and no cluster file says one: give {0} ADDRESS:PORT, as the \
         new node reaches it"
    )]
    Address(&'static str),
    #[error("cannot read {}", .path.display())]
    Config {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot listen at {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("cannot ask for the passphrase; without a terminal: --passphrase-file")]
    Passphrase(#[source] io::Error),
    #[error("the two passphrases differ")]
    Differ,
    #[error("cannot read the exported key")]
    Exported(#[source] io::Error),
    #[error(
        "`{before}`, which signs now, does not say what it signed last; if it is gone for good: --lost"
    )]
    Unheard {
        before: String,
        #[source]
        source: JoinError,
    },
    #[error(transparent)]
    Fetch(#[from] fetch::FetchError),
    /// Two deeds: the first is done.
    #[error("this node has joined, and its files did not come; for these alone: `{again}`")]
    Unfetched {
        again: String,
        #[source]
        source: Box<Self>,
    },
    #[error("cannot read the audit log")]
    Audit(#[source] io::Error),
    #[error("cannot write the answer")]
    Output(#[from] io::Error),
}

impl CommandError {
    /// See [`crate::EXIT_CODES`].
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Join(JoinError::Connect { .. })
            | Self::Unheard { source: JoinError::Connect { .. }, .. } => 3,
            Self::Join(JoinError::Refused(_) | JoinError::OtherCluster { .. }) => 1,
            Self::Unfetched { source, .. } => source.exit_code(),
            Self::Join(_)
            | Self::Trust(_)
            | Self::Token(_)
            | Self::Fingerprint(_)
            | Self::Input(_)
            | Self::Hide(_)
            | Self::Address(_)
            | Self::Config { .. }
            | Self::Listen { .. }
            | Self::Passphrase(_)
            | Self::Differ
            | Self::Exported(_)
            | Self::Unheard { .. }
            | Self::Fetch(_)
            | Self::Audit(_)
            | Self::Output(_) => 2,
        }
    }
}

/// Notes in the audit log what a command did or why not, and hands that on.
pub(crate) fn audited<T>(
    folder: &Folder,
    (command, object): (&str, &str),
    outcome: Result<T, TrustError>,
) -> Result<T, TrustError> {
    let entry = Entry {
        at_ms: sys::clock::wall_ms(),
        by: format!("uid {}", sys::rights::user_id()),
        command: command.to_owned(),
        object: object.to_owned(),
        outcome: match &outcome {
            Ok(_) => "done".to_owned(),
            Err(error) => base::Chain(error).to_string(),
        },
    };
    // A folder that is nobody's has no log.
    if !matches!(&outcome, Err(TrustError::Nobody(_))) {
        folder.audit(&entry)?;
    }
    outcome
}

/// Look after the cluster's trust: who is in, who answers joins, what was ordered
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show the cluster, this node and who is in
    Status(Shown),
    /// Print the certificate of the cluster's authority (PEM), which browsers and scrapers are to believe; no secret
    Certificate(Certificate),
    /// Answer nodes that join, until stopped; on the node that has the authority's key
    Serve(desk::Args),
    /// Put a node out: its certificate is refused from now on
    Revoke(Revoke),
    /// Have every node take new keys and a new certificate, without a pause
    ///
    /// On the node that has the authority's key. Running nodes hear of it within some ten seconds, make new keys,
    /// and have them certified; the ones before are accepted for a while longer.
    Rotate(Rotate),
    /// Have what is applied from now on sealed in the store under another key of the cluster
    ///
    /// On the node that has the authority's key. Running controllers that are in take it within some ten seconds; who was
    /// put out before does not get it. Former keys stay for what they have sealed, so apply a configuration then.
    RotateKey(Certificate),
    /// Write the authority's key to a file, sealed under a passphrase, for a second controller
    ExportAuthority(spare::Moved),
    /// Keep a copy of the authority's key that another controller has exported; it is not used yet
    ImportAuthority(spare::Moved),
    /// Sign for the cluster from now on, with the copy that this controller keeps
    ///
    /// The node that did so before is asked first for what it signed last, and stops when it hears of this one.
    TakeAuthority(spare::Take),
    /// Ask a controller who is in, and keep the answer
    Refresh(Refresh),
    /// Ask a running node that holds the store for this node's files in the newest generation, and write them
    ///
    /// For a machine that has joined and has no files yet (`outlast join --files` does both). Files that are there with
    /// another content are kept, and nothing is written then.
    Fetch(fetch::Args),
    /// Show what was ordered, by whom and what came of it
    Audit(Shown),
}

#[derive(Debug, clap::Args)]
pub struct Shown {
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
pub struct Certificate {
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
pub struct Revoke {
    /// As `trust status` shows it
    node: String,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
pub struct Rotate {
    /// Accept the former keys for so long, 120 to 86400
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    forget_after: u64,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
pub struct Refresh {
    /// Where `outlast trust serve` answers
    #[arg(long, value_name = "ADDRESS:PORT")]
    from: SocketAddr,
    #[command(flatten)]
    place: Place,
}

/// Runs the subcommand.
///
/// # Errors
/// When it could not be done; nothing is changed then.
pub fn run(command: &Command, out: &mut (impl Write + Send)) -> Result<(), CommandError> {
    match command {
        Command::Status(Shown { json, place }) => {
            let folder = place.folder();
            let state = folder.load()?;
            let here = Here::of(&folder, &state);
            if *json {
                write_json(&view(&state, &here), out)
            } else {
                Ok(status(&state, &here, out)?)
            }
        }
        Command::Certificate(Certificate { place }) => certificate(place, out),
        Command::Serve(args) => desk::run(args, out),
        Command::Fetch(args) => fetch::run(args, out),
        Command::Revoke(args) => revoke(args, out),
        Command::Rotate(Rotate { forget_after, place }) => {
            let folder = place.folder();
            let ordered = folder.rotate(forget_after.saturating_mul(1000), sys::clock::wall_ms());
            let state = audited(&folder, ("trust rotate", "every node"), ordered)?;
            let count = state.roster.valid().count();
            Ok(writeln!(
                out,
                "{count} nodes take new keys as soon as they hear of it; `outlast trust status` shows which have"
            )?)
        }
        Command::RotateKey(Certificate { place }) => {
            let folder = place.folder();
            let made = folder.rotate_key(sys::clock::wall_ms());
            let state = audited(&folder, ("trust rotate-key", &folder_key(&made)), made)?;
            Ok(writeln!(
                out,
                "the cluster's key {} seals what is applied from now on; controllers take it as soon as they hear of it",
                current(&state)
            )?)
        }
        Command::ExportAuthority(args) => spare::export(args, out),
        Command::ImportAuthority(args) => spare::import(args, out),
        Command::TakeAuthority(args) => spare::take(args, out),
        Command::Refresh(Refresh { from, place }) => {
            let folder = place.folder();
            let state = trust::ask_roster(&folder, *from, sys::clock::wall_ms())?;
            if folder.lacks_keys(&state) {
                // What is lacking then is in the next lines.
                let _ = trust::ask_keys(&folder, (*from, None), sys::clock::wall_ms());
            }
            Ok(status(&state, &Here::of(&folder, &state), out)?)
        }
        Command::Audit(Shown { json, place }) => {
            let folder = place.folder();
            folder.load()?;
            let log = folder.audit_log().map_err(CommandError::Audit)?;
            if *json {
                return write_json(&log, out);
            }
            for Entry { at_ms, by, command, object, outcome } in log {
                let at = crate::events::clock(at_ms);
                writeln!(out, "{at}  {by}  {command} {object}: {outcome}")?;
            }
            Ok(())
        }
    }
}

fn revoke(args: &Revoke, out: &mut impl Write) -> Result<(), CommandError> {
    let Revoke { node, place } = args;
    let folder = place.folder();
    let role = folder.load()?.roster.find(node).map(|member| member.role);
    let fingerprint = audited(&folder, ("trust revoke", node), folder.revoke(node))?;
    writeln!(out, "{node} is out; its certificate {fingerprint} is refused from now on")?;
    if role == Some(trust::Role::Controller) {
        writeln!(
            out,
            "  it had the cluster's key: `outlast trust rotate-key`, and other passwords"
        )?;
    }
    Ok(())
}

fn certificate(place: &Place, out: &mut impl Write) -> Result<(), CommandError> {
    let authority = place.folder().load()?.authority();
    Ok(out.write_all(trust::pem::write("CERTIFICATE", &authority).as_bytes())?)
}

fn write_json(value: &impl serde::Serialize, out: &mut impl Write) -> Result<(), CommandError> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}

/// The key of the cluster that seals; none: there is none yet.
fn current(state: &State) -> String {
    state.roster.sealing.last().map_or_else(|| "-".to_owned(), |made| made.id.to_string())
}

fn folder_key(made: &Result<State, TrustError>) -> String {
    made.as_ref().map_or_else(|_| "-".to_owned(), current)
}

/// What else is in this node's folder.
struct Here {
    /// Of the authority's key, which another node uses.
    has_copy: bool,
    /// Keys of the cluster that this node should have and has not.
    lacks: Vec<trust::KeyId>,
}

impl Here {
    fn of(folder: &Folder, state: &State) -> Self {
        let keys = folder.ring().map(|ring| ring.keys).unwrap_or_default();
        let lacks = |id: &trust::KeyId| keys.iter().all(|key| key.id != *id);
        let named = state.roster.sealing.iter().map(|made| made.id);
        let is_controller = state.role == trust::Role::Controller;
        Self {
            has_copy: !state.is_authority && folder.has_authority_key(),
            lacks: named.filter(|id| is_controller && lacks(id)).collect(),
        }
    }
}

/// For scripts: no certificate, no digest of a token.
#[derive(serde::Serialize)]
struct View<'a> {
    cluster: &'a str,
    fingerprint: String,
    node: &'a str,
    role: trust::Role,
    is_authority: bool,
    /// Of the authority's key, which another node uses.
    has_copy: bool,
    /// Of the cluster, that controllers have: the one that seals, and those that this node should have and has not.
    cluster_key: String,
    lacks_keys: &'a [trust::KeyId],
    node_fingerprint: String,
    roster: &'a trust::Roster,
}

fn view<'a>(state: &'a State, here: &'a Here) -> View<'a> {
    View {
        cluster: &state.cluster,
        fingerprint: state.fingerprint().to_string(),
        node: &state.node,
        role: state.role,
        is_authority: state.is_authority,
        has_copy: here.has_copy,
        cluster_key: current(state),
        lacks_keys: &here.lacks,
        node_fingerprint: state.own_fingerprint().to_string(),
        roster: &state.roster,
    }
}

fn status(state: &State, here: &Here, out: &mut impl Write) -> io::Result<()> {
    let authority = match (state.is_authority, here.has_copy) {
        (true, _) => ", has the authority's key",
        (false, true) => ", keeps a copy of the authority's key",
        (false, false) => "",
    };
    writeln!(out, "cluster {}, fingerprint {}", state.cluster, state.fingerprint())?;
    let left = state.authority_ends_ms().map(|ends| ends.saturating_sub(sys::clock::wall_ms()));
    if let Some(left) = left.filter(|left| *left < ENDS_SOON_MS) {
        let days = left / (24 * 3600 * 1000);
        writeln!(out, "the authority's certificate ends in {days} days, and nobody renews it")?;
    }
    let role = state.role.word();
    writeln!(out, "this node {} ({role}{authority}), {}", state.node, state.own_fingerprint())?;
    match state.roster.sealing.len() {
        0 => writeln!(out, "no cluster key: what is applied lies in the store in clear")?,
        1 => writeln!(out, "cluster key {}", current(state))?,
        2 => writeln!(out, "cluster key {}, and a former one", current(state))?,
        count => writeln!(out, "cluster key {}, and {} former ones", current(state), count - 1)?,
    }
    for id in &here.lacks {
        writeln!(out, "  this node has not got {id}, and asks other controllers for it")?;
    }
    writeln!(out, "roster of generation {}:", state.roster.generation)?;
    for member in &state.roster.members {
        let Member { name, role, address, fingerprint, revoked, .. } = member;
        let address = address.map_or_else(|| "-".to_owned(), |address: IpAddr| address.to_string());
        let fate = match (revoked, member.keys_ms() < state.roster.renew_ms) {
            (true, _) => "  revoked",
            (false, true) => "  has former keys",
            (false, false) => "",
        };
        writeln!(out, "  {name}  {}  {address}  {fingerprint}{fate}", role.word())?;
    }
    Ok(())
}
