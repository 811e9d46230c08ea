//! The dashboard's process: gives its rights up, then serves.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;

use api::Start;
use config::cluster::DashboardTls;
use sys::channel::Channel;

use crate::agent::CONTROL;
use crate::files::Texts;
use crate::keeper;

/// Who the process is from then on, and who may ask the proxy for its numbers.
pub(crate) const USER: &str = "nobody";
/// Where the proxy tells its numbers, in the run folder.
pub(crate) const STATS: &str = "stats.sock";
/// Connections of browsers and scrapers, each of which may ask agent and proxy.
const DESCRIPTORS: u64 = 1024;

/// Why there is no dashboard.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServicesError {
    #[error("cannot give rights up")]
    Rights(#[source] io::Error),
    #[error("cannot start the keeper of the dashboard's key")]
    Keeper(#[source] io::Error),
    #[error(transparent)]
    Services(#[from] ::services::ServiceError),
}

pub(crate) fn run(
    channel: Channel,
    start: Start,
    texts: Texts,
    sockets: Vec<OwnedFd>,
) -> Result<(), ServicesError> {
    // What cannot be raised is a limit on the number of browsers, no fault.
    let _ = sys::rights::raise_open_files(DESCRIPTORS);
    let cluster = texts.cluster.as_ref().and_then(|source| config::cluster::parse(source, 0).0);
    let tls = cluster.as_ref().map(|cluster| cluster.dashboard.tls != DashboardTls::None);
    // The key is for who has rights.
    let keeper = tls.unwrap_or_default().then(|| keeper::begin(&start, &texts)).transpose();
    let keeper = keeper.map_err(ServicesError::Keeper)?;
    drop_rights()?;
    let run_dir = Path::new(&start.run_dir);
    let is_for_all = cluster.is_none_or(|cluster| cluster.access.viewer.is_none());
    let setup = ::services::Setup {
        node: start.node,
        control: run_dir.join(CONTROL),
        stats: run_dir.join(STATS),
        listeners: sockets.into_iter().map(TcpListener::from).collect(),
        token: texts.token,
        keeper,
        is_for_all,
        generation: start.generation,
    };
    Ok(::services::run(setup, channel)?)
}

/// Root of a user namespace has often nobody else to become: it stays, and is no root outside. Before
/// the first thread: capabilities are a thread's own.
fn drop_rights() -> Result<(), ServicesError> {
    if let Some((uid, gid)) = sys::rights::user(USER).filter(|_| sys::rights::is_root()) {
        match sys::rights::drop_to(uid, gid) {
            Err(_) if sys::rights::is_contained() => {}
            outcome => outcome.map_err(ServicesError::Rights)?,
        }
    }
    sys::rights::drop_capabilities().map_err(ServicesError::Rights)
}
