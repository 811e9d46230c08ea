//! The cluster's authority: signs the certificates of its nodes.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
};
use sha2::{Digest, Sha256};
use time::{Date, Duration, Month, OffsetDateTime, Time};

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

/// From when on a node says that the authority's certificate ends: a year, as a node's own may last for longer than
/// what is left then, and founding anew takes planning.
pub const ENDS_SOON_MS: u64 = 365 * 24 * 3600 * 1000;

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

/// When a certificate ends, in milliseconds since 1970: the second moment of its `validity` (RFC 5280 §4.1.2.5);
/// none of bytes that are no certificate.
pub(crate) fn ends_ms(certificate: &[u8]) -> Option<u64> {
    let (_, whole, _) = part(certificate)?;
    let (_, mut rest, _) = part(whole)?;
    // The version is left out of the oldest kind; then serial, algorithm and issuer come before it.
    let (tag, _, after) = part(rest)?;
    if tag == VERSION {
        rest = after;
    }
    for _ in ["serial", "algorithm", "issuer"] {
        (_, _, rest) = part(rest)?;
    }
    let (_, validity, _) = part(rest)?;
    let (_, _, rest) = part(validity)?;
    let (tag, text, _) = part(rest)?;
    let text = std::str::from_utf8(text).ok()?;
    let (year, text) = match tag {
        // Two digits, of 1950 to 2049.
        UTC_TIME => {
            let year: i32 = text.get(..2)?.parse().ok()?;
            (year + if year < 50 { 2000 } else { 1900 }, text.get(2..)?)
        }
        GENERALIZED_TIME => (text.get(..4)?.parse().ok()?, text.get(4..)?),
        _ => return None,
    };
    let number = |at: usize| text.get(at..at + 2)?.parse::<u8>().ok();
    let month = Month::try_from(number(0)?).ok()?;
    let date = Date::from_calendar_date(year, month, number(2)?).ok()?;
    let time = Time::from_hms(number(4)?, number(6)?, number(8)?).ok()?;
    let seconds = date.with_time(time).assume_utc().unix_timestamp();
    u64::try_from(seconds).ok()?.checked_mul(1000)
}

const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The first value in DER: its tag, what is in it, and what follows it.
fn part(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk()?;
    // A length below 128 is itself; else it says how many bytes the length has.
    let (length, rest) = match usize::from(first & 0x7f) {
        short if first < 0x80 => (short, rest),
        count if (1..=3).contains(&count) => {
            let (length, rest) = rest.split_at_checked(count)?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (inside, rest) = rest.split_at_checked(length)?;
    Some((tag, inside, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_authority_is_read_from_its_certificate_and_cut_bytes_are_none() {
        let key = KeyPair::generate().unwrap();
        // 2026 ends in two digits of the year, 2045 in four.
        for now_ms in [1_795_000_000_000, 2_390_000_000_000] {
            let made = found("cloud", &key, now_ms).unwrap();
            assert_eq!(ends_ms(&made), Some(now_ms + 3650 * 24 * 3600 * 1000));
            for length in 0..200 {
                assert_eq!(ends_ms(&made[..length]), None);
            }
        }
    }
}
