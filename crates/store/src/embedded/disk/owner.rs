//! Whose store a file is: cluster, node, and the store's incarnation.
//!
//! The first version of the record has no incarnation: what is in such a file was founded before there were
//! any, incarnation 0. A file that holds nothing yet has none, and gets that of the store that fills it up.

use std::io;

use redb::{Database, ReadableTable, ReadableTableMetadata};

use super::super::types::NodeId;
use super::{FACTS, LOG, PURGED, VOTE};
use crate::bytes::{Reader, Writer};

pub(super) const OWNER: &str = "owner";
/// Of the record.
const VERSION: u8 = 2;

/// The store is another one after each founding and each restore: its members go on with each other only.
/// A later one has a greater number.
pub(crate) type Incarnation = u64;

/// The record as it is read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Owner {
    pub(super) cluster: String,
    pub(super) node: NodeId,
    /// None in the first version as well.
    pub(super) incarnation: Option<Incarnation>,
    pub(super) version: u8,
}

impl Owner {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Writer(vec![self.version]);
        out.bytes(self.cluster.as_bytes());
        out.u64(self.node);
        if self.version > 1 {
            out.option(self.incarnation, Writer::u64);
        }
        out.0
    }

    /// # Errors
    /// `Unsupported` for a later version, `InvalidData` or `UnexpectedEof` for what is no record.
    pub(super) fn decode(bytes: &[u8]) -> io::Result<Self> {
        let mut from = Reader(bytes);
        let version = from.u8()?;
        if !(1..=VERSION).contains(&version) {
            let text = format!(
                "it is of version {version}, this program reads up to {VERSION}: a newer outlast wrote it"
            );
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        let (cluster, node) = (from.text()?, from.u64()?);
        let incarnation = if version > 1 { from.option(Reader::u64)? } else { None };
        from.end()?;
        Ok(Self { cluster, node, incarnation, version })
    }
}

/// Whose store this is; a new one becomes that of this node, with this incarnation. The incarnation of what
/// is in it, or why it is of somebody else.
pub(super) fn own(
    database: &Database,
    cluster: &str,
    me: NodeId,
    new: Option<Incarnation>,
) -> Result<Result<Option<Incarnation>, String>, redb::Error> {
    let transaction = database.begin_write()?;
    let result = {
        let mut facts = transaction.open_table(FACTS)?;
        let log = transaction.open_table(LOG)?;
        let found = facts.get(OWNER)?.map(|owner| owner.value().to_vec());
        let holds = !log.is_empty()? || facts.get(VOTE)?.is_some() || facts.get(PURGED)?.is_some();
        match found.as_deref().map(Owner::decode) {
            None => {
                facts.insert(OWNER, record(cluster, me, new).as_slice())?;
                Ok(new)
            }
            Some(Ok(owner)) if owner.cluster == cluster && owner.node == me => {
                Ok(owner.incarnation.or_else(|| (owner.version == 1 && holds).then_some(0)))
            }
            Some(_) => Err(owner_text(&found.unwrap_or_default())
                .unwrap_or_else(|error| format!("cannot be used: {error}"))),
        }
    };
    transaction.commit()?;
    Ok(result)
}

/// From now on this is a file of that incarnation.
pub(super) fn become_part(
    database: &Database,
    cluster: &str,
    me: NodeId,
    incarnation: Incarnation,
) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    let record = record(cluster, me, Some(incarnation));
    transaction.open_table(FACTS)?.insert(OWNER, record.as_slice())?;
    Ok(transaction.commit()?)
}

fn record(cluster: &str, node: NodeId, incarnation: Option<Incarnation>) -> Vec<u8> {
    Owner { cluster: cluster.to_owned(), node, incarnation, version: VERSION }.encode()
}

/// For operators.
///
/// # Errors
/// As [`Owner::decode`].
pub(super) fn owner_text(owner: &[u8]) -> io::Result<String> {
    let Owner { cluster, node, incarnation, .. } = Owner::decode(owner)?;
    let part = incarnation.map_or_else(String::new, |id| format!(", incarnation {id}"));
    Ok(format!("belongs to node {node} of cluster `{cluster}`{part}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_of_the_owner_has_these_bytes_and_its_first_version_is_read() {
        let owner = Owner { cluster: "c".to_owned(), node: 7, incarnation: Some(9), version: 2 };
        let bytes =
            [&[2, 0, 0, 0, 1, b'c'][..], &7_u64.to_be_bytes(), &[1], &9_u64.to_be_bytes()].concat();
        assert_eq!(owner.encode(), bytes);
        assert_eq!(Owner::decode(&bytes).unwrap(), owner);
        let first = [&[1, 0, 0, 0, 1, b'c'][..], &7_u64.to_be_bytes()].concat();
        let old = Owner { incarnation: None, version: 1, ..owner };
        assert_eq!(Owner::decode(&first).unwrap(), old);
        assert_eq!(old.encode(), first);
        let newer = Owner::decode(&[&[3], &bytes[1..]].concat()).unwrap_err();
        assert_eq!(newer.kind(), io::ErrorKind::Unsupported);
        assert!(Owner::decode(&bytes[..bytes.len() - 1]).is_err(), "its end is missing");
    }
}
