//! The rows of the table about what operators keep in the store.

use std::borrow::Cow;

use super::{Deed, Role, Row, Scope};
use crate::books::BookAsk;

const TEST: &str = "`outlast notify test`";
const SHOW: &str = "`outlast config show`, and what `apply` and `rollback` compare with";

const UNDO: &str = "node confirm-off --undo";

impl Deed {
    /// What is kept in the store. Whoever writes the configuration writes `[access]`, so that is for admins.
    pub(super) fn row_of_books(self) -> Row {
        use Role::{Admin, Operator};
        let row =
            |word, how, role, scope| Row { word, how, role, scope, changes: true, audited: true };
        let (start, end) = ("maintenance start", "maintenance end");
        let (apply, force) = ("config apply", "config apply --force");
        match self {
            Self::MaintenanceStart => {
                row(start, "`outlast maintenance start`", Operator, Scope::Maintenance)
            }
            Self::MaintenanceEnd => {
                row(end, "`outlast maintenance end`", Operator, Scope::Maintenance)
            }
            Self::NotifyTest => row("notify test", TEST, Operator, Scope::Maintenance),
            Self::ConfigApply => row(apply, "`outlast config apply`", Admin, Scope::Config),
            Self::ConfigForce => row(
                force,
                "`outlast config apply` or `rollback` with `--force`",
                Admin,
                Scope::Config,
            ),
            Self::ConfigRollback => {
                row("config rollback", "`outlast config rollback`", Admin, Scope::Config)
            }
            Self::MembersAdd => {
                row("store members add", "`outlast store members add`", Admin, Scope::Members)
            }
            Self::MembersRemove => {
                row("store members remove", "`outlast store members remove`", Admin, Scope::Members)
            }
            Self::ConfirmOff => {
                row("node confirm-off", "`outlast node confirm-off`", Admin, Scope::Members)
            }
            Self::TakeBack => row(UNDO, "`outlast node confirm-off --undo`", Admin, Scope::Members),
            Self::Replace => row("node replace", "`outlast node replace`", Admin, Scope::Members),
            Self::Hears => Row {
                changes: false,
                audited: false,
                ..row(
                    "hears",
                    "`outlast node replace` asks whether the store hears a voter",
                    Admin,
                    Scope::Members,
                )
            },
            // Who may read it may read the passwords in it.
            Self::ConfigShow => {
                Row { changes: false, ..row("config show", SHOW, Admin, Scope::Config) }
            }
            Self::Status
            | Self::Events
            | Self::Why
            | Self::Pages
            | Self::Metrics
            | Self::WhoAmI
            | Self::Standby
            | Self::Drain
            | Self::Resume
            | Self::Move
            | Self::StorePut
            | Self::StoreDelete
            | Self::StoreBackup
            | Self::StoreGet
            | Self::SetServer
            | Self::Audit
            | Self::TokenList
            | Self::TokenAdd
            | Self::TokenRevoke => self.row(),
        }
    }

    /// What a question about the books is, and about what: all of it, so that the audit log needs no more.
    #[must_use]
    pub fn of_book(ask: &BookAsk) -> (Self, Cow<'_, str>) {
        let (deed, object): (Self, &str) = match ask {
            BookAsk::History | BookAsk::Standing | BookAsk::Windows | BookAsk::Wishes => {
                (Self::Status, "")
            }
            BookAsk::Generation { number } => {
                return (Self::ConfigShow, Cow::Owned(number.to_string()));
            }
            BookAsk::Commit(generation) if generation.force => {
                (Self::ConfigForce, &generation.digest)
            }
            BookAsk::Commit(generation) if generation.from.is_some() => {
                (Self::ConfigRollback, &generation.digest)
            }
            BookAsk::Commit(generation) => (Self::ConfigApply, &generation.digest),
            BookAsk::Begin { window, .. } => {
                (Self::MaintenanceStart, window.node.as_deref().unwrap_or("cluster"))
            }
            BookAsk::End { node } => (Self::MaintenanceEnd, node.as_deref().unwrap_or("cluster")),
            BookAsk::Prove(proof) => (Self::ConfirmOff, &proof.node),
            BookAsk::TakeBack { node } => (Self::TakeBack, node),
            BookAsk::Join { nodes, instead_of } => {
                let instead = instead_of.iter().map(|old| format!(" instead of {old}"));
                let object = nodes.join(" ") + &instead.collect::<String>();
                return (Self::MembersAdd, Cow::Owned(object));
            }
            BookAsk::Leave { nodes } => {
                return (Self::MembersRemove, Cow::Owned(nodes.join(" ")));
            }
            BookAsk::Hears { node, .. } => (Self::Hears, node),
            BookAsk::Replace { old, new } => {
                return (Self::Replace, Cow::Owned(format!("{old} with {new}")));
            }
        };
        (deed, Cow::Borrowed(object))
    }
}
