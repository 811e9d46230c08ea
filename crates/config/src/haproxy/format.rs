//! `log-format`: a line's text with `%variables` in it (HAProxy's manual, 8.2.4).
//!
//! The rules of what is a variable, where a blank is dropped and what is an error are those of
//! `parse_logformat_string` of HAProxy 2.6.

use base::Span;

use super::{Mode, fetches};
use crate::diagnostic::Diagnostic;
use crate::guess;
use crate::line::Word;

/// A format, read once: what the proxy writes one after the other.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogLine {
    pub parts: Vec<LogPart>,
    pub moment: LogMoment,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LogPart {
    Text(String),
    /// Written only behind something else than a blank.
    Blank,
    Value(LogValue, LogStyle),
}

/// What `%{+Q,+E}` says, or `%{+Q}o` for all that follow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LogStyle {
    /// `M`, on by default: `-` for what is empty.
    pub mandatory: bool,
    /// `Q`: in double quotes.
    pub quoted: bool,
    /// `X`: hexadecimal, where that makes sense.
    pub hexadecimal: bool,
    /// `E`: `"`, `\` and `]` behind a backslash.
    pub escaped: bool,
}

/// When a line leaves: as soon as all that it tells is known.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum LogMoment {
    /// HTTP: the answer's head is there; TCP: the server is connected.
    Answer,
    #[default]
    End,
}

/// Whether HAProxy waits for the end because of it (`LW_BYTES`).
const EARLY: bool = false;
const END: bool = true;

macro_rules! values {
    ($($name:literal $value:ident $mode:ident $ends:ident,)*) => {
        /// One variable.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum LogValue { $($value,)* SourceAddress, SourcePort, LocalAddress, LocalPort }

        /// Name, variable, least mode, whether it is known at the end only.
        const VALUES: &[(&str, LogValue, Mode, bool)] =
            &[$(($name, LogValue::$value, Mode::$mode, $ends),)*];
    };
}

values! {
    "B" Bytes Tcp END, "CC" ClientCookie Http EARLY, "CS" ServerCookie Http EARLY,
    "H" HostName Tcp EARLY, "ID" UniqueId Tcp END, "ST" Status Tcp EARLY,
    "T" AcceptUtc Tcp EARLY, "Ta" Active Http END, "Tc" Connect Tcp END,
    "Th" Handshake Tcp END, "Ti" Idle Http END, "Tl" AcceptZone Tcp EARLY,
    "Tq" RequestSinceAccept Http END, "Tr" Response Http END, "TR" Request Http END,
    "Td" Data Tcp END, "Ts" Seconds Tcp EARLY, "Tt" Total Tcp END, "Tu" User Tcp END,
    "Tw" Waiting Tcp END, "U" BytesUp Tcp END, "ac" Process Tcp END,
    "b" Backend Tcp EARLY, "bc" BackendConnections Tcp END, "bi" BackendAddress Tcp EARLY,
    "bp" BackendPort Tcp EARLY, "bq" BackendQueue Tcp END, "ci" ClientAddress Tcp EARLY,
    "cp" ClientPort Tcp EARLY, "f" Frontend Tcp EARLY, "fc" FrontendConnections Tcp END,
    "fi" FrontendAddress Tcp EARLY, "fp" FrontendPort Tcp EARLY, "ft" FrontendKind Tcp EARLY,
    "hr" RequestHeaders Tcp EARLY, "hrl" RequestHeaderList Tcp EARLY,
    "hs" ResponseHeaders Tcp EARLY, "hsl" ResponseHeaderList Tcp EARLY,
    "HM" Method Http EARLY, "HP" Path Http EARLY, "HPO" PathOnly Http EARLY,
    "HQ" Query Http EARLY, "HU" Uri Http EARLY, "HV" Version Http EARLY,
    "lc" LineNumber Tcp EARLY, "ms" Milliseconds Tcp EARLY, "pid" Pid Tcp EARLY,
    "r" RequestLine Http EARLY, "rc" Retries Tcp END, "rt" RequestNumber Tcp EARLY,
    "s" Server Tcp EARLY, "sc" ServerConnections Tcp END, "si" ServerAddress Tcp EARLY,
    "sp" ServerPort Tcp EARLY, "sq" ServerQueue Tcp END, "sslc" Cipher Tcp EARLY,
    "sslv" TlsVersion Tcp EARLY, "t" Accept Tcp EARLY, "tr" RequestBegan Http EARLY,
    "trg" RequestBeganUtc Http EARLY, "trl" RequestBeganZone Http EARLY,
    "ts" Termination Tcp END, "tsc" TerminationCookie Tcp EARLY,
}

