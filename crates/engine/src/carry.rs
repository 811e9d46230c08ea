//! What members of the store bring to nodes that have none: texts that are longer than one errand, in pieces.
//!
//! ```text
//!  member                                            node without a store
//!    Mark: digest and length     ------------------>   has none of it, a part, or all
//!    piece: digest, place, text  ------------------>   has so many bytes of it
//!                                                      whole: its digest is right, and it is taken once
//! ```
//!
//! Each node is served by one of the members that live, by its place: nobody chooses, and where two members
//! see different nodes alive, a node is served twice, which changes nothing.

use crate::generation::{MAX_CONTENT, digest};

/// A text, as a member tells of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Mark {
    /// SHA-256, hexadecimal.
    pub digest: String,
    pub bytes: u64,
}

/// The longest text (bytes): a generation with its files, quotation marks included.
pub const MAX_BYTES: u64 = 2 * MAX_CONTENT as u64;
/// Bytes of a piece as it is written in an errand; the rest of that is digest and place.
pub const PIECE: usize = 880;

impl Mark {
    #[must_use]
    pub fn of(text: &str) -> Self {
        let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
        Self { digest: digest(text.as_bytes()), bytes }
    }
}

/// How new a member's look at the store was: at which store, the later one greater, and at which revision of it.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Look {
    pub incarnation: u64,
    pub revision: u64,
}

/// The newest look of which something was brought here.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Newest(Look);

impl Newest {
    #[must_use]
    pub const fn new(look: Look) -> Self {
        Self(look)
    }

    /// Whether this offer is taken, which it is not if a newer one was: members look every few seconds, and one
    /// that looked before another brings what was undone meanwhile. A look that does not say when (an etcd, or a
    /// member of an older version) is taken as ever.
    pub fn admits(&mut self, look: Option<Look>) -> bool {
        let Some(look) = look else { return true };
        let is_new = look >= self.0;
        self.0 = self.0.max(look);
        is_new
    }

    #[must_use]
    pub const fn look(&self) -> Look {
        self.0
    }
}

/// A text that comes in pieces.
#[derive(Debug, Default)]
pub struct Arrival {
    mark: Mark,
    text: String,
    is_whole: bool,
}

impl Arrival {
    /// A member tells what there is; so many bytes of it are here.
    pub fn offered(&mut self, mark: &Mark) -> u64 {
        if self.mark != *mark {
            *self = Self { mark: mark.clone(), ..Self::default() };
        }
        self.has()
    }

    /// A piece of what was offered last, from that byte on; so many bytes are here now. The text, once it is
    /// whole: only the piece that ends it gets it.
    pub fn piece(&mut self, digest: &str, at: u64, piece: &str) -> (u64, Option<String>) {
        let is_next = !self.is_whole && self.mark.digest == digest && self.has() == at;
        let room = self.mark.bytes.min(MAX_BYTES).saturating_sub(self.has());
        if !is_next || u64::try_from(piece.len()).unwrap_or(u64::MAX) > room {
            return (self.has(), None);
        }
        self.text.push_str(piece);
        if self.has() < self.mark.bytes {
            return (self.has(), None);
        }
        let text = std::mem::take(&mut self.text);
        self.is_whole = crate::generation::digest(text.as_bytes()) == self.mark.digest;
        (self.has(), self.is_whole.then_some(text))
    }

    fn has(&self) -> u64 {
        match self.is_whole {
            true => self.mark.bytes,
            false => u64::try_from(self.text.len()).unwrap_or(u64::MAX),
        }
    }
}

/// The piece of a text from that byte on; nothing at its end, or where no piece begins.
#[must_use]
pub fn piece(text: &str, at: u64) -> &str {
    let rest = usize::try_from(at).ok().and_then(|at| text.get(at..)).unwrap_or_default();
    let mut written = 0;
    let end = rest.char_indices().find(|(_, letter)| {
        written += match letter {
            '"' | '\\' | '\n' | '\r' | '\t' => 2,
            letter if letter.is_control() => 6,
            letter => letter.len_utf8(),
        };
        written > PIECE
    });
    end.map_or(rest, |(end, _)| rest.split_at(end).0)
}

