//! Lines to statements and blocks, by the rules of keepalived's `read_line` and `alloc_strvec`.

use std::iter::Peekable;
use std::str::CharIndices;

use base::Span;

use super::piece::{Piece, is_blank};
use crate::diagnostic::{Diagnostic, limit};
use crate::line::{Statement, Word};

/// Deeper nesting than any keyword has; keeps a broken file from exhausting the stack.
const MAX_DEPTH: usize = 16;

/// A thousand instances have 30,000; what has more words than this is no such file, and each would take
/// some hundred bytes of memory.
const MAX_WORDS: usize = 100_000;

enum Token {
    Word(Word),
    Open(Span),
    Close(Span),
    /// End of a line.
    End,
}

/// All statements of these lines; braces that do not match are reported.
pub(crate) fn statements(lines: &[Piece], findings: &mut Vec<Diagnostic>) -> Vec<Statement> {
    let tokens = tokens(lines, findings);
    let mut tree = Tree { done: vec![Vec::new()], opened: Vec::new(), words: Vec::new() };
    for (at, token) in tokens.iter().enumerate() {
        limit(findings);
        match token {
            Token::Word(word) => tree.words.push(word.clone()),
            Token::Open(span) => tree.open(*span, findings),
            Token::Close(span) => tree.close(*span, findings),
            // A brace on the next line belongs to this one.
            Token::End if matches!(tokens.get(at + 1), Some(Token::Open(_))) => {}
            Token::End => tree.end(),
        }
    }
    tree.finish(findings)
}

struct Tree {
    /// Statements of each open block, the file first.
    done: Vec<Vec<Statement>>,
    /// For each open block its head and where it opened.
    opened: Vec<(Vec<Word>, Span)>,
    words: Vec<Word>,
}

impl Tree {
    fn end(&mut self) {
        let words = std::mem::take(&mut self.words);
        if !words.is_empty() {
            self.push(words, None);
        }
    }

    fn push(&mut self, words: Vec<Word>, block: Option<Vec<Statement>>) {
        let end = words.last().map_or(0, |word| word.span.end);
        if let Some(list) = self.done.last_mut() {
            list.push(Statement { words, block, end });
        }
    }

    fn open(&mut self, span: Span, findings: &mut Vec<Diagnostic>) {
        let head = std::mem::take(&mut self.words);
        if head.is_empty() {
            findings.push(
                Diagnostic::error(span, "stray-brace", "this `{` belongs to nothing")
                    .help("a block starts with a keyword: `virtual_ipaddress {`"),
            );
        }
        if self.opened.len() >= MAX_DEPTH {
            findings.push(Diagnostic::error(span, "stray-brace", "blocks are nested too deeply"));
            return;
        }
        self.opened.push((head, span));
        self.done.push(Vec::new());
    }

    fn close(&mut self, span: Span, findings: &mut Vec<Diagnostic>) {
        self.end();
        let Some((head, _)) = self.opened.pop() else {
            let finding = Diagnostic::error(span, "stray-brace", "this `}` closes nothing");
            findings.push(finding.help("remove it, or look for a block that ended too early"));
            return;
        };
        let block = self.done.pop().unwrap_or_default();
        if !head.is_empty() {
            self.push(head, Some(block));
        }
    }

    fn finish(mut self, findings: &mut Vec<Diagnostic>) -> Vec<Statement> {
        self.end();
        while let Some((head, span)) = self.opened.pop() {
            let name = head.first().map_or("", |word| word.text.as_str());
            let message = format!("this `{{` of `{name}` is never closed");
            findings.push(Diagnostic::error(span, "stray-brace", message).help("add a `}`"));
            let block = self.done.pop().unwrap_or_default();
            self.push(head, Some(block));
        }
        self.done.pop().unwrap_or_default()
    }
}

fn tokens(lines: &[Piece], findings: &mut Vec<Diagnostic>) -> Vec<Token> {
    let mut found = Vec::new();
    for line in lines {
        if let Err(finding) = line_tokens(line, &mut found) {
            findings.push(finding);
            limit(findings);
        }
        if is_full(&found) {
            let message = format!("more than {MAX_WORDS} words: the rest is not read");
            let here = line.span(0, line.len());
            findings.push(Diagnostic::error(here, "too-large", message));
            return found;
        }
        // Empty lines mean nothing, and a brace may stand behind many of them.
        if !matches!(found.last(), Some(Token::End)) {
            found.push(Token::End);
        }
    }
    found
}