/// Expressions that we run: the addresses of the client's connection.
const EXPRESSIONS: [(&str, LogValue); 4] = [
    ("src", LogValue::SourceAddress),
    ("src_port", LogValue::SourcePort),
    ("dst", LogValue::LocalAddress),
    ("dst_port", LogValue::LocalPort),
];

impl LogLine {
    /// Whether the format names one of these.
    #[must_use]
    pub fn tells(&self, values: &[LogValue]) -> bool {
        let is =
            |part: &LogPart| matches!(part, LogPart::Value(value, _) if values.contains(value));
        self.parts.iter().any(is)
    }
}

/// A format's line, and notes about what is not run; none if there are such.
pub(crate) type Compiled = (Option<LogLine>, Vec<Diagnostic>);

/// Reads the value of `log-format` for a proxy of this mode.
pub(crate) fn compile(word: &Word, mode: Mode) -> Result<Compiled, Diagnostic> {
    let mut reader = Reader {
        word,
        bytes: word.text.as_bytes(),
        at: 0,
        mode,
        default: LogStyle { mandatory: true, quoted: false, hexadecimal: false, escaped: false },
        text: Vec::new(),
        parts: Vec::new(),
        ends: false,
        notes: Vec::new(),
    };
    while let Some(&byte) = reader.bytes.get(reader.at) {
        reader.at += 1;
        match byte {
            b'%' => reader.percent()?,
            b' ' => {
                reader.end_text();
                reader.parts.push(LogPart::Blank);
            }
            _ => reader.text.push(byte),
        }
    }
    reader.end_text();
    let moment = if reader.ends { LogMoment::End } else { LogMoment::Answer };
    let line = LogLine { parts: reader.parts, moment };
    Ok((reader.notes.is_empty().then_some(line), reader.notes))
}

