//! Addresses that this machine has and that nobody reaches on it: a table of nftables for each group of them (`linux/netfilter/nf_tables.h`).
//!
//! What is for such an address, or from it, is dropped where it would be delivered or was made here. It is forwarded and answered by
//! ARP as ever, and neighbours over IPv6 are answered: the address can be a gateway and nothing else.

use std::cell::Cell;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use base::Time;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
};
use rustix::time::Timespec;

use crate::raw::set_option;

const NETFILTER: i32 = 12;
const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const GET_TABLE: u16 = SUBSYSTEM << 8 | 1;
const DELETE_TABLE: u16 = SUBSYSTEM << 8 | 2;
const NEW_CHAIN: u16 = SUBSYSTEM << 8 | 3;
const NEW_RULE: u16 = SUBSYSTEM << 8 | 6;

const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;
const NESTED: u16 = 0x8000;

const ANY: u8 = 0;
const IPV4: u8 = 2;
const IPV6: u8 = 10;
const FAMILIES: [u8; 2] = [IPV4, IPV6];
/// For one batch: some 400 bytes for each address, of which no file has more than ten thousand in one group (bytes).
const ROOM: i32 = 4 * 1024 * 1024;
/// All answers to one batch: the kernel has written them when it has taken the batch, so nobody waits for them. More would mean that
/// it never answers.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
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

/// Whether this kernel has nf_tables already: to ask it about tables would make it load the module otherwise.
#[must_use]
pub fn is_there() -> bool {
    let builtin = || {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
        std::fs::read_to_string(format!("/lib/modules/{}/modules.builtin", release.trim()))
    };
    is_among(std::fs::read_to_string("/proc/modules").ok().as_deref(), builtin)
}

/// `loaded`: the list of modules; none: this kernel knows no modules, so all that it has is there.
fn is_among(loaded: Option<&str>, builtin: impl FnOnce() -> io::Result<String>) -> bool {
    let Some(loaded) = loaded else { return true };
    let is_loaded = loaded.lines().any(|line| line.split(' ').next() == Some("nf_tables"));
    is_loaded || builtin().is_ok_and(|text| text.lines().any(|it| it.ends_with("/nf_tables.ko")))
}

/// Speaks to the kernel about tables, in the network namespace in which it was opened.
#[derive(Debug)]
pub struct Tables {
    fd: OwnedFd,
    /// Of the next message. No answer to one batch is taken for that to another one.
    sequence: Cell<u32>,
}

impl Tables {
    /// # Errors
    /// When the kernel has no nftables, or the process has no descriptor left.
    pub fn open() -> io::Result<Self> {
        let protocol = std::num::NonZeroU32::new(NETFILTER.unsigned_abs());
        let protocol = protocol.map(rustix::net::Protocol::from_raw);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
        bind(&fd, &SocketAddrNetlink::new(0, 0))?;
        // Without the right to it there is none to make tables either.
        let _small = set_option(fd.as_fd(), libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &ROOM);
        Ok(Self { fd, sequence: Cell::new(1) })
    }

    /// Nobody reaches these addresses on this machine from now on; an address of a link on the device of that number. In one step in
    /// place of what the table held before.
    ///
    /// # Errors
    /// Without `CAP_NET_ADMIN`, or when the kernel lacks a part of nftables.
    pub fn keep_out(&self, table: &str, addresses: &[(IpAddr, u32)]) -> io::Result<()> {
        let mut batch = self.batch();
        for family in FAMILIES {
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

    /// There are no such tables any more, in one step; nothing happens where there were none.
    ///
    /// # Errors
    /// As [`Self::keep_out`].
    pub fn forget<'a>(&self, tables: impl IntoIterator<Item = &'a str>) -> io::Result<()> {
        let mut batch = self.batch();
        for table in tables {
            for family in FAMILIES {
                batch.create(family, table);
                batch.delete(family, table);
            }
        }
        self.send(batch)
    }

    /// Names of all tables for IPv4 and IPv6, each once.
    ///
    /// # Errors
    /// Without `CAP_NET_ADMIN`, or when the kernel has no tables.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let mut batch = self.batch();
        batch.bytes.clear();
        let sequence = batch.sequence;
        batch.message(GET_TABLE, DUMP, ANY, 0, &[]);
        self.sequence.set(batch.sequence);
        let mut found = std::collections::BTreeSet::new();
        self.ask(&batch.bytes, |number, kind, body| {
            match kind {
                _ if number != sequence => {}
                NEW_TABLE => found.extend(name_of(body)),
                DONE => return Some(Ok(())),
                REFUSED => return Some(result(body)),
                _ => {}
            }
            None
        })?;
        Ok(found.into_iter().collect())
    }

