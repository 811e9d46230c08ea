//! A file to statements and blocks, by the rules of keepalived's `read_line` and `alloc_strvec`.

use base::Span;

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

/// All statements of the file; braces that do not match are reported.
pub(crate) fn statements(text: &str, findings: &mut Vec<Diagnostic>) -> Vec<Statement> {
    let tokens = tokens(text, findings);
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

fn tokens(text: &str, findings: &mut Vec<Diagnostic>) -> Vec<Token> {
    let mut found = Vec::new();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let content = line.trim_end_matches(['\n', '\r']);
        if let Err(finding) = line_tokens(content, offset, &mut found) {
            findings.push(finding);
            limit(findings);
        }
        if found.len() > MAX_WORDS {
            let message = format!("more than {MAX_WORDS} words: the rest is not read");
            let here = Span::new(offset, offset + content.len());
            findings.push(Diagnostic::error(here, "too-large", message));
            return found;
        }
        // Empty lines mean nothing, and a brace may stand behind many of them.
        if !matches!(found.last(), Some(Token::End)) {
            found.push(Token::End);
        }
        offset += line.len();
    }
    found
}

fn line_tokens(line: &str, offset: usize, found: &mut Vec<Token>) -> Result<(), Diagnostic> {
    let mut word: Option<(String, usize)> = None;
    let mut quote: Option<(char, usize)> = None;
    let mut characters = line.char_indices().peekable();
    let close = |word: &mut Option<(String, usize)>, end: usize, found: &mut Vec<Token>| {
        if let Some((text, start)) = word.take() {
            found.push(Token::Word(Word { text, span: Span::new(offset + start, offset + end) }));
        }
    };
    while let Some((at, character)) = characters.next() {
        if found.len() > MAX_WORDS {
            return Ok(());
        }
        let add = |word: &mut Option<(String, usize)>, character: char| {
            word.get_or_insert_with(|| (String::new(), at)).0.push(character);
        };
        match (character, quote) {
            ('#' | '!', None) => {
                close(&mut word, at, found);
                return Ok(());
            }
            ('"' | '\'', None) => {
                quote = Some((character, at));
                word.get_or_insert_with(|| (String::new(), at));
            }
            (_, Some((open, _))) if character == open => quote = None,
            ('\\', _) => match characters.next() {
                Some((_, next)) => add(&mut word, escaped(next)),
                None => add(&mut word, '\\'),
            },
            (' ' | '\t', None) => close(&mut word, at, found),
            ('{' | '}', None) => {
                close(&mut word, at, found);
                let span = Span::new(offset + at, offset + at + 1);
                found.push(if character == '{' { Token::Open(span) } else { Token::Close(span) });
            }
            _ => add(&mut word, character),
        }
    }
    close(&mut word, line.len(), found);
    match quote {
        None => Ok(()),
        Some((_, at)) => {
            let span = Span::new(offset + at, offset + at + 1);
            Err(Diagnostic::error(span, "bad-word", "this quote is not closed"))
        }
    }
}

fn escaped(character: char) -> char {
    match character {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
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
        let statements = statements(text, &mut findings);
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
}
