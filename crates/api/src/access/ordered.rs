//! What commands are, and about what.

use std::borrow::Cow;

use super::Deed;
use crate::Command;

impl Deed {
    /// What a command is, and about what: of a move also where to.
    #[must_use]
    pub fn of_command(command: &Command) -> (Self, Cow<'_, str>) {
        let moved = |what: &str, to: &str| (Self::Move, Cow::Owned(format!("{what} to {to}")));
        match command {
            Command::Standby { node } => (Self::Standby, Cow::Borrowed(node)),
            Command::Drain { node, .. } => (Self::Drain, Cow::Borrowed(node)),
            Command::Resume { node } => (Self::Resume, Cow::Borrowed(node)),
            Command::Move { vip: what, to } | Command::Use { pool: what, to } => moved(what, to),
            Command::Anywhere { vip } => moved(vip, "anywhere"),
            Command::Coordinate { to } => moved("coordinator", to),
            Command::Lead { to } => moved("store", to),
        }
    }
}
