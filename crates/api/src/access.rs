//! Who may ask what: one table for people, who have roles, and for programs, whose tokens have scopes.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Ask;

mod books;
mod by_hand;
mod ordered;

pub use by_hand::ByHand;

/// What a person is; each may do what the one before may.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Looks.
    Viewer,
    /// Also moves addresses and takes nodes out of service.
    Operator,
    /// Also gives tokens to programs and reads who ordered what.
    Admin,
}

/// What a program may do with its token; nothing else comes with it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    Read,
    Metrics,
    Standby,
    Move,
    Maintenance,
    Config,
    Members,
    Audit,
    Access,
}

/// Everything that can be asked of a node, on its control socket or over HTTP.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Deed {
    Status,
    Events,
    Why,
    Pages,
    Metrics,
    WhoAmI,
    Standby,
    Drain,
    Resume,
    Move,
    MaintenanceStart,
    MaintenanceEnd,
    ConfigShow,
    ConfigApply,
    ConfigForce,
    ConfigRollback,
    MembersAdd,
    MembersRemove,
    Replace,
    Hears,
    ConfirmOff,
    TakeBack,
    StorePut,
    StoreDelete,
    StoreBackup,
    StoreGet,
    SetServer,
    NotifyTest,
    Audit,
    TokenList,
    TokenAdd,
    TokenRevoke,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    /// Neither a known person nor a known token.
    Nobody,
    Person(Role),
    Program(&'a [Scope]),
}

/// What a row of the table says.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// As it is called in the audit log.
    pub word: &'static str,
    /// How it is asked.
    pub how: &'static str,
    /// The least role of a person.
    pub role: Role,
    /// What a program's token must have.
    pub scope: Scope,
    /// It changes something.
    pub changes: bool,
    /// It is in the audit log also where it was allowed: it changes something, or shows what is secret.
    pub audited: bool,
}

/// Why not, for who asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Denied {
    role: Role,
    scope: Scope,
    is: String,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (role, scope) = (self.role.word(), self.scope.word());
        write!(
            f,
            "this needs the role {role} ([access] of outlast.toml), or a token with the scope {scope}; {}",
            self.is
        )
    }
}

/// Whether `who` may do that.
///
/// # Errors
/// With the role and the scope that would do.
pub fn allows(who: Who<'_>, deed: Deed) -> Result<(), Denied> {
    let row = deed.row();
    let (is_allowed, is) = match who {
        Who::Nobody => (false, "who asks has no role".to_owned()),
        Who::Person(role) => (role >= row.role, format!("who asks is {}", role.word())),
        Who::Program(scopes) => {
            let words: Vec<&str> = scopes.iter().map(|scope| scope.word()).collect();
            (scopes.contains(&row.scope), format!("the token has {}", words.join(", ")))
        }
    };
    if is_allowed { Ok(()) } else { Err(Denied { role: row.role, scope: row.scope, is }) }
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// A token with all that a person of this role may do.
    #[must_use]
    pub fn scopes(self) -> Vec<Scope> {
        let may = |scope: &Scope| {
            let mut deeds = Deed::ALL.iter().map(|deed| deed.row());
            deeds.any(|row| row.scope == *scope && row.role <= self)
        };
        Scope::ALL.into_iter().filter(may).collect()
    }
}

impl Scope {
    pub const ALL: [Self; 9] = [
        Self::Read,
        Self::Metrics,
        Self::Standby,
        Self::Move,
        Self::Maintenance,
        Self::Config,
        Self::Members,
        Self::Audit,
        Self::Access,
    ];

    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Metrics => "metrics",
            Self::Standby => "standby",
            Self::Move => "move",
            Self::Maintenance => "maintenance",
            Self::Config => "config",
            Self::Members => "members",
            Self::Audit => "audit",
            Self::Access => "access",
        }
    }

    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.word() == word)
    }
}

impl Deed {
    pub const ALL: [Self; 32] = [
        Self::Status,
        Self::Events,
        Self::Why,
        Self::Pages,
        Self::Metrics,
        Self::WhoAmI,
        Self::Standby,
        Self::Drain,
        Self::Resume,
        Self::Move,
        Self::MaintenanceStart,
        Self::MaintenanceEnd,
        Self::ConfigShow,
        Self::ConfigApply,
        Self::ConfigForce,
        Self::ConfigRollback,
        Self::MembersAdd,
        Self::MembersRemove,
        Self::Replace,
        Self::Hears,
        Self::ConfirmOff,
        Self::TakeBack,
        Self::StorePut,
        Self::StoreDelete,
        Self::StoreBackup,
        Self::StoreGet,
        Self::SetServer,
        Self::NotifyTest,
        Self::Audit,
        Self::TokenList,
        Self::TokenAdd,
        Self::TokenRevoke,
    ];

