//! The cluster's authority: signs the certificates of its nodes.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};

use crate::keys::KeyError;
use crate::roster::{Fingerprint, Role};

/// Who answers for a cluster has this name in its certificate; nobody else has.
pub(crate) const CONTROLLER: &str = "controller.outlast.internal";
/// Clocks may differ by this much at the start of a cluster.
const BEFORE: Duration = Duration::hours(1);
/// The authority's: when it ends, the cluster is founded anew.
const VALID: Duration = Duration::days(3650);
/// A node's: `outlast run` renews it when two thirds are over, so that the authority may be away for months.
/// Beats do not need it.
pub(crate) const NODE_VALID_MS: u64 = 400 * 24 * 3600 * 1000;

/// SHA-256 over a certificate.
pub(crate) fn fingerprint(certificate: &[u8]) -> Fingerprint {
    Fingerprint(Sha256::digest(certificate).into())
}

/// What stands in the certificate of a node, and of no other one.
pub(crate) fn name_of(node: &str) -> String {
    format!("{node}.node.outlast.internal")
}

fn params(name: &str, valid: Duration, now_ms: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut whole = DistinguishedName::new();
    whole.push(DnType::CommonName, name);
    params.distinguished_name = whole;
    let seconds = i64::try_from(now_ms / 1000).unwrap_or(i64::MAX);
    let now = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    params.not_before = now - BEFORE;
    params.not_after = now + valid;
    params
}

/// The same whenever the authority signs; only the key says that it is the one.
fn authority(cluster: &str, now_ms: u64) -> CertificateParams {
    let mut params = params(&format!("{cluster} (outlast)"), VALID, now_ms);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// The certificate of a new authority.
pub(crate) fn found(cluster: &str, key: &KeyPair, now_ms: u64) -> Result<Vec<u8>, KeyError> {
    let made = authority(cluster, now_ms).self_signed(key).map_err(|_| KeyError::Make)?;
    Ok(made.der().to_vec())
}

/// The certificate of a node.
pub(crate) fn certify(
    (cluster, key): (&str, &KeyPair),
    (node, role): (&str, Role),
    public: &impl PublicKeyData,
    now_ms: u64,
) -> Result<Vec<u8>, KeyError> {
    let valid = Duration::milliseconds(i64::try_from(NODE_VALID_MS).unwrap_or(i64::MAX));
    let mut params = params(node, valid, now_ms);
    let mut names = vec![name_of(node)];
    if role == Role::Controller {
        names.push(CONTROLLER.to_owned());
    }
    let names = names.into_iter().map(|name| name.try_into().map(rcgen::SanType::DnsName));
    params.subject_alt_names = names.collect::<Result<_, _>>().map_err(|_| KeyError::Public)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    let issuer = Issuer::new(authority(cluster, now_ms), key);
    let made = params.signed_by(public, &issuer).map_err(|_| KeyError::Public)?;
    Ok(made.der().to_vec())
}
