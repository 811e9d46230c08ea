//! Secrets on disk: encrypted under the key of a file, `key`, mode 600.
//!
//! ```text
//!  0         8      20         len-16   len
//!  "OUTLSEC1" nonce  cipher text  tag        AES-256-GCM-SIV; the file's name is authenticated, too
//! ```
//!
//! The key lies beside the secrets unless `--key-file` says otherwise: that protects copies of single files
//! and of a folder whose key file is elsewhere, not a whole disk in a thief's hands.

use std::path::Path;

use aes_gcm_siv::aead::{AeadInOut, KeyInit};
use aes_gcm_siv::{Aes256GcmSiv, Nonce, Tag};
use zeroize::Zeroizing;

use crate::files::{self, FileError};
use crate::hex;

const MAGIC: &[u8; 8] = b"OUTLSEC1";
const HEAD: usize = 20;
const TAG: usize = 16;

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{0} holds no key: 64 hexadecimal digits are expected")]
    Key(String),
    #[error("{0} is no secret of this version")]
    Form(String),
    #[error("{0} does not open with this key: another key file, or a damaged file")]
    Seal(String),
    #[error("the kernel gives no random numbers")]
    Random,
}

/// So many random bytes of the kernel.
///
/// # Errors
/// When the kernel has none.
pub fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, SecretError> {
    let mut bytes = Zeroizing::new([0; N]);
    aws_lc_rs::rand::fill(&mut *bytes).map_err(|_| SecretError::Random)?;
    Ok(bytes)
}

/// Opens and closes the secrets of one folder.
#[derive(Clone)]
pub struct FileKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for FileKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileKey(..)")
    }
}

impl FileKey {
    /// One that came from elsewhere than a file.
    pub(crate) const fn of(key: Zeroizing<[u8; 32]>) -> Self {
        Self(key)
    }

    /// Makes a key and keeps it in a file, unless that is there: then it is read.
    pub(crate) fn make(path: &Path) -> Result<Self, SecretError> {
        if path.exists() {
            return Self::read(path);
        }
        let key = random::<32>()?;
        files::write(path, Zeroizing::new(hex::encode(&*key)).as_bytes())?;
        Ok(Self(key))
    }

    pub(crate) fn read(path: &Path) -> Result<Self, SecretError> {
        let text = Zeroizing::new(files::read(path)?);
        let key = std::str::from_utf8(&text).ok().and_then(|text| hex::decode(text.trim()));
        let key: Option<[u8; 32]> = key.map(Zeroizing::new).and_then(|key| (**key).try_into().ok());
        key.map(|key| Self(Zeroizing::new(key)))
            .ok_or_else(|| SecretError::Key(path.display().to_string()))
    }

    pub(crate) fn seal(&self, name: &str, secret: &[u8]) -> Result<Vec<u8>, SecretError> {
        let nonce = random::<12>()?;
        let mut out = [MAGIC, &nonce[..], secret].concat();
        let cipher = Aes256GcmSiv::new((&*self.0).into());
        let nonce = Nonce::from(*nonce);
        let tag = cipher.encrypt_inout_detached(&nonce, name.as_bytes(), (&mut out[HEAD..]).into());
        let tag = tag.map_err(|_| SecretError::Form(name.to_owned()))?;
        out.extend_from_slice(&tag);
        Ok(out)
    }

    pub(crate) fn open(
        &self,
        name: &str,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let form = || SecretError::Form(name.to_owned());
        if sealed.len() < HEAD + TAG || sealed[..8] != *MAGIC {
            return Err(form());
        }
        let (text, tag) = sealed.split_at(sealed.len() - TAG);
        let nonce = Nonce::try_from(&text[8..HEAD]).map_err(|_| form())?;
        let tag = Tag::try_from(tag).map_err(|_| form())?;
        let mut out = Zeroizing::new(text[HEAD..].to_vec());
        let cipher = Aes256GcmSiv::new((&*self.0).into());
        cipher
            .decrypt_inout_detached(&nonce, name.as_bytes(), (&mut out[..]).into(), &tag)
            .map_err(|_| SecretError::Seal(name.to_owned()))?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_with_its_key_under_its_name_only() {
        let key = FileKey(random().unwrap());
        let sealed = key.seal("ca.key", b"very secret").unwrap();
        assert_eq!(**key.open("ca.key", &sealed).unwrap(), *b"very secret");
        assert!(!sealed.windows(4).any(|seen| seen == b"very"));
        assert!(matches!(key.open("node.key", &sealed), Err(SecretError::Seal(_))));
        let other = FileKey(random().unwrap());
        assert!(matches!(other.open("ca.key", &sealed), Err(SecretError::Seal(_))));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open("ca.key", &changed).is_err(), "byte {at}");
            assert!(key.open("ca.key", &sealed[..at]).is_err(), "{at} bytes");
        }
        assert_ne!(sealed, key.seal("ca.key", b"very secret").unwrap(), "never the same twice");
    }
}
