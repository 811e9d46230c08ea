//! Inputs of a membership machine as they are recorded.

use std::collections::BTreeMap;

use crate::keep::{Keep, keep_bytes, revive_bytes};
use crate::member::{Input, Standing};
use crate::packet::{Kind, MAX_BODY, Opened};
use crate::verdict::Proof;

use super::Names;

/// An input that owns what it says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MemberFact {
    /// Also a packet that could not be opened: nothing of it reached the machine.
    Timeout,
    Packet {
        /// Where it arrived.
        network: u8,
        letter: Letter,
        body: Vec<u8>,
    },
    Carrier {
        network: u8,
        up: bool,
    },
    Known {
        node: u16,
        standing: Standing,
    },
    Refused {
        node: u16,
    },
    Tether {
        node: u16,
        network: u8,
        holds: bool,
    },
    Failing {
        node: u16,
        failing: bool,
    },
    Proven {
        node: u16,
        proof: Option<Proof>,
    },
    Planned {
        node: u16,
        planned: bool,
    },
    Reference {
        answers: bool,
    },
    Leave,
}

/// What stands beside the body of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Letter {
    pub sender: u16,
    /// Where it was sent.
    pub network: u8,
    pub kind: Kind,
    pub incarnation: u64,
    pub seq: u64,
}

/// The last body of each kind from each node on each network: beats repeat themselves.
pub(super) type Bodies = BTreeMap<(u16, u8, u8), Vec<u8>>;

const TIMEOUT: u8 = 0;
const PACKET: u8 = 1;
/// A packet whose body is that of the one before.
const SAME: u8 = 2;
const CARRIER: u8 = 3;
const KNOWN: u8 = 4;
const REFUSED: u8 = 5;
const FAILING: u8 = 6;
const PROVEN: u8 = 7;
const LEAVE: u8 = 8;
const PLANNED: u8 = 9;
const REFERENCE: u8 = 10;
const TETHER: u8 = 11;

/// Writes an input.
pub(super) fn keep(input: &Input<'_>, bodies: &mut Bodies, out: &mut Vec<u8>) {
    match input {
        Input::Timeout | Input::Packet { .. } => out.push(TIMEOUT),
        Input::Opened { network, packet } => keep_packet(*network, packet, bodies, out),
        Input::Carrier { network, up } => {
            out.push(CARRIER);
            (*network, *up).keep(out);
        }
        Input::Known { node, standing } => {
            out.push(KNOWN);
            (*node, *standing).keep(out);
        }
        Input::Refused { node } => {
            out.push(REFUSED);
            node.keep(out);
        }
        Input::Tether { node, network, holds } => {
            out.push(TETHER);
            (*node, *network).keep(out);
            holds.keep(out);
        }
        Input::Failing { node, failing } => {
            out.push(FAILING);
            (*node, *failing).keep(out);
        }
        Input::Proven { node, proof } => {
            out.push(PROVEN);
            (*node, *proof).keep(out);
        }
        Input::Planned { node, planned } => {
            out.push(PLANNED);
            (*node, *planned).keep(out);
        }
        Input::Reference { answers } => {
            out.push(REFERENCE);
            answers.keep(out);
        }
        Input::Leave => out.push(LEAVE),
    }
}

fn keep_packet(network: u8, packet: &Opened<'_>, bodies: &mut Bodies, out: &mut Vec<u8>) {
    let key = (packet.sender, packet.network, packet.kind as u8);
    let is_same = bodies.get(&key).is_some_and(|body| body == packet.body);
    out.extend_from_slice(&[if is_same { SAME } else { PACKET }, network]);
    out.extend_from_slice(&[packet.kind as u8, packet.network]);
    packet.sender.keep(out);
    packet.incarnation.keep(out);
    packet.seq.keep(out);
    if !is_same {
        keep_bytes(packet.body, out);
        bodies.insert(key, packet.body.to_vec());
    }
}

/// Reads an input; none: it cannot be read.
pub(super) fn revive(bodies: &mut Bodies, bytes: &mut &[u8]) -> Option<MemberFact> {
    match u8::revive(bytes)? {
        TIMEOUT => Some(MemberFact::Timeout),
        tag @ (PACKET | SAME) => revive_packet(tag == SAME, bodies, bytes),
        CARRIER => {
            <(u8, bool)>::revive(bytes).map(|(network, up)| MemberFact::Carrier { network, up })
        }
        KNOWN => Keep::revive(bytes).map(|(node, standing)| MemberFact::Known { node, standing }),
        REFUSED => u16::revive(bytes).map(|node| MemberFact::Refused { node }),
        FAILING => Keep::revive(bytes).map(|(node, failing)| MemberFact::Failing { node, failing }),
        PROVEN => Keep::revive(bytes).map(|(node, proof)| MemberFact::Proven { node, proof }),
        PLANNED => Keep::revive(bytes).map(|(node, planned)| MemberFact::Planned { node, planned }),
        REFERENCE => bool::revive(bytes).map(|answers| MemberFact::Reference { answers }),
        TETHER => {
            let ((node, network), holds) = Keep::revive(bytes)?;
            Some(MemberFact::Tether { node, network, holds })
        }
        LEAVE => Some(MemberFact::Leave),
        _ => None,
    }
}

