//! A line to words, by the rules of HAProxy's `parse_line` (its manual, 2.2 and 2.3).

use std::collections::BTreeMap;

use base::Span;

use crate::diagnostic::Diagnostic;
use crate::line::Word;

/// HAProxy's MAX_LINE_ARGS: more words on a line are refused.
const MAX_WORDS: usize = 64;

/// No line is longer with its variables replaced: HAProxy's buffer for one thing. Without a limit
/// `setenv A "$A$A"` doubles from line to line (bytes).
const MAX_LINE: usize = 16 * 1024;

/// Variables of the process, and what `setenv` and its like did to them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    pub(crate) changed: BTreeMap<String, Option<String>>,
}

impl Environment {
    fn value(&self, name: &str) -> Option<String> {
        match self.changed.get(name) {
            Some(value) => value.clone(),
            None => std::env::var(name).ok(),
        }
    }
}

/// Where the line is, for `.FILE`, `.LINE` and `.SECTION`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Here<'a> {
    pub(crate) path: &'a str,
    pub(crate) line: usize,
    pub(crate) section: &'a str,
}

/// Words of one line; `offset` is where the line starts in its file.
pub(crate) fn split(
    line: &str,
    offset: usize,
    environment: &Environment,
    here: Here<'_>,
) -> Result<Vec<Word>, Diagnostic> {
    let mut splitter = Splitter {
        bytes: line.as_bytes(),
        at: 0,
        offset,
        words: Vec::new(),
        length: 0,
        open: None,
        quote: None,
        environment,
        here,
    };
    splitter.run()?;
    Ok(splitter.words)
}

struct Splitter<'a> {
    bytes: &'a [u8],
    at: usize,
    offset: usize,
    words: Vec<Word>,
    /// Bytes of all words so far.
    length: usize,
    /// The word being read: its bytes and where it starts.
    open: Option<(Vec<u8>, usize)>,
    /// The open quote and where it is.
    quote: Option<(u8, usize)>,
    environment: &'a Environment,
    here: Here<'a>,
}

