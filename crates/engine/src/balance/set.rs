//! A set of servers of one proxy, without allocation.

/// Servers of one proxy that take part in balancing; the file's further ones are refused by `config`.
/// 256 is four machine words, and an order of magnitude above a control plane's largest backend.
pub const MAX_SERVERS: usize = 256;

const WORDS: usize = MAX_SERVERS / 64;

/// Servers by position in the file.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct ServerSet([u64; WORDS]);

impl ServerSet {
    pub const EMPTY: Self = Self([0; WORDS]);

    /// Positions from [`MAX_SERVERS`] on are ignored.
    pub fn insert(&mut self, server: usize) {
        if let Some(word) = self.0.get_mut(server / 64) {
            *word |= 1 << (server % 64);
        }
    }

    pub fn remove(&mut self, server: usize) {
        if let Some(word) = self.0.get_mut(server / 64) {
            *word &= !(1 << (server % 64));
        }
    }

    #[must_use]
    pub fn contains(&self, server: usize) -> bool {
        self.0.get(server / 64).is_some_and(|word| word >> (server % 64) & 1 == 1)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0 == [0; WORDS]
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The members in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(word, mut bits)| {
            std::iter::from_fn(move || {
                let lowest = bits.trailing_zeros() as usize;
                bits &= bits.checked_sub(1)?;
                Some(word * 64 + lowest)
            })
        })
    }

    /// The first in the order of the file.
    #[must_use]
    pub fn first(&self) -> Option<usize> {
        self.iter().next()
    }
}

impl FromIterator<usize> for ServerSet {
    fn from_iter<T: IntoIterator<Item = usize>>(servers: T) -> Self {
        let mut set = Self::EMPTY;
        for server in servers {
            set.insert(server);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_in_the_order_of_the_file() {
        let mut set: ServerSet = [255, 64, 0, 63, 3, 256, 1000].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 3, 63, 64, 255]);
        assert_eq!(
            (set.len(), set.first(), set.contains(64), set.contains(256)),
            (5, Some(0), true, false)
        );
        set.remove(64);
        set.remove(0);
        set.remove(1000);
        assert_eq!(set.iter().collect::<Vec<_>>(), [3, 63, 255]);
        assert!(!set.is_empty() && ServerSet::EMPTY.is_empty());
    }
}
