//! The configuration languages against documents, the real programs and random bytes.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]

mod bfd;
mod cluster;
mod computes;
mod dashboard;
mod delays;
mod diff;
mod documents;
mod effective;
mod haproxy_agrees;
mod import;
mod included;
mod keepalived_agrees;
mod kolla;
mod later;
mod lint;
mod manual;
mod mutations;
mod neutron;
mod notify;
mod place;
mod published_vip;
mod random;
mod receivers;
mod registered;
mod repair;
mod signed;
mod skip;
mod store;
mod strict;
mod together;
mod tracked;
mod travel;
mod v6;
mod version;
mod vmac;
mod ways;
