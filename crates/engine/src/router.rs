//! Routers of neutron in one process: what neutron's agent is told of each, what a stand-in does that has lost those who do its
//! work, and how soon these are started again.

pub mod news;
pub mod orphan;
pub mod restart;
