//! Certificates as other programs read them (RFC 7468).

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Characters of a line.
const LINE: usize = 64;

/// The text of one object, `CERTIFICATE` or another label.
#[must_use]
pub fn write(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for (at, three) in der.chunks(3).enumerate() {
        if at > 0 && at % (LINE / 4) == 0 {
            text.push('\n');
        }
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let all = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = char::from(DIGITS[(all >> (18 - 6 * place)) as usize & 63]);
            text.push(if place > three.len() { '=' } else { digit });
        }
    }
    text + &format!("\n-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    #[test]
    fn what_is_written_is_read_as_it_was() {
        for length in [1, 2, 3, 47, 48, 49, 700] {
            let der: Vec<u8> = (0_u8..=255).cycle().take(length).collect();
            let text = super::write("CERTIFICATE", &der);
            assert!(text.lines().all(|line| line.len() <= 64), "{text}");
            let read = CertificateDer::from_pem_slice(text.as_bytes()).unwrap();
            assert_eq!(*read, *der, "{length} bytes");
        }
    }
}
