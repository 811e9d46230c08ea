//! The keys with which agent and vip process talk to other nodes: from one secret that all nodes share,
//! or from the trust folder, where each pair of nodes has its own.
//!
//! Between the processes of a node they travel as one text: the shared secret as it is, or [`PAIRS`], then
//! a line per node: its name, the number of the key that is spoken, and each key as number and secret in
//! hexadecimal digits, `node02 0 0 0a1b.. 16 2c3d..`; and one of this node itself: when it joined, in milliseconds since
//! 1970, `node01 joined 1700000000000`.

use std::collections::HashMap;
use std::path::Path;

use config::cluster::Cluster;
use engine::packet::{PairSecret, Seal};
use trust::{Folder, TrustError};

/// Nobody's shared secret begins like this.
const PAIRS: &str = "outlast pairs 2\n";
/// Of no other node there is such a line.
const JOINED: &str = "joined ";

/// What does not fit together in folder and file.
#[derive(Debug, thiserror::Error)]
pub enum MatchError {
    #[error(
        "the trust folder is that of the node `{found}`, and this node is `{node}` in the cluster file"
    )]
    Node { found: String, node: String },
    #[error("the trust folder is of the cluster `{found}`, and the cluster file of `{cluster}`")]
    Cluster { found: String, cluster: String },
}

/// Whose folder it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Owner {
    cluster: String,
    node: String,
}

/// Reads the secrets of this node's pairs.
pub(crate) fn read(folder: &Path) -> Result<(Owner, Vec<u8>), TrustError> {
    let folder = Folder::new(folder, None);
    let state = folder.load()?;
    let mut text = PAIRS.to_owned();
    for pair in folder.pairs(sys::clock::wall_ms())? {
        text.push_str(&format!("{} {}", pair.name, pair.speak));
        for (number, secret) in &pair.keys {
            text.push_str(&format!(" {number} {}", trust::hex::encode(&**secret)));
        }
        text.push('\n');
    }
    if let Some(own) = state.roster.find(&state.node) {
        text.push_str(&format!("{} {JOINED}{}\n", own.name, own.joined_ms));
    }
    Ok((Owner { cluster: state.cluster, node: state.node }, text.into_bytes()))
}

impl Owner {
    /// Another node's folder would make a node that nobody hears.
    pub(crate) fn is(&self, cluster: &str, node: &str) -> Result<(), MatchError> {
        if self.cluster != cluster {
            let (found, cluster) = (self.cluster.clone(), cluster.to_owned());
            return Err(MatchError::Cluster { found, cluster });
        }
        if self.node != node {
            return Err(MatchError::Node { found: self.node.clone(), node: node.to_owned() });
        }
        Ok(())
    }
}

/// Nodes of the file with which this one shares no key: neither heard nor told.
pub(crate) fn strangers<'a>(
    secret: &'a [u8],
    cluster: &'a Cluster,
    me: usize,
) -> impl Iterator<Item = &'a str> {
    let lines = pairs(secret).map(lines);
    let others = cluster.nodes.iter().enumerate().filter(move |(node, _)| *node != me);
    others
        .map(|(_, node)| node.name.as_str())
        .filter(move |name| lines.as_ref().is_some_and(|lines| of(lines, name).is_none()))
}

/// When the machine of this node joined the cluster; 0: machines are not told apart.
pub(crate) fn joined(secret: &[u8], node: &str) -> u64 {
    let own = pairs(secret).and_then(|text| lines(text).get(node).copied());
    own.and_then(|own| own.strip_prefix(JOINED)?.parse().ok()).unwrap_or(0)
}

/// Seals what node `me` says and opens what it hears, under the number `life`.
pub(crate) fn seal(secret: &[u8], cluster: &Cluster, me: u16, life: u64) -> Seal {
    let Some(text) = pairs(secret) else {
        return Seal::shared(secret, &cluster.name, cluster.nodes.len(), me, life);
    };
    let mut seal = Seal::new(&cluster.name, me, life);
    take(text, cluster, &mut seal);
    seal
}

/// Other keys for a seal that is in use: no packet under a key that both have is lost.
pub(crate) fn renew(secret: &[u8], cluster: &Cluster, seal: &mut Seal) {
    if let Some(text) = pairs(secret) {
        take(text, cluster, seal);
    }
}

