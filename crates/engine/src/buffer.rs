//! What one step of a machine orders, in order.

use arrayvec::ArrayVec;

/// The longest list of orders that one step of any machine writes is 8 (a holder that yields,
/// tells and reports); twice that leaves room without costing the real-time thread its cache.
pub const CAPACITY: usize = 16;

/// A list of fixed capacity: real-time machines may not allocate. What does not fit is a mistake
/// in the machine: it fails a debug build and is counted in a release, because a daemon that loses
/// one order recovers at the next deadline and one that panics does not.
#[derive(Clone, Debug)]
pub struct Buffer<T> {
    items: ArrayVec<T, CAPACITY>,
    lost: u32,
}

impl<T> Default for Buffer<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Buffer<T> {
    #[must_use]
    pub fn new() -> Self {
        Self { items: ArrayVec::new(), lost: 0 }
    }

    pub fn push(&mut self, item: T) {
        let full = self.items.try_push(item).is_err();
        self.note(full);
    }

    fn note(&mut self, full: bool) {
        debug_assert!(!full, "a machine ordered more than {CAPACITY} actions in one step");
        self.lost = self.lost.saturating_add(u32::from(full));
    }

    /// Before all that is in it.
    pub fn push_first(&mut self, item: T) {
        let full = self.items.try_insert(0, item).is_err();
        self.note(full);
    }

    /// Takes everything out, in order.
    pub fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        self.items.drain(..)
    }

    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.items.iter()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub fn clear(&mut self) {
        self.items.clear();
    }

    /// Orders that did not fit since the buffer was made; anything but 0 is a mistake in a machine.
    #[must_use]
    pub const fn lost(&self) -> u32 {
        self.lost
    }
}

impl<'a, T> IntoIterator for &'a Buffer<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_come_out_as_they_went_in() {
        let mut buffer = Buffer::new();
        buffer.push(1);
        buffer.push(2);
        assert_eq!(buffer.drain().collect::<Vec<_>>(), [1, 2]);
        assert!(buffer.is_empty());
    }

    #[test]
    #[should_panic(expected = "more than 16 actions")]
    fn too_many_orders_fail_a_debug_build() {
        let mut buffer = Buffer::new();
        for number in 0..=CAPACITY {
            buffer.push(number);
        }
    }
}
