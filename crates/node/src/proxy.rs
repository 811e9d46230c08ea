//! The proxy's process: hands what the supervisor sent to the data plane.

use std::os::fd::OwnedFd;

use api::Start;
use sys::channel::Channel;

use crate::files::Texts;

pub(crate) fn run(
    channel: Channel,
    start: Start,
    texts: &Texts,
    mut sockets: Vec<OwnedFd>,
) -> Result<(), ::proxy::Error> {
    let (config, _) = config::haproxy::parse(&texts.haproxy, 0);
    let cluster = texts.cluster.as_ref().and_then(|source| config::cluster::parse(source, 0).0);
    let life = sockets.split_off(start.sockets.len().min(sockets.len())).pop();
    let sockets = start.sockets.iter().cloned().zip(sockets).collect();
    ::proxy::run(::proxy::Setup { start, config, cluster, sockets, life, channel })
}
