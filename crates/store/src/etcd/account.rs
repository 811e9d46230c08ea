//! Where an etcd is and who asks it: addresses, certificates, account.
//!
//! Secrets are named as files and read when they are needed, so that none lies in a configuration, an
//! argument or a log. A new password or certificate is taken as soon as the old one is refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use zeroize::Zeroizing;

/// Longer passwords are files of something else (bytes).
const MAX_PASSWORD: usize = 4096;

/// Where an etcd is and who asks it.
#[derive(Clone, Debug)]
pub struct Account {
    /// `https://host:port` or `http://host:port` of members, in the order in which they are tried.
    pub members: Vec<String>,
    /// The authority that signed their certificates.
    pub ca_file: Option<PathBuf>,
    /// Certificate and key of this client.
    pub pair: Option<(PathBuf, PathBuf)>,
    /// Name, and the file with its password, where etcd asks for them.
    pub user: Option<(String, PathBuf)>,
    /// Of every key; not of those that are asked for.
    pub prefix: String,
}

/// One member.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Host and port.
    pub(super) address: String,
    /// The name in its certificate; nothing: without TLS.
    pub(super) name: Option<ServerName<'static>>,
}

impl Member {
    pub(super) fn of(text: &str) -> Option<Self> {
        let (scheme, address) = text.split_once("://")?;
        let (host, _) = address.rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = match scheme {
            "https" => Some(ServerName::try_from(host.to_owned()).ok()?),
            "http" => None,
            _ => return None,
        };
        Some(Self { address: address.to_owned(), name })
    }
}

fn unreadable(key: &str, path: &Path, why: impl std::fmt::Display) -> String {
    format!("cannot use {key} {}: {why}", path.display())
}

impl Account {
    /// The name and the password as the file has it now.
    pub(super) fn password(&self) -> Result<Option<(&str, Zeroizing<String>)>, String> {
        let Some((user, path)) = &self.user else { return Ok(None) };
        let text = std::fs::read_to_string(path).map(Zeroizing::new);
        let text = text.map_err(|error| unreadable("password_file", path, error))?;
        let password = text.strip_suffix('\n').unwrap_or(&text);
        let password = password.strip_suffix('\r').unwrap_or(password);
        if password.is_empty() || password.len() > MAX_PASSWORD || password.contains('\n') {
            return Err(unreadable("password_file", path, "it holds no password in one line"));
        }
        Ok(Some((user, Zeroizing::new(password.to_owned()))))
    }

    /// What proves etcd to us and us to etcd, as the files have it now.
    pub(super) fn tls(&self) -> Result<Arc<ClientConfig>, String> {
        let path = self.ca_file.as_ref().ok_or("`https` needs ca_file")?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates("ca_file", path)? {
            roots.add(certificate).map_err(|error| unreadable("ca_file", path, error))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots);
        let Some((certificate, key)) = &self.pair else {
            return Ok(Arc::new(builder.with_no_client_auth()));
        };
        let chain = certificates("cert_file", certificate)?;
        let secret = PrivateKeyDer::from_pem_file(key);
        let secret = secret.map_err(|error| unreadable("key_file", key, error))?;
        let config = builder.with_client_auth_cert(chain, secret);
        config.map(Arc::new).map_err(|error| unreadable("key_file", key, error))
    }
}

fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let failed = |error| unreadable(key, path, error);
    let read = CertificateDer::pem_file_iter(path).map_err(failed)?;
    let all = read.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    if all.is_empty() {
        return Err(unreadable(key, path, "it holds no certificate"));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let of = |text| Member::of(text).map(|member| (member.address, member.name.is_some()));
        assert_eq!(of("http://127.0.0.1:2379"), Some(("127.0.0.1:2379".to_owned(), false)));
        assert_eq!(of("https://[::1]:2379"), Some(("[::1]:2379".to_owned(), true)));
        assert_eq!(of("https://etcd.example:1"), Some(("etcd.example:1".to_owned(), true)));
        assert_eq!(of("etcd.example:1"), None);
        assert_eq!(of("ftp://etcd.example:1"), None);
    }

    #[test]
    fn a_password_is_one_line_and_a_file_that_is_none_is_named() {
        let path = std::env::temp_dir().join(format!("outlast-password-{}", std::process::id()));
        let account = Account {
            members: vec![],
            ca_file: Some(path.clone()),
            pair: None,
            user: Some(("u".to_owned(), path.clone())),
            prefix: String::new(),
        };
        for (text, password) in
            [("a b\n", Some("a b")), ("ab", Some("ab")), ("", None), ("a\nb", None)]
        {
            std::fs::write(&path, text).unwrap();
            let read = account.password();
            assert_eq!(read.as_ref().ok().map(|read| read.as_ref().unwrap().1.as_str()), password);
        }
        let why = account.tls().unwrap_err();
        assert!(why.starts_with("cannot use ca_file") && why.ends_with("it holds no certificate"));
        std::fs::remove_file(&path).unwrap();
        assert!(account.password().unwrap_err().contains("password_file"));
    }
}
