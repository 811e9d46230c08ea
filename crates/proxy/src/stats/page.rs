//! The statistics page (`stats enable`): from a request to the bytes of its answer. No I/O.

mod html;

use std::fmt::Write;

use base::Time;
use config::haproxy::StatsPage;

use super::rows::{self, Row};
use super::typed;
use crate::view::View;

/// What the session read of the request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) method: &'a [u8],
    /// As in the request line, query included.
    pub(crate) uri: &'a [u8],
    /// The value of `Authorization`.
    pub(crate) authorization: Option<&'a [u8]>,
    /// Otherwise the answer says `connection: close`.
    pub(crate) keep_alive: bool,
}

/// As haproxy; the document itself says that it is UTF-8.
const HTML: &str = "text/html";

/// haproxy's text.
const UNAUTHORIZED: &str = "<html><body><h1>401 Unauthorized</h1>\n\
    You need a valid user and password to access this content.\n</body></html>\n";

const UNAVAILABLE: &str = "<html><body><h1>503 Service Unavailable</h1>\n\
    No server is available to handle this request.\n</body></html>\n";

/// Whether the proxy's statistics page is meant: everything that begins with its URI is.
pub(crate) fn matches(view: &View, proxy: usize, uri: &[u8]) -> bool {
    let page = view.config.proxies.get(proxy).and_then(|proxy| proxy.stats.as_ref());
    page.is_some_and(|page| uri.starts_with(page.uri.as_bytes()))
}

/// Appends a whole response to `out` and returns its status.
pub(crate) fn page(view: &View, proxy: usize, ask: &Ask<'_>, out: &mut Vec<u8>) -> u16 {
    let Some(page) = view.config.proxies.get(proxy).and_then(|proxy| proxy.stats.as_ref()) else {
        return answer(
            out,
            ask,
            503,
            "Service Unavailable",
            &[("content-type", HTML)],
            UNAVAILABLE,
        );
    };
    if !allowed(page, ask.authorization) {
        let realm = page.realm.replace(['"', '\r', '\n'], "");
        let challenge = format!("Basic realm=\"{realm}\"");
        let headers = [("content-type", HTML), ("www-authenticate", &challenge)];
        return answer(out, ask, 401, "Unauthorized", &headers, UNAUTHORIZED);
    }
    let now = sys::clock::now();
    match ask.method {
        b"GET" | b"HEAD" => {}
        // Nothing can be changed here (`stats admin` is not run): as haproxy answers then.
        b"POST" => {
            let location = format!("{};st=DENY", page.uri);
            let headers = [("content-type", "text/plain"), ("location", location.as_str())];
            return answer(out, ask, 303, "See Other", &headers, "");
        }
        _ => {
            return answer(
                out,
                ask,
                503,
                "Service Unavailable",
                &[("content-type", HTML)],
                UNAVAILABLE,
            );
        }
    }
    let options = Options::of(page, ask.uri);
    let refresh = page.refresh.filter(|_| !options.no_refresh).map(|r| r.as_secs().to_string());
    let rows = shown(view, page, proxy, &options, now);
    let (kind, body) = match options.form {
        Form::Html => {
            let (own, options, rows) = (&view.config.proxies[proxy], &options, rows.as_slice());
            (HTML, html::document(&html::Sheet { view, own, page, options, rows, now }))
        }
        Form::Csv => {
            let mut text = String::new();
            rows::header(&mut text);
            rows.iter().for_each(|row| row.csv(&mut text));
            ("text/plain", text)
        }
        Form::Json => {
            let mut text = String::new();
            typed::json(rows.iter(), &mut text);
            ("application/json", text)
        }
    };
    let mut headers = vec![("content-type", kind)];
    if let Some(refresh) = &refresh {
        headers.push(("refresh", refresh));
    }
    answer(out, ask, 200, "OK", &headers, &body)
}

/// The rows of the proxies in the page's scope.
fn shown(view: &View, page: &StatsPage, own: usize, options: &Options, now: Time) -> Vec<Row> {
    let proxies = &view.config.proxies;
    let in_scope = |proxy: usize| {
        let names = |name: &String| name == "." && proxy == own || *name == proxies[proxy].name;
        page.scope.is_empty() || page.scope.iter().any(names)
    };
    let mut rows = rows::all(view, now, page.legends);
    let board = view.board();
    rows.retain(|row| {
        let status = row.id.checked_sub(1).and_then(|at| board[row.proxy].get(at));
        let hidden = options.up && status.is_some_and(|status| !status.serves());
        in_scope(row.proxy) && !hidden
    });
    rows
}

/// What stands behind the page's URI: `/;csv;norefresh`.
#[derive(Clone, Copy, Debug)]
struct Options {
    form: Form,
    no_refresh: bool,
    /// Without servers that are down.
    up: bool,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Html,
    Csv,
    Json,
}

impl Options {
    fn of(page: &StatsPage, uri: &[u8]) -> Self {
        let rest = uri.get(page.uri.len()..).unwrap_or_default();
        let rest = rest.split(|&byte| byte == b'?').next().unwrap_or_default();
        let has = |name: &[u8]| rest.split(|&byte| byte == b';').any(|word| word == name);
        let form = match (has(b"csv"), has(b"json")) {
            (true, _) => Form::Csv,
            (false, true) => Form::Json,
            (false, false) => Form::Html,
        };
        Self { form, no_refresh: has(b"norefresh"), up: has(b"up") }
    }
}

fn answer(
    out: &mut Vec<u8>,
    ask: &Ask<'_>,
    status: u16,
    phrase: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> u16 {
    let mut head = format!("HTTP/1.1 {status} {phrase}\r\ncontent-length: {}\r\n", body.len());
    head.push_str("cache-control: no-cache\r\n");
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").expect("a String takes every byte");
    }
    if !ask.keep_alive {
        head.push_str("connection: close\r\n");
    }
    head.push_str("\r\n");
    out.extend_from_slice(head.as_bytes());
    if ask.method != b"HEAD" {
        out.extend_from_slice(body.as_bytes());
    }
    status
}

/// `Authorization: Basic` names one of the page's users with the right password, or it needs none.
fn allowed(page: &StatsPage, authorization: Option<&[u8]>) -> bool {
    if page.auth.is_empty() {
        return true;
    }
    let Some(value) = authorization.and_then(|value| value.split_at_checked(6)) else {
        return false;
    };
    let (scheme, credentials) = value;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return false;
    }
    let Some(given) = base64(credentials.trim_ascii()) else { return false };
    page.auth.iter().fold(false, |allowed, (user, password)| {
        allowed | same(&given, format!("{user}:{password}").as_bytes())
    })
}

/// Takes the same time wherever the first difference is.
fn same(one: &[u8], other: &[u8]) -> bool {
    let differences = one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b));
    one.len() == other.len() && differences == 0
}

/// RFC 4648 4, padding optional.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0_u32, 0);
    for &byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push(u8::try_from(bits >> held & 0xff).unwrap_or(0));
        }
    }
    (text.len() % 4 != 1).then_some(out)
}
