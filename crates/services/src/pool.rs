//! Pools: proxies with their servers, as pages and metrics show them.

use api::{ProxyLine, ServerState, Status};

use crate::mark::{self, Grade};

/// A proxy that has servers.
#[derive(Clone, Debug)]
pub(crate) struct Pool<'a> {
    pub(crate) name: &'a str,
    /// None where the status does not list it: an agent of another version.
    pub(crate) line: Option<&'a ProxyLine>,
    pub(crate) servers: Vec<&'a ServerState>,
    /// The server that is written to, for a database.
    pub(crate) writer: Option<&'a str>,
    /// Position in the file.
    position: usize,
}

impl Pool<'_> {
    pub(crate) fn usable(&self) -> usize {
        self.servers.iter().filter(|server| mark::is_usable(server)).count()
    }

    /// Those that get no new request while their node is in a maintenance window.
    pub(crate) fn planned(&self, status: &Status) -> usize {
        let is_planned =
            |server: &&&ServerState| !mark::is_usable(server) && status.is_planned(server);
        self.servers.iter().filter(is_planned).count()
    }

    pub(crate) fn grade(&self) -> Grade {
        // Servers of a node at rest serve where nobody else does.
        let serves = |server: &&ServerState| mark::is_usable(server) || mark::rests(server);
        if !self.servers.iter().any(serves) {
            return Grade::Bad;
        }
        let worst = self.servers.iter().map(|server| mark::server(server).grade).max();
        match worst {
            Some(Grade::Bad | Grade::Warning) => Grade::Warning,
            Some(grade @ (Grade::Aside | Grade::Well)) => grade,
            None => Grade::Aside,
        }
    }
}

/// All of them, in the order of the file.
pub(crate) fn all(status: &Status) -> Vec<Pool<'_>> {
    let mut pools: Vec<Pool<'_>> = vec![];
    for server in &status.servers {
        if let Some(pool) = pools.iter_mut().find(|pool| pool.name == server.proxy) {
            pool.servers.push(server);
            continue;
        }
        let choice = status.choices.iter().find(|choice| choice.proxy == server.proxy);
        pools.push(Pool {
            name: &server.proxy,
            line: status.proxies.iter().find(|line| line.name == server.proxy),
            servers: vec![server],
            writer: choice.map(|choice| choice.server.as_str()),
            position: pools.len(),
        });
    }
    pools
}

/// The worst first; equals in the order of the file.
pub(crate) fn worst_first(status: &Status) -> Vec<Pool<'_>> {
    let mut pools = all(status);
    pools.sort_by_key(|pool| (std::cmp::Reverse(pool.grade()), pool.position));
    pools
}
