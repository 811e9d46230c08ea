//! What the agent's poller says of what.

/// Epoll tokens: the channel, the device monitor, one per network, one per node.
pub(super) const CHANNEL: u64 = 0;
pub(super) const MONITOR: u64 = 1;
pub(super) const NETWORKS: u64 = 2;
/// From here on one per node: errors of the sockets towards it.
pub(super) const PEERS: u64 = 1 << 16;
/// From here on one per reference point.
pub(super) const REFERENCES: u64 = 1 << 18;
/// Beyond all networks: what an operator wants.
pub(super) const COMMANDS: u64 = 1 << 20;
/// From here on one per network: where controllers connect to this node.
pub(super) const DOORS: u64 = 1 << 21;
/// From here on one per node and network: connections of this controller to other nodes.
pub(super) const TETHERS: u64 = 1 << 22;
/// From here on one per network: errors of what goes to compute nodes.
pub(super) const PROBES: u64 = 1 << 23;
