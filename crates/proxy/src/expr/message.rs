//! A head that rules look at and change before it is written.

use std::borrow::Cow;

use httparse::Header;

use crate::http::head::{Known, Request, Response};

/// Start line and headers of a request, or of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Message<'b> {
    pub(crate) verb: Cow<'b, str>,
    pub(crate) target: Cow<'b, str>,
    pub(crate) status: u16,
    pub(crate) reason: Cow<'b, str>,
    pub(crate) modern: bool,
    pub(crate) fields: Vec<Field<'b>>,
}

/// One header.
#[derive(Clone, Debug)]
pub(crate) struct Field<'b> {
    pub(crate) name: Cow<'b, str>,
    pub(crate) value: Cow<'b, [u8]>,
}

impl Field<'_> {
    /// How long the body is, or what the connection becomes: not for rules to change, as the bytes
    /// behind the head would then be read otherwise than they are.
    fn is_framing(&self) -> bool {
        !matches!(Known::of(&self.name), Known::Other | Known::Host | Known::WebSocketKey)
    }
}

impl<'b> Message<'b> {
    pub(crate) fn of_request(head: &Request<'_, 'b>) -> Self {
        Self {
            verb: Cow::Borrowed(head.verb),
            target: Cow::Borrowed(head.target),
            status: 0,
            reason: Cow::Borrowed(""),
            modern: head.modern,
            fields: fields(head.headers),
        }
    }

    pub(crate) fn of_response(head: &Response<'_, 'b>) -> Self {
        Self {
            verb: Cow::Borrowed(""),
            target: Cow::Borrowed(""),
            status: head.status,
            reason: Cow::Borrowed(head.reason),
            modern: head.modern,
            fields: fields(head.headers),
        }
    }

    /// For writing.
    pub(crate) fn headers(&self) -> Vec<Header<'_>> {
        self.fields.iter().map(|field| Header { name: &field.name, value: &field.value }).collect()
    }

    pub(crate) fn add(&mut self, name: &'b str, value: Vec<u8>) {
        self.fields.push(Field { name: Cow::Borrowed(name), value: Cow::Owned(value) });
    }

    pub(crate) fn delete(&mut self, name: &str) {
        self.retain(|other| !other.eq_ignore_ascii_case(name));
    }

    /// Keeps headers with such names, and what holds the message together.
    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.fields.retain(|field| field.is_framing() || keep(&field.name));
    }

    /// Lines of that name which may be changed.
    pub(crate) fn named(&mut self, name: &str) -> impl Iterator<Item = &mut Field<'b>> {
        let is = move |field: &&mut Field<'b>| {
            field.name.eq_ignore_ascii_case(name) && !field.is_framing()
        };
        self.fields.iter_mut().filter(is)
    }

    /// Values of all lines of that name.
    pub(crate) fn lines<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'m [u8]> {
        let is = move |field: &&'m Field<'b>| field.name.eq_ignore_ascii_case(name);
        self.fields.iter().filter(is).map(|field| &*field.value)
    }

    /// From the first `/` on; `*` and `host:port` have no path.
    pub(crate) fn path_query(&self) -> Option<&str> {
        path_query(&self.target)
    }

    pub(crate) fn path(&self) -> Option<&str> {
        self.path_query().map(|path| path.split('?').next().unwrap_or(path))
    }
}

fn fields<'b>(headers: &[Header<'b>]) -> Vec<Field<'b>> {
    let field = |header: &Header<'b>| Field {
        name: Cow::Borrowed(header.name),
        value: Cow::Borrowed(header.value),
    };
    headers.iter().map(field).collect()
}

pub(crate) fn path_query(target: &str) -> Option<&str> {
    if target.starts_with('/') {
        return Some(target);
    }
    let (_, rest) = target.split_once("://")?;
    rest.find('/').map(|at| &rest[at..])
}

/// What stands between commas that no quotes hide, without blanks around it.
pub(crate) fn values(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let end = end_of_value(line);
        rest = line.get(end + 1..);
        Some(line[..end].trim_ascii())
    })
}

/// Where its next comma is, or where it ends.
pub(crate) fn end_of_value(line: &[u8]) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in line.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return at,
            _ => {}
        }
    }
    line.len()
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn values_stand_between_commas_that_are_not_quoted() {
        let of = |line: &'static [u8]| values(line).collect::<Vec<_>>();
        assert_eq!(of(b" a, b ,\"c,\\\",d\""), [&b"a"[..], b"b", b"\"c,\\\",d\""]);
        assert_eq!(of(b""), [b""]);
        assert_eq!(of(b"a,"), [&b"a"[..], b""]);
    }

    #[test]
    fn a_path_begins_with_the_first_slash_behind_the_host() {
        assert_eq!(path_query("/a?b"), Some("/a?b"));
        assert_eq!(path_query("http://x.y/a?b"), Some("/a?b"));
        assert_eq!(path_query("http://x.y"), None);
        assert_eq!(path_query("*"), None);
    }
}
