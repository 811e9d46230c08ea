//! The files of this node in the cluster's newest generation, for a machine that has none yet.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use trust::{Configuration, Folder};

use super::{CommandError, Place};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of outlast.toml and what it names
    #[arg(value_name = "FOLDER")]
    into: PathBuf,
    /// Where a running node answers joins: its address, port 7413
    #[arg(long, value_name = "ADDRESS:PORT")]
    from: SocketAddr,
    #[command(flatten)]
    place: Place,
}

/// Why the files are not there.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{} is there with another content: nothing was written", .0.display())]
    Other(PathBuf),
    #[error("the cluster's file `{0}` is not to lie beside the cluster file: nothing was written")]
    Outside(String),
    #[error("cannot write {}", .path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// Runs the subcommand.
pub(super) fn run(args: &Args, out: &mut impl Write) -> Result<(), CommandError> {
    fetch(&args.place.folder(), args.from, &args.into, out)
}

/// Asks the running node at that address, writes them into the folder, and says which. What is there with the same
/// content stays.
///
/// # Errors
/// When nothing came, or a file is there with another content: then none is written.
pub(super) fn fetch(
    folder: &Folder,
    from: SocketAddr,
    into: &Path,
    out: &mut impl Write,
) -> Result<(), CommandError> {
    let Configuration { generation, files } =
        trust::ask_files(folder, from, sys::clock::wall_ms())?;
    let mut missing = vec![];
    for (name, text) in &files {
        if !engine::generation::is_beside(name) {
            return Err(FetchError::Outside(name.clone()).into());
        }
        let path = into.join(name);
        match fs::read(&path) {
            Ok(there) if there == text.as_bytes() => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                missing.push((path, text));
            }
            Ok(_) => return Err(FetchError::Other(path).into()),
            Err(source) => return Err(FetchError::Write { path, source }.into()),
        }
    }
    // The cluster file last: nothing starts with a part of the files.
    missing.sort_by_key(|(path, _)| path.ends_with(api::generation::CLUSTER_FILE));
    for (path, text) in &missing {
        write(path, text).map_err(|source| FetchError::Write { path: path.clone(), source })?;
    }
    let names: Vec<_> = files.keys().map(String::as_str).collect();
    let place = into.join(api::generation::CLUSTER_FILE);
    writeln!(out, "files of generation {generation} in {}: {}", into.display(), names.join(", "))?;
    writeln!(out, "start this node with `outlast run --config {}`", place.display())?;
    Ok(())
}

/// For its owner alone: passwords are in it.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = folder.join(format!(".{name}.fetched"));
    match fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // Nothing that somebody put there is followed or kept.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    fs::File::open(folder)?.sync_all()
}
