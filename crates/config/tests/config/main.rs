//! The configuration languages against documents, the real programs and random bytes.

mod documents;
mod haproxy_agrees;
mod keepalived_agrees;
mod random;
mod skip;
