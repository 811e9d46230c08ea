//! `~SEQ(NAME, start, step, end)` and `~LST(NAME, value, ...)`: the rest of the line once for each value.

use super::{Expander, MAX_ALL_ROUNDS, Piece, is_blank};
use crate::diagnostic::Diagnostic;

/// What a name, or several together, are set to one after the other.
struct Repeat {
    names: Vec<String>,
    rounds: Vec<Vec<String>>,
}

/// A sequence longer than this is none that anybody meant: instances have numbers up to 255.
const MAX_ROUNDS: usize = 65_536;

impl Expander<'_> {
    /// Writes a sequence or a list out; none: the line is neither.
    pub(super) fn repeat(&mut self, piece: &Piece, depth: usize) -> Option<Result<(), Diagnostic>> {
        let text = piece.whole();
        let is_list = text.starts_with("~LST");
        if !is_list && !text.starts_with("~SEQ") {
            return None;
        }
        self.made.is_made = true;
        let wrong = |why: &str| {
            Diagnostic::error(piece.span(0, piece.len()), "bad-value", why).help(match is_list {
                true => "write `~LST(NAME, a, b)` or `~LST({A, B}, {1, x}, {2, y})`, and what is repeated",
                false => "write `~SEQ(NAME, first, step, last)` with numbers, and what is repeated",
            })
        };
        let is_hex = text.starts_with("~SEQx");
        let rest = text.get(if is_hex { 5 } else { 4 }..).unwrap_or_default();
        let opened = rest.trim_start_matches([' ', '\t']).strip_prefix('(');
        let Some((inner, after)) = opened.and_then(|opened| opened.split_once(')')) else {
            return Some(Err(wrong("expected `(`, what is repeated for, and `)`")));
        };
        let inner = match is_list {
            true => Some(inner.to_owned()),
            false => self.with_values(inner, piece),
        };
        let repeat = inner
            .ok_or("a value of several lines cannot stand here")
            .and_then(|inner| if is_list { list(&inner) } else { sequence(&inner, is_hex) });
        let repeat = match repeat {
            Ok(repeat) => repeat,
            Err(why) => return Some(Err(wrong(why))),
        };
        // Before it begins: one in another would have made as many as this one once for each round of that one.
        self.rounds += repeat.rounds.len();
        if self.rounds > MAX_ALL_ROUNDS {
            let message = format!("more than {MAX_ALL_ROUNDS} rounds of sequences and lists");
            self.too_much(piece.span(0, piece.len()), &message);
            return Some(Ok(()));
        }
        let from = text.len() - after.len();
        let line = piece.cut(from, piece.len()).trimmed();
        for round in repeat.rounds {
            let span = piece.span(0, from);
            for (name, value) in repeat.names.iter().zip(round) {
                let mut set = Piece::default();
                set.add_value(value.as_bytes(), span);
                self.set(name.clone(), set);
            }
            self.process(line.clone(), depth + 1);
            if self.is_full {
                break;
            }
        }
        Some(Ok(()))
    }

    /// Names of parameters may stand in place of the numbers.
    fn with_values(&mut self, inner: &str, piece: &Piece) -> Option<String> {
        // The first word is the name that is set, not one that has a value.
        let (name, numbers) = inner.split_once(',')?;
        let mut line = Piece::default();
        line.add_value(numbers.as_bytes(), piece.span(0, piece.len()));
        let mut behind = Vec::new();
        let replaced = self.replace(&line, &mut behind).unwrap_or(line);
        behind.is_empty().then(|| format!("{name},{}", replaced.whole()))
    }
}

fn sequence(inner: &str, is_hex: bool) -> Result<Repeat, &'static str> {
    let mut words = inner.split(',').map(|word| word.trim_matches([' ', '\t']));
    let name = words.next().filter(|name| !name.is_empty()).ok_or("a name is missing")?;
    let numbers: Option<Vec<i64>> = words.map(number).collect();
    let numbers = numbers.ok_or("expected numbers behind the name")?;
    let (start, step, end) = match *numbers.as_slice() {
        [end] => (if end < 0 { -1 } else { 1 }, if end < 1 { -1 } else { 1 }, end),
        [start, end] => (start, if start <= end { 1 } else { -1 }, end),
        [start, step, end] => (start, step, end),
        _ => return Err("expected one, two or three numbers behind the name"),
    };
    if step == 0 || (start < end && step < 0) || (start > end && step > 0) {
        return Err("this sequence never comes to its end");
    }
    if is_hex && (start < 0 || end < 0) {
        return Err("numbers below 0 are not written as hexadecimal ones");
    }
    let mut rounds = Vec::new();
    let mut next = Some(start);
    while let Some(at) = next.filter(|at| if step > 0 { *at <= end } else { *at >= end }) {
        if rounds.len() >= MAX_ROUNDS {
            return Err("this sequence is too long");
        }
        rounds.push(vec![if is_hex { format!("{at:x}") } else { at.to_string() }]);
        next = at.checked_add(step);
    }
    Ok(Repeat { names: vec![name.to_owned()], rounds })
}

/// As `strtol` with base 0 has it.
fn number(word: &str) -> Option<i64> {
    let (sign, digits) = match word.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, word.strip_prefix('+').unwrap_or(word)),
    };
    let lower = digits.to_ascii_lowercase();
    let has_second_sign = |digits: &str| digits.starts_with(['-', '+']);
    let value = match lower.strip_prefix("0x") {
        // Of two signs the second one is none; the least number there is has no other side.
        Some(hex) if has_second_sign(hex) => return None,
        Some(hex) => i64::from_str_radix(hex, 16).ok()?,
        None if lower.len() > 1 && lower.starts_with('0') => i64::from_str_radix(&lower, 8).ok()?,
        None => lower.parse().ok()?,
    };
    (!has_second_sign(digits)).then_some(sign * value)
}

fn list(inner: &str) -> Result<Repeat, &'static str> {
    let groups = groups(inner)?;
    let mut groups = groups.into_iter();
    let names = groups.next().filter(|names| names.iter().all(|name| !name.is_empty()));
    let names = names.ok_or("a name is missing")?;
    let mut rounds: Vec<Vec<String>> = groups.collect();
    if rounds.is_empty() {
        return Err("values are missing");
    }
    if rounds.iter().any(|round| round.len() > names.len()) {
        return Err("there are more values than names");
    }
    rounds.iter_mut().for_each(|round| round.resize(names.len(), String::new()));
    Ok(Repeat { names, rounds })
}

/// `a, {b, c}` as `[a]` and `[b, c]`.
fn groups(inner: &str) -> Result<Vec<Vec<String>>, &'static str> {
    let (mut found, mut rest) = (Vec::new(), inner);
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        let word = |word: &str| word.trim_matches([' ', '\t']).to_owned();
        if let Some(opened) = rest.strip_prefix('{') {
            let (group, after) = opened.split_once('}').ok_or("expected `}`")?;
            found.push(group.split(',').map(word).collect());
            rest = after.trim_start_matches([' ', '\t']);
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            found.push(vec![word(&rest[..end])]);
            rest = &rest[end..];
        }
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.bytes().all(is_blank) => return Ok(found),
            None => return Err("expected `,`"),
        }
    }
}