struct Reader<'a> {
    word: &'a Word,
    bytes: &'a [u8],
    at: usize,
    mode: Mode,
    /// What `%{...}o` said last.
    default: LogStyle,
    text: Vec<u8>,
    parts: Vec<LogPart>,
    ends: bool,
    notes: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn end_text(&mut self) {
        if !self.text.is_empty() {
            let text = String::from_utf8_lossy(&self.text).into_owned();
            self.parts.push(LogPart::Text(text));
            self.text.clear();
        }
    }

    /// The place from `start` to here, if the word stands in the file as it is.
    fn span(&self, start: usize) -> Span {
        let span = self.word.span;
        if span.end - span.start == self.bytes.len() {
            Span::new(span.start + start, span.start + self.at.min(self.bytes.len()))
        } else {
            span
        }
    }

    fn error(&self, start: usize, message: String) -> Diagnostic {
        Diagnostic::error(self.span(start), "bad-format", message)
    }

    fn slice(&self, start: usize, end: usize) -> String {
        String::from_utf8_lossy(&self.bytes[start..end]).into_owned()
    }

    /// What follows a `%`.
    fn percent(&mut self) -> Result<(), Diagnostic> {
        let start = self.at - 1;
        match self.peek() {
            None => Err(self
                .error(start, "the format ends with a lone `%`".to_owned())
                .help("write `%%` for a percent sign")),
            Some(b'%') => {
                self.at += 1;
                self.text.push(b'%');
                Ok(())
            }
            Some(b'0'..=b'9' | b' ' | b'\t') => {
                self.at += 1;
                let message = "this `%` begins no variable".to_owned();
                Err(self.error(start, message).help("write `%%` for a percent sign"))
            }
            Some(b'{') => {
                self.at += 1;
                let from = self.at;
                let Some(length) = self.bytes[from..].iter().position(|byte| *byte == b'}') else {
                    self.at = self.bytes.len();
                    return Err(self.error(start, "this `%{` has no `}`".to_owned()));
                };
                self.at = from + length + 1;
                let style = style(self.default, &self.bytes[from..from + length]);
                match self.peek() {
                    Some(b'[') => self.expression(start, style),
                    Some(byte) if byte.is_ascii_alphanumeric() => self.variable(start, style),
                    _ => {
                        let message = "no variable follows this `%{...}`".to_owned();
                        Err(self.error(start, message).help("write the variable without a blank"))
                    }
                }
            }
            Some(b'[') => self.expression(start, self.default),
            Some(byte) if byte.is_ascii_alphabetic() => self.variable(start, self.default),
            // Before anything else HAProxy drops it.
            Some(_) => Ok(()),
        }
    }

    fn variable(&mut self, start: usize, style: LogStyle) -> Result<(), Diagnostic> {
        let from = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric()) {
            self.at += 1;
        }
        let name = self.slice(from, self.at);
        if name == "o" {
            self.default = style;
            return Ok(());
        }
        let Some((_, value, mode, ends)) = VALUES.iter().find(|row| row.0 == name) else {
            let message = format!("there is no variable `%{name}`");
            let finding = self.error(start, message);
            let finding = guess::near(finding, &name, VALUES.iter().map(|row| row.0));
            return Err(finding.help_if_none(|| "write `%%` for a percent sign".to_owned()));
        };
        if (*mode, self.mode) == (Mode::Http, Mode::Tcp) {
            let message = format!("`%{name}` is known in mode http only");
            return Err(self.error(start, message).help("write `mode http` in this proxy"));
        }
        self.push(*value, style, *ends);
        Ok(())
    }

    fn push(&mut self, value: LogValue, style: LogStyle, ends: bool) {
        self.end_text();
        self.parts.push(LogPart::Value(value, style));
        self.ends |= ends;
    }

    /// `[NAME(ARGUMENTS),CONVERTER(...)...]`.
    fn expression(&mut self, start: usize, style: LogStyle) -> Result<(), Diagnostic> {
        self.at += 1;
        let from = self.at;
        self.name();
        let name = self.slice(from, self.at);
        if !fetches::NAMES.split_ascii_whitespace().any(|known| known == name) {
            let message = format!("`{name}` is nothing that can be fetched");
            let finding = self.error(start, message);
            return Err(guess::near(finding, &name, fetches::NAMES.split_ascii_whitespace()));
        }
        self.arguments(start)?;
        while self.peek() == Some(b',') {
            self.at += 1;
            self.name();
            self.arguments(start)?;
        }
        let whole = self.slice(from, self.at);
        if self.peek() != Some(b']') {
            return Err(self.error(start, format!("expected `]` behind `{whole}`")));
        }
        self.at += 1;
        match EXPRESSIONS.iter().find(|(known, _)| *known == whole) {
            Some((_, value)) => self.push(*value, style, EARLY),
            None => {
                let what = format!("`%[{whole}]` of `log-format`");
                self.notes.push(Diagnostic::not_yet(self.span(start), what));
            }
        }
        Ok(())
    }

    fn name(&mut self) {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte);
        while self.peek().is_some_and(is_name) {
            self.at += 1;
        }
    }

    /// `(...)`, in which quotes hide brackets.
    fn arguments(&mut self, start: usize) -> Result<(), Diagnostic> {
        if self.peek() != Some(b'(') {
            return Ok(());
        }
        let mut quote = None;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match (byte, quote) {
                (b'"' | b'\'', None) => quote = Some(byte),
                (b'\\', None | Some(b'"')) => self.at += 1,
                (b')', None) => return Ok(()),
                (_, Some(open)) if byte == open => quote = None,
                _ => {}
            }
        }
        self.at = self.bytes.len();
        Err(self.error(start, "this `(` has no `)`".to_owned()))
    }
}

