//! What is done to the store by hand: written down by the agent before and after, and kept off the
//! cluster's own keys.

use std::io::{self, Read, Write};
use std::path::Path;

use ::store::Store;
use api::access::ByHand;
use engine::{generation, intent, kv, maintenance, verdict};

use super::{BackupArgs, DeleteArgs, GetArgs, Here, PutArgs, StoreError, local};
use crate::reach::{self, Instance, ReachError};

/// Values that are longer are refused anyway (bytes).
const MAX_INPUT: u64 = 1 << 20;

/// How the keys begin that nodes act upon. All of `config/` is one of [`generation`]'s.
const OWN: [&str; 11] = [
    "config/",
    intent::INTENTS,
    intent::OPEN,
    intent::LAST,
    kv::LOCKS,
    kv::HEIRS,
    maintenance::WINDOWS,
    verdict::PROOFS,
    ::store::WISHES,
    "replaced/",
    // The list of voters, and what each of them says.
    "vip/voter",
];
const _: () = assert!(matches!(
    generation::NEWEST.as_bytes(),
    [b'c', b'o', b'n', b'f', b'i', b'g', b'/', ..]
));

pub(super) fn put(args: &PutArgs, out: &mut impl Write) -> Result<bool, StoreError> {
    is_free(&args.key, args.force)?;
    let local = local(&args.here)?;
    let value = match args.value.as_str() {
        "-" => {
            let mut value = vec![];
            io::stdin().take(MAX_INPUT).read_to_end(&mut value)?;
            value
        }
        text => text.as_bytes().to_vec(),
    };
    let revision = logged(&args.here, (ByHand::Put, &args.key), out, || {
        Ok(local.wait(local.client().put(&args.key, &value, None))?)
    })?;
    writeln!(out, "revision {revision}")?;
    Ok(true)
}

pub(super) fn delete(args: &DeleteArgs, out: &mut impl Write) -> Result<bool, StoreError> {
    is_free(&args.key, args.force)?;
    let local = local(&args.here)?;
    logged(&args.here, (ByHand::Delete, &args.key), out, || {
        Ok(local.wait(local.client().delete(&args.key))?)
    })
}

pub(super) fn backup(args: &BackupArgs, out: &mut impl Write) -> Result<bool, StoreError> {
    if !args.force && args.file.exists() {
        return Err(StoreError::Kept(args.file.clone()));
    }
    let local = local(&args.here)?;
    let file = args.file.display().to_string();
    let (kv, bytes) = logged(&args.here, (ByHand::Backup, &file), out, || {
        let backup = local.wait(local.client().backup())?;
        let kv = kv::read_snapshot(&backup).map_err(io::Error::other)?;
        let failed = |source| StoreError::File { path: args.file.clone(), source };
        let kept = keep(&args.file, &backup, args.force);
        if matches!(&kept, Err(error) if error.kind() == io::ErrorKind::AlreadyExists) {
            return Err(StoreError::Kept(args.file.clone()));
        }
        kept.map_err(failed)?;
        Ok((kv, backup.len()))
    })?;
    writeln!(out, "revision {}, {} keys, {bytes} bytes", kv.revision(), kv.len())?;
    Ok(true)
}

pub(super) fn get(args: &GetArgs, out: &mut impl Write) -> Result<bool, StoreError> {
    let local = local(&args.here)?;
    // It changes nothing, and may be wanted just when the agent is in trouble.
    if let Err(unwritten) = log(&args.here, (ByHand::Get, &args.key), Some("asked for")) {
        writeln!(io::stderr(), "this is in no audit log: {}", base::Chain(&unwritten))?;
    }
    let item = local.wait(local.client().get(&args.key))?;
    if let Some(item) = &item {
        out.write_all(&item.value)?;
        out.write_all(if item.value.ends_with(b"\n") { b"" } else { b"\n" })?;
    }
    Ok(item.is_some())
}

/// Whole or not at all, for the owner only; what is there already goes by force only.
fn keep(path: &Path, bytes: &[u8], force: bool) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&name)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    if force {
        return std::fs::rename(&name, path);
    }
    // Two at once cannot both have it.
    match std::fs::hard_link(&name, path) {
        // A file system without second names.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !path.exists() => {
            std::fs::rename(&name, path)
        }
        linked => std::fs::remove_file(&name).and(linked),
    }
}

/// # Errors
/// When it is a key of the cluster's own and nobody insists.
fn is_free(key: &str, force: bool) -> Result<(), StoreError> {
    if !force && OWN.iter().any(|own| key.starts_with(own)) {
        return Err(StoreError::Own(key.to_owned()));
    }
    Ok(())
}

/// Has the agent write a line down.
///
/// # Errors
/// When it does not.
fn log(here: &Here, what: (ByHand, &str), came_to: Option<&str>) -> Result<(), ReachError> {
    let instance = Instance { run_dir: here.run_dir.clone(), ..Instance::default() };
    reach::note(&instance.socket()?, what, came_to)
}

/// Does it between two lines of the audit log: what cannot be written down is not begun. But for a backup, which
/// changes nothing and may be wanted just when the agent or its disk is in trouble: then it is said.
///
/// # Errors
/// Its own, and when the agent writes nothing down.
fn logged<T>(
    here: &Here,
    (deed, object): (ByHand, &str),
    out: &mut impl Write,
    act: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let what = (deed, object);
    if let Err(unwritten) = log(here, what, None) {
        if deed != ByHand::Backup {
            return Err(unwritten.into());
        }
        writeln!(out, "this is in no audit log: {}", base::Chain(&unwritten))?;
        return act();
    }
    let done = act();
    let came_to =
        done.as_ref().map_or_else(|error| base::Chain(error).to_string(), |_| "done".to_owned());
    let told = log(here, what, Some(&came_to));
    let done = done?;
    told?;
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_clusters_own_are_written_by_force_only() {
        let newest = generation::NEWEST;
        for key in [
            newest,
            "intent/1",
            "intent-last",
            "lock/coordinator",
            "heir/leader",
            "proof/node02",
            "member/a",
        ] {
            assert!(
                matches!(is_free(key, false), Err(StoreError::Own(own)) if own == key),
                "{key}"
            );
            assert!(is_free(key, true).is_ok());
        }
        for key in ["a", "configuration", "intention", "site/config/x", "lock"] {
            assert!(is_free(key, false).is_ok(), "{key}");
        }
    }
}
