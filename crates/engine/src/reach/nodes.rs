//! Sets of nodes and of networks, by position in the cluster file.

use crate::keep::Keep;

/// At most 64 nodes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Nodes(u64);

/// At most 8 networks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Networks(u8);

impl Nodes {
    pub const NONE: Self = Self(0);

    #[must_use]
    pub const fn one(node: u16) -> Self {
        if node < 64 { Self(1 << node) } else { Self::NONE }
    }

    /// The first `count` ones.
    #[must_use]
    pub const fn first(count: usize) -> Self {
        if count < 64 { Self((1 << count) - 1) } else { Self(u64::MAX) }
    }

    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    #[must_use]
    pub const fn has(self, node: u16) -> bool {
        self.0 & Self::one(node).0 != 0
    }

    pub const fn insert(&mut self, node: u16) {
        self.0 |= Self::one(node).0;
    }

    /// In it from now on, or not.
    pub const fn put(&mut self, node: u16, is: bool) {
        if is {
            self.insert(node);
        } else {
            *self = self.without(Self::one(node));
        }
    }

    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    #[must_use]
    pub const fn both(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    #[must_use]
    pub const fn and_those(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    #[must_use]
    pub const fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    /// From the first to the last.
    pub fn iter(self) -> impl Iterator<Item = u16> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let node = u16::try_from(left.trailing_zeros()).ok().filter(|node| *node < 64)?;
            left &= left - 1;
            Some(node)
        })
    }
}

impl Keep for Nodes {
    fn keep(&self, out: &mut Vec<u8>) {
        self.0.keep(out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        u64::revive(bytes).map(Self)
    }
}

impl Keep for Networks {
    fn keep(&self, out: &mut Vec<u8>) {
        self.0.keep(out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        u8::revive(bytes).map(Self)
    }
}

impl FromIterator<u16> for Nodes {
    fn from_iter<I: IntoIterator<Item = u16>>(nodes: I) -> Self {
        let mut set = Self::NONE;
        nodes.into_iter().for_each(|node| set.insert(node));
        set
    }
}

impl Networks {
    pub const NONE: Self = Self(0);

    pub const fn insert(&mut self, network: u8) {
        if network < 8 {
            self.0 |= 1 << network;
        }
    }

    #[must_use]
    pub const fn has(self, network: u8) -> bool {
        network < 8 && self.0 >> network & 1 != 0
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..8).filter(move |network| self.has(*network))
    }
}

impl FromIterator<u8> for Networks {
    fn from_iter<I: IntoIterator<Item = u8>>(networks: I) -> Self {
        let mut set = Self::NONE;
        networks.into_iter().for_each(|network| set.insert(network));
        set
    }
}
