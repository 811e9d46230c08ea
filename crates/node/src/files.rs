//! Configuration texts: read once by the supervisor, handed to children as descriptors.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use api::{FileKind, FileName};
use config::keepalived::{Disk, Node, with_included};
use config::{Kind, Source};

/// The texts of one generation, as read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts {
    pub(crate) haproxy: Vec<Source>,
    pub(crate) keepalived: Option<Source>,
    /// Files that it includes; known to the supervisor only.
    pub(crate) included: Vec<Source>,
    /// What processes get in place of `keepalived`, if that is not all of it or means something on this node only.
    pub(crate) flat: Option<String>,
    pub(crate) cluster: Option<Source>,
    pub(crate) secret: Option<Vec<u8>>,
    /// Of the trust folder, if the secret is from there; known to the supervisor only.
    pub(crate) owner: Option<crate::secret::Owner>,
    /// The folder itself; as above.
    pub(crate) trust: Option<PathBuf>,
    /// Of the dashboard.
    pub(crate) token: Option<String>,
}

/// Why a text could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot read {path}")]
    Read {
        path: String,
        #[source]
        source: io::Error,
    },
    #[error("{path} is not UTF-8 text")]
    Text { path: String },
    #[error("{path} holds {found} bytes, a secret has at least {MIN_SECRET}")]
    ShortSecret { path: String, found: usize },
    #[error("{path} holds {found} characters, a token has at least {MIN_TOKEN} and no space")]
    ShortToken { path: String, found: usize },
    #[error(
        "{path} holds {found:?}, which cannot stand in an address after `?token=`: take letters and digits"
    )]
    LetterOfToken { path: String, found: char },
    #[error("{path} can be read by others: its mode is {mode:o}, it should be 600")]
    OpenSecret { path: String, mode: u32 },
    #[error(
        "{path} holds an http:// URL: whoever hears the network reads it. Write https://, or `in_the_clear = true`"
    )]
    HeardUrl { path: String },
    #[error("{path} is larger than {} bytes", config::MAX_FILE)]
    Large { path: String },
    #[error("cannot take the keys of the trust folder")]
    Trust(#[from] trust::TrustError),
    #[error("the dashboard cannot speak TLS")]
    Front(#[from] trust::FrontError),
    #[error("{path} is a folder without a .cfg file")]
    EmptyFolder { path: String },
}

/// Shorter ones can be guessed (bytes).
const MIN_SECRET: usize = 32;
/// As a password that one cannot try out over the network: 64 random bits in base64 have 11 (bytes).
const MIN_TOKEN: usize = 16;

pub(crate) fn read(path: &Path) -> Result<Source, FileError> {
    let shown = path.display().to_string();
    let wrap = |source| FileError::Read { path: shown.clone(), source };
    let bytes =
        bounded(path).map_err(wrap)?.ok_or_else(|| FileError::Large { path: shown.clone() })?;
    let text = String::from_utf8(bytes).map_err(|_| FileError::Text { path: shown.clone() })?;
    Ok(Source { path: shown, text })
}

/// None: the file is larger than a configuration can be. A device or pipe that never ends is, too.
fn bounded(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = std::fs::File::open(path)?;
    if file.metadata()?.len() > config::MAX_FILE {
        return Ok(None);
    }
    let mut bytes = vec![];
    file.take(config::MAX_FILE + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= config::MAX_FILE))
}

/// Files that keepalived's file includes.
struct Included;

impl Disk for Included {
    type Error = FileError;

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// Programs and folders are no configuration, as for keepalived.
    fn read(&self, path: &str) -> Result<Option<Source>, FileError> {
        use std::os::unix::fs::PermissionsExt;
        let found = std::fs::metadata(path).ok();
        let is_meant =
            found.is_some_and(|found| found.is_file() && found.permissions().mode() & 0o111 == 0);
        if is_meant { read(Path::new(path)).map(Some) } else { Ok(None) }
    }
}

