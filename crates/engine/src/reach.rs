//! Who reaches whom, on every network, as all nodes see it together.
//!
//! Each node says in its beats whom it knows and whom it has lost on which network: its [`Row`]. Rows
//! are passed on, so that who is not heard directly is heard of. [`Reach::view`] is a pure function of
//! the rows: nodes with the same rows come to the same view, whoever of them lost what.
//!
//! A pair is joined on a network when neither has lost the other there: one way is no way. The view is
//! that of the part of the cluster that can reach this node; a node outside of it is gone, or deaf.

use arrayvec::ArrayVec;

use crate::keep::kept;
use crate::packet::{MAX_NETWORKS, MAX_NODES};

pub use nodes::{Networks, Nodes};

mod nodes;
#[cfg(test)]
mod tests;

/// Rows of others that one beat passes on: with eight networks and all choices it still fits a packet.
pub const MAX_PASSED_ON: usize = 4;
/// A new row of another is passed on in so many beats before it waits for its turn like the rest.
const NEWS: u8 = 3;
/// Bytes of a row beside its networks: node, life, version, known.
const HEAD: usize = 22;

/// What one node says about all others.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Row {
    pub node: u16,
    /// The incarnation of the process that says it; a later one outdates all versions of this one.
    pub life: u64,
    /// Grows with each change.
    pub version: u32,
    /// Heard in this life, on any network.
    pub known: Nodes,
    /// Silent for the detection time, per network, though they live or have lived.
    pub lost: [Nodes; MAX_NETWORKS],
}

/// The rows that one node has, its own among them.
#[derive(Clone, Debug)]
pub struct Reach {
    me: u16,
    networks: usize,
    /// Who has an address on each network.
    on: [Nodes; MAX_NETWORKS],
    rows: Box<[Option<Row>]>,
    /// Who brought the row of each node: itself, or a messenger.
    from: [u16; MAX_NODES],
    /// In how many more beats the row of each node is news.
    news: [u8; MAX_NODES],
    turn: usize,
}

/// What the rows come to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct View {
    /// Who reaches this node and is reached by it, directly or over others; this node among them.
    pub part: Nodes,
    /// Whom any of these knows.
    pub known: Nodes,
    /// Whom any of these hears on any network.
    pub heard: Nodes,
    /// The networks on which each node stands outside of those who all reach each other.
    pub cut: [Networks; MAX_NODES],
}

kept!(Row { node, life, version, known, lost });
kept!(Reach { me, networks, on, rows, from, news, turn });
kept!(View { part, known, heard, cut });

impl Reach {
    /// `on`: who has an address on each network.
    #[must_use]
    pub fn new(me: u16, nodes: usize, networks: usize, on: [Nodes; MAX_NETWORKS]) -> Self {
        let rows = (0..nodes.min(MAX_NODES)).map(|_| None).collect();
        let networks = networks.min(MAX_NETWORKS);
        Self { me, networks, on, rows, from: [me; MAX_NODES], news: [0; MAX_NODES], turn: 0 }
    }

    /// Takes in a row that a node brought, its own or one that it passes on; true if it says something new.
    ///
    /// Who speaks for itself overrules every messenger. In one life the newest version counts. Between two lives
    /// of a node the word of who hears it counts above that of who does not, and only then the later life: a
    /// node whose disk was lost may come back with an earlier one, and its former row, which others still
    /// have, would tell for ever whom it heard.
    pub fn tell(&mut self, row: Row, from: u16) -> bool {
        let at = usize::from(row.node);
        let Some(known) = self.rows.get(at).copied() else { return false };
        let first_hand = from == row.node;
        let is_newer = known.is_none_or(|known| {
            let (hears, is_attested) =
                (first_hand || self.hears(from, row.node), self.is_attested(row.node));
            if row.life != known.life && hears != is_attested {
                return hears;
            }
            (row.life, row.version) > (known.life, known.version)
        });
        let overrules = first_hand && self.from[at] != row.node;
        if !is_newer && !overrules {
            return false;
        }
        if is_newer {
            self.news[at] = NEWS;
        }
        self.rows[at] = Some(row);
        self.from[at] = from;
        known.is_none_or(|known| {
            (known.life, known.known, known.lost) != (row.life, row.known, row.lost)
        })
    }

