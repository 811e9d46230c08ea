//! `option httpchk`: is the answer's status one of those that pass?

use base::Layer;

use super::{Progress, invalid, report};

/// The request, and which status codes are good.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HttpQuestion {
    request: Vec<u8>,
    /// Inclusive ranges; empty: 200-399.
    expect: Vec<(u16, u16)>,
}

impl HttpQuestion {
    /// Writes the request as HAProxy does: header names in lower case, a length where there is a
    /// body or the method wants one, `connection: close` from HTTP/1.1 on.
    #[must_use]
    pub fn new(
        method: &str,
        uri: &str,
        version: &str,
        headers: &[(String, String)],
        body: &str,
        expect: &[(u16, u16)],
    ) -> Self {
        let mut request = format!("{method} {uri} {version}\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{}: {value}\r\n", name.to_ascii_lowercase()));
        }
        if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
            request.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        let told = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection"));
        if !version.eq_ignore_ascii_case("HTTP/1.0") && !told {
            request.push_str("connection: close\r\n");
        }
        request.push_str("\r\n");
        request.push_str(body);
        Self { request: request.into_bytes(), expect: expect.to_vec() }
    }

    pub(super) fn request(&self) -> &[u8] {
        &self.request
    }

    /// Only a whole head is judged: HAProxy calls half a head invalid even if its status was good.
    pub(super) fn judge(&self, answer: &[u8], last: bool) -> Progress {
        let head = match Head::read(answer) {
            Ok(Some(head)) => head,
            Ok(None) if !last => return Progress::More,
            Ok(None) | Err(NotHttp) => return invalid(""),
        };
        if self.passes(head.status) {
            return Progress::Done(report(Layer::AnswerOk, Some(head.status), ""));
        }
        Progress::Done(report(Layer::AnswerBad, Some(head.status), &head.phrase))
    }

    fn passes(&self, status: u16) -> bool {
        if self.expect.is_empty() {
            return (200..=399).contains(&status);
        }
        self.expect.iter().any(|&(low, high)| (low..=high).contains(&status))
    }
}

/// The part of an answer that decides.
struct Head {
    status: u16,
    phrase: String,
}

struct NotHttp;

impl Head {
    /// None: not whole yet.
    fn read(answer: &[u8]) -> Result<Option<Self>, NotHttp> {
        let start = answer.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(answer.len());
        let mut rest = &answer[start..];
        let Some(first) = line(&mut rest) else {
            let known = b"HTTP/".len().min(rest.len());
            return if rest[..known] == b"HTTP/"[..known] { Ok(None) } else { Err(NotHttp) };
        };
        let head = Self::status_line(first).ok_or(NotHttp)?;
        loop {
            match line(&mut rest) {
                None => return Ok(None),
                Some([]) => return Ok(Some(head)),
                Some(header) if is_header(header) => {}
                Some(_) => return Err(NotHttp),
            }
        }
    }

    /// `HTTP/1.1 503 Service Unavailable`.
    fn status_line(line: &[u8]) -> Option<Self> {
        let rest = line.strip_prefix(b"HTTP/")?;
        let [b'0'..=b'9', b'.', b'0'..=b'9', b' ', rest @ ..] = rest else { return None };
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let status = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
        let phrase = match &rest[digits..] {
            [] => &[],
            [b' ', phrase @ ..] => phrase,
            _ => return None,
        };
        Some(Self { status, phrase: String::from_utf8_lossy(phrase).into_owned() })
    }
}

/// Cuts the next line off `rest`, without its CR LF or LF; none: no line end yet.
fn line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|&b| b == b'\n')?;
    let line = &rest[..end];
    *rest = &rest[end + 1..];
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

/// `name: value`, or the folded continuation of one.
fn is_header(line: &[u8]) -> bool {
    let token = |b: &u8| b.is_ascii_graphic() && *b != b':';
    let name = line.iter().take_while(|b| token(b)).count();
    matches!(line[0], b' ' | b'\t') || (name > 0 && line.get(name) == Some(&b':'))
}
