//! The two programs of a gate.
//!
//! ```text
//!              in (what arrives)                       out (what is sent)
//!   ARP        a question for a virtual IP, but not    whatever says that a virtual IP is here
//!              one that announces it
//!   IPv4/6     to a virtual IP                         from a virtual IP
//!   neighbour  a question for it (135)                 an answer about it (136)
//!   discovery
//! ```
//! Such a packet passes while the kernel's boot clock is before the cell's moment, and is dropped and counted
//! otherwise. Anything else passes, also a packet too short to tell: the kernel has no use for it either. Others'
//! announcements have to pass at a node that is itself a client of the address.

use std::io;
use std::net::IpAddr;

use super::super::program::{
    Jump, Label, Program, R0, R1, R2, R3, R4, R5, R6, R7, R9, Register, STACK, Size, Word,
};
use super::cells::{self, Cell};
use crate::netlink::Direction;

/// On to the next filter, and: drop (`linux/pkt_cls.h`).
pub(super) const PASS: i32 = -1;
pub(super) const DROP: i32 = 2;

/// Of the kernel's functions: make the packet's beginning one piece, read from it, ask the clock.
const SKB_PULL_DATA: i32 = 39;
const SKB_LOAD_BYTES_RELATIVE: i32 = 68;
const KTIME_GET_BOOT_NS: i32 = 125;
/// Of the second: offsets count from the network header, whatever is before it.
const FROM_NETWORK_HEADER: i32 = 1;

/// In `struct __sk_buff`.
const LENGTH: i16 = 0;
const PROTOCOL: i16 = 16;
/// All headers that are read, with those before them (bytes).
const HEADERS: i32 = 128;

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
const ICMPV6: i32 = 58;
const SOLICITATION: i32 = 135;
const ADVERTISEMENT: i32 = 136;
const ARP_REQUEST: u16 = 1;

/// The context of the whole program; where the cell of the packet begins; whether it carries more than the address.
const PACKET: Register = R6;
const CELL: Register = R7;
const IS_IP: Register = R9;
/// Where packets are read to: up to 16 bytes, and four beside them.
const ROOM: i16 = -16;
const BESIDE: i16 = -24;

/// One address and the position of its cell.
type Known = (IpAddr, usize);

struct Gate {
    program: Program,
    direction: Direction,
    known: Vec<Known>,
    /// One for each of `known`, and the places that all lead to.
    cells: Vec<Label>,
    judge: Label,
    pass: Label,
}

/// The program of one direction. The map's memory begins with the cells; `addresses[n]` are those of cell `n`.
pub(super) fn gate(
    direction: Direction,
    addresses: &[impl AsRef<[IpAddr]>],
    map: i32,
) -> io::Result<Vec<Word>> {
    let mut program = Program::default();
    let list = |(cell, of): (usize, &_)| {
        AsRef::<[IpAddr]>::as_ref(of).iter().map(move |ip| (*ip, cell)).collect::<Vec<Known>>()
    };
    let known: Vec<Known> = addresses.iter().enumerate().flat_map(list).collect();
    let cells = known.iter().map(|_| program.label()).collect();
    let (judge, pass) = (program.label(), program.label());
    let mut gate = Gate { program, direction, known, cells, judge, pass };
    gate.sort();
    gate.judge(map)?;
    gate.program.finish()
}

/// A program that writes the kernel's clock where the first answer of cell 0 is kept.
pub(super) fn clock(map: i32) -> io::Result<Vec<Word>> {
    let mut program = Program::default();
    program.call(KTIME_GET_BOOT_NS);
    program.memory_of_map(R1, map);
    program.store(R1, cells::FIRST_ANSWER, R0);
    program.answer(PASS);
    program.finish()
}

impl Gate {
    /// Which address is it about?
    fn sort(&mut self) {
        let (arp, v6, pass) = (self.program.label(), self.program.label(), self.pass);
        self.program.copy(PACKET, R1);
        self.program.load(Size::Four, R1, PACKET, PROTOCOL);
        let network = |number: u16| i32::from(number.to_be());
        self.program.jump_if(R1, Jump::Equal, network(ARP), arp);
        self.program.jump_if(R1, Jump::Equal, network(IPV6), v6);
        self.program.jump_if(R1, Jump::NotEqual, network(IPV4), pass);
        self.v4();
        self.program.place(arp);
        self.arp();
        self.program.place(v6);
        self.v6();
    }

    fn v4(&mut self) {
        let address = if self.direction == Direction::In { 16 } else { 12 };
        self.read(address, 4, ROOM);
        self.program.set(IS_IP, 1);
        self.compare_v4();
        self.program.jump(self.pass);
    }

    fn arp(&mut self) {
        const OPERATION: i32 = 6;
        const SENDER: i32 = 14;
        const TARGET: i32 = 24;
        self.program.set(IS_IP, 0);
        if self.direction == Direction::In {
            self.read(OPERATION, 2, ROOM);
            self.program.load(Size::Two, R1, STACK, ROOM);
            let request = i32::from(ARP_REQUEST.to_be());
            self.program.jump_if(R1, Jump::NotEqual, request, self.pass);
            self.read(SENDER, 4, BESIDE);
            self.read(TARGET, 4, ROOM);
            self.program.load(Size::Four, R1, STACK, ROOM);
            self.program.load(Size::Four, R2, STACK, BESIDE);
            self.program.jump_if_register(R1, Jump::Equal, R2, self.pass);
        } else {
            self.read(SENDER, 4, ROOM);
        }
        self.compare_v4();
        self.program.jump(self.pass);
    }

