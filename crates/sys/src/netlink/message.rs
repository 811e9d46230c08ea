//! Writing and reading of rtnetlink messages (`linux/netlink.h`, `linux/rtnetlink.h`).

use std::ffi::c_int;

/// `struct nlmsghdr`.
pub(super) const HEADER: usize = 16;
/// `struct ifinfomsg`.
pub(super) const LINK_HEADER: usize = 16;
/// `struct ifaddrmsg`.
pub(super) const ADDRESS_HEADER: usize = 8;
/// `struct tcmsg`.
pub(super) const TRAFFIC_HEADER: usize = 20;

/// Longest request: a veth pair with two names needs about 150 bytes.
const LONGEST: usize = 512;

const REQUEST: c_int = libc::NLM_F_REQUEST | libc::NLM_F_ACK;

/// A request being written, without allocation.
#[derive(Debug)]
pub(super) struct Request {
    bytes: [u8; LONGEST],
    length: usize,
}

/// Where a nested attribute began.
#[derive(Debug)]
#[must_use]
pub(super) struct Nested(usize);

impl Request {
    fn new(kind: u16, flags: c_int) -> Self {
        let mut request = Self { bytes: [0; LONGEST], length: HEADER };
        let flags = u16::try_from(REQUEST | flags).expect("netlink flags have 16 bits");
        request.bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        request.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        request
    }

    /// A request about a port of a switch.
    pub(super) fn port(index: u32) -> Self {
        let mut request = link(libc::RTM_SETLINK, 0, index, 0);
        request.bytes[HEADER] = u8::try_from(libc::AF_BRIDGE).expect("families have 8 bits");
        request
    }

    /// Adds plain bytes, as a header of the family. Requests are built from constants and names
    /// that were bounded, so [`LONGEST`] always suffices.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len().next_multiple_of(4);
    }

    /// Of a request about an address: `ifaddrmsg.ifa_scope`.
    pub(super) const fn scope(&mut self, scope: u8) {
        self.bytes[HEADER + 3] = scope;
    }

    pub(super) fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + 4).expect("values are shorter than the request");
        let mut header = [0; 4];
        header[..2].copy_from_slice(&length.to_ne_bytes());
        header[2..].copy_from_slice(&kind.to_ne_bytes());
        self.raw(&header);
        self.raw(value);
    }

    pub(super) fn number(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_ne_bytes());
    }

    /// A name of a device or a kind; cut at the kernel's limit, which then refuses it.
    pub(super) fn text(&mut self, kind: u16, value: &str) {
        let mut bytes = [0; 64];
        let length = value.len().min(bytes.len() - 1);
        bytes[..length].copy_from_slice(&value.as_bytes()[..length]);
        self.attribute(kind, &bytes[..=length]);
    }

    pub(super) fn open(&mut self, kind: u16) -> Nested {
        let start = self.length;
        self.attribute(kind | 0x8000, &[]);
        Nested(start)
    }

    pub(super) fn close(&mut self, nested: Nested) {
        let Nested(start) = nested;
        let length = u16::try_from(self.length - start).expect("bounded by the request");
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    /// Asks for a list instead of one answer.
    pub(super) fn as_dump(&mut self) {
        let dump = u16::try_from(libc::NLM_F_DUMP | libc::NLM_F_REQUEST).expect("16 bits");
        self.bytes[6..8].copy_from_slice(&dump.to_ne_bytes());
    }

    /// The message under its number.
    pub(super) fn finish(&mut self, sequence: u32) -> &[u8] {
        let length = u32::try_from(self.length).expect("bounded by the request");
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        &self.bytes[..self.length]
    }
}

/// A request about a device.
pub(super) fn link(kind: u16, flags: c_int, index: u32, up: u32) -> Request {
    let mut request = Request::new(kind, flags);
    request.raw(&link_header(index, up, up));
    request
}

/// `ifinfomsg`: no family, number, flags and which of them to change.
pub(super) fn link_header(index: u32, flags: u32, change: u32) -> [u8; LINK_HEADER] {
    let mut header = [0; LINK_HEADER];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&change.to_ne_bytes());
    header
}

/// A request to switch a device on or off.
pub(super) fn link_state(index: u32, up: bool) -> Request {
    let flag = u32::try_from(libc::IFF_UP).expect("a flag");
    let mut request = Request::new(libc::RTM_NEWLINK, 0);
    request.raw(&link_header(index, if up { flag } else { 0 }, flag));
    request
}

/// A request about an address; `index` 0 and `prefix` 0 ask about all.
pub(super) fn address(kind: u16, family: c_int, index: u32, prefix: u8) -> Request {
    let flags = if kind == libc::RTM_NEWADDR { libc::NLM_F_CREATE | libc::NLM_F_EXCL } else { 0 };
    let mut request = Request::new(kind, flags);
    let mut header = [0; ADDRESS_HEADER];
    header[0] = u8::try_from(family).expect("families have 8 bits");
    header[1] = prefix;
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    request.raw(&header);
    request
}

