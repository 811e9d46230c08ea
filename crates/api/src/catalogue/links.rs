//! Rows of what there is around virtual IPs: devices, tables of the kernel, ways that are watched.

use super::row::{EventKind, act, told};

pub(super) const ACCEPTS: EventKind = act(
    "vip-accepts",
    "vip",
    "the file says `no_accept`, and the kernel does not drop what is for the address",
    "look whether this kernel has nftables (`nft list tables`)",
);
pub(super) const BFD_OPEN: EventKind =
    told("vip-bfd-open", "node", "a watched way has its socket, after it had none");
pub(super) const BFD_REFUSED: EventKind = act(
    "vip-bfd-refused",
    "node",
    "the kernel gives no socket for a watched way (BFD), which counts as down; told once while it is so",
    "read the reason: another program may have the port (`ss -ulpn`), or this node lacks the `source` address",
);
pub(super) const DEVICE_REFUSED: EventKind = act(
    "vip-device-refused",
    "vip",
    "the kernel does not make, set up or remove the device of a group's own hardware address",
    "look at the device that the evidence names: another one may have its name",
);
pub(super) const DEVICE_RENAMED: EventKind = told(
    "vip-device-renamed",
    "vip",
    "the device of the address has another name now; the file names its network, so nothing moved",
);
pub(super) const WATCH_AGAIN: EventKind = told(
    "vip-watch-again",
    "node",
    "processes and files that are tracked are looked at again, and what happened meanwhile counts",
);
pub(super) const WATCH_FAILED: EventKind = act(
    "vip-watch-failed",
    "node",
    "processes and files that are tracked cannot be looked at: what was known of them counts meanwhile",
    "read the reason: mostly descriptors or memory are used up; it is tried ten times a second",
);
