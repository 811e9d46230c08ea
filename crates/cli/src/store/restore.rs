//! `outlast store restore`: a backup becomes the store of this node while it does not run.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::{RestoreArgs, StoreError};

/// Puts a backup back on this node, and says what is left to do on the others.
pub(super) fn run(args: &RestoreArgs, out: &mut impl Write) -> Result<bool, StoreError> {
    let read = |path: &PathBuf| {
        let failed = |source| StoreError::File { path: path.clone(), source };
        std::fs::read(path).map_err(failed)
    };
    let wrong = |why| StoreError::Config { path: args.config.clone(), why };
    let text = String::from_utf8(read(&args.config)?).map_err(|_| wrong("it is no text"))?;
    let source = config::Source { path: args.config.display().to_string(), text };
    let (cluster, _) = config::cluster::parse(&source, 0);
    let cluster = cluster.ok_or_else(|| wrong("see `outlast config check`"))?;
    let store = cluster.store.as_ref().ok_or_else(|| wrong("it has no [store]"))?;
    if store.etcd.is_some() {
        return Err(wrong("its store is etcd: put that back with `etcdctl snapshot restore`"));
    }
    let member = |member: &usize| cluster.nodes.get(*member).map(|node| node.name.clone());
    let members: Vec<_> = store.members.iter().filter_map(member).collect();
    if !members.contains(&args.node) {
        return Err(wrong("this node is no member of its store"));
    }
    let state_dir = args.state_dir.as_ref().unwrap_or(&cluster.state_dir);
    let run_dir = args.run_dir.as_ref().unwrap_or(&cluster.run_dir);
    let restoring = ::store::Restoring {
        folder: store.directory.clone().unwrap_or_else(|| state_dir.join("store")),
        cluster: cluster.name.clone(),
        me: args.node.clone(),
        members: members.clone(),
        witness: Some(run_dir.join("store.witness")),
        from: args.from,
        wall_ms: sys::clock::wall_ms(),
        known: known(state_dir),
    };
    let restored = ::store::restore(&restoring, &read(&args.file)?);
    if let Err(::store::Error::Backup(source)) = &restored {
        return Err(StoreError::Damaged { path: args.file.clone(), source: *source });
    }
    let revision = restored?;
    writeln!(out, "{} goes on from revision {revision}", args.node)?;
    write!(out, "{}", what_is_left(args, &members, revision))?;
    let entry = trust::audit::Entry {
        at_ms: sys::clock::wall_ms(),
        by: format!("uid {} (pid {})", sys::rights::own_user(), std::process::id()),
        command: "store restore".to_owned(),
        object: args.file.display().to_string(),
        outcome: format!("done: it goes on from revision {revision}"),
    };
    let failed = |source| StoreError::Audit { folder: state_dir.clone(), source };
    trust::audit::add(state_dir, &entry).map_err(failed)?;
    Ok(true)
}

/// What is to be done on the other members; they must not begin with another revision.
pub(super) fn what_is_left(args: &RestoreArgs, members: &[String], revision: u64) -> String {
    let mut text = String::new();
    let others: Vec<_> = members.iter().filter(|name| **name != args.node).collect();
    if others.is_empty() {
        return text;
    }
    if args.from.is_none() {
        text.push_str("do this on the others, each with the same file and revision:\n");
    }
    for node in others.iter().filter(|_| args.from.is_none()) {
        let (file, config) = (args.file.display(), args.config.display());
        text.push_str(&format!(
            "  outlast store restore {file} --config {config} --node {node} --from {revision}"
        ));
        for (option, folder) in [("state", &args.state_dir), ("run", &args.run_dir)] {
            if let Some(folder) = folder {
                text.push_str(&format!(" --{option}-dir {}", folder.display()));
            }
        }
        text.push('\n');
    }
    text.push_str(
        "RESTORE EVERY MEMBER BEFORE ANY OF THEM IS STARTED. Remove the store's folder of one that you \
         leave out:\nwith what it has from before it could lead, and undo the restore\n",
    );
    text
}

/// The greatest incarnation of a store that this node was part of; 0: it remembers none.
fn known(state_dir: &Path) -> u64 {
    let kept = std::fs::read_to_string(state_dir.join(::store::INCARNATION)).unwrap_or_default();
    kept.trim().parse().unwrap_or(0)
}
