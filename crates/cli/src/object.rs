//! What can be asked about: `node/NAME`, `vip/NAME`, `pool/NAME`, `server/POOL/NAME`, `balancer`,
//! `process/ROLE`, `notify/NAME`. A bare name is a node, `store` this node's part of the store.

use api::Status;

use crate::reach::ReachError;
use crate::words;

/// Names shown for one that is unknown: enough to recognise a slip.
const MOST_NEAR: usize = 3;

/// A name that nothing here has.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("there is no {word} here; {}", hint(.near))]
pub struct Unknown {
    word: String,
    near: Vec<String>,
}

/// Why there is no answer about an object.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    #[error(transparent)]
    Reach(#[from] ReachError),
    #[error(transparent)]
    Unknown(#[from] Unknown),
}

fn hint(near: &[String]) -> String {
    if near.is_empty() {
        return "`outlast status --all` shows what there is".to_owned();
    }
    format!("did you mean {}?", near.join(", "))
}

/// Every object of a status, in the order in which it is shown.
pub(crate) fn all(status: &Status) -> Vec<String> {
    let mut all: Vec<String> =
        status.nodes.iter().map(|node| format!("node/{}", node.state.node)).collect();
    all.extend(status.vips.iter().map(|vip| format!("vip/{}", vip.name)));
    if !status.servers.is_empty() || !status.proxies.is_empty() {
        all.push("balancer".to_owned());
    }
    let pools = status.servers.iter().map(|server| &server.proxy);
    for pool in status.proxies.iter().map(|proxy| &proxy.name).chain(pools) {
        let pool = format!("pool/{pool}");
        if !all.contains(&pool) {
            all.push(pool);
        }
    }
    let receivers = status.notify.iter().flat_map(|notify| &notify.receivers);
    all.extend(receivers.map(|receiver| format!("notify/{}", receiver.name)));
    let server = |server: &api::ServerState| format!("server/{}/{}", server.proxy, server.server);
    all.extend(status.servers.iter().map(server));
    let process = |process: &api::ProcessState| format!("process/{}", words::process(process.role));
    all.extend(status.processes.iter().map(process));
    all
}

/// The full name of what `word` means.
///
/// # Errors
/// When there is no such object; the nearest names are in the error.
pub(crate) fn resolve(word: &str, status: &Status) -> Result<String, Unknown> {
    let all = all(status);
    let node = format!("node/{word}");
    // Without a cluster file nobody is listed, but this node is known.
    if word == status.node || node == format!("node/{}", status.node) {
        return Ok(node);
    }
    // A node may have that name.
    let process = if word == "store" { "process/store" } else { word };
    let names = [node.as_str(), word, process];
    if let Some(found) =
        names.iter().find_map(|name| all.iter().find(|object| object.as_str() == *name))
    {
        return Ok(found.clone());
    }
    Err(Unknown { word: word.to_owned(), near: near(word, &all) })
}

/// Names that share their last part with the word, contain it, or are few letters away.
fn near(word: &str, all: &[String]) -> Vec<String> {
    let last = |text: &str| text.rsplit('/').next().unwrap_or_default().to_lowercase();
    let wanted = last(word);
    let mut ranked: Vec<(usize, &String)> = all
        .iter()
        .filter_map(|object| {
            let name = last(object);
            let whole = distance(&word.to_lowercase(), &object.to_lowercase());
            let part = distance(&wanted, &name);
            let limit = 1 + wanted.chars().count() / 4;
            if part <= limit {
                return Some((part * 2, object));
            }
            if whole <= limit {
                return Some((whole * 2 + 1, object));
            }
            (wanted.len() > 2 && name.contains(&wanted)).then_some((2 * limit + 2, object))
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().take(MOST_NEAR).map(|(_, object)| object.clone()).collect()
}

/// Insertions, deletions and replacements between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let replaced = above[j] + usize::from(from != *to);
            row.push(replaced.min(above[j + 1] + 1).min(row[j] + 1));
        }
        above = row;
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    fn check(word: &str, expected: Result<&str, &[&str]>) {
        let found = resolve(word, &example::status());
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(unknown), Err(near)) => assert_eq!(unknown.near, near, "{word}"),
            (found, _) => panic!("{word}: {found:?}"),
        }
    }

    #[test]
    fn a_bare_name_is_a_node() {
        check("node02", Ok("node/node02"));
        check("node/node02", Ok("node/node02"));
        check("vip/internal", Ok("vip/internal"));
        check("server/keystone/node03", Ok("server/keystone/node03"));
        check("balancer", Ok("balancer"));
        check("process/proxy", Ok("process/proxy"));
        let mut status = example::status();
        assert!(resolve("store", &status).is_err(), "there is none");
        let mut store = status.processes[0].clone();
        store.role = api::Role::Store;
        status.processes.push(store);
        assert_eq!(resolve("store", &status), Ok("process/store".to_owned()));
    }

    #[test]
    fn an_unknown_name_gets_the_nearest() {
        check("vip/intrenal", Err(&["vip/internal"]));
        check("internal", Err(&["vip/internal"]));
        check("node04", Err(&["node/node01", "node/node02", "node/node03"]));
        check("zebra", Err(&[]));
    }
}
