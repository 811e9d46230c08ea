//! What is still under way with the servers of a node, by the statistics of a balancer.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use api::Under;

use super::names::Names;
use crate::services::STATS;

/// A balancer that takes longer is not well.
const PATIENCE: Duration = Duration::from_secs(1);
/// No table is longer (bytes): ten thousand servers fit.
const MAX_TABLE: u64 = 16 * 1024 * 1024;
/// Servers that are named; an answer has room for a packet.
const MOST_NAMED: usize = 6;
/// Letters of a server's name that are told.
const MOST_LETTERS: usize = 100;

/// Sessions of the balancer of `me` with servers on the node at this position of the cluster file.
pub(super) fn count(me: &str, run_dir: &Path, names: &Names, position: usize) -> Under {
    let mut under = Under { balancer: me.to_owned(), ..Under::default() };
    if names.proxies.is_empty() {
        return under;
    }
    match table(run_dir) {
        Ok(table) => sum(&table, names, position, &mut under),
        Err(error) => under.unknown = Some(format!("its balancer does not tell: {error}")),
    }
    under
}

fn table(run_dir: &Path) -> io::Result<String> {
    let mut stream = UnixStream::connect(run_dir.join(STATS))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"show stat\n")?;
    let mut table = String::new();
    stream.take(MAX_TABLE).read_to_string(&mut table)?;
    Ok(table)
}

fn sum(table: &str, names: &Names, position: usize, under: &mut Under) {
    let mut lines = table.lines();
    let head = lines.next().unwrap_or_default().trim_start_matches("# ");
    let Some(at) = head.split(',').position(|column| column == "scur") else {
        under.unknown = Some("its balancer has no such column".to_owned());
        return;
    };
    for line in lines {
        let mut fields = line.split(',');
        let (Some(proxy), Some(server)) = (fields.next(), fields.next()) else { continue };
        let home = names.homes.get(proxy).and_then(|homes| homes.get(server));
        // Two columns were taken already.
        let sessions = at.checked_sub(2).and_then(|at| fields.nth(at)).and_then(|n| n.parse().ok());
        let sessions: u64 = sessions.unwrap_or(0);
        if home != Some(&position) || sessions == 0 {
            continue;
        }
        under.sessions += sessions;
        if under.servers.len() < MOST_NAMED {
            let name = format!("{proxy}/{server}");
            under.servers.push(name.chars().take(MOST_LETTERS).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_with_servers_of_one_node_are_summed() {
        let homes = [("a", 0), ("b", 1), ("c", 1)].map(|(name, at)| (name.to_owned(), at));
        let homes = [("api".to_owned(), homes.into_iter().collect())].into_iter().collect();
        let names = Names { homes, ..Names::default() };
        let table = "# pxname,svname,qcur,qmax,scur,smax\napi,FRONTEND,,,9,9\napi,a,0,0,4,4\n\
                     api,b,0,0,2,4\napi,c,0,0,1,4\nother,b,0,0,8,8\napi,BACKEND,0,0,7,9\n";
        let mut under = Under::default();
        sum(table, &names, 1, &mut under);
        assert_eq!((under.sessions, under.servers.join(" ")), (3, "api/b api/c".to_owned()));
        assert_eq!(under.unknown, None);
        sum("what is this", &names, 1, &mut under);
        assert!(under.unknown.is_some());
        let nobody = count("node01", Path::new("/nowhere"), &Names::default(), 1);
        assert_eq!((nobody.sessions, nobody.unknown), (0, None), "there is no balancer");
    }
}
