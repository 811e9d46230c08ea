//! The same for those who have no event loop: tools, and threads of the agent.

use std::future::Future;
use std::io;
use std::path::Path;

use tokio::runtime::{Builder, Runtime};

use super::client::Client;

/// A [`Client`] with a loop of its own, which runs while something is waited for.
#[derive(Debug)]
pub struct Local {
    runtime: Runtime,
    client: Client,
}

impl Local {
    /// Of the node with this run folder; nothing is opened yet.
    ///
    /// # Errors
    /// When the system has nothing left to make a loop of.
    pub fn new(run_dir: &Path) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, client: Client::new(run_dir) })
    }

    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Waits for what was asked of [`Local::client`]: `local.wait(local.client().get("a"))`.
    pub fn wait<T>(&self, asked: impl Future<Output = T>) -> T {
        self.runtime.block_on(asked)
    }
}
