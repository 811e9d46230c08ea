//! Secrets on disk: encrypted under the key of a file, `key`, mode 600.
//!
//! ```text
//!  0         8      20         len-16   len
//!  "OUTLSEC1" nonce  cipher text  tag        AES-256-GCM-SIV; the file's name is authenticated, too
//! ```
//!
//! The key lies beside the secrets unless `--key-file` of `init` or `join` says otherwise; then a link is in its
//! place. Beside them it protects copies of single files; elsewhere, of the folder and of its whole disk.

use std::path::{Path, PathBuf};

use aes_gcm_siv::aead::{AeadInOut, KeyInit};
use aes_gcm_siv::{Aes256GcmSiv, Nonce, Tag};
use zeroize::Zeroizing;

use crate::files::{self, FileError};
use crate::hex;

const MAGIC: &[u8; 8] = b"OUTLSEC1";
const HEAD: usize = 20;
const TAG: usize = 16;

/// The key of a folder's secrets, or a link to it.
const KEY: &str = "key";

/// Where the key of a folder is. Its place is named in messages, too: a key disk that is not mounted is what is missing.
pub(crate) fn place(folder: &Path) -> PathBuf {
    let beside = folder.join(KEY);
    std::fs::read_link(&beside).map_or(beside, |link| folder.join(link))
}

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

    /// Makes a key for a folder and keeps it in a file, unless that is there: then it is read. The folder remembers
    /// where it is.
    pub(crate) fn make(folder: &Path, path: &Path) -> Result<Self, SecretError> {
        let made = if path.exists() {
            Self::read(path)?
        } else {
            let key = random::<32>()?;
            files::write(path, Zeroizing::new(hex::encode(&*key)).as_bytes())?;
            Self(key)
        };
        let beside = folder.join(KEY);
        if path != beside && beside.symlink_metadata().is_err() {
            files::point(&beside, path)?;
        }
        Ok(made)
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
    fn the_folder_remembers_where_its_key_is_and_says_which_file_is_missing() {
        let home = std::env::temp_dir().join(format!("outlast-key-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&home);
        let (folder, disk) = (home.join("trust"), home.join("disk"));
        files::make_folder(&folder).unwrap();
        files::make_folder(&disk).unwrap();
        let elsewhere = disk.join("key");
        let sealed = FileKey::make(&folder, &elsewhere).unwrap().seal("a", b"secret").unwrap();
        assert_eq!(place(&folder), elsewhere.canonicalize().unwrap());
        assert_eq!(
            **FileKey::read(&place(&folder)).unwrap().open("a", &sealed).unwrap(),
            *b"secret"
        );
        assert_eq!(
            FileKey::make(&folder, &place(&folder)).unwrap().0,
            FileKey::read(&elsewhere).unwrap().0
        );
        // What a copy of the folder has is no key.
        std::fs::rename(&disk, home.join("unmounted")).unwrap();
        let error = FileKey::read(&place(&folder)).unwrap_err().to_string();
        assert!(error.contains("disk/key"), "{error}");
        std::fs::remove_file(folder.join("key")).unwrap();
        std::os::unix::fs::symlink("../disk/key", folder.join("key")).unwrap();
        assert_eq!(place(&folder), folder.join("../disk/key"), "a link of an operator");
        let error = FileKey::make(&folder, &place(&folder)).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("disk/key"), "none is made in its place: {error}");
        assert!(!elsewhere.exists() && folder.join("key").is_symlink());
        std::fs::remove_dir_all(home).unwrap();
    }

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
