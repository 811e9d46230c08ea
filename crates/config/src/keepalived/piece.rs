//! One line as it is read, and where each of its bytes stands in the files.

use base::Span;

/// A line without its comment; parameters of it may be in place already.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Piece {
    text: Vec<u8>,
    /// In the order of `text`; each begins where the one before it ends.
    parts: Vec<Part>,
}

/// A run of bytes of one origin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Part {
    /// Where in the text it begins.
    from: usize,
    span: Span,
    /// Byte for byte what stands in the file; otherwise the value of what stands there.
    is_literal: bool,
}

impl Piece {
    /// A line of a file that begins at `at`, as it is.
    pub(super) fn of(line: &str, at: usize) -> Self {
        let span = Span::new(at, at + line.len());
        let parts = vec![Part { from: 0, span, is_literal: true }];
        Self { text: line.as_bytes().to_vec(), parts }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.text
    }

    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Cut only at characters of ASCII, so nothing of it is lost.
    pub(super) fn text(&self, from: usize, to: usize) -> String {
        String::from_utf8_lossy(self.text.get(from..to).unwrap_or_default()).into_owned()
    }

    pub(super) fn whole(&self) -> String {
        self.text(0, self.len())
    }

    /// What stands in the files for these bytes.
    pub(super) fn span(&self, from: usize, to: usize) -> Span {
        let start = self.origin(from).0.start;
        let end = if to > from { self.origin(to - 1).0.end } else { start };
        Span::new(start, end.max(start))
    }

    /// Of the byte `at`, or of the place behind the last one.
    fn origin(&self, at: usize) -> (Span, bool) {
        let next = self.parts.partition_point(|part| part.from <= at);
        let Some(part) = next.checked_sub(1).and_then(|index| self.parts.get(index)) else {
            return (Span::default(), false);
        };
        if !part.is_literal {
            return (part.span, false);
        }
        let start = (part.span.start + (at - part.from)).min(part.span.end);
        (Span::new(start, (start + 1).min(part.span.end.max(start))), true)
    }

    /// A run of bytes of one origin.
    fn push(&mut self, run: &[u8], span: Span, is_literal: bool) {
        match self.parts.last_mut() {
            Some(last) if is_literal && last.is_literal && last.span.end == span.start => {
                last.span.end = span.end;
            }
            Some(last) if !is_literal && !last.is_literal && last.span == span => {}
            _ => self.parts.push(Part { from: self.text.len(), span, is_literal }),
        }
        self.text.extend_from_slice(run);
    }

    /// These bytes of another one, run by run: a line can be as long as a file.
    pub(super) fn add(&mut self, other: &Self, from: usize, to: usize) {
        let (mut at, to) = (from, to.min(other.len()));
        let mut number = other.parts.partition_point(|part| part.from <= from).saturating_sub(1);
        while at < to
            && let Some(part) = other.parts.get(number)
        {
            number += 1;
            let end = other.parts.get(number).map_or(other.len(), |next| next.from).min(to);
            let span = if part.is_literal {
                let start = part.span.start + (at - part.from);
                Span::new(start, start + (end - at))
            } else {
                part.span
            };
            self.push(&other.text[at..end], span, part.is_literal);
            at = end;
        }
    }

    /// Bytes that stand for what is at `span`.
    pub(super) fn add_value(&mut self, value: &[u8], span: Span) {
        if !value.is_empty() {
            self.push(value, span, false);
        }
    }

    pub(super) fn cut(&self, from: usize, to: usize) -> Self {
        let mut cut = Self::default();
        cut.add(self, from, to);
        cut
    }

    /// The same without blanks around it.
    pub(super) fn trimmed(&self) -> Self {
        let is_word = |byte: &u8| !is_blank(*byte);
        let from = self.text.iter().position(is_word).unwrap_or(self.len());
        let to = self.text.iter().rposition(is_word).map_or(from, |at| at + 1);
        self.cut(from, to)
    }

    /// Without comment, escapes of its signs and blanks around it; a `\` at its end stays.
    pub(super) fn without_comment(&self) -> Self {
        let (mut kept, mut is_quoted, mut comment) = (Self::default(), false, None);
        // What is kept from here on is not copied yet.
        let (mut run, mut at, mut goes_on) = (0, 0, false);
        while let Some(byte) = self.text.get(at).copied() {
            match byte {
                b'\\' => {
                    let next = self.text.get(at + 1);
                    goes_on = next.is_none();
                    let is_escape = !is_quoted && matches!(next, Some(b'#' | b'!'));
                    if goes_on || is_escape {
                        kept.add(self, run, at);
                        run = at + 1;
                    }
                    at += 1;
                }
                b'"' if comment.is_none() => is_quoted = !is_quoted,
                b'#' | b'!' if !is_quoted && comment.is_none() => {
                    comment = Some(kept.len() + (at - run));
                }
                _ => {}
            }
            at += 1;
        }
        kept.add(self, run, self.len());
        let mut kept = kept.cut(0, comment.unwrap_or(kept.len())).trimmed();
        if goes_on {
            kept.add(self, self.len() - 1, self.len());
        }
        kept
    }

    /// As a line of a file that is read as this one.
    pub(super) fn printed(&self) -> String {
        let (mut printed, mut is_quoted, mut is_escaped) = (Vec::new(), false, false);
        for byte in self.text.iter().copied() {
            if !is_quoted && !is_escaped && matches!(byte, b'#' | b'!') {
                printed.push(b'\\');
            }
            is_quoted ^= byte == b'"' && !is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
            printed.push(byte);
        }
        String::from_utf8_lossy(&printed).into_owned()
    }
}

pub(super) const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Piece {
        Piece::of(line, 100).without_comment()
    }

    #[test]
    fn a_comment_ends_a_line_and_is_none_in_quotes_or_escaped() {
        let rows = [
            ("  a b  # c", "a b"),
            ("a!b", "a"),
            (r#"a "b # c" d ! e"#, r#"a "b # c" d"#),
            (r"a \# b", "a # b"),
            (r"a \\# b", r"a \\"),
            (r"a b \", r"a b\"),
            (r"a # b \", r"a\"),
            (r#"a \" # b"#, r#"a \""#),
            ("# \u{e9}", ""),
        ];
        for (line, kept) in rows {
            assert_eq!(read(line).whole(), kept, "{line}");
            let again = Piece::of(&read(line).printed(), 0).without_comment();
            assert_eq!(again.whole(), kept, "printed, {line} reads the same");
        }
    }

    #[test]
    fn each_byte_knows_where_it_stands() {
        let piece = read(r"  ab \# c");
        assert_eq!(piece.whole(), "ab # c");
        assert_eq!(piece.span(0, 2), Span::new(102, 104));
        assert_eq!(piece.span(3, 4), Span::new(106, 107));
        assert_eq!(piece.span(5, 6), Span::new(108, 109));
        let mut replaced = piece.cut(0, 3);
        replaced.add_value(b"long", Span::new(106, 107));
        assert_eq!(replaced.span(3, 7), Span::new(106, 107));
        assert_eq!(replaced.span(0, 7), Span::new(102, 107));
    }
}
