//! The body of a beat.
//!
//! ```text
//!  0  1      2      10     11
//!  1  flags  holds  count  count x (proxy u32, server u32, term u64, by u16)
//! ```

use arrayvec::ArrayVec;

const VERSION: u8 = 1;
const HEAD: usize = 11;
const CHOICE: usize = 18;
const LEAVING: u8 = 1;

/// Database listeners of a cluster that are told to peers: one is usual, a handful is many.
pub const MAX_CHOICES: usize = 16;
pub(super) const MAX_LENGTH: usize = HEAD + MAX_CHOICES * CHOICE;

/// Which server a listener with one writer uses. Names travel as their [`Choice::hash`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Choice {
    pub proxy: u32,
    pub server: u32,
    /// The higher term wins; equal terms: the higher node position.
    pub term: u64,
    pub by: u16,
}

impl Choice {
    /// FNV-1a of a name: enough to tell the names of one file apart, whose lint refuses duplicates.
    #[must_use]
    pub fn hash(name: &str) -> u32 {
        name.bytes()
            .fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    }

    /// Keeps the newer one per proxy; true if this is it. Proxies beyond the limit are dropped.
    pub(super) fn merge_into(&self, known: &mut ArrayVec<Self, MAX_CHOICES>) -> bool {
        match known.iter_mut().find(|choice| choice.proxy == self.proxy) {
            Some(choice) if (self.term, self.by) > (choice.term, choice.by) => {
                *choice = *self;
                true
            }
            Some(_) => false,
            None => known.try_push(*self).is_ok(),
        }
    }
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Beat {
    pub(super) leaving: bool,
    pub(super) holds: u64,
    pub(super) choices: ArrayVec<Choice, MAX_CHOICES>,
}

impl Beat {
    pub(super) fn encode(&self, out: &mut [u8; MAX_LENGTH]) -> usize {
        out[0] = VERSION;
        out[1] = if self.leaving { LEAVING } else { 0 };
        out[2..10].copy_from_slice(&self.holds.to_be_bytes());
        out[10] = u8::try_from(self.choices.len()).unwrap_or(0);
        let (fields, _) = out[HEAD..].as_chunks_mut::<CHOICE>();
        for (field, choice) in fields.iter_mut().zip(&self.choices) {
            field[..4].copy_from_slice(&choice.proxy.to_be_bytes());
            field[4..8].copy_from_slice(&choice.server.to_be_bytes());
            field[8..16].copy_from_slice(&choice.term.to_be_bytes());
            field[16..].copy_from_slice(&choice.by.to_be_bytes());
        }
        HEAD + self.choices.len() * CHOICE
    }

    /// A sealed body that cannot be read comes from another version of the program: its node lives,
    /// and says nothing that we understand.
    pub(super) fn decode(body: &[u8]) -> Self {
        Self::read(body).unwrap_or_default()
    }

    fn read(body: &[u8]) -> Option<Self> {
        let (head, rest) = body.split_first_chunk::<HEAD>()?;
        let (fields, surplus) = rest.as_chunks::<CHOICE>();
        let count = usize::from(head[10]);
        if head[0] != VERSION || count > MAX_CHOICES || fields.len() != count || !surplus.is_empty()
        {
            return None;
        }
        let holds = u64::from_be_bytes(*head[2..].first_chunk()?);
        let choices = fields.iter().filter_map(choice).collect();
        Some(Self { leaving: head[1] & LEAVING != 0, holds, choices })
    }
}

fn choice(field: &[u8; CHOICE]) -> Option<Choice> {
    Some(Choice {
        proxy: u32::from_be_bytes(*field.first_chunk()?),
        server: u32::from_be_bytes(*field[4..].first_chunk()?),
        term: u64::from_be_bytes(*field[8..].first_chunk()?),
        by: u16::from_be_bytes(*field[16..].first_chunk()?),
    })
}
