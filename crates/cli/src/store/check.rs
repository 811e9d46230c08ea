//! `outlast store check`: whether what is on a disk could serve, a member's folder or a backup's file.

use std::io::Write;
use std::path::{Path, PathBuf};

use engine::kv;

use super::{CheckArgs, StoreError};

/// Where the names of nodes are looked up unless it is said otherwise.
const USUAL: &str = "/etc/outlast/outlast.toml";

/// Reads all of it, and says that it is whole.
///
/// # Errors
/// What is damaged or missing, or why it cannot be read.
pub(super) fn run(args: &CheckArgs, out: &mut impl Write) -> Result<bool, StoreError> {
    let failed = |source| StoreError::File { path: args.path.clone(), source };
    // A member's own file, named by itself, is no backup.
    let is_members = args.path.file_name().is_some_and(|name| name == ::store::FILE);
    if !is_members && std::fs::metadata(&args.path).map_err(failed)?.is_file() {
        let backup = std::fs::read(&args.path).map_err(failed)?;
        let damaged = |source| StoreError::Damaged { path: args.path.clone(), source };
        let kv = kv::read_snapshot(&backup).map_err(damaged)?;
        let (path, revision, keys) = (args.path.display(), kv.revision(), kv.len());
        let bytes = backup.len();
        writeln!(
            out,
            "{path} is whole: a backup of revision {revision}, {keys} keys, {bytes} bytes"
        )?;
        return Ok(true);
    }
    let folder =
        if is_members { args.path.parent().unwrap_or_else(|| Path::new(".")) } else { &args.path };
    let found = ::store::check(folder)?;
    let name = name(found.node, args.config.as_ref())?;
    let node = name.unwrap_or_else(|| {
        format!("number {} (--config names the file that has its name)", found.node)
    });
    let part = found.incarnation.map_or_else(String::new, |id| format!(", incarnation {id}"));
    writeln!(
        out,
        "{} is whole: the store of {node} in cluster `{}`{part}",
        args.path.display(),
        found.cluster
    )?;
    if let Some((revision, keys)) = found.snapshot {
        writeln!(out, "snapshot of revision {revision}, {keys} keys")?;
    }
    writeln!(out, "{} entries, the last is {}", found.entries, found.last)?;
    Ok(true)
}

/// The name of a node with that number, by the cluster file: one that is not named is looked at only if it is there.
fn name(number: u64, config: Option<&PathBuf>) -> Result<Option<String>, StoreError> {
    let usual = PathBuf::from(USUAL);
    let path = config.unwrap_or(&usual);
    let text = match std::fs::read_to_string(path) {
        Err(_) if config.is_none() => return Ok(None),
        text => text.map_err(|source| StoreError::File { path: path.clone(), source })?,
    };
    let source = config::Source { path: path.display().to_string(), text };
    let Some(cluster) = config::cluster::parse(&source, 0).0 else { return Ok(None) };
    let names = cluster.nodes.into_iter().map(|node| node.name);
    Ok(names.into_iter().find(|name| ::store::node_id(name) == number))
}
