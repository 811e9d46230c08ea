//! What the balancer says about itself: the statistics socket and the statistics page.

mod command;
mod info;
mod page;
mod rows;
mod socket;
mod typed;

#[cfg(test)]
pub(crate) mod example;
#[cfg(test)]
mod tests;

pub(crate) use command::{Desk, Level, run};
pub(crate) use page::{Ask, matches, page};
pub(crate) use socket::Socket;
