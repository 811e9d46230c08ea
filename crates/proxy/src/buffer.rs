//! Buffers for bytes that cannot go on at once.

/// What one thread keeps of returned buffers: enough that busy threads do not allocate, little
/// enough (4 MB) that a burst does not stay in memory.
const KEPT: usize = 64;
/// Larger ones are given back to the allocator.
const MAX_KEPT_CAPACITY: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Buffers {
    free: Vec<Vec<u8>>,
}

/// Bytes that wait, some of them sent already. Empty ones hold no memory.
#[derive(Debug, Default)]
pub(crate) struct Held {
    bytes: Vec<u8>,
    sent: usize,
}

impl Buffers {
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.free.pop().unwrap_or_default()
    }

    pub(crate) fn give(&mut self, mut buffer: Vec<u8>) {
        if self.free.len() < KEPT && (1..=MAX_KEPT_CAPACITY).contains(&buffer.capacity()) {
            buffer.clear();
            self.free.push(buffer);
        }
    }
}

impl Held {
    pub(crate) const fn new() -> Self {
        Self { bytes: Vec::new(), sent: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }

    pub(crate) fn rest(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    pub(crate) fn push(&mut self, bytes: &[u8], buffers: &mut Buffers) {
        if bytes.is_empty() {
            return;
        }
        if self.bytes.capacity() == 0 {
            self.bytes = buffers.take();
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// For writing a head behind what is there.
    pub(crate) fn space(&mut self, buffers: &mut Buffers) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = buffers.take();
        }
        &mut self.bytes
    }

    pub(crate) fn advance(&mut self, count: usize) {
        self.sent += count;
    }

    /// Sends everything once more.
    pub(crate) fn rewind(&mut self) {
        self.sent = 0;
    }

    pub(crate) fn clear(&mut self, buffers: &mut Buffers) {
        self.sent = 0;
        buffers.give(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_were_sent_hold_no_memory() {
        let (mut buffers, mut held) = (Buffers::default(), Held::new());
        held.push(b"a piece of a body", &mut buffers);
        held.advance(17);
        assert!(held.is_empty());
        held.clear(&mut buffers);
        assert_eq!((held.bytes.capacity(), buffers.free.len()), (0, 1));
        held.push(b"", &mut buffers);
        assert_eq!(held.bytes.capacity(), 0);
    }

    #[test]
    fn a_burst_does_not_stay_in_memory() {
        let mut buffers = Buffers::default();
        (0..KEPT + 5).for_each(|_| buffers.give(Vec::with_capacity(1024)));
        buffers.give(Vec::with_capacity(MAX_KEPT_CAPACITY + 1));
        assert_eq!(buffers.free.len(), KEPT);
    }
}