    /// The table.
    #[must_use]
    pub fn row(self) -> Row {
        let row = |word, how, role, scope, changes| Row {
            word,
            how,
            role,
            scope,
            changes,
            audited: changes,
        };
        match self {
            Self::Status => look(
                "status",
                "`outlast status`, `top`, `intents`, `config history`, `config status`, `maintenance list`",
            ),
            Self::Events => look("events", "`outlast events`"),
            Self::Why => look("why", "`outlast why`"),
            Self::Pages => look("pages", "dashboard: every page, its `.json`, `/live`, `/assets`"),
            Self::Metrics => {
                row("metrics", "dashboard: `/metrics`", Role::Viewer, Scope::Metrics, false)
            }
            Self::WhoAmI => look("access show", "the dashboard asks what a token may do"),
            Self::Standby => {
                row("node standby", "`outlast node standby`", Role::Operator, Scope::Standby, true)
            }
            Self::Drain => {
                row("node drain", "`outlast node drain`", Role::Operator, Scope::Standby, true)
            }
            Self::Resume => {
                row("node resume", "`outlast node resume`", Role::Operator, Scope::Standby, true)
            }
            Self::Move => row("move", "`outlast move`", Role::Operator, Scope::Move, true),
            Self::NotifyTest
            | Self::MaintenanceStart
            | Self::MaintenanceEnd
            | Self::ConfigShow
            | Self::ConfigApply
            | Self::ConfigForce
            | Self::ConfigRollback
            | Self::MembersAdd
            | Self::MembersRemove
            | Self::Replace
            | Self::Hears
            | Self::ConfirmOff
            | Self::TakeBack => self.row_of_books(),
            Self::StorePut => ByHand::Put.row(),
            Self::StoreDelete => ByHand::Delete.row(),
            Self::StoreBackup => ByHand::Backup.row(),
            Self::StoreGet => ByHand::Get.row(),
            Self::SetServer => row(
                "set server",
                "`set server`, `set weight`, `enable` and `disable server` at the statistics socket (whoever its mode and `level admin` let in)",
                Role::Operator,
                Scope::Standby,
                true,
            ),
            Self::Audit => row("audit", "`outlast audit`", Role::Admin, Scope::Audit, false),
            Self::TokenList => {
                row("access list", "`outlast access list`", Role::Admin, Scope::Access, false)
            }
            Self::TokenAdd => {
                row("access add", "`outlast access add`", Role::Admin, Scope::Access, true)
            }
            Self::TokenRevoke => {
                row("access revoke", "`outlast access revoke`", Role::Admin, Scope::Access, true)
            }
        }
    }

    /// What a question on the control socket is, and about what, in the words of the audit log.
    #[must_use]
    pub fn of(ask: &Ask) -> (Self, Cow<'_, str>) {
        let (deed, object): (Self, &str) = match ask {
            Ask::Status => (Self::Status, ""),
            Ask::Events { .. } | Ask::Timeline { .. } => (Self::Events, ""),
            Ask::Why { object } => (Self::Why, object),
            Ask::Command(command) | Ask::Alone(command) => return Self::of_command(command),
            Ask::Intents { .. } => (Self::Status, ""),
            Ask::Under { node } => (Self::Status, node),
            Ask::NotifyTest { receiver } => (Self::NotifyTest, receiver.as_deref().unwrap_or("")),
            Ask::Book(ask) => return Self::of_book(ask),
            Ask::Access(AccessAsk::Show { .. }) => (Self::WhoAmI, ""),
            Ask::Access(AccessAsk::List) => (Self::TokenList, ""),
            Ask::Access(AccessAsk::Add { name, .. }) => (Self::TokenAdd, name),
            Ask::Access(AccessAsk::Revoke { name }) => (Self::TokenRevoke, name),
            Ask::Access(AccessAsk::Audit { .. }) => (Self::Audit, ""),
            Ask::Access(AccessAsk::Log { deed, object, .. }) => (deed.deed(), object),
            Ask::As { ask, .. } => return Self::of(ask),
        };
        (deed, Cow::Borrowed(object))
    }

    /// What a request for this path of the dashboard is.
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        if path == "/metrics" { Self::Metrics } else { Self::Pages }
    }
}

const fn look(word: &'static str, how: &'static str) -> Row {
    Row { word, how, role: Role::Viewer, scope: Scope::Read, changes: false, audited: false }
}

