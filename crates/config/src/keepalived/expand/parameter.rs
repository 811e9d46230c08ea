//! `$NAME=value`, `$NAME` and `${NAME}`.

use super::{Expander, MAX_LINE, MAX_VALUES, Piece, is_blank};

/// What stands for a name.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameter {
    /// One, or as many as the value has; none: it stands for nothing.
    pub(super) lines: Vec<Piece>,
    /// Its value goes on in the lines behind: it is put only at the end of a line.
    pub(super) has_lines: bool,
}

/// A name in a line, from its `$` on.
struct Named {
    name: String,
    /// Two numbers at most, of `${_RANDOM 1 6}`.
    numbers: Option<String>,
    /// Where it ends.
    to: usize,
}

/// A name that stands for itself, made anew each time.
const OWN: [&str; 5] = ["_PWD", "_INSTANCE", "_RANDOM", "_HASH", "_BANG"];
/// The highest number where none is said.
const MOST_RANDOM: u64 = 32_767;

const fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Of a name that begins at `from`: where it ends.
fn name_end(text: &[u8], from: usize) -> Option<usize> {
    let first = text.get(from).copied()?;
    if !first.is_ascii_alphabetic() && first != b'_' {
        return None;
    }
    let rest = text.get(from..).unwrap_or_default();
    Some(from + rest.iter().position(|byte| !is_letter(*byte)).unwrap_or(rest.len()))
}

fn named(piece: &Piece, at: usize) -> Option<Named> {
    let text = piece.bytes();
    let is_braced = text.get(at + 1) == Some(&b'{');
    let from = at + 1 + usize::from(is_braced);
    let end = name_end(text, from)?;
    let name = piece.text(from, end);
    if !is_braced {
        let follows = text.get(end).copied();
        let ends = follows.is_none_or(|byte| is_blank(byte) || matches!(byte, b',' | b')'));
        return ends.then_some(Named { name, numbers: None, to: end });
    }
    let rest = text.get(end..).unwrap_or_default();
    let length = rest.iter().position(|byte| *byte != b' ' && !byte.is_ascii_digit())?;
    if rest.get(length) != Some(&b'}') {
        return None;
    }
    let numbers = piece.text(end, end + length);
    // keepalived takes none that end with a blank.
    let is_odd = !numbers.trim().is_empty() && numbers.ends_with(' ');
    let numbers = Some(numbers).filter(|numbers| !numbers.trim().is_empty());
    (!is_odd).then_some(Named { name, numbers, to: end + length + 1 })
}

impl Expander<'_> {
    /// Takes `$NAME=value`; whether the line is one.
    pub(super) fn define(&mut self, piece: &Piece) -> bool {
        let text = piece.bytes();
        let end = text.first().filter(|byte| **byte == b'$').and_then(|_| name_end(text, 1));
        let Some(end) = end.filter(|end| text.get(*end) == Some(&b'=')) else { return false };
        let name = piece.text(1, end);
        let value = piece.cut(end + 1, piece.len()).trimmed();
        let has_lines = value.bytes().last() == Some(&b'\\');
        let value = if has_lines { value.cut(0, value.len() - 1).trimmed() } else { value };
        let lines = if value.is_empty() { Vec::new() } else { vec![value] };
        self.made.is_made = true;
        self.open = has_lines.then(|| name.clone());
        self.parameters.insert(name, Parameter { lines, has_lines });
        true
    }

    /// Sets a name to a word, as a sequence does.
    pub(super) fn set(&mut self, name: String, value: Piece) {
        let lines = if value.is_empty() { Vec::new() } else { vec![value] };
        self.parameters.insert(name, Parameter { lines, has_lines: false });
    }

    /// The line with values in place of all names that have one; none: it has no such name. What values of several
    /// lines have behind their first one comes `behind`.
    pub(super) fn replace(&mut self, piece: &Piece, behind: &mut Vec<Vec<Piece>>) -> Option<Piece> {
        let mut line = piece.clone();
        let (mut at, mut is_replaced) = (0, false);
        while let Some(found) = line.bytes().iter().skip(at).position(|byte| *byte == b'$') {
            at += found;
            let named = named(&line, at);
            let value = named.and_then(|named| Some((self.value(&named, &line)?, named.to)));
            let Some((lines, to)) = value else {
                at += 1;
                continue;
            };
            is_replaced = true;
            let span = line.span(at, to);
            let first = lines.first().map(Piece::whole).unwrap_or_default();
            let mut next = line.cut(0, at);
            next.add_value(first.as_bytes(), span);
            next.add(&line, to, line.len());
            if lines.len() > 1 {
                behind.push(lines.into_iter().skip(1).collect());
            }
            line = next;
            self.values += 1;
            if line.len() > MAX_LINE || self.values > MAX_VALUES {
                self.too_much(span, "the values of parameters are too long, or without end");
                return None;
            }
            // A sequence is written out before its names have values.
            if first.trim_start().starts_with('~') {
                break;
            }
        }
        self.made.is_made |= is_replaced;
        is_replaced.then_some(line)
    }

    /// The lines that stand for a name, at that place.
    fn value(&self, named: &Named, line: &Piece) -> Option<Vec<Piece>> {
        if let Some(parameter) = self.parameters.get(&named.name) {
            let fits = !parameter.has_lines || named.to == line.len();
            return (fits && named.numbers.is_none()).then(|| parameter.lines.clone());
        }
        if !OWN.contains(&named.name.as_str())
            || (named.numbers.is_some() && named.name != "_RANDOM")
        {
            return None;
        }
        let value = match named.name.as_str() {
            "_PWD" => self.folder(),
            "_INSTANCE" => self.node.id.unwrap_or_default().to_owned(),
            "_RANDOM" => self.number(named.numbers.as_deref().unwrap_or_default()),
            "_HASH" => "#".to_owned(),
            _ => "!".to_owned(),
        };
        Some(vec![Piece::of(&value, 0)])
    }

    /// The folder of the file that is read.
    fn folder(&self) -> String {
        let here = self.place.folder.trim_end_matches('/');
        let outer = self.node.folder.filter(|_| !self.place.folder.starts_with('/'));
        match (outer, here) {
            (Some(outer), "" | ".") => outer.to_owned(),
            (Some(outer), here) => format!("{outer}/{here}"),
            (None, "") => if self.place.folder.is_empty() { "." } else { "/" }.to_owned(),
            (None, here) => here.to_owned(),
        }
    }

    /// The same each time that the same node reads the same file: nothing changes at a reload for it.
    fn number(&self, limits: &str) -> String {
        let mut limits = limits.split_ascii_whitespace().map(|word| word.parse::<u64>().ok());
        let least = limits.next().flatten().unwrap_or(0);
        let most = limits.next().flatten().unwrap_or(MOST_RANDOM);
        // FNV-1a, then a round of splitmix64.
        let seed = self.node.id.unwrap_or_default().bytes().chain(self.values.to_le_bytes());
        let hash = seed.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let many = most.saturating_sub(least).saturating_add(1);
        (least.saturating_add((mixed ^ (mixed >> 31)) % many)).to_string()
    }
}