/// A single line can be as long as a file.
fn is_full(found: &[Token]) -> bool {
    found.len() > MAX_WORDS
}

/// Braces stand for themselves, but not between double quotes.
fn line_tokens(line: &Piece, found: &mut Vec<Token>) -> Result<(), Diagnostic> {
    let text = line.bytes();
    let (mut from, mut at) = (0, 0);
    while let Some(byte) = text.get(at).copied().filter(|_| !is_full(found)) {
        match byte {
            b'"' => {
                let closing = text[at + 1..].iter().position(|byte| *byte == b'"');
                at = closing.map_or(text.len(), |length| at + 1 + length);
            }
            b'{' | b'}' => {
                words(line, from, at, found)?;
                let span = line.span(at, at + 1);
                found.push(if byte == b'{' { Token::Open(span) } else { Token::Close(span) });
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    words(line, from, text.len(), found)
}

fn words(line: &Piece, from: usize, to: usize, found: &mut Vec<Token>) -> Result<(), Diagnostic> {
    let text = &line.bytes()[..to];
    let Some(start) = text.iter().skip(from).position(|byte| !is_blank(*byte)) else {
        return Ok(());
    };
    let start = from + start;
    let end = text[start..].iter().position(|byte| is_blank(*byte));
    let first = line.text(start, end.map_or(to, |length| start + length));
    match is_command(&first) {
        true => of_command(line, start, to, found),
        false => plain(line, start, to, found),
    }
}

/// Whether a shell's quotes and escapes count behind this word.
fn is_command(first: &str) -> bool {
    match first {
        "script" | "startup_script" | "shutdown_script" | "notify" => true,
        "notify_fifo" | "notify_priority_changes" => false,
        _ => first.starts_with("notify_") || first.ends_with("_fifo_script"),
    }
}

/// Only double quotes around a whole word mean something.
fn plain(line: &Piece, from: usize, to: usize, found: &mut Vec<Token>) -> Result<(), Diagnostic> {
    let text = &line.bytes()[..to];
    let mut at = from;
    while let Some(byte) = text.get(at).copied().filter(|_| !is_full(found)) {
        if is_blank(byte) {
            at += 1;
            continue;
        }
        let rest = &text[at..];
        let (word, length) = if byte == b'"' {
            let closing = rest[1..].iter().position(|byte| *byte == b'"');
            let closing = closing.ok_or_else(|| not_closed(line, at))?;
            (line.text(at + 1, at + 1 + closing), closing + 2)
        } else {
            let ends = |byte: &u8| is_blank(*byte) || *byte == b'"';
            let length = rest.iter().position(ends).unwrap_or(rest.len());
            (line.text(at, at + length), length)
        };
        found.push(Token::Word(Word { text: word, span: line.span(at, at + length) }));
        at += length;
    }
    Ok(())
}

/// Words with quotes of both kinds, anywhere in them, and escapes.
fn of_command(
    line: &Piece,
    from: usize,
    to: usize,
    found: &mut Vec<Token>,
) -> Result<(), Diagnostic> {
    let (words, open) = shell_words(&line.text(from, to));
    for (text, start, end) in words {
        let span = line.span(from + start, from + end);
        found.push(Token::Word(Word { text, span }));
    }
    open.map_or(Ok(()), |at| Err(not_closed(line, from + at)))
}

fn not_closed(line: &Piece, at: usize) -> Diagnostic {
    Diagnostic::error(line.span(at, at + 1), "bad-word", "this quote is not closed")
}

/// The words of a command with their places, and where a quote opens that is not closed: as keepalived's
/// `alloc_strvec_quoted_escaped`.
pub(super) fn shell_words(text: &str) -> (Vec<(String, usize, usize)>, Option<usize>) {
    let mut found = Vec::new();
    let mut word: Option<(String, usize)> = None;
    let mut quote: Option<(char, usize)> = None;
    let mut signs = text.char_indices().peekable();
    while let Some((at, sign)) = signs.next() {
        let mut add = |sign: char| word.get_or_insert_with(|| (String::new(), at)).0.push(sign);
        match (sign, quote) {
            (_, Some((open, _))) if sign == open => quote = None,
            ('\\', _) => match signs.next() {
                Some((_, next)) => add(escaped(next, &mut signs)),
                None => add('\\'),
            },
            ('"' | '\'', None) => {
                quote = Some((sign, at));
                word.get_or_insert_with(|| (String::new(), at));
            }
            (' ' | '\t', None) => found.extend(word.take().map(|(text, start)| (text, start, at))),
            _ => add(sign),
        }
    }
    found.extend(word.map(|(word, start)| (word, start, text.len())));
    (found, quote.map(|(_, at)| at))
}

/// What `\` and this sign stand for, and perhaps digits behind it.
fn escaped(sign: char, signs: &mut Peekable<CharIndices<'_>>) -> char {
    let mut digit = |radix: u32| {
        let digit = signs.peek().and_then(|(_, sign)| sign.to_digit(radix));
        digit.inspect(|_| {
            signs.next();
        })
    };
    let byte = |value: u32| char::from(u8::try_from(value & 0xff).unwrap_or(0));
    match sign {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'E' => '\u{1b}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        'x' => {
            let Some(mut value) = digit(16) else { return 'x' };
            while let Some(next) = digit(16) {
                value = (value << 4 | next) & 0xff;
            }
            byte(value)
        }
        'c' => signs.next().map_or('c', |(_, next)| byte(u32::from(next) & 0x1f)),
        '0'..='7' => {
            let mut value = sign.to_digit(8).unwrap_or(0);
            for _ in 0..2 {
                match digit(8) {
                    Some(next) => value = value << 3 | next,
                    None => break,
                }
            }
            byte(value)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        fn one(statement: &Statement) -> String {
            let words: Vec<&str> = statement.words.iter().map(|word| word.text.as_str()).collect();
            match &statement.block {
                None => words.join(" "),
                Some(block) => {
                    let inner: Vec<String> = block.iter().map(one).collect();
                    format!("{}({})", words.join(" "), inner.join("; "))
                }
            }
        }
        let mut findings = Vec::new();
        let lines = text.lines().map(|line| Piece::of(line, 0).without_comment());
        let lines: Vec<Piece> = lines.filter(|line| !line.is_empty()).collect();
        let statements = statements(&lines, &mut findings);
        let mut lines: Vec<String> = statements.iter().map(one).collect();
        lines.extend(findings.into_iter().map(|finding| finding.message));
        lines.join("; ")
    }

    #[test]
    fn a_block_may_close_where_the_next_opens() {
        assert_eq!(shown("a {\n b c\n }   d {\n e\n }\n"), "a(b c); d(e)");
        assert_eq!(shown("a\n{\n b }\n"), "a(b)");
    }

    #[test]
    fn comments_start_with_two_signs_and_not_inside_quotes() {
        assert_eq!(shown("a b ! c\nd \"e # f\" # g\n"), "a b; d e # f");
    }

    #[test]
    fn braces_that_do_not_match_are_told() {
        assert_eq!(shown("a {\nb\n"), "a(b); this `{` of `a` is never closed");
        assert_eq!(shown("}\n"), "this `}` closes nothing");
    }

    #[test]
    fn only_double_quotes_around_a_word_mean_something() {
        assert_eq!(shown("auth_pass it's\n"), "auth_pass it's");
        assert_eq!(shown(r"auth_pass a\b"), r"auth_pass a\b");
        assert_eq!(shown("a b\"c d\"e"), "a b c d e");
        assert_eq!(shown("a \"b {c}\" {d}"), "a b {c}(d)");
        assert_eq!(shown("a \"b"), "a; this quote is not closed");
    }

    #[test]
    fn a_command_has_quotes_and_escapes_of_a_shell() {
        let words = |text: &str| -> Vec<String> {
            shell_words(text).0.into_iter().map(|(word, ..)| word).collect()
        };
        assert_eq!(words(r#"abcd" efg h "mnop"#), ["abcd efg h mnop"]);
        assert_eq!(words(r#"abcd "efg h jkl" mnop"#), ["abcd", "efg h jkl", "mnop"]);
        assert_eq!(words(r"a\ b 'c d'\x41\101\cA\n"), ["a b", "c dAA\u{1}\n"]);
        assert_eq!(shown("notify 'a b' c"), "notify a b c");
        assert_eq!(shown("notify 'a b c"), "notify a b c; this quote is not closed");
    }
}