/// What only a program and this node know; never shown.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Questions about access itself.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessAsk {
    /// What may who has this token do?
    Show {
        token: Secret,
    },
    List,
    /// A new token of that name; good for so many days, for ever without.
    Add {
        name: String,
        scopes: Vec<Scope>,
        days: Option<u32>,
    },
    Revoke {
        name: String,
    },
    /// The newest lines of the audit log, oldest first.
    Audit {
        last: u32,
    },
    /// Write down what the tool does itself: before it, and with what came of it after it.
    Log {
        deed: ByHand,
        /// A key, a file, or `OLD with NEW` of a node that is replaced.
        object: String,
        came_to: Option<String>,
    },
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessAnswer {
    /// One token without its secret.
    Grant(Grant),
    /// Nobody has the token that was shown.
    NoSuchToken,
    /// The new token; said once, kept nowhere.
    Token(Secret),
    Revoked,
    Audited(Audited),
    Logged,
}

/// A token as it is kept: no secret, and no digest.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Grant {
    pub name: String,
    pub scopes: Vec<Scope>,
    /// Milliseconds since 1970; for ever without.
    pub until_ms: Option<u64>,
}

/// A line of the audit log.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Audited {
    pub at_ms: u64,
    /// `uid 1000 (pid 4242)`, `token NAME of uid 65534`, or an address.
    pub by: String,
    pub command: String,
    pub object: String,
    /// `done`, or why not.
    pub outcome: String,
}

/// `docs/reference/access.md`
#[must_use]
pub fn page() -> String {
    let mut text = String::from(
        "# Who may do what\n\n<!-- written by a test from the table in crates/api/src/access.rs; \
         UPDATE_EXPECT=1 rewrites it -->\n\nPeople have roles, by `[access]` of \
         [outlast.toml](outlast-toml.md); each role may do what the one before may. Programs have tokens \
         with scopes (`outlast access add`), and nothing comes with a scope but its own rows. The \
         last column says whether it is in the audit log where it was allowed. What was refused is in it: once in \
         ten seconds for each user and deed, of at most 64 of them at once.\n\n\
         | what | least role | scope | audited |\n|---|---|---|---|\n",
    );
    for row in Deed::ALL.map(Deed::row) {
        let audited = if row.audited { "yes" } else { "refusals" };
        let (role, scope) = (row.role.word(), row.scope.word());
        text.push_str(&format!("| {} | {role} | {scope} | {audited} |\n", row.how));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_may_do_what_the_one_before_may_and_a_program_only_its_scopes() {
        for deed in Deed::ALL {
            let row = deed.row();
            for role in Role::ALL {
                assert_eq!(allows(Who::Person(role), deed).is_ok(), role >= row.role, "{row:?}");
            }
            for scope in Scope::ALL {
                let is_allowed = allows(Who::Program(&[scope]), deed).is_ok();
                assert_eq!(is_allowed, scope == row.scope, "{scope:?} {row:?}");
            }
            assert!(allows(Who::Program(&[]), deed).is_err());
            assert!(allows(Who::Nobody, deed).is_err());
            // Nothing that changes something is for those who look.
            assert!(!row.changes || row.role > Role::Viewer, "{row:?}");
        }
    }

    #[test]
    fn a_refusal_says_which_role_is_needed_and_which_is_had() {
        let denied = allows(Who::Person(Role::Viewer), Deed::Move).unwrap_err();
        assert_eq!(
            denied.to_string(),
            "this needs the role operator ([access] of outlast.toml), or a token with the scope move; \
             who asks is viewer"
        );
        let denied = allows(Who::Program(&[Scope::Read, Scope::Metrics]), Deed::Standby);
        assert!(denied.unwrap_err().to_string().ends_with("the token has read, metrics"));
    }

    #[test]
    fn a_token_of_a_role_has_its_scopes_and_words_are_read_as_they_are_shown() {
        assert_eq!(Role::Viewer.scopes(), [Scope::Read, Scope::Metrics]);
        assert_eq!(Role::Operator.scopes().len(), 5);
        assert_eq!(Role::Admin.scopes(), Scope::ALL);
        assert!(Scope::ALL.into_iter().all(|scope| Scope::of(scope.word()) == Some(scope)));
        let mut words: Vec<_> = Deed::ALL.iter().map(|deed| deed.row().word).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Deed::ALL.len(), "one word each in the log");
    }

    #[test]
    fn the_page_about_access_is_that_of_the_table() {
        let path =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/access.md");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&path, page()).unwrap();
        }
        assert!(
            std::fs::read_to_string(&path).unwrap_or_default() == page(),
            "docs/reference/access.md is old: run with UPDATE_EXPECT=1"
        );
    }
}
