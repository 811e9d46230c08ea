//! TLS elsewhere than on loopback: who comes there is greeted with the node's certificate, and may show one.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::access::Grant;
use api::keeper::Shown;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::keeper::{Keeper, KeeperError, Remote, bytes, certificates};

/// Connections over TLS at once, from the handshake on, each of which takes a place of all; the rest is for who is on
/// loopback.
pub(crate) const HANDSHAKES: usize = 32;
/// From the connection to the end of its handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// The first byte of every handshake (RFC 8446, 5.1).
const HANDSHAKE_RECORD: u8 = 22;
/// Of a request in the clear, which is thrown away so that its answer arrives (bytes, time).
const THROWN_AWAY: usize = 16 * 1024;
const FAREWELL: Duration = Duration::from_secs(1);

const PLAIN: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
                     Connection: close\r\nContent-Length: 54\r\n\r\n\
                     This port speaks TLS: write https:// instead of http:\n";

/// What became of connections to listeners that speak TLS.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    completed: AtomicU64,
    failed: AtomicU64,
    late: AtomicU64,
    plain: AtomicU64,
}

impl Counts {
    /// Words and numbers, as the metrics have them.
    pub(crate) fn all(&self) -> [(&'static str, u64); 4] {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            ("completed", of(&self.completed)),
            ("failed", of(&self.failed)),
            ("late", of(&self.late)),
            ("plain", of(&self.plain)),
        ]
    }
}

/// Who came over TLS; requests of such a connection have it with them.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    keeper: Arc<Keeper>,
    /// What was shown, if anything: of the cluster's authority, and its key was proven.
    certificate: Option<Arc<CertificateDer<'static>>>,
}

impl Peer {
    pub(crate) const fn has_certificate(&self) -> bool {
        self.certificate.is_some()
    }

    /// What the owner of the certificate may see: asked at each request, so that who is put out is at once.
    pub(crate) fn grant(&self) -> Result<Option<Grant>, KeeperError> {
        match &self.certificate {
            Some(certificate) => self.keeper.who(certificate),
            None => Ok(None),
        }
    }
}

/// What stands before a listener that is not on loopback.
#[derive(Debug)]
pub(crate) struct Gate {
    keeper: Arc<Keeper>,
    counts: Arc<Counts>,
    /// The number of what is shown, and how.
    shown: Mutex<(u64, Option<Arc<ServerConfig>>)>,
    pub(crate) free: Arc<Semaphore>,
}

impl Gate {
    pub(crate) fn new(keeper: Arc<Keeper>, counts: Arc<Counts>) -> Self {
        let free = Arc::new(Semaphore::new(HANDSHAKES));
        Self { keeper, counts, shown: Mutex::default(), free }
    }

    /// Speaks TLS with who came, or says in the clear that it is spoken. None: nothing more is said.
    pub(crate) async fn greet(&self, stream: TcpStream) -> Option<(TlsStream<TcpStream>, Peer)> {
        let greeted = tokio::time::timeout(HANDSHAKE, self.handshake(stream)).await;
        let (count, outcome) = match greeted {
            Ok(Ok(Some(outcome))) => (&self.counts.completed, Some(outcome)),
            Ok(Ok(None)) => (&self.counts.plain, None),
            Ok(Err(_)) => (&self.counts.failed, None),
            Err(_late) => (&self.counts.late, None),
        };
        count.fetch_add(1, Ordering::Relaxed);
        outcome
    }

    async fn handshake(
        &self,
        mut stream: TcpStream,
    ) -> io::Result<Option<(TlsStream<TcpStream>, Peer)>> {
        let mut first = [0];
        match stream.peek(&mut first).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ if first[0] != HANDSHAKE_RECORD => {
                // Who does not take the answer has none.
                let _ = tokio::time::timeout(FAREWELL, say_no(&mut stream)).await;
                return Ok(None);
            }
            _ => {}
        }
        let config = self.config().map_err(io::Error::other)?;
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let certificate = shown.map(|shown| Arc::new(shown.clone().into_owned()));
        let peer = Peer { keeper: Arc::clone(&self.keeper), certificate };
        Ok(Some((stream, peer)))
    }

    /// What is shown now; while nothing new can be had, what was shown before.
    fn config(&self) -> Result<Arc<ServerConfig>, KeeperError> {
        let mut known = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = match (self.keeper.show(known.0), &known.1) {
            (Ok(None), Some(config)) | (Err(KeeperError::Failed(_)), Some(config)) => {
                return Ok(Arc::clone(config));
            }
            (Ok(Some(shown)), _) => shown,
            (Ok(None), None) => return Err(KeeperError::Failed("nothing is shown".to_owned())),
            (Err(error), _) => return Err(error),
        };
        let config = Arc::new(config(&self.keeper, &fresh)?);
        *known = (fresh.number, Some(Arc::clone(&config)));
        Ok(config)
    }
}

fn config(keeper: &Arc<Keeper>, shown: &Shown) -> Result<ServerConfig, KeeperError> {
    let failed = |error: &dyn std::error::Error| KeeperError::Failed(error.to_string());
    let none = || KeeperError::Failed("the keeper showed nothing that TLS can use".to_owned());
    let chain = certificates(&shown.chain).ok_or_else(none)?;
    let key = Remote::of(keeper, shown).ok_or_else(none)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let clients = match shown.authority.as_deref().map(|der| bytes(der).ok_or_else(none)) {
        None => Arc::new(NoClientAuth),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority?.into()).map_err(|error| failed(&error))?;
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .allow_unauthenticated()
                .build()
                .map_err(|error| failed(&error))?
        }
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| failed(&error))?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key))));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Each connection proves anew who is there.
    config.send_tls13_tickets = 0;
    Ok(config)
}

async fn say_no(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(PLAIN.as_bytes()).await?;
    stream.shutdown().await?;
    // What is unread when it is closed would take the answer with it.
    let mut rest = vec![0; 4096];
    let mut read = 0;
    while read < THROWN_AWAY {
        match stream.read(&mut rest).await? {
            0 => break,
            length => read += length,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::PLAIN;

    #[test]
    fn the_answer_in_the_clear_is_as_long_as_it_says() {
        let (head, body) = PLAIN.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{}", body.len());
    }
}
