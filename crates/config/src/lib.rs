//! Configuration languages: text to words to sections to values that cannot be wrong.
//!
//! Three languages: `outlast.toml` (the cluster), HAProxy's (the proxies), keepalived's (import of
//! virtual IPs). Each has one table of keywords from which parser, defaults, errors and the manual
//! come. All mistakes of all files are reported at once, with the place and what to write instead.

pub mod cluster;
pub mod diagnostic;
pub mod diff;
pub mod explain;
pub mod haproxy;
pub mod import;
pub mod keepalived;
pub mod lint;
pub mod manual;
pub mod notify;
pub mod vip;

mod duration;
mod effective;
mod guess;
mod keyword;
mod line;
mod load;
mod render;
mod repair;
mod secret;
mod verdict;

pub use diagnostic::{Diagnostic, Fix, NOT_RUN_YET, Severity};
pub use effective::{
    effective_fifos, effective_fixed, effective_groups, effective_hooks, effective_made_files,
    effective_vips,
};
pub use load::{Around, Kind, Loaded, load, load_with, load_without, recognise, refusals};
pub use render::{Place, place, render};
pub use repair::{Change, Repair, repair};
pub use secret::{HIDDEN, masked};
pub use verdict::{Refused, once, refusal, refused};

/// A configuration of ten thousand servers has about 1 MiB; what is larger than this is none (bytes).
pub const MAX_FILE: u64 = 16 << 20;

/// One file, read by whoever calls.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Source {
    /// As the operator wrote it.
    pub path: String,
    pub text: String,
}
