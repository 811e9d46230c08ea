//! Configuration languages: text to words to sections to values that cannot be wrong.
//!
//! Three languages: `outlast.toml` (the cluster), HAProxy's (the proxies), keepalived's (import of
//! virtual IPs). Each has one table of keywords from which parser, defaults, errors and the manual
//! come. All mistakes of all files are reported at once, with the place and what to write instead.

pub mod cluster;
pub mod diagnostic;
pub mod haproxy;
pub mod keepalived;
pub mod vip;