/// A file, or every `*.cfg` of a folder in the order of names, as haproxy's `-f` takes them.
pub(crate) fn read_haproxy(path: &Path) -> Result<Vec<Source>, FileError> {
    if !path.is_dir() {
        return Ok(vec![read(path)?]);
    }
    let shown = path.display().to_string();
    let entries = std::fs::read_dir(path)
        .map_err(|source| FileError::Read { path: shown.clone(), source })?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|file| file.extension().is_some_and(|extension| extension == "cfg"))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(FileError::EmptyFolder { path: shown });
    }
    files.iter().map(|file| read(file)).collect()
}

pub(crate) fn read_secret(path: &Path) -> Result<Vec<u8>, FileError> {
    let secret = read_private(path)?;
    if secret.len() < MIN_SECRET {
        let path = path.display().to_string();
        return Err(FileError::ShortSecret { path, found: secret.len() });
    }
    Ok(secret)
}

/// What a browser must know: one word.
pub(crate) fn read_token(path: &Path) -> Result<String, FileError> {
    let shown = path.display().to_string();
    let token = String::from_utf8(read_private(path)?)
        .map_err(|_| FileError::Text { path: shown.clone() })?;
    if token.len() < MIN_TOKEN || token.contains(char::is_whitespace) {
        return Err(FileError::ShortToken { path: shown, found: token.len() });
    }
    if let Some(found) = token.chars().find(|letter| !stands_in_query(*letter)) {
        return Err(FileError::LetterOfToken { path: shown, found });
    }
    Ok(token)
}

/// Whether browsers and programs send it as it is, and nobody reads something else (RFC 3986 3.4).
fn stands_in_query(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "-._~!$*(),;:@/?=".contains(letter)
}

/// A file that nobody else can read, without the space at its end.
pub(crate) fn read_private(path: &Path) -> Result<Vec<u8>, FileError> {
    use std::os::unix::fs::PermissionsExt;
    let shown = path.display().to_string();
    let wrap = |source| FileError::Read { path: shown.clone(), source };
    let mode = std::fs::metadata(path).map_err(wrap)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(FileError::OpenSecret { path: shown, mode });
    }
    let mut secret =
        bounded(path).map_err(wrap)?.ok_or_else(|| FileError::Large { path: shown.clone() })?;
    while secret.last().is_some_and(u8::is_ascii_whitespace) {
        secret.pop();
    }
    Ok(secret)
}

impl Texts {
    /// Only what the dashboard may know: no secret, nothing of the balancer.
    pub(crate) fn for_dashboard(&self) -> Self {
        Self { token: self.token.clone(), cluster: self.cluster.clone(), ..Self::default() }
    }

    /// What the proxy may know: it reads foreign bytes, so neither the secret, with which it could
    /// speak for this node, nor the dashboard's word.
    pub(crate) fn for_proxy(&self) -> Self {
        Self { secret: None, ..self.for_node() }
    }

    /// The store's process reads the trust folder itself, and needs to know nothing but the cluster.
    pub(crate) fn for_store(&self) -> Self {
        Self { cluster: self.cluster.clone(), ..Self::default() }
    }