    fn batch(&self) -> Batch {
        Batch::begin(self.sequence.get())
    }

    fn send(&self, mut batch: Batch) -> io::Result<()> {
        let Some(last) = batch.end() else { return Ok(()) };
        let first = self.sequence.replace(batch.sequence);
        let is_ours = |number: u32| number.wrapping_sub(first) <= last.wrapping_sub(first);
        // A batch is done or refused as a whole: the first refusal says why, and no other message was asked to be confirmed.
        self.ask(&batch.bytes, |number, kind, body| match kind {
            REFUSED if is_ours(number) => match result(body) {
                Ok(()) => (number == last).then_some(Ok(())),
                refused => Some(refused),
            },
            _ => None,
        })
    }

    /// Until `each` says what came of it. What is left of the answers, here or of a request before, is nobody's.
    fn ask(
        &self,
        bytes: &[u8],
        mut each: impl FnMut(u32, u16, &[u8]) -> Option<io::Result<()>>,
    ) -> io::Result<()> {
        let mut buffer = vec![0; 32 * 1024];
        self.drain(&mut buffer);
        send(&self.fd, bytes, SendFlags::NOSIGNAL)?;
        let until = crate::clock::now() + ANSWER_WITHIN;
        loop {
            let count = self.receive(&mut buffer, until)?;
            let mut rest = &buffer[..count];
            while let Some((kind, number, body, next)) = answer(rest) {
                rest = next;
                if let Some(result) = each(number, kind, body) {
                    self.drain(&mut buffer);
                    return result;
                }
            }
        }
    }

    /// What came that nobody asks for; as much of it as a full queue has.
    fn drain(&self, buffer: &mut [u8]) {
        for _ in 0..1024 {
            if recv(&self.fd, &mut *buffer, RecvFlags::empty()).is_err() {
                return;
            }
        }
    }

