//! Who is in the cluster: its authority, identities of nodes, the roster, join tokens, joins over TLS.
//!
//! ```text
//!   first node: found -> authority, own identity -> token -> desk answers joins
//!   other node: token -> keys of its own -> TLS to the desk, whose authority has the token's fingerprint
//!               -> certificate and roster -> folder
//! ```
//!
//! A token names the cluster by the fingerprint of its authority, so a name or an address that belongs to
//! another cluster is noticed before the token's secret is sent.

pub mod access;
pub mod audit;
mod authority;
mod configuration;
mod desk;
mod files;
mod folder;
mod front;
pub mod hex;
mod hurried;
mod join;

mod keys;
mod mutual;
pub mod pem;
mod renewal;
mod ring;
mod roster;
mod secret;
mod signed;
mod spare;
mod tls;
mod token;
pub mod wire;

pub use audit::Entry;
pub use authority::ENDS_SOON_MS;
pub use configuration::{Configuration, Configurations, NoStore};
pub use desk::{DeskError, MAX_SKEW_MS, Refusal, answer_one, doors, serve};
pub use files::FileError;
pub use folder::{Folder, Founding, State, TrustError};
pub use front::{Front, FrontError, Guests, Sources, Written};
pub use join::{JoinError, Joining, ask_files, ask_keys, ask_roster, join, pull, renew};
pub use keys::KeyError;
pub use mutual::{Mutual, MutualError};
pub use renewal::{LONGEST_FORGET_MS, Pair, Renewal, SHORTEST_FORGET_MS};
pub use ring::{ClusterKey, Handed, KeyId, Made, Ring};
pub use roster::{
    Fingerprint, Former, MAX_NAME, MAX_NODES, Member, Role, Roster, RosterError, is_name,
};
pub use secret::{FileKey, SecretError, random};
pub use signed::{Signed, SignedError};
pub use spare::{Exported, Passphrase, SpareError};
pub use token::{Fate, Kept, Token, TokenError};
