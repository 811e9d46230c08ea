//! What a node shows to whoever looks at its dashboard: a certificate, and signatures of the key behind it.
//!
//! It is read again whenever one of its files is another one: renewed keys, or a certificate that the operator
//! put in the place of an old one, are shown without a restart.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SigningKey;
use zeroize::Zeroizing;

use crate::authority::fingerprint;
use crate::files::{self, FileError};
use crate::folder::{Folder, State, TrustError};
use crate::roster::Role;

/// What a server signs in TLS 1.3 begins like this (RFC 8446, 4.4.3): 64 spaces, then these words.
const SERVER: &[u8] = b"TLS 1.3, server CertificateVerify\0";
const SPACES: usize = 64;
/// The longest hash of a transcript (SHA-512, bytes).
const LONGEST_HASH: usize = 64;
/// The signatures that TLS 1.3 knows, and keys can make.
const SCHEMES: [SignatureScheme; 7] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP521_SHA512,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
];

/// Why nothing can be shown.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error("cannot read the certificates of {}", path.display())]
    Certificate {
        path: PathBuf,
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    #[error("{} holds no certificate", .0.display())]
    Empty(PathBuf),
    #[error("{} holds no key (PEM) that TLS can use", .0.display())]
    Key(PathBuf),
    #[error("the key of {} is not that of the certificate {}", key.display(), certificate.display())]
    Other { certificate: PathBuf, key: PathBuf },
    #[error("the node's key cannot be used for TLS")]
    Node,
    #[error("that is not what a server signs in TLS 1.3")]
    NotOurs,
    #[error("the key makes no such signature")]
    Scheme,
    #[error("cannot look at {}", path.display())]
    Look {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// Where that comes from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Whose certificates of clients are believed, and what is shown where there are no files.
    pub folder: Option<Folder>,
    /// The operator's own: certificates and key, PEM.
    pub files: Option<(PathBuf, PathBuf)>,
}

/// Which files they are: time of the last change, inode, length of each.
pub type Written = Vec<(SystemTime, u64, u64)>;

/// What is shown, with the key behind it.
#[derive(Debug)]
pub struct Front {
    /// DER, the server's own first.
    pub chain: Vec<Vec<u8>>,
    key: Arc<dyn SigningKey>,
    state: Option<State>,
}

impl Sources {
    /// # Errors
    /// When one of the files is not there.
    pub fn written(&self) -> Result<Written, FrontError> {
        let folder = self.folder.as_ref().map(Folder::state_file);
        let files = self.files.iter().flat_map(|(certificate, key)| [certificate, key]).cloned();
        let of = |path: PathBuf| {
            std::fs::metadata(&path)
                .and_then(|file| Ok((file.modified()?, file.ino(), file.len())))
                .map_err(|source| FrontError::Look { path, source })
        };
        folder.into_iter().chain(files).map(of).collect()
    }

    /// Reads it.
    ///
    /// # Errors
    /// When a file cannot be read, is readable by others, or key and certificate do not belong together.
    pub fn read(&self) -> Result<Front, FrontError> {
        let state = self.folder.as_ref().map(Folder::load).transpose()?;
        match (&self.files, &self.folder, state) {
            (Some((certificate, key)), _, state) => {
                let (chain, key) = own(certificate, key)?;
                Ok(Front { chain, key, state })
            }
            (None, Some(folder), Some(state)) => {
                let (chain, key) = folder.identity(&state, |own| {
                    let chain = vec![own.certificate.to_vec(), own.authority.to_vec()];
                    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(own.key);
                    (chain, any_supported_type(&PrivateKeyDer::from(key)))
                })?;
                Ok(Front { chain, key: key.map_err(|_| FrontError::Node)?, state: Some(state) })
            }
            (None, _, _) => Err(FrontError::Node),
        }
    }
}

type Pair = (Vec<Vec<u8>>, Arc<dyn SigningKey>);

/// The operator's certificates and their key.
fn own(certificate: &Path, key: &Path) -> Result<Pair, FrontError> {
    let unread = |source| FrontError::Certificate { path: certificate.to_owned(), source };
    let read = CertificateDer::pem_file_iter(certificate).map_err(unread)?;
    let chain: Vec<CertificateDer<'static>> = read.collect::<Result<_, _>>().map_err(unread)?;
    if chain.is_empty() {
        return Err(FrontError::Empty(certificate.to_owned()));
    }
    let text = Zeroizing::new(files::read(key)?);
    let none = || FrontError::Key(key.to_owned());
    let secret = PrivateKeyDer::from_pem_slice(&text).map_err(|_| none())?;
    let signing = any_supported_type(&secret).map_err(|_| none())?;
    let whole = rustls::sign::CertifiedKey::new(chain, signing);
    match whole.keys_match() {
        Ok(()) => {}
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
        Err(_) => {
            let (certificate, key) = (certificate.to_owned(), key.to_owned());
            return Err(FrontError::Other { certificate, key });
        }
    }
    Ok((whole.cert.iter().map(|der| der.to_vec()).collect(), whole.key))
}

impl Front {
    /// The authority whose certificates of clients are believed (DER).
    #[must_use]
    pub fn authority(&self) -> Option<Vec<u8>> {
        self.state.as_ref().map(State::authority)
    }

    /// Numbers of the signatures that the key can make.
    #[must_use]
    pub fn schemes(&self) -> Vec<u16> {
        let can = |scheme: &SignatureScheme| self.key.choose_scheme(&[*scheme]).is_some();
        SCHEMES.into_iter().filter(can).map(u16::from).collect()
    }

    /// Signs what a server signs in a handshake, and nothing else: who may ask for this cannot speak as a client,
    /// certify or prove anything.
    ///
    /// # Errors
    /// When it is something else, or no signature of this key.
    pub fn sign(&self, scheme: u16, message: &[u8]) -> Result<Vec<u8>, FrontError> {
        let hash = message.get(SPACES + SERVER.len()..).ok_or(FrontError::NotOurs)?;
        let is_ours = message[..SPACES].iter().all(|byte| *byte == b' ')
            && message[SPACES..].starts_with(SERVER)
            && (1..=LONGEST_HASH).contains(&hash.len());
        if !is_ours {
            return Err(FrontError::NotOurs);
        }
        let signer = self.key.choose_scheme(&[scheme.into()]).ok_or(FrontError::Scheme)?;
        signer.sign(message).map_err(|_| FrontError::Scheme)
    }
}

/// Who is in, by the newest roster; it does not depend on what is shown.
#[derive(Debug, Default)]
pub struct Guests {
    read: Option<(Written, State)>,
}

impl Guests {
    /// Name and role of the node that showed this certificate, after a handshake in which it proved to have its
    /// key. None: nobody's, or that of a node that was put out.
    ///
    /// # Errors
    /// When the roster cannot be read: an older one lets nobody in.
    pub fn who(
        &mut self,
        sources: &Sources,
        (certificate, now_ms): (&[u8], u64),
    ) -> Result<Option<(String, Role)>, FrontError> {
        let Some(folder) = &sources.folder else { return Ok(None) };
        let written = Sources { folder: Some(folder.clone()), files: None }.written()?;
        if self.read.as_ref().is_none_or(|(of, _)| *of != written) {
            self.read = None;
            self.read = Some((written, folder.load()?));
        }
        let roster = self.read.as_ref().map(|(_, state)| &state.roster);
        let member = roster.and_then(|roster| roster.of(&fingerprint(certificate), now_ms));
        let member = member.filter(|member| !member.revoked);
        Ok(member.map(|member| (member.name.clone(), member.role)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Founding;

    fn message(words: &[u8]) -> Vec<u8> {
        [&[b' '; SPACES], words, &[7; 32]].concat()
    }

    #[test]
    fn the_key_signs_what_a_server_says_in_a_handshake_and_nothing_else() {
        let path = std::env::temp_dir().join(format!("outlast-front-{}", std::process::id()));
        let folder = Folder::new(&path, None);
        let founding = Founding { cluster: "c".to_owned(), node: "a".to_owned(), address: None };
        let now_ms = sys::clock::wall_ms();
        folder.init(&founding, now_ms).unwrap();
        let sources = Sources { folder: Some(folder), files: None };
        let front = sources.read().unwrap();
        let p256 = u16::from(SignatureScheme::ECDSA_NISTP256_SHA256);
        assert_eq!(front.schemes(), [p256]);
        assert!(front.sign(p256, &message(SERVER)).is_ok());
        let client = b"TLS 1.3, client CertificateVerify\0";
        for other in [message(client), b"outlast keys 1\n".to_vec(), vec![], vec![b' '; 200]] {
            assert!(matches!(front.sign(p256, &other), Err(FrontError::NotOurs)));
        }
        let mut long = message(SERVER);
        long.extend([0; 64]);
        assert!(matches!(front.sign(p256, &long), Err(FrontError::NotOurs)));
        assert!(matches!(front.sign(1, &message(SERVER)), Err(FrontError::Scheme)));
        std::fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn who_is_in_does_not_depend_on_what_is_shown_and_an_old_roster_lets_nobody_in() {
        let path = std::env::temp_dir().join(format!("outlast-guests-{}", std::process::id()));
        let folder = Folder::new(&path, None);
        let founding = Founding { cluster: "c".to_owned(), node: "a".to_owned(), address: None };
        let now_ms = sys::clock::wall_ms();
        folder.init(&founding, now_ms).unwrap();
        let own = Sources { folder: Some(folder.clone()), files: None }.read().unwrap().chain;
        // The operator's pair is being replaced: one of the two is not there.
        let files = Some((path.join("no-cert.pem"), path.join("no-key.pem")));
        let sources = Sources { folder: Some(folder.clone()), files };
        assert!(sources.read().is_err());
        let mut guests = Guests::default();
        let mut who = |certificate: &[u8]| guests.who(&sources, (certificate, now_ms));
        assert_eq!(who(&own[0]).unwrap(), Some(("a".to_owned(), Role::Controller)));
        assert_eq!(who(&own[1]).unwrap(), None, "the authority is no node");
        let state = folder.state_file();
        std::fs::write(&state, "half a file").unwrap();
        assert!(who(&own[0]).is_err(), "not by what was read before");
        std::fs::remove_file(&state).unwrap();
        assert!(who(&own[0]).is_err());
        std::fs::remove_dir_all(&path).unwrap();
    }
}
