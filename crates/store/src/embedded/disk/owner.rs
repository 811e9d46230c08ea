//! Whose store a file is.

use std::io;

use redb::{Database, ReadableTable};

use super::super::types::{NodeId, VERSION};
use super::{FACTS, LOG};
use crate::bytes::{Reader, Writer};

pub(super) const OWNER: &str = "owner";

/// Whose store this is; a new one becomes that of this node.
pub(super) fn own(
    database: &Database,
    cluster: &str,
    me: NodeId,
) -> Result<Result<(), String>, redb::Error> {
    let mut wanted = Writer::versioned();
    wanted.bytes(cluster.as_bytes());
    wanted.u64(me);
    let transaction = database.begin_write()?;
    let result = {
        let mut facts = transaction.open_table(FACTS)?;
        transaction.open_table(LOG)?;
        let found = facts.get(OWNER)?.map(|owner| owner.value().to_vec());
        match found {
            None => {
                facts.insert(OWNER, wanted.0.as_slice())?;
                Ok(())
            }
            Some(owner) if owner == wanted.0 => Ok(()),
            Some(owner) => Err(owner_text(&owner)),
        }
    };
    transaction.commit()?;
    Ok(result)
}

pub(super) fn owner_text(owner: &[u8]) -> String {
    let read = || -> io::Result<String> {
        let mut from = Reader(owner);
        let version = from.u8()?;
        if version != VERSION {
            return Ok(format!("is of version {version}, this program reads {VERSION}"));
        }
        let (cluster, node) = (from.text()?, from.u64()?);
        Ok(format!("belongs to node {node} of cluster `{cluster}`"))
    };
    read().unwrap_or_else(|error| format!("says nothing readable: {error}"))
}
