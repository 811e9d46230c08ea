//! Maintenance windows, as they lie in the store and as a status shows them.

use serde::{Deserialize, Serialize};

use crate::{ServerState, Status};

/// A time in which what happens to a node, or to all, is planned; under `maintenance/NAME` in the store.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Window {
    /// None: the whole cluster.
    pub node: Option<String>,
    /// Milliseconds since 1970 (UTC) by the clock of the node it was typed on.
    pub begin_ms: u64,
    pub end_ms: u64,
    /// `USER@HOST`, by the tool's own word.
    pub who: String,
    pub why: String,
    /// Who it was by the kernel's word or a token, and on which node: as in the audit log. Empty: a node of an
    /// older version wrote it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
}

impl Window {
    /// Whose it is, for people.
    #[must_use]
    pub fn whose(&self) -> String {
        whose(&self.who, &self.by)
    }
}

pub(crate) fn whose(who: &str, by: &str) -> String {
    if by.is_empty() { who.to_owned() } else { format!("{who}, {by}") }
}

/// A window that is open, with what it is about.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Planned {
    pub window: Window,
    /// Names of the nodes in it.
    pub nodes: Vec<String>,
    /// Their servers in this node's balancer, as `PROXY/SERVER`.
    pub servers: Vec<String>,
}

impl Status {
    /// The window that a node is in.
    #[must_use]
    pub fn plan_of(&self, node: &str) -> Option<&Window> {
        let planned = self.planned.iter().find(|it| it.nodes.iter().any(|name| name == node));
        planned.map(|planned| &planned.window)
    }

    /// Names of all nodes that are in a window; one may come twice.
    pub fn planned_nodes(&self) -> impl Iterator<Item = &str> {
        self.planned.iter().flat_map(|it| it.nodes.iter().map(String::as_str))
    }

    /// Whether what happens to this server is planned, as its node is in a window.
    #[must_use]
    pub fn is_planned(&self, server: &ServerState) -> bool {
        let name = format!("{}/{}", server.proxy, server.server);
        self.planned.iter().any(|planned| planned.servers.contains(&name))
    }
}
