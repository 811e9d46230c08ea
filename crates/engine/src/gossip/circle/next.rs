//! Deaths are told to the next node of the cluster file, too.
//!
//! Each of a thousand nodes tells fifteen at random: now and then one hears of nothing (once in some sixty
//! deaths), and finds out when it probes the dead itself, minutes later. Whoever comes next is told for certain, by
//! the one before, at the cost of one packet more.

use bytes::BufMut;
use foca::{Codec, Header, Member, Message};

use super::{Action, Circle, Id, Part, Words};
use crate::gossip::wire::{BEFORE, MAX_TOLD};

impl Circle {
    pub(super) fn tell_next(&self, gone: &[Member<Id>], out: &mut Vec<Action>) {
        let nodes = self.fellows.len();
        let behind = |id: &Id| (usize::from(id.node) + nodes - usize::from(self.me)) % nodes.max(1);
        let others = self.foca.iter_members().map(Member::id).filter(|id| id.node != self.me);
        let Some(next) = others.min_by_key(|id| behind(id)) else { return };
        let mut words = Words { nodes: u16::try_from(nodes).unwrap_or(u16::MAX) };
        let src = *self.foca.identity();
        let header = Header { src, src_incarnation: 0, dst: *next, message: Message::Gossip };
        for some in gone.chunks(MAX_TOLD) {
            let mut text = vec![];
            let mut written = words.encode_header(&header, &mut text).is_ok();
            text.put_u16(u16::try_from(some.len()).unwrap_or(0));
            for member in some {
                written &= words.encode_member(member, &mut text).is_ok();
            }
            if written {
                let mut body = vec![];
                Part::Rumour(text.get(BEFORE..).unwrap_or_default()).encode(&mut body);
                out.push(Action::Send { to: next.node, network: self.network, body });
            }
        }
    }
}
