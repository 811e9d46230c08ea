//! With what a webhook can tell who posted.

use hkdf::hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// `sha256=` and the HMAC-SHA256 of a body, in hexadecimal digits: the form that most receivers know. None: the key is
/// none.
#[must_use]
pub fn signature(key: &[u8], body: &[u8]) -> Option<String> {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    hmac.update(body);
    let digits =
        hmac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Some(format!("sha256={digits}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_second_vector_of_rfc_4231() {
        let signed = super::signature(b"Jefe", b"what do ya want for nothing?");
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signed.as_deref(), Some(expected));
    }
}