/// Whether `me` serves this node, of these members that live, in the order of the file.
#[must_use]
pub fn serves(living: &[u16], me: u16, node: u16) -> bool {
    let at = usize::from(node).checked_rem(living.len());
    at.and_then(|at| living.get(at)) == Some(&me)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All pieces of a text, as they are asked for.
    fn brought(arrival: &mut Arrival, text: &str) -> Option<String> {
        let mark = Mark::of(text);
        let mut has = arrival.offered(&mark);
        while has < mark.bytes {
            let (now, whole) = arrival.piece(&mark.digest, has, piece(text, has));
            assert!(now > has, "it goes on");
            if whole.is_some() {
                return whole;
            }
            has = now;
        }
        None
    }

    #[test]
    fn a_long_text_comes_whole_and_once() {
        let text = "bind 10.0.0.1:80 \"\n\u{1}ä\u{1f600}".repeat(500);
        let mut arrival = Arrival::default();
        assert_eq!(brought(&mut arrival, &text).as_deref(), Some(text.as_str()));
        assert_eq!(brought(&mut arrival, &text), None, "it is here");
        assert_eq!(brought(&mut arrival, "another").as_deref(), Some("another"));
    }

    #[test]
    fn a_piece_that_is_not_the_next_one_changes_nothing() {
        let text = "x".repeat(3000);
        let mark = Mark::of(&text);
        let mut arrival = Arrival::default();
        arrival.offered(&mark);
        assert_eq!(arrival.piece(&mark.digest, 7, "x"), (0, None));
        assert_eq!(arrival.piece("another", 0, "x"), (0, None));
        assert_eq!(arrival.piece(&mark.digest, 0, &text[..10]), (10, None));
        assert_eq!(arrival.piece(&mark.digest, 0, &text[..10]), (10, None), "it came twice");
        assert_eq!(arrival.piece(&mark.digest, 10, &"x".repeat(2991)), (10, None), "too long");
        assert_eq!(arrival.offered(&Mark::of("another")), 0, "another one begins anew");
    }

    #[test]
    fn what_an_older_look_brings_is_not_taken_after_that_of_a_newer_one() {
        let look = |incarnation, revision| Some(Look { incarnation, revision });
        let mut newest = Newest::default();
        assert!(newest.admits(look(1, 9)));
        assert!(newest.admits(look(1, 9)), "the same again");
        assert!(!newest.admits(look(1, 8)));
        assert!(newest.admits(look(2, 3)), "another store, founded or restored since");
        assert!(!newest.admits(look(1, 10)));
        assert!(newest.admits(None), "it does not say");
        let mut restarted = Newest::new(newest.look());
        assert!(!restarted.admits(look(2, 2)), "it is kept");
    }

    #[test]
    fn what_came_damaged_begins_anew() {
        let mark = Mark::of("right");
        let mut arrival = Arrival::default();
        arrival.offered(&mark);
        assert_eq!(arrival.piece(&mark.digest, 0, "wrong"), (0, None));
        assert_eq!(arrival.piece(&mark.digest, 0, "right"), (5, Some("right".to_owned())));
    }

    #[test]
    fn a_piece_has_room_in_an_errand() {
        for text in ["\"".repeat(2000), "\u{1}".repeat(2000), "\u{1f600}".repeat(2000)] {
            let piece = piece(&text, 0);
            let each = match piece.chars().next() {
                Some('"') => 2,
                Some('\u{1}') => 6,
                letter => letter.map_or(0, char::len_utf8),
            };
            let written = piece.chars().count() * each;
            assert!(written <= PIECE && written > PIECE - 6, "{written}");
        }
        assert_eq!((piece("abc", 3), piece("abc", 9), piece("ä", 1)), ("", "", ""));
    }

    #[test]
    fn each_node_is_served_by_one_of_those_that_live() {
        let living = [0, 2, 5];
        for node in 0..100 {
            assert_eq!(living.iter().filter(|me| serves(&living, **me, node)).count(), 1);
        }
        assert!(!serves(&[], 0, 7));
    }
}
