//! The node's face: dashboard and metrics. May crash freely; nobody waits for it.
//!
//! Everything shown comes from the agent's control socket and the proxy's stats socket, the same
//! that `outlast status` and `socat` ask: what a page says, a tool can say.

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;

use sys::channel::Channel;

mod ask;
mod gate;
mod grants;
mod guard;
mod heard;
mod keeper;
mod live;
mod mark;
mod metrics;
mod page;
mod pool;
mod reasons;
mod serve;
mod site;
mod stats;
mod trouble;
mod twin;

pub use metrics::{ALARMING, FAMILIES, Family, Kind, page as page_of_metrics};

/// What the services process is told by whoever starts it.
#[derive(Debug)]
pub struct Setup {
    /// The name of this node.
    pub node: String,
    /// The agent's control socket.
    pub control: PathBuf,
    /// The proxy's stats socket.
    pub stats: PathBuf,
    /// Where the dashboard answers.
    pub listeners: Vec<TcpListener>,
    /// What a browser must know to see the dashboard through a listener that is not on loopback.
    pub token: Option<String>,
    /// The way to the keeper of the key with which TLS is spoken elsewhere than on loopback; none: it is not, by the
    /// operator's own word.
    pub keeper: Option<Channel>,
    /// Whether everybody on this machine may look; if not, a token is asked for on loopback, too.
    pub is_for_all: bool,
    /// Configurations in force since the supervisor started.
    pub generation: u64,
}

/// Why the dashboard could not be served.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error("cannot start the dashboard's event loop")]
    Loop(#[source] io::Error),
    #[error("cannot listen for the dashboard")]
    Listen(#[source] io::Error),
    #[error("cannot hear the supervisor")]
    Supervisor(#[source] io::Error),
    #[error("the keeper of the dashboard's key is gone")]
    Keeper,
    #[error("the dashboard listens on {0}, which is not loopback, and has no token")]
    NoToken(std::net::SocketAddr),
}

/// Serves until the supervisor's end of `channel` closes or it orders the end.
///
/// # Errors
/// When nothing can be served at all.
pub fn run(setup: Setup, channel: Channel) -> Result<(), ServiceError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ServiceError::Loop)?
        .block_on(serve::until_told(setup, channel))
}
