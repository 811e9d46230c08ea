//! TLS 1.3 between nodes: both sides show a certificate of the cluster's authority.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig,
    SignatureScheme,
};

use crate::authority::{CONTROLLER, fingerprint};
use crate::roster::Fingerprint;

/// What a node shows: its certificate, that of the authority, and its key (PKCS 8).
#[derive(Debug)]
pub(crate) struct Identity<'a> {
    pub(crate) certificate: &'a [u8],
    pub(crate) authority: &'a [u8],
    pub(crate) key: &'a [u8],
}

impl Identity<'_> {
    fn chain(&self) -> Vec<CertificateDer<'static>> {
        [self.certificate, self.authority].map(|der| CertificateDer::from(der.to_vec())).to_vec()
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.to_vec()).into()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn roots(authority: &[u8]) -> Result<Arc<RootCertStore>, Error> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.to_vec()))?;
    Ok(Arc::new(roots))
}

/// The caller's clock instead of the machine's, for certificates.
#[derive(Debug)]
struct Clock(u64);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(self.0)))
    }
}

/// For who answers. A client without a certificate may ask to join, and nothing else.
pub(crate) fn server(identity: &Identity<'_>, now_ms: u64) -> Result<ServerConfig, Error> {
    let roots = roots(identity.authority)?;
    let clients = WebPkiClientVerifier::builder_with_provider(roots, provider())
        .allow_unauthenticated()
        .build()
        .map_err(|error| Error::General(error.to_string()))?;
    ServerConfig::builder_with_details(provider(), Arc::new(Clock(now_ms)))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(clients)
        .with_single_cert(identity.chain(), identity.key())
}

/// For who answers other controllers: nobody else is let in.
pub(crate) fn mutual_server(
    identity: &Identity<'_>,
    time: Arc<dyn TimeProvider>,
) -> Result<ServerConfig, Error> {
    let clients =
        WebPkiClientVerifier::builder_with_provider(roots(identity.authority)?, provider())
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
    let mut config = ServerConfig::builder_with_details(provider(), time)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(clients)
        .with_single_cert(identity.chain(), identity.key())?;
    // Each connection proves anew who is there.
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// For who asks another controller.
pub(crate) fn mutual_client(
    authority: &Arc<Pinned>,
    identity: &Identity<'_>,
    time: Arc<dyn TimeProvider>,
) -> Result<ClientConfig, Error> {
    let verifier: Arc<dyn ServerCertVerifier> = Arc::clone(authority) as _;
    let mut config = ClientConfig::builder_with_details(provider(), time)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(identity.chain(), identity.key())?;
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// For who asks; with an identity both sides are authenticated.
pub(crate) fn client(
    authority: &Arc<Pinned>,
    identity: Option<&Identity<'_>>,
    now_ms: u64,
) -> Result<ClientConfig, Error> {
    let verifier: Arc<dyn ServerCertVerifier> = Arc::clone(authority) as _;
    let config = ClientConfig::builder_with_details(provider(), Arc::new(Clock(now_ms)))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match identity {
        Some(identity) => config.with_client_auth_cert(identity.chain(), identity.key()),
        None => Ok(config.with_no_client_auth()),
    }
}

/// The name of one node, or of whoever answers for the cluster.
pub(crate) fn named(node: Option<&str>) -> ServerName<'static> {
    let name = node.map(crate::authority::name_of);
    let name = name.and_then(|name| ServerName::try_from(name).ok());
    name.unwrap_or_else(|| ServerName::try_from(CONTROLLER).expect("it is a name of a host"))
}

/// Whether a handshake failed for a clock.
pub(crate) fn is_clock(error: &Error) -> bool {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    matches!(
        error,
        Error::InvalidCertificate(
            Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. }
        )
    )
}

/// Believes the authority whose certificate has this fingerprint, and controllers that it certified.
#[derive(Debug)]
pub(crate) struct Pinned {
    fingerprint: Fingerprint,
    provider: Arc<CryptoProvider>,
    /// The authority that the other side showed.
    shown: Mutex<Option<Vec<u8>>>,
}

impl Pinned {
    pub(crate) fn new(fingerprint: Fingerprint) -> Arc<Self> {
        Arc::new(Self { fingerprint, provider: provider(), shown: Mutex::new(None) })
    }

    pub(crate) const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The certificate of the authority that the other side showed.
    pub(crate) fn shown(&self) -> Option<Vec<u8>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = intermediates.last();
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) =
            shown.map(|certificate| certificate.to_vec());
        let authority = shown.filter(|shown| fingerprint(shown) == self.fingerprint);
        let authority =
            authority.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let provider = Arc::clone(&self.provider);
        WebPkiServerVerifier::builder_with_provider(roots(authority)?, provider)
            .build()
            .map_err(|error| Error::General(error.to_string()))?
            .verify_server_cert(end_entity, &[], server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
