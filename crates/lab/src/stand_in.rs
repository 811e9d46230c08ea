//! The services behind the balancer, as small as they can be and still answer.
//!
//! Each runs as a process of its own in its node's namespace, so that it can be killed, frozen, and
//! made to vanish (SIGUSR1: every socket drops what arrives, nothing is answered, not even with a
//! reset; SIGUSR2: back).

mod database;
mod logs;
pub(crate) mod mysql;
mod serve;
mod web;

pub(crate) use self::database::run as run_database;
pub(crate) use self::logs::run as run_logs;
pub(crate) use self::web::run as run_web;