    /// Whether this node hears who brought this row, who hears the node that it is of.
    fn is_attested(&self, node: u16) -> bool {
        let Some(from) = self.from.get(usize::from(node)).copied() else { return false };
        self.hears(self.me, from) && (from == node || self.hears(from, node))
    }

    /// By its own row: `from` hears `of` on any network.
    fn hears(&self, from: u16, of: u16) -> bool {
        let Some(row) = self.row(from).filter(|row| row.known.has(of)) else { return false };
        let mut networks = self.on.iter().zip(&row.lost).take(self.networks);
        networks.any(|(on, lost)| on.has(from) && on.has(of) && !lost.has(of))
    }

    /// Where a node has an address.
    #[must_use]
    pub fn networks_of(&self, node: u16) -> Networks {
        let on = (0_u8..).zip(&self.on).take(self.networks).filter(|(_, on)| on.has(node));
        on.map(|(network, _)| network).collect()
    }

    #[must_use]
    pub fn row(&self, node: u16) -> Option<&Row> {
        self.rows.get(usize::from(node))?.as_ref()
    }

    /// The rows for the next beat: its own, then what is new, then the others in turn.
    pub fn rows_to_tell(&mut self) -> ArrayVec<Row, { MAX_PASSED_ON + 1 }> {
        let mut told = ArrayVec::new();
        told.extend(self.row(self.me).copied());
        let me = usize::from(self.me);
        for (node, row) in self.rows.iter().enumerate() {
            if let Some(row) = row
                && node != me
                && self.news[node] > 0
                && !told.is_full()
            {
                self.news[node] -= 1;
                told.push(*row);
            }
        }
        for _ in 0..self.rows.len() {
            if told.is_full() {
                break;
            }
            self.turn = (self.turn + 1) % self.rows.len();
            let row = self.rows[self.turn].filter(|row| told.iter().all(|t| t.node != row.node));
            told.extend(row);
        }
        told
    }

    /// The one view of all who have these rows and are in the same part. Between young nodes, which have just
    /// started, and others nothing is torn yet: rows of their former lives may be on their way.
    #[must_use]
    pub fn view(&self, young: Nodes) -> View {
        let part = self.part((Nodes::NONE, Nodes::NONE));
        let mut view = View {
            part,
            known: Nodes::one(self.me),
            heard: part,
            cut: [Networks::NONE; MAX_NODES],
        };
        for row in part.iter().filter_map(|node| self.row(node)) {
            view.known = view.known.and_those(row.known);
            for (on, lost) in self.on.iter().zip(&row.lost).take(self.networks) {
                if on.has(row.node) {
                    view.heard = view.heard.and_those(row.known.both(*on).without(*lost));
                }
            }
        }
        for (network, on) in (0..).zip(self.on).take(self.networks) {
            let present = on.both(view.heard);
            let core = self.core(network, present.without(young));
            let core = core.and_those(present.both(young));
            for node in present.without(core).iter() {
                view.cut[usize::from(node)].insert(network);
            }
        }
        view
    }

    /// Whether neither has lost the other on this network.
    fn joined(&self, network: u8, a: u16, b: u16) -> bool {
        let lost = |from, of| {
            let row: Option<&Row> = self.row(from);
            row.is_some_and(|row| row.lost[usize::from(network)].has(of))
        };
        !lost(a, b) && !lost(b, a)
    }

    /// Both know of each other, and are joined on a network.
    fn reach(&self, a: u16, b: u16) -> bool {
        let knows = |from, of| self.row(from).is_some_and(|row| row.known.has(of));
        knows(a, b)
            && knows(b, a)
            && (0_u8..)
                .zip(&self.on)
                .take(self.networks)
                .any(|(network, on)| on.has(a) && on.has(b) && self.joined(network, a, b))
    }

    /// Who reaches this node and is reached by it; not over mute ones, and silent ones are not in it.
    fn part(&self, (silent, mute): (Nodes, Nodes)) -> Nodes {
        let all = Nodes::first(self.rows.len()).without(silent);
        let mut part = Nodes::one(self.me);
        let mut edge = part;
        while let Some(node) = edge.iter().next() {
            edge = edge.without(Nodes::one(node));
            for other in all.without(part).iter() {
                if self.reach(node, other) {
                    part.insert(other);
                    edge.put(other, !mute.has(other));
                }
            }
        }
        part
    }