/// `+Q,-M,...`: what is not known, or has no sign, means nothing to HAProxy.
fn style(mut style: LogStyle, arguments: &[u8]) -> LogStyle {
    for argument in arguments.split(|byte| *byte == b',') {
        let Some(sign) = argument.iter().rposition(|byte| matches!(byte, b'+' | b'-')) else {
            continue;
        };
        let on = argument[sign] == b'+';
        match &argument[sign + 1..] {
            b"M" => style.mandatory = on,
            b"Q" => style.quoted = on,
            b"X" => style.hexadecimal = on,
            b"E" => style.escaped = on,
            _ => {}
        }
    }
    style
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Word {
        Word { text: text.to_owned(), span: Span::new(0, text.len()) }
    }

    fn line(text: &str) -> LogLine {
        compile(&word(text), Mode::Http).unwrap().0.unwrap()
    }

    fn wrong(text: &str, mode: Mode) -> (String, Span) {
        let finding = compile(&word(text), mode).unwrap_err();
        (finding.message, finding.span)
    }

    #[test]
    fn texts_blanks_and_variables_come_in_order() {
        let plain = LogStyle { mandatory: true, quoted: false, hexadecimal: false, escaped: false };
        let quoted = LogStyle { quoted: true, ..plain };
        let text = |text: &str| LogPart::Text(text.to_owned());
        let value = LogPart::Value;
        assert_eq!(
            line("ci:%cp  100%% %{+Q}o%-%HPO%{-Q}r").parts,
            [
                text("ci:"),
                value(LogValue::ClientPort, plain),
                LogPart::Blank,
                LogPart::Blank,
                text("100%"),
                LogPart::Blank,
                text("-"),
                value(LogValue::PathOnly, quoted),
                value(LogValue::RequestLine, plain),
            ]
        );
        assert_eq!(line("%{+E,Q,-M,+Z}[src]").parts.len(), 1);
    }

    #[test]
    fn a_line_leaves_when_all_that_it_tells_is_known() {
        assert_eq!(line("%HM %t %b").moment, LogMoment::Answer);
        assert_eq!(line("%HM %ci").moment, LogMoment::Answer);
        assert_eq!(line("%ST").moment, LogMoment::Answer);
        assert_eq!(line("%HM %ci %B").moment, LogMoment::End);
    }

    #[test]
    fn what_haproxy_refuses_is_refused_at_its_place() {
        let at = |start, end| Span::new(start, end);
        let http = |text| wrong(text, Mode::Http);
        assert_eq!(http("a %xx"), ("there is no variable `%xx`".to_owned(), at(2, 5)));
        assert_eq!(http("a%"), ("the format ends with a lone `%`".to_owned(), at(1, 2)));
        assert_eq!(http("50% b"), ("this `%` begins no variable".to_owned(), at(2, 4)));
        assert_eq!(http("%{+Q"), ("this `%{` has no `}`".to_owned(), at(0, 4)));
        assert_eq!(http("%{+Q} ci"), ("no variable follows this `%{...}`".to_owned(), at(0, 5)));
        assert_eq!(http("%[nosuch]").0, "`nosuch` is nothing that can be fetched");
        assert_eq!(http("%[src"), ("expected `]` behind `src`".to_owned(), at(0, 5)));
        assert_eq!(http("%[req.hdr(a]"), ("this `(` has no `)`".to_owned(), at(0, 12)));
        let tcp = ("`%HM` is known in mode http only".to_owned(), at(0, 3));
        assert_eq!(wrong("%HM", Mode::Tcp), tcp);
    }

    #[test]
    fn other_expressions_are_not_run_yet() {
        let (line, notes) = compile(&word("%ci %[req.hdr(\"a]\"),lower]"), Mode::Http).unwrap();
        assert_eq!(line, None);
        assert_eq!(notes[0].message, "`%[req.hdr(\"a]\"),lower]` of `log-format` is not run yet");
    }
}
