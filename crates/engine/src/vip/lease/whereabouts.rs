//! Where an address may be that leaves a node only after proof: as one voter knows it.
//!
//! ```text
//!                    this voter granted it                its own later word: it claims nothing
//!   nobody known ------------------------> may hold it -----------------------------------------> nobody known
//!                                              |            or it is proven dead
//!                                              +--> granted to nobody else, however long it is silent
//! ```
//! A promise that nobody but its receiver, or proof, ends. Whoever holds was granted it by a majority, so of any later majority
//! one voter at least knows of it. What a process does not know, as it began later: it takes each node of the order for one that
//! may hold, until that one, or a holder, was heard to say otherwise *after* it began. Nothing is asked of a disk or of a third node.

/// Positions in the cluster file, at most 32: as many as beats have bits for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Nodes(u32);

impl Nodes {
    fn bit(node: u16) -> u32 {
        1_u32.checked_shl(u32::from(node)).unwrap_or(0)
    }

    fn one(node: u16) -> Self {
        Self(Self::bit(node))
    }

    fn add(&mut self, node: u16) {
        self.0 |= Self::bit(node);
    }

    fn remove(&mut self, node: u16) {
        self.0 &= !Self::bit(node);
    }

    fn iter(self) -> impl Iterator<Item = u16> {
        (0..32).filter(move |node| self.0 & Self::bit(*node) != 0)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Whereabouts {
    me: u16,
    /// False: nobody is waited for.
    needs_proof: bool,
    /// To whom this process granted it, and who has not said since that it claims nothing.
    granted: Nodes,
    /// Who may have been granted it by the process before this one, and was not heard to claim nothing since.
    before: Nodes,
}

impl Whereabouts {
    /// `order`: who may hold it.
    pub(super) fn new(needs_proof: bool, order: &[u16], me: u16) -> Self {
        let mut before = Nodes::default();
        order.iter().for_each(|node| before.add(*node));
        Self { me, needs_proof, granted: Nodes::default(), before }
    }

    /// Who was granted it, and who may have been before; a bit for each.
    pub(super) const fn known(&self) -> (u32, u32) {
        (self.granted.0, self.before.0)
    }

    /// As the process before knew it, which was of the same life.
    pub(super) const fn go_on(&mut self, granted: u32, before: u32) {
        (self.granted, self.before) = (Nodes(granted), Nodes(before));
    }

    pub(super) fn grants(&mut self, to: u16) {
        self.granted.add(to);
    }

    /// It said, after this process began, that it claims nothing.
    pub(super) fn lets_go(&mut self, node: u16) {
        self.granted.remove(node);
        self.before.remove(node);
    }

    /// It holds, or said so after this process began: whoever held it before had let go by then, or was proven dead. Not of whom this
    /// process granted it itself: that may have been later.
    pub(super) fn holds(&mut self, node: u16, is_dead: impl Fn(u16) -> bool) {
        self.before = Nodes::one(node);
        let gone = self.granted.iter().filter(|other| *other != node && is_dead(*other));
        let gone: u32 = gone.map(Nodes::bit).sum();
        self.granted.0 &= !gone;
    }

    /// Those of the others that may hold it, if they are not proven dead. What this node has, and its former process had, it knows.
    pub(super) fn possible(&self) -> impl Iterator<Item = u16> {
        let all = Nodes(self.granted.0 | self.before.0);
        all.iter().filter(|node| self.needs_proof && *node != self.me)
    }
}
