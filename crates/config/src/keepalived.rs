//! keepalived's language: virtual IPs.

pub use hmac::Signed;
pub use model::{
    Authentication, Global, Instance, Keepalived, ScriptBlock, State, SyncGroup, Track,
};
pub use protocol::Written;
pub use watch::{FileBlock, ProcessBlock};

pub(crate) use blocks::{
    GLOBAL as GLOBAL_KEYWORDS, SCRIPT as SCRIPT_KEYWORDS, TOP as OTHER_BLOCKS,
    TOP_IDLE as TOP_WORDS,
};
pub(crate) use instance::KEYWORDS as INSTANCE_KEYWORDS;
pub(crate) use sync::SYNC_GROUP as SYNC_GROUP_KEYWORDS;
pub(crate) use watch::{FILE as FILE_KEYWORDS, PROCESS as PROCESS_KEYWORDS};

use crate::{Diagnostic, Source};

mod blocks;
mod family;
mod hmac;
mod instance;
mod model;
mod notify;
mod parse;
mod protocol;
mod routes;
mod sync;
mod travel;
mod watch;
mod words;

/// Reads the file with number `file` in findings.
#[must_use]
pub fn parse(source: &Source, file: usize) -> (Keepalived, Vec<Diagnostic>) {
    parse::parse(&source.text, file)
}

/// Whether `word` opens a block of this language.
pub(crate) fn is_block(word: &str) -> bool {
    parse::OURS.contains(&word) || blocks::TOP.contains(&word) || blocks::TOP_TRACKS.contains(&word)
}
