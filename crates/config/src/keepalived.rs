//! keepalived's language: virtual IPs.

pub use bfd::BfdBlock;
pub use expand::Node;
pub use fixed::{FixedBlocks, Followed, TrackGroup};
pub use hmac::Signed;
pub use include::{Disk, MISSING, with_included};
pub use model::{
    Authentication, Global, Instance, Keepalived, ScriptBlock, State, SyncGroup, Track,
};
pub use protocol::Written;
pub use rules::WrittenRule;
pub use vmac::{VirtualMac, WrittenMac};
pub use watch::{FileBlock, ProcessBlock};

pub(crate) use bfd::BFD as BFD_KEYWORDS;
pub(crate) use blocks::{
    GLOBAL as GLOBAL_KEYWORDS, SCRIPT as SCRIPT_KEYWORDS, TOP as OTHER_BLOCKS,
    TOP_IDLE as TOP_WORDS, TOP_RUN,
};
pub(crate) use fixed::BLOCKS as FIXED_BLOCKS;
pub(crate) use include::{AtHand, WORDS as INCLUDES};
pub(crate) use instance::KEYWORDS as INSTANCE_KEYWORDS;
pub(crate) use sync::SYNC_GROUP as SYNC_GROUP_KEYWORDS;
pub(crate) use watch::{FILE as FILE_KEYWORDS, PROCESS as PROCESS_KEYWORDS};

use crate::{Diagnostic, Source};

mod bfd;
mod blocks;
mod delays;
mod expand;
mod family;
mod fixed;
mod hmac;
mod include;
mod instance;
mod model;
mod notify;
mod parse;
mod piece;
mod protocol;
mod routes;
mod rules;
mod strict;
mod sync;
mod travel;
pub(crate) mod vmac;
mod watch;
mod words;

/// Reads the file with number `file` in findings, as if nothing were there that it includes, on a node without a name.
#[must_use]
pub fn parse(source: &Source, file: usize) -> (Keepalived, Vec<Diagnostic>) {
    let sources = std::slice::from_ref(source);
    let mut files = AtHand { sources, main: 0, taken: Vec::new() };
    let (read, mut findings) = parse::parse(&mut files, 0, Node::default());
    findings.iter_mut().for_each(|finding| finding.file = file);
    (read, findings)
}

/// Reads one of several files, which may include others of them. Places are those of [`AtHand`].
pub(crate) fn parse_at_hand(
    files: &mut AtHand<'_>,
    node: Node<'_>,
) -> (Keepalived, Vec<Diagnostic>) {
    let main = files.main;
    parse::parse(files, main, node)
}

/// One text that means the same on every node as the file with number `main` does on this one, without the others; none, if
/// it is the file itself.
#[must_use]
pub fn flattened(sources: &[Source], main: usize, node: Node<'_>) -> Option<String> {
    let mut files = AtHand { sources, main, taken: Vec::new() };
    let expanded = expand::expand(&mut files, main, node, &mut Vec::new());
    let lines = expanded.lines.iter().map(|line| line.printed() + "\n");
    expanded.is_made.then(|| lines.collect())
}

/// The first line that includes other files, counted from 1.
#[must_use]
pub fn includes(source: &Source) -> Option<usize> {
    if crate::recognise(source) != crate::Kind::Keepalived {
        return None;
    }
    let word =
        |line: &str| line.split_whitespace().find(|word| !word.starts_with('@')).map(str::to_owned);
    let is_include = |line: &str| word(line).is_some_and(|word| INCLUDES.contains(&word.as_str()));
    source.text.lines().position(is_include).map(|line| line + 1)
}

/// Whether `word` opens a block of this language.
pub(crate) fn is_block(word: &str) -> bool {
    parse::OURS.contains(&word)
        || INCLUDES.contains(&word)
        || FIXED_BLOCKS.iter().any(|(name, ..)| *name == word)
        || TOP_RUN.iter().any(|(name, ..)| *name == word)
        || blocks::TOP.contains(&word)
        || blocks::TOP_TRACKS.contains(&word)
}
