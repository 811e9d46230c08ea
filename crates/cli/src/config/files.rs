//! Files as the operator names them: one by one, as folders, or named by a cluster file.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ::config::cluster::Cluster;
use ::config::keepalived::{Disk, Node, with_included};
use ::config::{Around, Kind, Source, recognise};

/// A configuration of ten thousand servers has about 1 MiB; `run` reads no more either (bytes).
const MAX_TEXT: u64 = ::config::MAX_FILE;

/// A check script longer than this is not looked into (bytes).
const MAX_SCRIPT: u64 = 64 * 1024;

/// Names that end so are taken along by `*` and are no configuration.
const OTHERS: [&str; 12] =
    ["md", "markdown", "rst", "txt", "html", "service", "sh", "pem", "crt", "key", "png", "svg"];

/// Files of a folder that somebody may have meant to be checked.
const LIKE_OURS: [&str; 2] = [".conf", ".toml"];

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) sources: Vec<Source>,
    pub(super) unreadable: Vec<Unreadable>,
    /// Files that were not checked, and why.
    pub(super) skipped: Vec<(PathBuf, &'static str)>,
    /// What an outlast.toml among them names, though it is no configuration file: the secret, or the trust folder.
    pub(super) secrets: Vec<Secret>,
}

#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) path: PathBuf,
    pub(super) why: String,
}

/// A `secret_file` or `trust_dir` that `run` would not take.
#[derive(Debug)]
pub(super) struct Secret {
    /// The word of the file.
    pub(super) field: &'static str,
    /// What the finding is called.
    pub(super) code: &'static str,
    /// Position of the cluster file among the sources.
    pub(super) file: usize,
    pub(super) path: PathBuf,
    pub(super) why: String,
    /// What to do; never what would put another key in the place of the cluster's.
    pub(super) help: String,
}

/// What a folder stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Folder {
    /// Its *.cfg, as for haproxy's `-f`.
    Proxies,
    /// Its *.cfg, keepalived.conf and outlast.toml; others that look like such are named.
    Whole,
}

/// Why files are left out.
const BY_NAME: &str = "skipped, no configuration file by its name";
const IN_FOLDER: &str = "skipped: of a folder, *.cfg, keepalived.conf and outlast.toml are read";
const NOTHING_IN_IT: &str = "skipped, there is nothing in it";

/// All files given, and those that a cluster file among them names.
pub(super) fn read_all(given: &[PathBuf], folder: Folder, here: &Here) -> Files {
    let mut files = Files::default();
    let mut wanted: Vec<(PathBuf, bool)> = Vec::new();
    for path in given {
        match expanded(path, folder) {
            Ok((paths, left)) => {
                wanted.extend(paths.into_iter().map(|path| (path, true)));
                files.skipped.extend(left.into_iter().map(|path| (path, IN_FOLDER)));
            }
            Err(why) => files.unreadable.push(Unreadable { path: path.clone(), why }),
        }
    }
    let mut at = 0;
    while let Some((path, is_given)) = wanted.get(at).cloned() {
        at += 1;
        if is_given && is_other(&path) {
            files.skipped.push((path, BY_NAME));
            continue;
        }
        match read(&path) {
            Ok(source) if is_given && is_blank(&source) => {
                files.skipped.push((path, NOTHING_IN_IT));
            }
            Ok(source) => {
                // Only files that the operator gave may name others.
                if is_given && recognise(&source) == Kind::Cluster {
                    let (named, secret) = named(&source, &path);
                    let file = files.sources.len();
                    files.secrets.extend(secret.map(|secret| Secret { file, ..secret }));
                    add_named(named, &mut wanted, &mut files);
                }
                files.sources.push(source);
            }
            Err(why) => files.unreadable.push(Unreadable { path, why }),
        }
    }
    let sources = std::mem::take(&mut files.sources);
    let (sources, unreadable) = with_included(sources, here.around().node, &Included);
    files.sources = sources;
    files.unreadable.extend(unreadable);
    files
}

/// This machine, for files that are read differently on another one.
#[derive(Debug)]
pub(super) struct Here {
    id: String,
    folder: Option<String>,
}

impl Here {
    /// By the name that the operator gave, or its own.
    pub(super) fn new(id: Option<&str>) -> Self {
        let id = id.map_or_else(sys::rights::short_host_name, str::to_owned);
        let folder = std::env::current_dir().ok();
        Self { id, folder: folder.map(|folder| folder.display().to_string()) }
    }

    pub(super) fn around(&self) -> Around<'_> {
        let node = Node { id: Some(&self.id), folder: self.folder.as_deref(), needs_all: false };
        Around { node, script: &script }
    }
}

/// Files that others include.
struct Included;

impl Disk for Included {
    type Error = Unreadable;

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    fn read(&self, path: &str) -> Result<Option<Source>, Unreadable> {
        use std::os::unix::fs::PermissionsExt;
        let path = Path::new(path);
        let is_meant =
            |found: &fs::Metadata| found.is_file() && found.permissions().mode() & 0o111 == 0;
        if !fs::metadata(path).is_ok_and(|found| is_meant(&found)) {
            return Ok(None);
        }
        read(path).map(Some).map_err(|why| Unreadable { path: path.to_owned(), why })
    }
}

fn add_named(named: Vec<PathBuf>, wanted: &mut Vec<(PathBuf, bool)>, files: &mut Files) {
    for file in named {
        match expanded(&file, Folder::Proxies) {
            Ok((paths, _)) => {
                let new = paths.into_iter().filter(|path| !is_among(path, wanted));
                let new: Vec<_> = new.map(|path| (path, false)).collect();
                wanted.extend(new);
            }
            Err(why) => files.unreadable.push(Unreadable { path: file, why }),
        }
    }
}