    fn receive(&self, buffer: &mut [u8], until: Time) -> io::Result<usize> {
        loop {
            match recv(&self.fd, &mut *buffer, RecvFlags::empty()) {
                Ok((count, _)) => return Ok(count),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => {
                    let left = until.since(crate::clock::now());
                    let seconds = i64::try_from(left.as_secs()).unwrap_or(0);
                    let wait = Timespec { tv_sec: seconds, tv_nsec: left.subsec_nanos().into() };
                    match poll(&mut [PollFd::new(&self.fd, PollFlags::IN)], Some(&wait)) {
                        Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                        Ok(_) | Err(Errno::INTR) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

const REFUSED: u16 = 2;
const DONE: u16 = 3;

/// What a confirmation says (`struct nlmsgerr`).
fn result(body: &[u8]) -> io::Result<()> {
    match body.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code)) {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code.saturating_neg())),
    }
}

/// Of a table of IPv4 or IPv6.
fn name_of(body: &[u8]) -> Option<String> {
    let (head, mut rest) = body.split_at_checked(4)?;
    if !FAMILIES.contains(&head[0]) {
        return None;
    }
    loop {
        let length = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?);
        let value = rest.get(4..length)?;
        if kind == 1 {
            let text = value.split(|byte| *byte == 0).next()?;
            return String::from_utf8(text.to_vec()).ok();
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

/// Kind, number and body of an answer, and what is behind it.
fn answer(bytes: &[u8]) -> Option<(u16, u32, &[u8], &[u8])> {
    let number = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let length = usize::try_from(number(0)?).ok()?;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let rest = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, number(8)?, bytes.get(16..length)?, rest))
}

/// Messages that the kernel does all of, or none.
struct Batch {
    bytes: Vec<u8>,
    sequence: u32,
    /// Where the last message begins.
    last: Option<usize>,
}

impl Batch {
    fn begin(sequence: u32) -> Self {
        let mut batch = Self { bytes: Vec::with_capacity(2048), sequence, last: None };
        batch.message(BATCH_BEGIN, 0, 0, SUBSYSTEM, &[]);
        batch.last = None;
        batch
    }

    /// The number of the message that is confirmed: the last one alone, as the kernel keeps no more than some hundred confirmations for
    /// us. None: there is nothing to do.
    fn end(&mut self) -> Option<u32> {
        let at = self.last?;
        let flags = self.bytes.get_mut(at + 6..at + 8)?;
        let asked = u16::from_ne_bytes([flags[0], flags[1]]) | ACK;
        flags.copy_from_slice(&asked.to_ne_bytes());
        let last = self.sequence.wrapping_sub(1);
        self.message(BATCH_END, 0, 0, SUBSYSTEM, &[]);
        Some(last)
    }

    fn message(&mut self, kind: u16, flags: u16, family: u8, resource: u16, body: &[u8]) {
        let length = u32::try_from(20 + body.len()).unwrap_or(u32::MAX);
        self.last = Some(self.bytes.len());
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((REQUEST | flags).to_ne_bytes());
        self.bytes.extend(self.sequence.to_ne_bytes());
        self.bytes.extend([0; 4]);
        // `nfgenmsg`
        self.bytes.extend([family, 0]);
        self.bytes.extend(resource.to_be_bytes());
        self.bytes.extend(body);
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// An empty one in its place: one that is not there cannot be deleted, so it is made first.
    fn renew(&mut self, family: u8, table: &str) {
        self.create(family, table);
        self.delete(family, table);
        self.create(family, table);
    }

    fn create(&mut self, family: u8, table: &str) {
        self.message(NEW_TABLE, CREATE, family, 0, &attribute(1, &zeroed(table)));
    }

    fn delete(&mut self, family: u8, table: &str) {
        self.message(DELETE_TABLE, 0, family, 0, &attribute(1, &zeroed(table)));
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
        self.message(NEW_CHAIN, CREATE, family, 0, &body.concat());
    }

    fn rule(&mut self, family: u8, table: &str, side: &Side, expressions: &Expressions) {
        let body = [
            attribute(1, &zeroed(table)),
            attribute(2, &zeroed(side.chain)),
            attribute(4 | NESTED, &expressions.0),
        ];
        self.message(NEW_RULE, CREATE | APPEND, family, 0, &body.concat());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whether_the_kernel_has_tables_is_known_without_asking_it_for_one() {
        let none = || Err(io::ErrorKind::NotFound.into());
        let builtin = || Ok("kernel/net/netfilter/nf_tables.ko\n".to_owned());
        assert!(is_among(None, none), "a kernel without modules");
        assert!(is_among(Some("nft_ct 1 0 -\nnf_tables 2 1 nft_ct, Live 0x0\n"), none));
        assert!(!is_among(Some("nf_tables_other 2 0 -\nveth 1 0 -\n"), none));
        assert!(is_among(Some(""), builtin));
    }

    #[test]
    fn the_last_message_alone_is_confirmed_and_no_two_have_one_number() {
        let mut batch = Batch::begin(7);
        batch.create(IPV4, "one");
        batch.delete(IPV4, "one");
        let last = batch.end().unwrap();
        let (mut rest, mut numbers, mut asked) = (&batch.bytes[..], vec![], vec![]);
        while let Some((_, number, _, next)) = answer(rest) {
            let flags = u16::from_ne_bytes([rest[6], rest[7]]);
            asked.extend((flags & ACK != 0).then_some(number));
            numbers.push(number);
            rest = next;
        }
        assert_eq!((numbers, asked, batch.sequence), (vec![7, 8, 9, 10], vec![last], 11));
        assert_eq!(Batch::begin(11).end(), None, "of nothing nothing is said");
    }

    #[test]
    fn tables_of_other_families_are_not_named() {
        let table = |family: u8, name: &str| {
            [&[family, 0, 0, 0], &attribute(1, &zeroed(name))[..]].concat()
        };
        assert_eq!(name_of(&table(IPV6, "outlast.a")).as_deref(), Some("outlast.a"));
        assert_eq!(name_of(&table(1, "outlast.a")), None, "inet");
        assert_eq!(name_of(&[IPV4, 0, 0, 0, 2, 0, 1, 0]), None, "cut short");
        assert_eq!(name_of(&[]), None);
    }
}
