//! The keeper of the dashboard's key: a process beside the dashboard's, which has no rights and faces browsers.
//!
//! It signs handshakes and says whose certificate it is; the key itself never leaves it. It hears nobody but the
//! process that started it, and ends with that.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use api::access::{Grant, Role, Scope};
use api::keeper::{KeeperAnswer, KeeperAsk, Shown};
use api::{MAX_MESSAGE, Order, Start};
use base::Chain;
use config::cluster::{Cluster, DashboardTls};
use sys::channel::Channel;
use sys::poll::{Interest, Poller};
use sys::process::SpawnOptions;
use trust::{Folder, Front, Guests, Sources, Written, hex};

use crate::files::Texts;
use crate::services::USER;

#[cfg(test)]
mod tests;

/// Why there is no keeper.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeeperError {
    #[error("the cluster file asks for no TLS")]
    None,
    #[error("cannot give rights up")]
    Rights(#[source] io::Error),
    #[error("cannot hear the dashboard")]
    Channel(#[source] io::Error),
}

/// Where what is shown comes from; none: the file asks for no TLS.
pub(crate) fn sources(cluster: &Cluster, path: &str) -> Option<Sources> {
    let beside =
        |file: &Path| Path::new(path).parent().unwrap_or_else(|| Path::new(".")).join(file);
    let folder = cluster.trust_dir.as_deref().map(|folder| Folder::new(&beside(folder), None));
    let files = match &cluster.dashboard.tls {
        DashboardTls::None => return None,
        DashboardTls::Node => None,
        DashboardTls::Files { certificate, key } => Some((beside(certificate), beside(key))),
    };
    Some(Sources { folder, files })
}

/// Starts one, with the rights that the caller has now.
pub(crate) fn begin(start: &Start, texts: &Texts) -> io::Result<Channel> {
    let (ours, theirs) = Channel::pair()?;
    sys::process::spawn(
        Path::new("/proc/self/exe"),
        Some("outlast"),
        &[OsStr::new("role"), OsStr::new("keeper")],
        Some(&theirs),
        SpawnOptions { death_signal: Some(sys::process::SIGKILL), ..SpawnOptions::default() },
    )?;
    let (files, fds) =
        Texts { cluster: texts.cluster.clone(), ..Texts::default() }.descriptors()?;
    let order = Order::Start(Box::new(Start { files, sockets: vec![], ..start.clone() }));
    let mut bytes = vec![];
    api::encode(&order, &mut bytes);
    ours.send(&bytes, &fds.iter().map(AsFd::as_fd).collect::<Vec<_>>())?;
    Ok(ours)
}

/// The whole life of the process: as [`run`], and the kernel ends it with its parent, also where it stands still.
pub(crate) fn alone(channel: &Channel, texts: &Texts) -> Result<(), KeeperError> {
    // Its parent is that user by its end: the kernel sends the death signal in the name of that.
    if let Some((uid, _)) = sys::rights::user(USER).filter(|_| sys::rights::is_root()) {
        match sys::rights::let_signal(uid) {
            Err(_) if sys::rights::is_contained() => {}
            outcome => outcome.map_err(KeeperError::Rights)?,
        }
    }
    // A change of user may clear both (prctl(2)).
    sys::rights::keep_out_of_core_dumps();
    sys::schedule::death_signal(sys::process::SIGKILL).map_err(KeeperError::Rights)?;
    // Who made the channel is the parent, unless that ended before.
    let peer = sys::rights::peer(channel.as_fd()).map_err(KeeperError::Channel)?;
    if sys::process::parent() != Some(peer.pid) {
        return Ok(());
    }
    run(channel, texts)
}

/// Answers until the other side is gone.
fn run(channel: &Channel, texts: &Texts) -> Result<(), KeeperError> {
    sys::rights::drop_capabilities().map_err(KeeperError::Rights)?;
    let source = texts.cluster.as_ref().ok_or(KeeperError::None)?;
    let cluster = config::cluster::parse(source, 0).0.ok_or(KeeperError::None)?;
    let sources = sources(&cluster, &source.path).ok_or(KeeperError::None)?;
    let mut keeper = Keeper { sources, guests: Guests::default(), shown: vec![], next: 1 };
    let poller = Poller::new().map_err(KeeperError::Channel)?;
    poller.add(channel.as_fd(), 0, Interest::READ).map_err(KeeperError::Channel)?;
    let (mut ready, mut buffer) = (vec![], vec![0; MAX_MESSAGE]);
    loop {
        match channel.receive(&mut buffer, &mut vec![]) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                let answer = match api::decode(&buffer[..length]) {
                    Ok(ask) => keeper.answer(&ask),
                    Err(error) => failed(&error),
                };
                let mut bytes = vec![];
                api::encode(&answer, &mut bytes);
                channel.send(&bytes, &[]).map_err(KeeperError::Channel)?;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                poller.wait(&mut ready, None).map_err(KeeperError::Channel)?;
            }
            Err(error) => return Err(KeeperError::Channel(error)),
        }
    }
}

