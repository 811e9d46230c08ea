//! Files as the operator names them: one by one, as folders, or named by a cluster file.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ::config::cluster::Cluster;
use ::config::{Kind, Source, recognise};

/// A configuration of ten thousand servers has about 1 MiB; `run` reads no more either (bytes).
const MAX_TEXT: u64 = ::config::MAX_FILE;

/// A check script longer than this is not looked into (bytes).
const MAX_SCRIPT: u64 = 64 * 1024;

/// Names that end so are taken along by `*` and are no configuration.
const OTHERS: [&str; 12] =
    ["md", "markdown", "rst", "txt", "html", "service", "sh", "pem", "crt", "key", "png", "svg"];

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) sources: Vec<Source>,
    pub(super) unreadable: Vec<Unreadable>,
    /// Files that are no configuration.
    pub(super) skipped: Vec<PathBuf>,
    /// What an outlast.toml among them names, though it is no configuration file: the secret.
    pub(super) secrets: Vec<Secret>,
}

#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) path: PathBuf,
    pub(super) why: String,
}

/// A `secret_file` that `run` would not take.
#[derive(Debug)]
pub(super) struct Secret {
    /// Position of the cluster file among the sources.
    pub(super) file: usize,
    pub(super) path: PathBuf,
    pub(super) why: String,
    /// What to do; never what would put another key in the place of the cluster's.
    pub(super) help: String,
}

/// All files given, and those that a cluster file among them names.
pub(super) fn read_all(given: &[PathBuf]) -> Files {
    let mut files = Files::default();
    let mut wanted: Vec<(PathBuf, bool)> = Vec::new();
    for path in given {
        match expanded(path) {
            Ok(paths) => wanted.extend(paths.into_iter().map(|path| (path, true))),
            Err(why) => files.unreadable.push(Unreadable { path: path.clone(), why }),
        }
    }
    let mut at = 0;
    while let Some((path, is_given)) = wanted.get(at).cloned() {
        at += 1;
        if is_given && is_other(&path) {
            files.skipped.push(path);
            continue;
        }
        match read(&path) {
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
    files
}

fn add_named(named: Vec<PathBuf>, wanted: &mut Vec<(PathBuf, bool)>, files: &mut Files) {
    for file in named {
        match expanded(&file) {
            Ok(paths) => {
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

/// A file is itself; a folder is its *.cfg in the order of names, as for haproxy's `-f`.
fn expanded(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).map_err(|error| error.to_string())?;
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let file = entry.map_err(|error| error.to_string())?.path();
        let hidden = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && file.extension().is_some_and(|extension| extension == "cfg") {
            found.push(file);
        }
    }
    found.sort();
    if found.is_empty() {
        return Err("it is a folder without a .cfg file".to_owned());
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Source, String> {
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
    (files, secret.and_then(secret_wrong))
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
    Some(Secret { file: 0, path, why, help })
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