    /// What the vip process and the agent need: everything but the dashboard's word.
    pub(crate) fn for_node(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    /// One descriptor per text, with their names in the same order.
    pub(crate) fn descriptors(&self) -> io::Result<(Vec<FileName>, Vec<OwnedFd>)> {
        let mut names = vec![];
        let mut descriptors = vec![];
        let mut add = |kind, path: &str, bytes: &[u8]| -> io::Result<()> {
            names.push(FileName { kind, path: path.to_owned() });
            descriptors.push(sys::memory::file("outlast-config", bytes)?);
            Ok(())
        };
        for source in &self.haproxy {
            add(FileKind::Haproxy, &source.path, source.text.as_bytes())?;
        }
        if let Some(source) = &self.keepalived {
            let text = self.flat.as_ref().unwrap_or(&source.text);
            add(FileKind::Keepalived, &source.path, text.as_bytes())?;
        }
        if let Some(source) = &self.cluster {
            add(FileKind::Cluster, &source.path, source.text.as_bytes())?;
        }
        if let Some(secret) = &self.secret {
            add(FileKind::Secret, "", secret)?;
        }
        if let Some(token) = &self.token {
            add(FileKind::Token, "", token.as_bytes())?;
        }
        Ok((names, descriptors))
    }

    /// The other way round, in the child.
    pub(crate) fn from_descriptors(names: &[FileName], fds: &[OwnedFd]) -> io::Result<Self> {
        let mut texts = Self::default();
        for (name, fd) in names.iter().zip(fds) {
            let bytes = sys::memory::read(fd.as_fd())?;
            if name.kind == FileKind::Secret {
                texts.secret = Some(bytes);
                continue;
            }
            let text = String::from_utf8(bytes)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            let source = Source { path: name.path.clone(), text };
            match name.kind {
                FileKind::Haproxy => texts.haproxy.push(source),
                FileKind::Keepalived => texts.keepalived = Some(source),
                FileKind::Cluster => texts.cluster = Some(source),
                FileKind::Token => texts.token = Some(source.text),
                FileKind::Secret => {}
            }
        }
        Ok(texts)
    }

    /// Files in another language than their option is for: path, found, wanted.
    pub(crate) fn wrong_languages(&self) -> Vec<(String, Kind, Kind)> {
        let proxies = self.haproxy.iter().map(|source| (source, Kind::Haproxy));
        let keepalived = self.keepalived.iter().map(|source| (source, Kind::Keepalived));
        let cluster = self.cluster.iter().map(|source| (source, Kind::Cluster));
        proxies
            .chain(keepalived)
            .chain(cluster)
            .map(|(source, wanted)| (source.path.clone(), config::recognise(source), wanted))
            .filter(|(_, found, wanted)| found != wanted)
            .collect()
    }

    /// All texts in the order in which diagnostics number them.
    pub(crate) fn sources(&self) -> Vec<Source> {
        let given = self.haproxy.iter().chain(&self.keepalived).chain(&self.cluster);
        given.chain(&self.included).cloned().collect()
    }

    /// Reads what keepalived's file includes, and writes out what it means on this node.
    pub(crate) fn include(&mut self, node: Node<'_>) -> Result<(), FileError> {
        let Some(main) = self.keepalived.clone() else { return Ok(()) };
        let (mut sources, errors) = with_included(vec![main], node, &Included);
        if let Some(error) = errors.into_iter().next() {
            return Err(error);
        }
        self.flat = config::keepalived::flattened(&sources, 0, node);
        self.included = sources.split_off(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_no_address_can_hold_is_refused_and_says_which_letter() {
        use std::os::unix::fs::PermissionsExt;
        let path = std::env::temp_dir().join(format!("outlast-token-{}", std::process::id()));
        let token = |text: &str| {
            std::fs::write(&path, text).expect("a file of the test");
            let mode = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&path, mode).expect("its own");
            read_token(&path)
        };
        for letter in ['&', '%', '#', '+', '"', '<', 'ä', '\u{7f}'] {
            let error = token(&format!("0123456789abcdef{letter}0123\n")).expect_err("refused");
            let FileError::LetterOfToken { found, .. } = &error else { panic!("{error}") };
            assert_eq!(*found, letter);
        }
        let error = token("0123456789 abcdef").expect_err("two words");
        assert!(matches!(error, FileError::ShortToken { .. }), "{error}");
        let good = "Zm9v/YmFy_0123-456.789~=";
        assert_eq!(token(&format!("{good}\n")).expect("all may stand there"), good);
        std::fs::remove_file(&path).expect("it was written");
    }

    #[test]
    fn a_process_is_told_no_more_than_it_needs() {
        let all = Texts {
            secret: Some(vec![7; 32]),
            token: Some("a word for browsers".to_owned()),
            ..Texts::default()
        };
        let kinds = |texts: Texts| -> Vec<FileKind> {
            let (names, _) = texts.descriptors().expect("memory for two texts");
            names.into_iter().map(|name| name.kind).collect()
        };
        assert_eq!(kinds(all.for_proxy()), []);
        assert_eq!(kinds(all.for_node()), [FileKind::Secret]);
        assert_eq!(kinds(all.for_store()), []);
        assert_eq!(kinds(all.for_dashboard()), [FileKind::Token]);
    }
}
