//! A message as mail servers and mail programs want it (RFC 5322, RFC 2045, RFC 2047): ASCII, in short lines.

use super::{Envelope, base64};

/// Of one line, its end not counted (RFC 2045 6.7).
const MAX_LINE: usize = 76;
/// Bytes in one encoded word, so that it is at most 75 letters long with what stands around it (RFC 2047 2).
const MAX_WORD: usize = 42;
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// What is said; who says it to whom is of the envelope.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// The same whenever the same is sent again: without brackets and blanks, with one `@`.
    pub id: String,
    /// Milliseconds since 1970 (UTC).
    pub at_ms: u64,
    pub subject: String,
    /// In lines; any text.
    pub text: String,
}

impl Message {
    /// All that follows DATA, its end too.
    pub(super) fn bytes(&self, envelope: &Envelope) -> Vec<u8> {
        let Envelope { from, to, .. } = envelope;
        let mut out = format!(
            "From: <{from}>\r\nTo: <{}>\r\nSubject: {}\r\nDate: {}\r\nMessage-ID: <{}>\r\n\
             Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
            to.join(">,\r\n <"),
            header(&self.subject),
            date(self.at_ms),
            self.id
        );
        for line in self.text.lines() {
            let coded = quoted(line);
            // A line with one dot would end the message (RFC 5321 4.5.2).
            for part in coded.split("\r\n") {
                out.push_str(if part.starts_with('.') { "." } else { "" });
                out.push_str(part);
                out.push_str("\r\n");
            }
        }
        out.push_str(".\r\n");
        out.into_bytes()
    }
}

/// A line in letters that every mail server leaves as they are, broken where it is long.
fn quoted(line: &str) -> String {
    let (mut out, mut length) = (String::new(), 0);
    let bytes = line.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let is_last = at + 1 == bytes.len();
        let is_plain =
            matches!(byte, b'!'..=b'<' | b'>'..=b'~') || (matches!(byte, b' ' | b'\t') && !is_last);
        let coded = if is_plain { char::from(*byte).to_string() } else { format!("={byte:02X}") };
        if length + coded.len() >= MAX_LINE {
            out.push_str("=\r\n");
            length = 0;
        }
        length += coded.len();
        out.push_str(&coded);
    }
    out
}

/// One line of a header; what is not ASCII, or long, in encoded words.
fn header(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.is_ascii() && text.len() <= MAX_LINE && !text.contains("=?") {
        return text;
    }
    let mut words = vec![String::new()];
    for letter in text.chars() {
        let last = words.len() - 1;
        if words[last].len() + letter.len_utf8() > MAX_WORD {
            words.push(String::new());
        }
        let last = words.len() - 1;
        words[last].push(letter);
    }
    let words = words.iter().map(|word| format!("=?utf-8?B?{}?=", base64::encode(word.as_bytes())));
    words.collect::<Vec<_>>().join("\r\n ")
}

/// As RFC 5322 3.3 wants it.
fn date(at_ms: u64) -> String {
    let (days, second) = (at_ms / 86_400_000, at_ms / 1000 % 86_400);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    // Days of 400 years of the calendar that begin in March.
    let count = days + 719_468;
    let (era, day) = (count / 146_097, count % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let date = of_year - (153 * shifted + 2) / 5 + 1;
    let month = (shifted + 2) % 12;
    let year = year + era * 400 + u64::from(month < 2);
    let name = |names: &[&'static str], at: u64| {
        usize::try_from(at).ok().and_then(|at| names.get(at)).copied().unwrap_or_default()
    };
    let (weekday, month) = (name(&DAYS, days % 7), name(&MONTHS, month));
    format!("{weekday}, {date} {month} {year} {hour:02}:{minute:02}:{second:02} +0000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (at, shown) in [
            (0, "Thu, 1 Jan 1970 00:00:00 +0000"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 +0000"),
            (1_700_000_000, "Tue, 14 Nov 2023 22:13:20 +0000"),
            (1_767_225_599, "Wed, 31 Dec 2025 23:59:59 +0000"),
            (4_107_542_400, "Mon, 1 Mar 2100 00:00:00 +0000"),
        ] {
            assert_eq!(date(at * 1000), shown);
        }
    }

    #[test]
    fn every_line_is_short_and_ascii_and_no_line_ends_the_message() {
        let text = format!("{}\nä = {}\n.\n.x\nend \n", "long ".repeat(60), "ö".repeat(60));
        let message = Message {
            id: "a@b".to_owned(),
            at_ms: 0,
            subject: format!("vip\r\nBcc: <x@y> {}", "ü".repeat(80)),
            text,
        };
        let envelope = Envelope {
            helo: "n".to_owned(),
            from: "o@e".to_owned(),
            to: (0..16).map(|n| format!("{n}@{}", "e".repeat(60))).collect(),
            now: vec!["0@e".to_owned()],
            login: None,
            starts_tls: false,
        };
        let bytes = String::from_utf8(message.bytes(&envelope)).unwrap();
        assert!(bytes.is_ascii() && bytes.ends_with("\r\n.\r\n"));
        let lines: Vec<&str> = bytes.split("\r\n").collect();
        assert!(
            lines.iter().all(|line| line.len() <= 78 && !line.contains(['\r', '\n'])),
            "{bytes}"
        );
        assert!(!lines.iter().any(|line| line.starts_with("Bcc")), "{bytes}");
        let dots: Vec<&&str> = lines.iter().filter(|line| line.starts_with('.')).collect();
        assert_eq!(dots, [&"..", &"..x", &"."]);
        assert!(bytes.contains("\r\nend=20\r\n"), "{bytes}");
    }
}