impl Splitter<'_> {
    fn run(&mut self) -> Result<(), Diagnostic> {
        while let Some(&byte) = self.bytes.get(self.at) {
            let quoted = self.quote.map(|(quote, _)| quote);
            if self.words.len() > MAX_WORDS {
                break;
            }
            if self.length > MAX_LINE {
                let message = format!("a line has at most {MAX_LINE} bytes");
                let end = Span::new(self.offset + self.at, self.offset + self.at + 1);
                return Err(Diagnostic::error(end, "too-long-line", message));
            }
            match byte {
                b'\r' | b'\n' => break,
                b'#' if quoted.is_none() => break,
                b'"' | b'\'' if quoted.is_none() => {
                    self.open_word();
                    self.quote = Some((byte, self.at));
                    self.at += 1;
                }
                b'"' | b'\'' if quoted == Some(byte) => {
                    self.quote = None;
                    self.at += 1;
                }
                b'\\' if quoted != Some(b'\'') => self.escape()?,
                b' ' | b'\t' | 0x0b | 0x0c if quoted.is_none() => {
                    self.close_word();
                    self.at += 1;
                }
                b'$' if quoted == Some(b'"') => self.variable()?,
                _ => {
                    self.push(byte);
                    self.at += 1;
                }
            }
        }
        if let Some((_, start)) = self.quote {
            return Err(self.error(start, start + 1, "this quote is not closed"));
        }
        self.close_word();
        if let Some(word) = self.words.get(MAX_WORDS) {
            let message = format!("a line has at most {MAX_WORDS} words");
            return Err(Diagnostic::error(word.span, "too-many-words", message));
        }
        Ok(())
    }

    fn open_word(&mut self) {
        let at = self.at;
        self.open.get_or_insert_with(|| (Vec::new(), at));
    }

    fn push(&mut self, byte: u8) {
        let at = self.at;
        self.length += 1;
        self.open.get_or_insert_with(|| (Vec::new(), at)).0.push(byte);
    }

    fn close_word(&mut self) {
        let Some((bytes, start)) = self.open.take() else { return };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let span = Span::new(self.offset + start, self.offset + self.at);
        self.words.push(Word { text, span });
    }

    fn error(&self, start: usize, end: usize, message: &str) -> Diagnostic {
        Diagnostic::error(Span::new(self.offset + start, self.offset + end), "bad-word", message)
    }

    /// `\ `, `\\`, `\"`, `\'`, `\#`, `\$`, `\n`, `\r`, `\t`, `\xHH`; any other backslash stays.
    fn escape(&mut self) -> Result<(), Diagnostic> {
        let (byte, taken) = match self.bytes.get(self.at + 1).copied() {
            Some(next @ (b' ' | b'\\' | b'"' | b'\'' | b'#' | b'$')) => (next, 2),
            Some(b'n') => (b'\n', 2),
            Some(b'r') => (b'\r', 2),
            Some(b't') => (b'\t', 2),
            Some(b'x') => {
                let hex = self.bytes.get(self.at + 2..self.at + 4).unwrap_or_default();
                let value = std::str::from_utf8(hex)
                    .ok()
                    .filter(|hex| hex.len() == 2 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
                    .and_then(|hex| u8::from_str_radix(hex, 16).ok());
                let Some(value) = value else {
                    let message = "`\\x` wants two hexadecimal digits";
                    return Err(self.error(self.at, self.at + 2, message));
                };
                (value, 4)
            }
            _ => (b'\\', 1),
        };
        self.push(byte);
        self.at += taken;
        Ok(())
    }

    /// `$NAME`, `${NAME}`, `${NAME-default}`, `${NAME[*]}` inside double quotes.
    fn variable(&mut self) -> Result<(), Diagnostic> {
        let start = self.at;
        self.open_word();
        self.at += 1;
        let braced = self.bytes.get(self.at) == Some(&b'{');
        self.at += usize::from(braced);
        let name_start = self.at;
        let first = self.bytes.get(self.at).copied().unwrap_or(0);
        if !first.is_ascii_alphabetic() && first != b'_' && first != b'.' {
            let message = "a variable's name starts with a letter, `_` or `.`";
            let end = (self.at + 1).min(self.bytes.len().max(start + 1));
            return Err(self.error(start, end, message).help("write `\\$` for a dollar sign"));
        }
        while self
            .bytes
            .get(self.at)
            .is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'))
        {
            self.at += 1;
        }
        let name = String::from_utf8_lossy(&self.bytes[name_start..self.at]).into_owned();
        let mut value = self.lookup(&name, start)?;
        let spread = braced && self.bytes[self.at..].starts_with(b"[*]");
        self.at += if spread { 3 } else { 0 };
        if braced {
            let close = self.bytes[self.at..].iter().position(|b| *b == b'}');
            let Some(close) = close.map(|found| self.at + found) else {
                return Err(self.error(start, self.at, "this `${` has no `}`"));
            };
            let default = &self.bytes[self.at..close];
            match default.strip_prefix(b"-") {
                Some(default) => {
                    value.get_or_insert_with(|| String::from_utf8_lossy(default).into_owned());
                }
                None if default.is_empty() => {}
                None => return Err(self.error(self.at, close, "expected `}` or `-default` here")),
            }
            self.at = close + 1;
        }
        for byte in value.unwrap_or_default().bytes() {
            if spread && byte.is_ascii_whitespace() {
                self.close_word();
            } else {
                self.push(byte);
            }
        }
        Ok(())
    }

    fn lookup(&self, name: &str, start: usize) -> Result<Option<String>, Diagnostic> {
        match name {
            ".FILE" => Ok(Some(self.here.path.to_owned())),
            ".LINE" => Ok(Some(self.here.line.to_string())),
            ".SECTION" => Ok(Some(self.here.section.to_owned())),
            _ if name.starts_with('.') => Err(self
                .error(start, self.at, "no such variable")
                .help("known are .FILE, .LINE and .SECTION")),
            _ => Ok(self.environment.value(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        let mut environment = Environment::default();
        environment.changed.insert("HOST".to_owned(), Some("10.0.0.1".to_owned()));
        environment.changed.insert("GONE".to_owned(), None);
        environment.changed.insert("TWO".to_owned(), Some("a b".to_owned()));
        let here = Here { path: "lb.cfg", line: 7, section: "global" };
        match split(line, 0, &environment, here) {
            Ok(words) => words.into_iter().map(|word| word.text).collect(),
            Err(finding) => vec![format!("{}: {:?}", finding.message, finding.span)],
        }
    }

    #[test]
    fn a_comment_ends_the_line_wherever_it_starts() {
        assert_eq!(words("maxconn 4000 #最大连接数"), ["maxconn", "4000"]);
        assert_eq!(words("maxconn 4000#x"), ["maxconn", "4000"]);
        assert_eq!(words("a \"b # c\" 'd # e' f\\#g"), ["a", "b # c", "d # e", "f#g"]);
    }

    #[test]
    fn escapes_and_quotes_make_one_word() {
        assert_eq!(words("stats realm Haproxy\\ Stats"), ["stats", "realm", "Haproxy Stats"]);
        assert_eq!(words("a\"b c\"'d e'\\x41\\q ''"), ["ab cd eA\\q", ""]);
        assert_eq!(words("'a\\ b'"), ["a\\ b"]);
    }

    #[test]
    fn variables_are_replaced_inside_double_quotes_only() {
        assert_eq!(
            words("\"$HOST:80\" \"${HOST}\" '$HOST' $HOST \"\\$HOST\""),
            ["10.0.0.1:80", "10.0.0.1", "$HOST", "$HOST", "$HOST"]
        );
        assert_eq!(words("\"${GONE-1.2.3.4}:80\" \"${GONE}\""), ["1.2.3.4:80", ""]);
        assert_eq!(words("x \"${TWO[*]}\" \"${TWO}\""), ["x", "a", "b", "a b"]);
        assert_eq!(words("\"${.LINE} ${.SECTION}\""), ["7 global"]);
    }

    #[test]
    fn a_line_does_not_grow_without_end() {
        let long = "a".repeat(MAX_LINE + 9);
        let told =
            format!("a line has at most {MAX_LINE} bytes: Span {{ start: 16385, end: 16386 }}");
        assert_eq!(words(&long), [told]);
        let many = "a ".repeat(100_000);
        assert_eq!(words(&many), ["a line has at most 64 words: Span { start: 128, end: 129 }"]);
    }

    #[test]
    fn what_is_open_at_the_end_is_an_error() {
        assert_eq!(words("foo \"bar"), ["this quote is not closed: Span { start: 4, end: 5 }"]);
        assert_eq!(words("\"${HOST\""), ["this `${` has no `}`: Span { start: 1, end: 7 }"]);
    }
}