/// What `rtmsg` says of a route; its table is an attribute, as numbers above 255 are.
#[derive(Debug)]
pub(super) struct RouteHeader {
    pub(super) family: c_int,
    pub(super) prefix: u8,
    pub(super) protocol: u8,
    pub(super) scope: u8,
}

/// A request about a route.
pub(super) fn route(kind: u16, flags: c_int, of: &RouteHeader) -> Request {
    let mut request = Request::new(kind, flags);
    let family = u8::try_from(of.family).expect("families have 8 bits");
    let (table, unicast) = (libc::RT_TABLE_UNSPEC, libc::RTN_UNICAST);
    request.raw(&[family, of.prefix, 0, 0, table, of.protocol, of.scope, unicast, 0, 0, 0, 0]);
    request
}

/// `struct fib_rule_hdr`; its table is an attribute, as numbers above 255 are.
#[derive(Debug)]
pub(super) struct RuleHeader {
    pub(super) family: c_int,
    /// Lengths of the networks.
    pub(super) to: u8,
    pub(super) from: u8,
    pub(super) tos: u8,
    pub(super) action: u8,
    pub(super) flags: u32,
}

/// A request about a rule of routing.
pub(super) fn rule(kind: u16, flags: c_int, of: &RuleHeader) -> Request {
    let mut request = Request::new(kind, flags);
    let family = u8::try_from(of.family).expect("families have 8 bits");
    let mut header = [family, of.to, of.from, of.tos, 0, 0, 0, of.action, 0, 0, 0, 0];
    header[8..].copy_from_slice(&of.flags.to_ne_bytes());
    request.raw(&header);
    request
}

/// A request about the hardware address of a neighbour that stays as it is told: `ndmsg`.
pub(super) fn neighbour(kind: u16, flags: c_int, family: c_int, index: u32) -> Request {
    const PERMANENT: [u8; 2] = 0x80_u16.to_ne_bytes();
    let mut request = Request::new(kind, flags);
    let mut header = [0; 12];
    header[0] = u8::try_from(family).expect("families have 8 bits");
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..10].copy_from_slice(&PERMANENT);
    request.raw(&header);
    request
}

/// `struct tcmsg`: a device, a queue or a filter there, what it hangs in, and what that kind says of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traffic {
    pub(super) index: u32,
    pub(super) handle: u32,
    pub(super) parent: u32,
    pub(super) info: u32,
}

impl Traffic {
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(u32::from_ne_bytes(body.get(at..at + 4)?.try_into().ok()?));
        Some(Self { index: number(4)?, handle: number(8)?, parent: number(12)?, info: number(16)? })
    }
}

/// A request about a queue or a filter.
pub(super) fn traffic(kind: u16, flags: c_int, traffic: Traffic) -> Request {
    let mut request = Request::new(kind, flags);
    let mut header = [0; TRAFFIC_HEADER];
    let Traffic { index, handle, parent, info } = traffic;
    for (at, number) in (4..).step_by(4).zip([index, handle, parent, info]) {
        header[at..at + 4].copy_from_slice(&number.to_ne_bytes());
    }
    request.raw(&header);
    request
}

/// Type and value of each attribute; stops at the first that does not fit.
#[derive(Debug)]
pub(super) struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(u16::from_ne_bytes(self.rest.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(self.rest.get(2..4)?.try_into().ok()?);
        let value = self.rest.get(4..length)?;
        self.rest = self.rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        // The two highest bits say "nested" and "network order".
        Some((kind & 0x3fff, value))
    }
}

/// One message of a datagram: type, sequence number, body.
pub(super) fn split(bytes: &[u8]) -> Option<(u16, u32, &[u8], &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?)).ok()?;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let sequence = u32::from_ne_bytes(bytes.get(8..12)?.try_into().ok()?);
    let body = bytes.get(HEADER..length)?;
    let rest = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, sequence, body, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_nest() {
        let mut request = link(libc::RTM_NEWLINK, 0, 7, 0);
        request.text(libc::IFLA_IFNAME, "eth0");
        let nested = request.open(libc::IFLA_LINKINFO);
        request.text(1, "veth");
        request.close(nested);
        let bytes = request.finish(9).to_vec();
        let (kind, sequence, body, rest) = split(&bytes).unwrap();
        assert_eq!((kind, sequence, rest.len()), (libc::RTM_NEWLINK, 9, 0));
        let attributes: Vec<_> = Attributes::new(&body[LINK_HEADER..]).collect();
        assert_eq!(attributes[0], (libc::IFLA_IFNAME, &b"eth0\0"[..]));
        assert_eq!(attributes[1].0, libc::IFLA_LINKINFO);
        let inner: Vec<_> = Attributes::new(attributes[1].1).collect();
        assert_eq!(inner, [(1, &b"veth\0"[..])]);
    }

    #[test]
    fn broken_attributes_end_the_list() {
        assert_eq!(Attributes::new(&[1, 0, 0, 0]).count(), 0);
        assert_eq!(Attributes::new(&[200, 0, 1, 0, 1]).count(), 0);
        assert_eq!(Attributes::new(&[4, 0, 1, 0, 9]).count(), 1);
        assert!(split(&[1, 2, 3]).is_none());
    }
}
