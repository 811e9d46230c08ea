//! The daemon's roles, each a process of its own; one driver file per noun.
//!
//! [`supervise`] is `outlast run`: it starts the others as `outlast role NAME`, which arrive in
//! [`role`]. A driver performs what machines of `engine` order and holds no branch on cluster state.

/// Some code must ask for no memory once it has started.
#[cfg(test)]
#[global_allocator]
static COUNTED: sys::counted::Counted = sys::counted::Counted;

mod agent;
mod child;
mod config_test;
mod durable;
mod duty;
mod electorate;
mod files;
mod generation;
mod keeper;
mod launch;
mod proxy;
mod record;
mod refused;
pub mod routers;
mod secret;
mod services;
mod store;
mod supervisor;
mod vip;

pub use child::{RoleError, role};
pub use config::haproxy::condition::{Facts, holds};
pub use config_test::{Tested, Verdict, config_test};
pub use launch::{Launch, LaunchError, Problem};
pub use secret::MatchError;
pub use supervisor::{SuperviseError, check, signum, supervise};