    /// A set in which every pair is joined: who misses the most of the others leaves first, between
    /// equals the later one in the cluster file. Not the largest such set, but the same on all nodes
    /// and found in a bounded time.
    fn core(&self, network: u8, present: Nodes) -> Nodes {
        let mut core = present;
        let mut missing = [0_usize; MAX_NODES];
        for a in present.iter() {
            let apart = present.iter().filter(|b| *b != a && !self.joined(network, a, *b));
            missing[usize::from(a)] = apart.count();
        }
        loop {
            let worst = core.iter().max_by_key(|node| (missing[usize::from(*node)], *node));
            let Some(worst) = worst.filter(|node| missing[usize::from(*node)] > 0) else {
                return core;
            };
            core = core.without(Nodes::one(worst));
            for other in core.iter().filter(|other| !self.joined(network, worst, *other)) {
                missing[usize::from(other)] -= 1;
            }
        }
    }
}

impl View {
    /// A majority of `nodes` can reach each other, this node among them.
    #[must_use]
    pub fn has_quorum(&self, nodes: usize) -> bool {
        2 * self.part.count() > nodes
    }

    /// The same without silent nodes, and without those who are reached over mute ones only.
    pub(crate) fn has_quorum_without(
        &self,
        reach: &Reach,
        (silent, mute): (Nodes, Nodes),
        nodes: usize,
    ) -> bool {
        if self.part.both(silent.and_those(mute)) == Nodes::NONE {
            return self.has_quorum(nodes);
        }
        2 * reach.part((silent, mute)).count() > nodes
    }

    /// The node is known to this part and nobody of it hears it.
    #[must_use]
    pub fn is_gone(&self, node: u16) -> bool {
        self.known.has(node) && !self.heard.has(node)
    }
}

impl Reach {
    /// For one that was read from bytes: whether it is of these nodes, and every row at its place.
    pub(crate) fn fits(&self, me: u16, nodes: usize) -> bool {
        let in_place = |(at, row): (usize, &Option<Row>)| {
            row.is_none_or(|row| usize::from(row.node) == at && row.version < u32::MAX)
        };
        self.me == me
            && self.rows.len() == nodes
            && nodes <= MAX_NODES
            && self.networks <= MAX_NETWORKS
            && self.turn <= nodes
            && self.rows.iter().enumerate().all(in_place)
    }
}

impl Row {
    /// Bytes of a row with so many networks.
    #[must_use]
    pub const fn length(networks: usize) -> usize {
        HEAD + 8 * networks
    }

    /// Writes the row and returns its length; 0 where it has no room.
    pub fn encode(&self, networks: usize, out: &mut [u8]) -> usize {
        let length = Self::length(networks.min(MAX_NETWORKS));
        let Some(out) = out.get_mut(..length) else { return 0 };
        out[..2].copy_from_slice(&self.node.to_be_bytes());
        out[2..10].copy_from_slice(&self.life.to_be_bytes());
        out[10..14].copy_from_slice(&self.version.to_be_bytes());
        out[14..HEAD].copy_from_slice(&self.known.bits().to_be_bytes());
        for (field, lost) in out[HEAD..].chunks_exact_mut(8).zip(&self.lost) {
            field.copy_from_slice(&lost.bits().to_be_bytes());
        }
        length
    }

    /// Reads a row of so many networks; none where bytes are missing.
    #[must_use]
    pub fn decode(networks: usize, bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..Self::length(networks))?;
        let mut row = Self {
            node: u16::from_be_bytes(*bytes.first_chunk()?),
            life: u64::from_be_bytes(*bytes[2..].first_chunk()?),
            version: u32::from_be_bytes(*bytes[10..].first_chunk()?),
            known: Nodes::from_bits(u64::from_be_bytes(*bytes[14..].first_chunk()?)),
            lost: [Nodes::NONE; MAX_NETWORKS],
        };
        let (fields, _) = bytes[HEAD..].as_chunks::<8>();
        for (lost, field) in row.lost.iter_mut().zip(fields) {
            *lost = Nodes::from_bits(u64::from_be_bytes(*field));
        }
        Some(row)
    }
}
