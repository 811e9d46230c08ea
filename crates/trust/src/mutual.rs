//! Mutual TLS between controllers: who both sides are is proven before a byte of what they say is read.
//!
//! What is shown and believed comes from the trust folder, read again whenever `trust.json` is another file:
//! a node that was revoked there is refused from then on, without a restart.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::pki_types::{ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ServerConfig};

use crate::authority::fingerprint;
use crate::folder::{Folder, State, TrustError};
use crate::roster::Role;
use crate::tls::{self, Pinned};

/// Why there is no connection to a node, or from it.
#[derive(Debug, thiserror::Error)]
pub enum MutualError {
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("no TLS can be spoken")]
    Tls(#[from] rustls::Error),
    #[error("cannot look at {}", path.display())]
    Look {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("its certificate is none of this cluster")]
    Stranger,
    #[error("`{0}` was revoked")]
    Revoked(String),
    #[error("`{0}` is a compute node: controllers only are spoken with")]
    Compute(String),
    #[error("`{0}` cannot stand in a certificate")]
    Name(String),
}

/// One node's side of connections to other controllers.
#[derive(Debug)]
pub struct Mutual {
    folder: Folder,
    known: Mutex<Option<(Written, Arc<Known>)>>,
}

/// Which file it is: time of the last change, inode, length. The clock of a file system is coarse, and may be
/// set back.
type Written = (SystemTime, u64, u64);

#[derive(Debug)]
struct Known {
    state: State,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

/// The machine's clock at each handshake.
#[derive(Debug)]
struct Wall;

impl TimeProvider for Wall {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(sys::clock::wall_ms())))
    }
}

impl Mutual {
    #[must_use]
    pub fn new(folder: Folder) -> Self {
        Self { folder, known: Mutex::new(None) }
    }

    fn known(&self) -> Result<Arc<Known>, MutualError> {
        let path = self.folder.state_file();
        let look = |source| MutualError::Look { path: path.clone(), source };
        let written = std::fs::metadata(&path)
            .and_then(|file| Ok((file.modified()?, file.ino(), file.len())))
            .map_err(look)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = known.as_ref().filter(|(of, _)| *of == written) {
            return Ok(Arc::clone(known));
        }
        let state = self.folder.load()?;
        let pinned = Pinned::new(state.fingerprint());
        let time = Arc::new(Wall);
        let (server, client) = self.folder.identity(&state, |own| {
            let server = tls::mutual_server(own, Arc::clone(&time) as _);
            (server, tls::mutual_client(&pinned, own, time))
        })?;
        let fresh = Known { state, server: Arc::new(server?), client: Arc::new(client?) };
        let fresh = Arc::new(fresh);
        *known = Some((written, Arc::clone(&fresh)));
        Ok(fresh)
    }

    /// For connections that others make: without a certificate of the cluster there is none.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn server(&self) -> Result<Arc<ServerConfig>, MutualError> {
        Ok(Arc::clone(&self.known()?.server))
    }

    /// For connections to others.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn client(&self) -> Result<Arc<ClientConfig>, MutualError> {
        Ok(Arc::clone(&self.known()?.client))
    }

    /// What stands in the certificate of a node.
    ///
    /// # Errors
    /// When nothing can.
    pub fn name_of(node: &str) -> Result<ServerName<'static>, MutualError> {
        let name = ServerName::try_from(crate::authority::name_of(node));
        name.map_err(|_| MutualError::Name(node.to_owned()))
    }

    /// The controller that showed this certificate, after a handshake in which it proved to have its key.
    ///
    /// # Errors
    /// When it is no controller of the cluster, or was put out.
    pub fn who(&self, certificate: &[u8]) -> Result<String, MutualError> {
        let known = self.known()?;
        let member = known.state.roster.of(&fingerprint(certificate), sys::clock::wall_ms());
        let member = member.ok_or(MutualError::Stranger)?;
        match (member.revoked, member.role) {
            (true, _) => Err(MutualError::Revoked(member.name.clone())),
            (false, Role::Compute) => Err(MutualError::Compute(member.name.clone())),
            (false, Role::Controller) => Ok(member.name.clone()),
        }
    }
}