fn is_other(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| OTHERS.contains(&extension.as_str()))
}

/// Only comments, or not even those. An outlast.toml must not be so, which its parser tells.
fn is_blank(source: &Source) -> bool {
    let mut lines = source.text.lines().map(str::trim);
    recognise(source) != Kind::Cluster
        && lines.all(|line| line.is_empty() || line.starts_with(['#', '!']))
}

/// A file is itself; a folder is its files in the order of names. Behind them what looks like a
/// configuration and is left out.
fn expanded(path: &Path, folder: Folder) -> Result<(Vec<PathBuf>, Vec<PathBuf>), String> {
    if !path.is_dir() {
        return Ok((vec![path.to_owned()], vec![]));
    }
    let entries = fs::read_dir(path).map_err(|error| error.to_string())?;
    let (mut found, mut left) = (Vec::new(), Vec::new());
    for entry in entries {
        let file = entry.map_err(|error| error.to_string())?.path();
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
        let Some(name) = name.filter(|name| !name.starts_with('.')) else { continue };
        let is_ours = || ["keepalived.conf", "outlast.toml"].contains(&name.as_str());
        if name.ends_with(".cfg") || folder == Folder::Whole && is_ours() {
            found.push(file);
        } else if folder == Folder::Whole && LIKE_OURS.iter().any(|end| name.ends_with(end)) {
            left.push(file);
        }
    }
    found.sort();
    left.sort();
    if found.is_empty() {
        return Err(match folder {
            Folder::Proxies => "it is a folder without a .cfg file",
            Folder::Whole => "it is a folder without a .cfg file, keepalived.conf or outlast.toml",
        }
        .to_owned());
    }
    Ok((found, left))
}

/// One file as text; in words why not.
pub(super) fn read(path: &Path) -> Result<Source, String> {
    let bytes = bounded(path).map_err(|error| error.to_string())?;
    let bytes = bytes.ok_or_else(|| format!("it is larger than {MAX_TEXT} bytes"))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let before = error.as_bytes().get(..at).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("it is not UTF-8 text: look at line {line}")
    })?;
    Ok(Source { path: path.display().to_string(), text })
}

/// None: the file is larger than a configuration can be. A device or pipe that never ends is, too.
fn bounded(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = fs::File::open(path)?;
    if file.metadata()?.len() > MAX_TEXT {
        return Ok(None);
    }
    let mut bytes = vec![];
    file.take(MAX_TEXT + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= MAX_TEXT))
}

/// Files that a cluster file names, and what is wrong with its secret.
fn named(source: &Source, path: &Path) -> (Vec<PathBuf>, Option<Secret>) {
    let Some(cluster) = ::config::cluster::parse(source, 0).0 else { return (vec![], None) };
    let files = [cluster.haproxy, cluster.keepalived].into_iter().flatten();
    let files = files.map(|file| Cluster::beside(path, &file)).collect();
    let secret = cluster.secret_file.map(|file| Cluster::beside(path, &file));
    let trust = cluster.trust_dir.map(|folder| Cluster::beside(path, &folder));
    (files, secret.and_then(secret_wrong).or_else(|| trust.and_then(trust_wrong)))
}

/// Shorter secrets can be guessed (bytes).
const MIN_SECRET: u64 = 32;

fn secret_wrong(path: PathBuf) -> Option<Secret> {
    use std::os::unix::fs::PermissionsExt;
    let name = path.display();
    let make = format!("(umask 077; openssl rand -hex 32 > {name})");
    let (why, help) = match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => (
            "is not there".to_owned(),
            format!("make it once, on one node: {make}; then copy it to every node, with its mode"),
        ),
        Err(error) => (
            format!("cannot be looked at: {error}"),
            "outlast must be able to read it, and nobody else".to_owned(),
        ),
        Ok(found) if !found.is_file() => {
            ("is no file".to_owned(), "name the file that holds the cluster's key".to_owned())
        }
        Ok(found) if found.permissions().mode() & 0o077 != 0 => (
            "can be read by others: its mode should be 600".to_owned(),
            format!("chmod 600 {name}"),
        ),
        Ok(found) if found.len() < MIN_SECRET => (
            format!("holds less than {MIN_SECRET} bytes"),
            "copy it from a node whose key is whole: all nodes have the same one".to_owned(),
        ),
        Ok(_) => return None,
    };
    Some(Secret { field: "secret_file", code: "secret-file", file: 0, path, why, help })
}

/// A folder that nobody may look into is taken for one that is well.
fn trust_wrong(path: PathBuf) -> Option<Secret> {
    let state = trust::Folder::new(&path, None).state_file();
    let missing = fs::metadata(state).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    let why = "belongs to no cluster yet".to_owned();
    let help =
        "`outlast init CLUSTER` on the first node, `outlast join -` on every other one".to_owned();
    missing.then_some(Secret { field: "trust_dir", code: "trust-dir", file: 0, path, why, help })
}

fn is_among(file: &Path, wanted: &[(PathBuf, bool)]) -> bool {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    wanted.iter().any(|(known, _)| real(known) == real(file))
}

/// The text of a check script, for the lint.
pub(super) fn script(path: &str) -> Option<String> {
    let length = fs::metadata(path).ok().filter(fs::Metadata::is_file)?.len();
    (length <= MAX_SCRIPT).then(|| fs::read_to_string(path).ok())?
}
