//! Addresses that this machine has and that nobody reaches on it: a table of nftables for each group of them (`linux/netfilter/nf_tables.h`).
//!
//! What is for such an address, or from it, is dropped where it would be delivered or was made here. It is forwarded and answered by
//! ARP as ever, and neighbours over IPv6 are answered: the address can be a gateway and nothing else.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
};

use crate::raw::set_option;

const NETFILTER: i32 = 12;
const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const DELETE_TABLE: u16 = SUBSYSTEM << 8 | 2;
const NEW_CHAIN: u16 = SUBSYSTEM << 8 | 3;
const NEW_RULE: u16 = SUBSYSTEM << 8 | 6;

const REQUEST: u16 = 1;
const ACK: u16 = 4;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;
const NESTED: u16 = 0x8000;

const IPV4: u8 = 2;
const IPV6: u8 = 10;
/// Before the rules of others, as keepalived's.
const PRIORITY: i32 = -1;
const REGISTER: u32 = 1;
const VERDICT: u32 = 0;
const DROP: u32 = 0;
const ACCEPT: u32 = 1;
const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;
const META_IN: u32 = 4;
const META_OUT: u32 = 5;
const META_PROTOCOL: u32 = 16;
const ICMPV6: u8 = 58;
/// Solicitation and advertisement of neighbours (RFC 4861 4.3, 4.4).
const NEIGHBOURS: [u8; 2] = [135, 136];

/// What arrives, and what was made here.
const SIDES: [Side; 2] = [
    Side { chain: "in", hook: 1, v4_at: 16, v6_at: 24, device: META_IN },
    Side { chain: "out", hook: 3, v4_at: 12, v6_at: 8, device: META_OUT },
];

struct Side {
    chain: &'static str,
    hook: u32,
    /// Where the address is in the header.
    v4_at: u32,
    v6_at: u32,
    device: u32,
}

/// Speaks to the kernel about tables, in the network namespace in which it was opened.
#[derive(Debug)]
pub struct Tables {
    fd: OwnedFd,
}

impl Tables {
    /// # Errors
    /// When the kernel has no nftables, or the process has no descriptor left.
    pub fn open() -> io::Result<Self> {
        let protocol = std::num::NonZeroU32::new(NETFILTER.unsigned_abs());
        let protocol = protocol.map(rustix::net::Protocol::from_raw);
        let flags = SocketFlags::CLOEXEC;
        let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
        bind(&fd, &SocketAddrNetlink::new(0, 0))?;
        // It answers within microseconds; longer means that it never will.
        let limit = libc::timeval { tv_sec: 5, tv_usec: 0 };
        let fd_ref = std::os::fd::AsFd::as_fd(&fd);
        set_option(fd_ref, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &limit)?;
        Ok(Self { fd })
    }

    /// Nobody reaches these addresses on this machine from now on; an address of a link on the device of that number. In one step in
    /// place of what the table held before.
    ///
    /// # Errors
    /// Without `CAP_NET_ADMIN`, or when the kernel lacks a part of nftables.
    pub fn keep_out(&self, table: &str, addresses: &[(IpAddr, u32)]) -> io::Result<()> {
        let mut batch = Batch::begin();
        for family in [IPV4, IPV6] {
            let of_family = |ip: &IpAddr| ip.is_ipv6() == (family == IPV6);
            batch.renew(family, table);
            let mut all = addresses.iter().filter(|(ip, _)| of_family(ip)).peekable();
            if all.peek().is_none() {
                batch.delete(family, table);
                continue;
            }
            let all: Vec<(IpAddr, u32)> = all.copied().collect();
            for side in &SIDES {
                batch.chain(family, table, side);
                if family == IPV6 {
                    for kind in NEIGHBOURS {
                        batch.rule(family, table, side, &Expressions::neighbours(kind));
                    }
                }
                for (ip, device) in &all {
                    batch.rule(family, table, side, &Expressions::address(*ip, *device, side));
                }
            }
        }
        self.send(batch)
    }

    /// The addresses of that table are as any other ones.
    ///
    /// # Errors
    /// As [`Self::keep_out`].
    pub fn let_in(&self, table: &str) -> io::Result<()> {
        self.keep_out(table, &[])
    }

    /// There is no such table any more; nothing happens where there was none.
    pub fn forget(&self, table: &str) {
        for family in [IPV4, IPV6] {
            let mut batch = Batch::begin();
            batch.delete(family, table);
            let _absent = self.send(batch);
        }
    }

    fn send(&self, batch: Batch) -> io::Result<()> {
        let (bytes, last) = batch.end();
        send(&self.fd, &bytes, SendFlags::NOSIGNAL)?;
        let mut buffer = vec![0; 8192];
        loop {
            let (count, _) = recv(&self.fd, &mut buffer[..], RecvFlags::empty())?;
            let mut rest = &buffer[..count];
            while let Some((kind, sequence, code, next)) = answer(rest) {
                rest = next;
                // A batch is done or refused as a whole: the first refusal says why.
                if i32::from(kind) == libc::NLMSG_ERROR {
                    match code {
                        0 if sequence == last => return Ok(()),
                        0 => {}
                        code => return Err(io::Error::from_raw_os_error(-code)),
                    }
                }
            }
        }
    }
}