fn take(text: &str, cluster: &Cluster, seal: &mut Seal) {
    let lines = lines(text);
    for (number, node) in (0..).zip(&cluster.nodes) {
        match of(&lines, &node.name) {
            Some((speak, keys)) => seal.renew(number, &keys, speak),
            None => seal.revoke(number),
        }
    }
}

fn pairs(secret: &[u8]) -> Option<&str> {
    std::str::from_utf8(secret).ok()?.strip_prefix(PAIRS)
}

/// By node: a thousand of them are looked up.
fn lines(text: &str) -> HashMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once(' ')).collect()
}

/// What is spoken to a node, and all keys of the pair.
fn of(lines: &HashMap<&str, &str>, node: &str) -> Option<(u8, Vec<(u8, PairSecret)>)> {
    let mut words = lines.get(node)?.split(' ');
    let speak = words.next()?.parse().ok()?;
    let mut keys = vec![];
    while let Some(number) = words.next() {
        let bytes: [u8; 32] = trust::hex::decode(words.next()?)?.try_into().ok()?;
        keys.push((number.parse().ok()?, PairSecret::new(bytes)));
    }
    Some((speak, keys))
}

#[cfg(test)]
mod tests {
    use engine::packet::{Kind, MAX_BODY, MAX_PACKET, OpenError};

    use super::*;

    fn cluster() -> Cluster {
        let text = "[cluster]\nname = \"cloud\"\n\
                    [node.a]\nnetworks = { m = \"10.0.0.1\" }\n\
                    [node.b]\nnetworks = { m = \"10.0.0.2\" }\n\
                    [node.c]\nnetworks = { m = \"10.0.0.3\" }\n";
        let source = config::Source { path: String::new(), text: text.to_owned() };
        config::cluster::parse(&source, 0).0.unwrap()
    }

    /// What node `to` makes of a packet of node `from`.
    fn hears((to, theirs): (u16, &[u8]), (from, ours): (u16, &[u8])) -> Result<(), OpenError> {
        let mut packet = [0; MAX_PACKET];
        let mut sender = seal(ours, &cluster(), from, 1);
        let length = sender.seal(Kind::Beat, (to, 0), b"", &mut packet);
        let mut receiver = seal(theirs, &cluster(), to, 1);
        receiver.open(&packet[..length], &mut [0; MAX_BODY]).map(|_| ())
    }

    #[test]
    fn keys_of_pairs_are_those_of_their_two_nodes_only() {
        let (one, two) = ("01".repeat(32), "02".repeat(32));
        let of_a = format!("{PAIRS}b 0 0 {one}\nc 0 0 {two}\n").into_bytes();
        let of_b = format!("{PAIRS}a 0 0 {one}\n").into_bytes();
        assert_eq!(hears((1, &of_b), (0, &of_a)), Ok(()));
        assert_eq!(hears((0, &of_a), (1, &of_b)), Ok(()));
        // c says that it is b, with the key that it has.
        let of_c = format!("{PAIRS}a 0 0 {two}\n").into_bytes();
        assert_eq!(hears((0, &of_a), (1, &of_c)), Err(OpenError::Forged));
        assert_eq!(hears((1, &of_b), (2, &of_c)), Err(OpenError::Length), "nothing to send");
        assert_eq!(strangers(&of_b, &cluster(), 1).collect::<Vec<_>>(), ["c"]);
        assert_eq!(strangers(&of_a, &cluster(), 0).count(), 0);
        let named = [&of_a[..], b"a joined 1700000000000\n"].concat();
        assert_eq!(
            (joined(&named, "a"), joined(&of_a, "a"), joined(&named, "b")),
            (1_700_000_000_000, 0, 0)
        );
        assert_eq!(hears((1, &of_b), (0, &named)), Ok(()));
        let shared = [7; 32];
        assert_eq!(joined(&shared, "a"), 0);
        assert_eq!(hears((1, &shared), (0, &shared)), Ok(()));
        assert_eq!(hears((1, &of_b), (0, &shared)), Err(OpenError::Forged));
        assert_eq!(strangers(&shared, &cluster(), 1).count(), 0);
    }

    #[test]
    fn a_folder_of_another_node_or_cluster_is_noticed() {
        let owner = Owner { cluster: "cloud".to_owned(), node: "a".to_owned() };
        assert!(owner.is("cloud", "a").is_ok());
        assert!(matches!(owner.is("cloud", "b"), Err(MatchError::Node { .. })));
        assert!(matches!(owner.is("clouds", "a"), Err(MatchError::Cluster { .. })));
    }
}
