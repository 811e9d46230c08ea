//! Who votes, as one process knows it.

use super::{Epoch, VipLease, Voters};

impl VipLease {
    /// Whether this node votes: not within the first moments of a process, nor before it is known who does.
    #[must_use]
    pub fn votes(&self) -> bool {
        !self.node.is_silent() && !self.node.set().is_unread()
    }

    /// Who votes, as this process knows; none: it is not known yet.
    #[must_use]
    pub fn voters(&self) -> Option<&Voters> {
        let set = self.node.set();
        (!set.is_unread()).then(|| set.voters())
    }

    /// The list of voters in use, once nothing that this node granted under an older one can still count. What
    /// waits to be told to it is in use by nobody.
    #[must_use]
    pub fn settled(&self) -> Option<Epoch> {
        let set = self.node.set();
        set.is_settled(self.node.now()).then(|| set.voters().epoch())
    }

    pub(super) fn adopt(&mut self, voters: &Voters) -> bool {
        let adopted = self.node.adopt(voters.clone());
        if adopted {
            self.seats.iter_mut().for_each(|seat| seat.voters_changed(&self.node));
        }
        adopted
    }
}