/// Kind, number and error code of an answer, and what is behind it.
fn answer(bytes: &[u8]) -> Option<(u16, u32, i32, &[u8])> {
    let number = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let length = usize::try_from(number(0)?).ok().filter(|length| *length >= 16)?;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let code = number(16).map_or(0, u32::cast_signed);
    Some((kind, number(8)?, code, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

/// Messages that the kernel does all of, or none.
struct Batch {
    bytes: Vec<u8>,
    sequence: u32,
}

impl Batch {
    fn begin() -> Self {
        let mut batch = Self { bytes: Vec::with_capacity(2048), sequence: 0 };
        batch.message(BATCH_BEGIN, 0, 0, SUBSYSTEM, &[]);
        batch
    }

    /// Its bytes, and the number of the message that is answered last.
    fn end(mut self) -> (Vec<u8>, u32) {
        let last = self.sequence - 1;
        self.message(BATCH_END, 0, 0, SUBSYSTEM, &[]);
        (self.bytes, last)
    }

    fn message(&mut self, kind: u16, flags: u16, family: u8, resource: u16, body: &[u8]) {
        let length = u32::try_from(20 + body.len()).unwrap_or(u32::MAX);
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((REQUEST | flags).to_ne_bytes());
        self.bytes.extend(self.sequence.to_ne_bytes());
        self.bytes.extend([0; 4]);
        // `nfgenmsg`
        self.bytes.extend([family, 0]);
        self.bytes.extend(resource.to_be_bytes());
        self.bytes.extend(body);
        self.sequence += 1;
    }

    /// An empty one in its place: one that is not there cannot be deleted, so it is made first.
    fn renew(&mut self, family: u8, table: &str) {
        let name = attribute(1, &zeroed(table));
        for (kind, flags) in [(NEW_TABLE, CREATE), (DELETE_TABLE, 0), (NEW_TABLE, CREATE)] {
            self.message(kind, flags | ACK, family, 0, &name);
        }
    }

    fn delete(&mut self, family: u8, table: &str) {
        self.message(DELETE_TABLE, ACK, family, 0, &attribute(1, &zeroed(table)));
    }

    fn chain(&mut self, family: u8, table: &str, side: &Side) {
        let hook = [number(1, side.hook), attribute(2, &PRIORITY.to_be_bytes())].concat();
        let body = [
            attribute(1, &zeroed(table)),
            attribute(3, &zeroed(side.chain)),
            attribute(4 | NESTED, &hook),
            number(5, ACCEPT),
            attribute(7, &zeroed("filter")),
        ];
        self.message(NEW_CHAIN, CREATE | ACK, family, 0, &body.concat());
    }

    fn rule(&mut self, family: u8, table: &str, side: &Side, expressions: &Expressions) {
        let body = [
            attribute(1, &zeroed(table)),
            attribute(2, &zeroed(side.chain)),
            attribute(4 | NESTED, &expressions.0),
        ];
        self.message(NEW_RULE, CREATE | APPEND | ACK, family, 0, &body.concat());
    }
}

/// What a rule looks at and does, one after the other.
struct Expressions(Vec<u8>);

impl Expressions {
    fn address(ip: IpAddr, device: u32, side: &Side) -> Self {
        let mut all = Self(Vec::new());
        match ip {
            IpAddr::V4(ip) => all.payload(NETWORK, side.v4_at, &ip.octets()),
            IpAddr::V6(ip) => {
                if ip.is_unicast_link_local() {
                    all.meta(side.device, &device.to_ne_bytes());
                }
                all.payload(NETWORK, side.v6_at, &ip.octets());
            }
        }
        all.verdict(DROP);
        all
    }

    fn neighbours(kind: u8) -> Self {
        let mut all = Self(Vec::new());
        all.meta(META_PROTOCOL, &[ICMPV6]);
        all.payload(TRANSPORT, 0, &[kind]);
        all.verdict(ACCEPT);
        all
    }

    /// These bytes of a header are so.
    fn payload(&mut self, base: u32, at: u32, value: &[u8]) {
        let length = u32::try_from(value.len()).unwrap_or(0);
        let from = [number(1, REGISTER), number(2, base), number(3, at), number(4, length)];
        self.push("payload", &from.concat());
        self.compare(value);
    }

    fn meta(&mut self, key: u32, value: &[u8]) {
        self.push("meta", &[number(1, REGISTER), number(2, key)].concat());
        self.compare(value);
    }

    fn compare(&mut self, value: &[u8]) {
        let equal =
            [number(1, REGISTER), number(2, 0), attribute(3 | NESTED, &attribute(1, value))];
        self.push("cmp", &equal.concat());
    }

    fn verdict(&mut self, code: u32) {
        let verdict = attribute(2 | NESTED, &number(1, code));
        self.push("immediate", &[number(1, VERDICT), attribute(2 | NESTED, &verdict)].concat());
    }

    fn push(&mut self, name: &str, values: &[u8]) {
        let one = [attribute(1, &zeroed(name)), attribute(2 | NESTED, values)].concat();
        self.0.extend(attribute(1 | NESTED, &one));
    }
}

fn zeroed(text: &str) -> Vec<u8> {
    text.bytes().chain([0]).collect()
}

fn number(kind: u16, value: u32) -> Vec<u8> {
    attribute(kind, &value.to_be_bytes())
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}
