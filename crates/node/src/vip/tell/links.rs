//! What is told of what there is around the addresses: devices, tables, ways that are watched, threads.

use std::io;

use api::Event;

use super::super::instance::Instance;

/// The kernel did not make a device of the group's own hardware address, did not set it up as it has to be, or keeps one.
pub(in crate::vip) fn virtual_mac(instance: &Instance, node: &str, refused: &str) -> Event {
    Event {
        at_ms: sys::clock::wall_ms(),
        node: node.to_owned(),
        what: "vip-device-refused".to_owned(),
        object: format!("vip/{}", instance.vip.name),
        evidence: format!("the kernel refuses {refused}"),
        decision: "go on with what there is".to_owned(),
        not_done: "an address whose device is missing cannot be held here; neighbours may learn \
                   another hardware address"
            .to_owned(),
        ..Event::default()
    }
}

/// The kernel does not keep packets from a held address that nobody is to reach here, or does it again (empty).
pub(in crate::vip) fn kept_out(instance: &Instance, node: &str, refused: &str) -> Event {
    let (what, evidence, not_done) = match refused {
        "" => ("vip-kept-out", "the kernel drops what is for the address again".to_owned(), ""),
        why => (
            "vip-accepts",
            format!("the kernel does not drop what is for the address: {why}"),
            "packets for the address are accepted here although the file says `no_accept`",
        ),
    };
    Event {
        at_ms: sys::clock::wall_ms(),
        node: node.to_owned(),
        what: what.to_owned(),
        object: format!("vip/{}", instance.vip.name),
        evidence,
        decision: "hold the address all the same".to_owned(),
        not_done: not_done.to_owned(),
        ..Event::default()
    }
}

/// The device of its network is called otherwise now.
pub(in crate::vip) fn followed(instance: &Instance, node: &str, former: &str) -> Event {
    let to = &instance.vip.interface;
    Event {
        at_ms: sys::clock::wall_ms(),
        node: node.to_owned(),
        what: "vip-device-renamed".to_owned(),
        object: format!("vip/{}", instance.vip.name),
        evidence: format!(
            "{former} is called {to} now, and this node's address on the network is on it"
        ),
        decision: format!("go on on {to}: the file names the network and not the device"),
        action: "nothing moved".to_owned(),
        ..Event::default()
    }
}

/// What is tracked cannot be looked at (a reason), or can be again (none).
pub(in crate::vip) fn watch(node: &str, why: Option<&io::Error>) -> Event {
    let (what, evidence, decision, not_done) = match why {
        Some(why) => (
            "vip-watch-failed",
            format!("processes and files that are tracked cannot be looked at: {why}"),
            "begin anew until it can be done; what was known of them counts meanwhile",
            "a process that ends, or a file that changes, weighs nothing until then",
        ),
        None => (
            "vip-watch-again",
            "processes and files that are tracked are looked at again".to_owned(),
            "what happened meanwhile counts from now on",
            "",
        ),
    };
    Event {
        at_ms: sys::clock::wall_ms(),
        node: node.to_owned(),
        what: what.to_owned(),
        object: format!("node/{node}"),
        evidence,
        decision: decision.to_owned(),
        not_done: not_done.to_owned(),
        ..Event::default()
    }
}

/// The sockets of a watched way cannot be had (a reason), or are there after that (none).
pub(in crate::vip) fn bfd(node: &str, session: &str, why: Option<&io::Error>) -> Event {
    let (what, evidence, decision, not_done) = match why {
        Some(why) => (
            "vip-bfd-refused",
            format!("the kernel gives no socket for the way {session}: {why}"),
            "the way counts as down, and the socket is tried again each second",
            "nothing is heard of that way: who needs it does not hold",
        ),
        None => (
            "vip-bfd-open",
            format!("the way {session} has its socket"),
            "the way is watched from now on",
            "",
        ),
    };
    Event {
        at_ms: sys::clock::wall_ms(),
        node: node.to_owned(),
        what: what.to_owned(),
        object: format!("node/{node}"),
        evidence,
        decision: decision.to_owned(),
        not_done: not_done.to_owned(),
        ..Event::default()
    }
}