/// What is shown now, and before: a handshake that began with that is still signed.
const KEPT: usize = 2;

#[derive(Debug)]
struct Keeper {
    sources: Sources,
    guests: Guests,
    /// The newest last, each under its number.
    shown: Vec<(u64, Written, Front)>,
    next: u64,
}

impl Keeper {
    fn answer(&mut self, ask: &KeeperAsk) -> KeeperAnswer {
        match ask {
            KeeperAsk::Show { known } => self.show(*known),
            KeeperAsk::Sign { shown, scheme, message } => {
                let front = self.shown.iter().find(|(number, ..)| number == shown);
                let Some(((.., front), message)) = front.zip(hex::decode(message)) else {
                    return KeeperAnswer::Failed { why: "that is no longer shown".to_owned() };
                };
                match front.sign(*scheme, &message) {
                    Ok(signature) => KeeperAnswer::Signed { signature: hex::encode(&signature) },
                    Err(error) => failed(&error),
                }
            }
            KeeperAsk::Who { certificate } => {
                let certificate = hex::decode(certificate).unwrap_or_default();
                let shown = (&certificate[..], sys::clock::wall_ms());
                match self.guests.who(&self.sources, shown) {
                    Ok(Some((node, role))) => KeeperAnswer::Known(grant(node, role)),
                    Ok(None) => KeeperAnswer::Stranger,
                    Err(error) => failed(&error),
                }
            }
        }
    }

    fn show(&mut self, known: u64) -> KeeperAnswer {
        let unread = self.look();
        match (self.shown.last(), unread) {
            (Some((number, ..)), _) if *number == known => KeeperAnswer::Same,
            (Some((number, _, front)), _) => KeeperAnswer::Shown(Shown {
                number: *number,
                chain: front.chain.iter().map(|der| hex::encode(der)).collect(),
                authority: front.authority().map(|der| hex::encode(&der)),
                schemes: front.schemes(),
            }),
            (None, Some(error)) => failed(&error),
            (None, None) => KeeperAnswer::Failed { why: "there is nothing to show".to_owned() },
        }
    }

    /// Reads again what is another file; while that cannot be read, what was shown goes on. Why not, if so.
    fn look(&mut self) -> Option<trust::FrontError> {
        let written = match self.sources.written() {
            Ok(written) => written,
            Err(error) => return Some(error),
        };
        if self.shown.last().is_some_and(|(_, of, _)| *of == written) {
            return None;
        }
        match self.sources.read() {
            Ok(front) => {
                if self.shown.len() == KEPT {
                    self.shown.remove(0);
                }
                self.shown.push((self.next, written, front));
                self.next += 1;
                None
            }
            Err(error) => Some(error),
        }
    }
}

/// A controller sees everything, a compute node its cluster's numbers.
fn grant(node: String, role: trust::Role) -> Grant {
    let scopes = match role {
        trust::Role::Controller => Role::Viewer.scopes(),
        trust::Role::Compute => vec![Scope::Metrics],
    };
    Grant { name: node, scopes, until_ms: None }
}

fn failed(error: &dyn std::error::Error) -> KeeperAnswer {
    KeeperAnswer::Failed { why: Chain(error).to_string() }
}
