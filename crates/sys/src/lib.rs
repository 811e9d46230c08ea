//! The kernel, as safe calls: clock, epoll, sockets, raw VRRP and ARP, netlink, programs that judge
//! packets, namespaces, processes and descriptors.
//!
//! The only crate with `unsafe`. It decides nothing and knows nothing about the cluster; whoever
//! calls it turns an engine's action into one of these verbs. Linux only.
#![allow(unsafe_code, reason = "this crate is the one place for calls that rustix does not wrap")]

pub mod arp;
pub mod bfd;
pub mod bpf;
pub mod calendar;
pub mod channel;
pub mod clock;
pub mod counted;
pub mod device;
pub mod fifo;
pub mod inotify;
pub mod memory;
pub mod neighbour;
pub mod netlink;
pub mod netns;
pub mod nft;
pub mod ping;
pub mod poll;
pub mod process;
mod raw;
pub mod rights;
pub mod schedule;
pub mod signal;
pub mod silence;
pub mod socket;
pub mod syn;
pub mod terminal;
pub mod vrrp;