    fn v6(&mut self) {
        const NEXT_HEADER: i32 = 6;
        const TYPE: i32 = 40;
        const TARGET: i32 = 48;
        let (address, kind) = match self.direction {
            Direction::In => (24, SOLICITATION),
            Direction::Out => (8, ADVERTISEMENT),
        };
        self.read(address, 16, ROOM);
        self.program.set(IS_IP, 1);
        self.compare_v6();
        self.program.set(IS_IP, 0);
        for (at, wanted) in [(NEXT_HEADER, ICMPV6), (TYPE, kind)] {
            self.read(at, 1, ROOM);
            self.program.load(Size::One, R1, STACK, ROOM);
            self.program.jump_if(R1, Jump::NotEqual, wanted, self.pass);
        }
        self.read(TARGET, 16, ROOM);
        self.compare_v6();
        self.program.jump(self.pass);
    }

    /// Copies bytes of the packet to the stack; the program ends with "pass" where there are none. Those of a device
    /// that keeps even headers in pieces are put together first, which costs something: only where it has to be.
    fn read(&mut self, at: i32, count: i32, to: i16) {
        let (short, read) = (self.program.label(), self.program.label());
        self.try_to_read(at, count, to);
        self.program.jump_if(R0, Jump::Equal, 0, read);
        self.program.copy(R1, PACKET);
        self.program.load(Size::Four, R2, PACKET, LENGTH);
        self.program.jump_if(R2, Jump::LessLong, HEADERS, short);
        self.program.set(R2, HEADERS);
        self.program.place(short);
        self.program.call(SKB_PULL_DATA);
        self.try_to_read(at, count, to);
        self.program.jump_if(R0, Jump::NotEqual, 0, self.pass);
        self.program.place(read);
    }

    fn try_to_read(&mut self, at: i32, count: i32, to: i16) {
        self.program.copy(R1, PACKET);
        self.program.set(R2, at);
        self.program.copy(R3, STACK);
        self.program.add(R3, i32::from(to));
        self.program.set(R4, count);
        self.program.set(R5, FROM_NETWORK_HEADER);
        self.program.call(SKB_LOAD_BYTES_RELATIVE);
    }

    /// Jumps to the cell of the address that was read, if it is one of ours; otherwise goes on.
    fn compare_v4(&mut self) {
        self.program.load(Size::Four, R1, STACK, ROOM);
        for ((ip, _), cell) in self.known.iter().zip(&self.cells) {
            if let IpAddr::V4(ip) = ip {
                self.program.jump_if(R1, Jump::Equal, i32::from_ne_bytes(ip.octets()), *cell);
            }
        }
    }

    fn compare_v6(&mut self) {
        let parts = [(R1, 0), (R2, 4), (R3, 8), (R4, 12)];
        for (register, at) in parts {
            self.program.load(Size::Four, register, STACK, ROOM + at);
        }
        for ((ip, _), cell) in self.known.iter().zip(&self.cells) {
            let IpAddr::V6(ip) = ip else { continue };
            let next = self.program.label();
            let bytes = ip.octets();
            for ((register, _), part) in parts.into_iter().zip(bytes.chunks_exact(4)) {
                let part = part.try_into().map_or(0, i32::from_ne_bytes);
                self.program.jump_if(register, Jump::NotEqual, part, next);
            }
            self.program.jump(*cell);
            self.program.place(next);
        }
    }

    /// Is its moment still to come?
    fn judge(&mut self, map: i32) -> io::Result<()> {
        let open = self.program.label();
        for ((_, cell), label) in self.known.iter().zip(&self.cells) {
            self.program.place(*label);
            let start = i32::try_from(cell * size_of::<Cell>());
            self.program.set(CELL, start.map_err(|_far| io::ErrorKind::InvalidInput)?);
            self.program.jump(self.judge);
        }
        self.program.place(self.judge);
        self.program.call(KTIME_GET_BOOT_NS);
        self.program.memory_of_map(R1, map);
        self.program.add_register(R1, CELL);
        self.program.load(Size::Eight, R2, R1, cells::UNTIL);
        self.program.jump_if_register(R0, Jump::LessLong, R2, open);
        self.program.set(R3, 1);
        self.program.add_shared(R1, cells::DROPPED, R3);
        self.program.answer(DROP);
        self.program.place(open);
        if self.direction == Direction::Out {
            self.program.jump_if(IS_IP, Jump::Equal, 0, self.pass);
            self.program.load(Size::Eight, R3, R1, cells::FIRST_ANSWER);
            self.program.jump_if(R3, Jump::NotEqualLong, 0, self.pass);
            self.program.store(R1, cells::FIRST_ANSWER, R0);
        }
        self.program.place(self.pass);
        self.program.answer(PASS);
        Ok(())
    }
}