fn revive_packet(is_same: bool, bodies: &mut Bodies, bytes: &mut &[u8]) -> Option<MemberFact> {
    let network = u8::revive(bytes)?;
    let byte = u8::revive(bytes)?;
    let letter = Letter {
        kind: Kind::from_byte(byte)?,
        network: u8::revive(bytes)?,
        sender: u16::revive(bytes)?,
        incarnation: u64::revive(bytes)?,
        seq: u64::revive(bytes)?,
    };
    let key = (letter.sender, letter.network, byte);
    let body = if is_same {
        bodies.get(&key)?.clone()
    } else {
        let body = revive_bytes(bytes)?;
        if body.len() > MAX_BODY {
            return None;
        }
        bodies.insert(key, body.to_vec());
        body.to_vec()
    };
    Some(MemberFact::Packet { network, letter, body })
}

impl MemberFact {
    /// As the machine is fed.
    pub(super) fn input(&self) -> Input<'_> {
        match self {
            Self::Timeout => Input::Timeout,
            Self::Packet { network, letter, body } => {
                let Letter { sender, network: sent_on, kind, incarnation, seq } = *letter;
                let packet = Opened { sender, network: sent_on, kind, incarnation, seq, body };
                Input::Opened { network: *network, packet }
            }
            Self::Carrier { network, up } => Input::Carrier { network: *network, up: *up },
            Self::Known { node, standing } => Input::Known { node: *node, standing: *standing },
            Self::Refused { node } => Input::Refused { node: *node },
            Self::Tether { node, network, holds } => {
                Input::Tether { node: *node, network: *network, holds: *holds }
            }
            Self::Failing { node, failing } => Input::Failing { node: *node, failing: *failing },
            Self::Proven { node, proof } => Input::Proven { node: *node, proof: *proof },
            Self::Planned { node, planned } => Input::Planned { node: *node, planned: *planned },
            Self::Reference { answers } => Input::Reference { answers: *answers },
            Self::Leave => Input::Leave,
        }
    }

    /// For people.
    #[must_use]
    pub fn words(&self, names: &Names) -> String {
        match self {
            Self::Timeout => "time went on".to_owned(),
            Self::Packet { network, letter, body: _ } => {
                let what = match letter.kind {
                    Kind::Beat => "a beat",
                    Kind::Hello => "a greeting",
                    Kind::HandOver => "a hand-over",
                    Kind::Question => "a question for events",
                    Kind::Told => "an event",
                    Kind::Errand => "a command",
                    Kind::Answer => "the answer to a command",
                    Kind::Gossip => "gossip",
                    Kind::VipBeat => "a beat of the vip process",
                };
                let (node, network) = (names.node(letter.sender), names.network(*network));
                format!("{what} of {node} on {network}, number {}", letter.seq)
            }
            Self::Carrier { network, up } => {
                let network = names.network(*network);
                format!("the own link to {network} {}", if *up { "is up" } else { "is down" })
            }
            Self::Known { node, standing } => {
                let node = names.node(*node);
                format!("the process before this one knew {node} as {}", standing.word())
            }
            Self::Refused { node } => format!("the kernel of {} refuses beats", names.node(*node)),
            Self::Tether { node, network, holds } => {
                let (node, network) = (names.node(*node), names.network(*network));
                let how = if *holds { "holds" } else { "is closed, or is not to be had" };
                format!("the tether to {node} on {network} {how}")
            }
            Self::Failing { node, failing } => {
                let how = if *failing { "all fail" } else { "do not all fail" };
                format!("the servers on {} {how}", names.node(*node))
            }
            Self::Proven { node, proof } => {
                let node = names.node(*node);
                match proof {
                    Some(proof) => format!("entry {} proves that {node} is dead", proof.entry()),
                    None => format!("no proof of death of {node} counts any more"),
                }
            }
            Self::Planned { node, planned } => {
                let how = if *planned { "is in a" } else { "is in no" };
                format!("{} {how} maintenance window", names.node(*node))
            }
            Self::Reference { answers: true } => "a reference point answers again".to_owned(),
            Self::Reference { answers: false } => "no reference point answers any more".to_owned(),
            Self::Leave => "this node was told to end".to_owned(),
        }
    }
}
