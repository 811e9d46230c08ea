//! What one process knows that the next one of the same life cannot find out.

use super::super::bequest::{Bequest, Heard, Left, Unfit};
use super::super::voter::Word;
use super::Node;

impl Node {
    pub(in super::super) fn bequeath(&self, seats: Vec<Left>) -> Bequest {
        let peers = (0..).zip(&self.peers).filter(|(_, peer)| peer.word.life != 0);
        let heard = |(node, peer): (u16, &super::Peer)| Heard {
            node,
            joined: peer.joined,
            life: peer.word.life,
            serial: peer.word.serial,
            at: peer.heard,
        };
        Bequest {
            at: self.now,
            life: self.life,
            closed: self.closed,
            set: self.set.clone(),
            serial: self.sent.newest(),
            silent_until: self.silent_until,
            usual: self.pace.pace().usual,
            reach: self.reach,
            peers: peers.map(heard).collect(),
            seats,
        }
    }

    /// Whether it is of this life, and of voters and nodes that this process knows.
    pub(in super::super) fn fits(&self, left: &Bequest) -> Result<(), Unfit> {
        let (own, theirs) = (self.set.voters(), left.set.voters());
        let others = match (own.number(), theirs.number()) {
            (None, None) => own != theirs,
            (Some(one), Some(other)) => one == other && own != theirs,
            // A list of the store is later than a file.
            (None, Some(_)) | (Some(_), None) => false,
        };
        if self.life != left.life {
            Err(Unfit::Life)
        } else if others {
            Err(Unfit::Voters)
        } else if !left.peers.iter().all(|peer| self.knows(peer.node)) {
            Err(Unfit::Node)
        } else {
            Ok(())
        }
    }

    /// In the place of the one before.
    pub(in super::super) fn goes_on(&mut self, left: &Bequest) {
        self.sent.go_on(left.serial);
        (self.closed, self.silent_until, self.reach) = (left.closed, left.silent_until, left.reach);
        self.pace.late(self.now, left.usual);
        let own = std::mem::replace(&mut self.set, left.set.clone());
        // Who was started by the file knows that the store has no list; who read nothing knows nothing.
        if own.voters().number().is_some() || !own.is_unread() {
            self.set.adopt(self.now, own.voters().clone());
        }
        for heard in &left.peers {
            if let Some(peer) = self.peers.get_mut(usize::from(heard.node)) {
                peer.word = Word { life: heard.life, serial: heard.serial };
                (peer.heard, peer.joined) = (heard.at, heard.joined);
            }
        }
    }
}
