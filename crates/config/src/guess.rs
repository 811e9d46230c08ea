//! What a mistyped word was meant to be.

use base::Span;

use crate::diagnostic::Diagnostic;

/// Words farther apart than this have nothing to do with each other.
const MAX_DISTANCE: usize = 2;

/// No known word is nearly as long (bytes).
const MAX_WORD: usize = 256;

/// The known word nearest to `typed`, if one is near enough to be meant.
pub(crate) fn nearest<'a>(
    typed: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let limit = MAX_DISTANCE.min(typed.chars().count() / 2);
    known
        .into_iter()
        .map(|word| (distance(typed, word), word))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Words shorter than this are meant by too many others to be sure at two mistakes.
const LONG_WORD: usize = 7;

/// The nearest known word, if no other is as near and only one or two letters are wrong.
pub(crate) fn sure<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut found: Vec<(usize, &str)> =
        known.into_iter().map(|word| (distance(typed, word), word)).collect();
    found.sort_unstable();
    found.dedup();
    let (nearest, word) = *found.first()?;
    let length = typed.chars().count();
    let near = nearest == 1 && length > 2 || nearest == 2 && length >= LONG_WORD;
    let alone = found.get(1).is_none_or(|(next, _)| *next > nearest);
    (near && alone).then_some(word)
}

/// Adds `did you mean ...?`, and the change where there is no doubt.
pub(crate) fn near<'a>(
    finding: Diagnostic,
    typed: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> Diagnostic {
    let Some(word) = nearest(typed, known.clone()) else { return finding };
    let finding = finding.help(format!("did you mean `{word}`?"));
    let Span { start, end } = finding.span;
    // A place that is longer than the word holds more than it: arguments, or quotes.
    let span = match (end - start).checked_sub(typed.len()) {
        Some(0) => finding.span,
        Some(2) => Span::new(start + 1, end - 1),
        _ => return finding,
    };
    match sure(typed, known) {
        Some(word) => finding.fix(span, word),
        None => finding,
    }
}

/// The same; or the list of what is known, where it is short enough to read.
pub(crate) fn suggest<'a>(
    finding: Diagnostic,
    typed: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> Diagnostic {
    let finding = near(finding, typed, known.clone());
    if finding.help.is_some() {
        return finding;
    }
    let all: Vec<&str> = known.into_iter().collect();
    if all.is_empty() || all.len() > MOST_LISTED {
        return finding;
    }
    finding.help(format!("known are {}", all.join(", ")))
}

/// A longer list is not read.
const MOST_LISTED: usize = 14;

/// Insertions, deletions, replacements and swaps of neighbours between two words.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > MAX_WORD || b.len() > MAX_WORD {
        return if a == b { 0 } else { MAX_DISTANCE + 1 };
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > MAX_DISTANCE {
        return MAX_DISTANCE + 1;
    }
    let mut before = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swapped_letters_are_one_mistake() {
        assert_eq!(nearest("forwrad", ["backward", "forward"]), Some("forward"));
    }

    #[test]
    fn only_what_is_meant_by_nothing_else_is_sure() {
        assert_eq!(sure("htpp", ["http", "tcp"]), Some("http"));
        assert_eq!(sure("local8", ["local0", "local1"]), None);
        assert_eq!(sure("tp", ["tcp", "http"]), None);
    }

    #[test]
    fn short_words_are_not_guessed_from_nothing() {
        assert_eq!(nearest("x", ["y", "ab"]), None);
    }
}
