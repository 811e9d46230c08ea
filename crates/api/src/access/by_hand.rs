//! What the tool does itself, past the agent: the agent writes it down before it is done, and what came of it.

use serde::{Deserialize, Serialize};

use super::{AccessAsk, Deed, Role, Row, Scope};
use crate::Ask;

/// A command of `outlast store` that goes to the store's own socket, or one that changes the trust folder.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ByHand {
    Put,
    Delete,
    /// All that is in the store, so what is secret there too.
    Backup,
    /// A value, which may be secret.
    Get,
    /// A new machine for a node.
    Replace,
}

impl ByHand {
    pub(super) const fn deed(self) -> Deed {
        match self {
            Self::Put => Deed::StorePut,
            Self::Delete => Deed::StoreDelete,
            Self::Backup => Deed::StoreBackup,
            Self::Get => Deed::StoreGet,
            Self::Replace => Deed::Replace,
        }
    }

    /// Only root and the daemon's own user can open that socket, whatever else they may.
    pub(super) fn row(self) -> Row {
        let (word, how) = match self {
            Self::Put => ("store put", "`outlast store put` (root and the daemon's user only)"),
            Self::Delete => {
                ("store delete", "`outlast store delete` (root and the daemon's user only)")
            }
            Self::Backup => {
                ("store backup", "`outlast store backup` (root and the daemon's user only)")
            }
            Self::Get => ("store get", "`outlast store get` (root and the daemon's user only)"),
            Self::Replace => return Deed::Replace.row(),
        };
        let changes = !matches!(self, Self::Get);
        Row { word, how, role: Role::Admin, scope: Scope::Members, changes, audited: true }
    }
}

impl Ask {
    /// What came of what was done by hand, where it says so.
    #[must_use]
    pub fn came_to(&self) -> Option<&str> {
        if let Self::Access(AccessAsk::Log { came_to, .. }) = self {
            came_to.as_deref()
        } else {
            None
        }
    }
}
