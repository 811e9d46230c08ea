//! Posts one message over HTTP/1.1 and reads what came of it, as a machine without I/O.

/// More is no head of an answer (bytes).
pub const MAX_HEAD: usize = 16 * 1024;
/// Headers that an operator may add.
pub const MAX_HEADERS: usize = 16;
/// Bytes of one.
const MAX_HEADER: usize = 4096;
/// What is ours to say.
const OURS: [&str; 6] = [
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "idempotency-key",
];

/// A request, whole.
#[must_use]
pub fn request(host: &str, path: &str, headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

/// Lines `Name: value`, as an operator wrote them.
///
/// # Errors
/// In words, with the number of the line and nothing of what stands there, which may be a secret.
pub fn headers(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut found = vec![];
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        let wrong = |what: &str| Err(format!("line {number} {what}"));
        let Some((name, value)) = line.split_once(':') else {
            return wrong("is not `Name: value`");
        };
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(is_token) {
            return wrong("has no name of a header before its colon");
        }
        let value = value.trim();
        if line.len() > MAX_HEADER
            || !value.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b))
        {
            return wrong("has letters that cannot stand in a header, or too many");
        }
        if OURS.contains(&name.to_ascii_lowercase().as_str()) {
            return wrong("names a header that is made for each message");
        }
        found.push((name.to_owned(), value.to_owned()));
    }
    if found.len() > MAX_HEADERS {
        return Err(format!("it has {} headers, at most {MAX_HEADERS} are sent", found.len()));
    }
    Ok(found)
}

/// What comes back.
#[derive(Debug, Default)]
pub struct Answer {
    came: Vec<u8>,
    verdict: Option<Result<(), String>>,
}

impl Answer {
    /// The server said this; once there is an answer, whether it took the message, or in words why not.
    pub fn on_bytes(&mut self, bytes: &[u8]) -> Option<Result<(), String>> {
        if self.verdict.is_none() {
            let is_long = self.came.len() > MAX_HEAD;
            self.came.extend_from_slice(if is_long { &[] } else { bytes });
            self.verdict = self.read();
        }
        self.verdict.clone()
    }

    /// The connection ended.
    ///
    /// # Errors
    /// In words, why the message was not taken, as far as that is known.
    pub fn on_closed(&self) -> Result<(), String> {
        let none = || Err("it closed the connection without an answer".to_owned());
        self.verdict.clone().unwrap_or_else(none)
    }

    fn read(&mut self) -> Option<Result<(), String>> {
        loop {
            let line_end = self.came.iter().position(|byte| *byte == b'\n');
            let Some(line_end) = line_end else {
                let is_long = self.came.len() > MAX_HEAD;
                return is_long.then(|| Err("its answer has no head".to_owned()));
            };
            let line = String::from_utf8_lossy(&self.came[..line_end]);
            let line = line.trim_end();
            let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
            let status = status.filter(|status| status.len() == 3);
            let Some(status) = status.and_then(|status| status.parse::<u16>().ok()) else {
                return Some(Err(format!("this is no HTTP/1 server: {}", shown(line))));
            };
            match status {
                // Something else follows (RFC 9110 15.2).
                100..=199 => {
                    let end = self.came.windows(4).position(|four| four == b"\r\n\r\n");
                    let Some(end) = end else {
                        let is_long = self.came.len() > MAX_HEAD;
                        return is_long.then(|| Err("its answer has no end".to_owned()));
                    };
                    self.came.drain(..end + 4);
                }
                200..=299 => return Some(Ok(())),
                _ => {
                    let words = line.split_once(' ').map_or(line, |(_, words)| words);
                    return Some(Err(format!("it answers {}", shown(words))));
                }
            }
        }
    }
}

/// It goes into logs.
fn shown(text: &str) -> String {
    text.chars().take(100).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(pieces: &[&str]) -> Result<(), String> {
        let mut answer = Answer::default();
        for piece in pieces {
            if let Some(verdict) = answer.on_bytes(piece.as_bytes()) {
                return verdict;
            }
        }
        answer.on_closed()
    }

    #[test]
    fn two_hundred_and_its_kin_are_yes_and_all_else_is_no_in_its_words() {
        assert_eq!(answer(&["HTTP/1.1 204 No Content\r\n\r\n"]), Ok(()));
        assert_eq!(answer(&["HTTP/1.1 100 Continue\r\n", "\r\nHTTP/1", ".0 200 OK\r\n"]), Ok(()));
        for (pieces, why) in [
            (&["HTTP/1.1 500 Oops\x07\r\n"][..], "it answers 500 Oops"),
            (&["HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n"], "it answers 301 Moved"),
            (&["SSH-2.0-x\r\n"], "this is no HTTP/1 server: SSH-2.0-x"),
            (&["HTTP/1.1 200"], "it closed the connection without an answer"),
        ] {
            assert_eq!(
                answer(pieces).map_err(|said| said.trim_end().to_owned()),
                Err(why.to_owned())
            );
        }
        let long = "x".repeat(MAX_HEAD + 1);
        assert_eq!(answer(&[&long]), Err("its answer has no head".to_owned()));
    }

    #[test]
    fn headers_of_an_operator_cannot_break_the_request_or_be_read_in_a_message() {
        let good = headers("Authorization: Bearer x y\n\nX-Team:ops\n").unwrap();
        assert_eq!(good.len(), 2);
        let text = String::from_utf8(request("h:1", "/p", &good, b"{}")).unwrap();
        assert!(text.starts_with("POST /p HTTP/1.1\r\nHost: h:1\r\n"), "{text}");
        assert!(text.ends_with("Authorization: Bearer x y\r\nX-Team: ops\r\n\r\n{}"), "{text}");
        for wrong in ["Hunter2", ": Hunter2", "A B: Hunter2", "A: Hunter2\u{7}", "Host: Hunter2"] {
            let why = headers(wrong).unwrap_err();
            assert!(why.starts_with("line 1 ") && !why.contains("Hunter2"), "{why}");
        }
        assert!(headers(&"A: b\n".repeat(17)).is_err());
    }
}
