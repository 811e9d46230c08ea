//! Which adverts a socket gets: the kernel looks before anything is copied to the process.
//!
//! Two sockets share an interface. One gets what a virtual IP of ours may have to obey, by everything that its
//! head and its password say; the other one gets all the rest, so that a flood of it can be read slowly and
//! never stands before what counts.

use std::io;
use std::os::fd::AsFd;

use super::{Socket, TTL};
use crate::socket::filter::{JUMP_IF_EQUAL, RETURN, WHOLE, attach, word};

/// Words of classic BPF (`linux/filter.h`, `linux/bpf_common.h`). X is a second register.
const LENGTH: u16 = 0x80;
const BYTE_AT: u16 = 0x30;
const BYTE_AT_X: u16 = 0x50;
const WORD_AT_X: u16 = 0x40;
/// X = that number.
const X_IS: u16 = 0x01;
/// X = the length of the IP header at that offset.
const X_IP_HEADER: u16 = 0xb1;
const X_FROM_A: u16 = 0x07;
const SUBTRACT: u16 = 0x14;
const SHIFT_LEFT: u16 = 0x64;
const ADD_X: u16 = 0x0c;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const JUMP_IF_AT_LEAST_X: u16 = 0x3d;
const JUMP: u16 = 0x05;

/// In the IP header.
const TTL_AT: u32 = 8;
/// In the advert (RFC 3768 5.1; RFC 9568 5.1 has the first two and the count at the same places).
const KIND_AT: u32 = 0;
const ROUTER_ID_AT: u32 = 1;
const COUNT_AT: u32 = 3;
const AUTHENTICATION_AT: u32 = 4;
const INTERVAL_AT: u32 = 5;
const HEAD: u32 = 8;
const PASSWORD: u32 = 8;
const VERSION_2_ADVERT: u32 = 0x21;
const VERSION_3_ADVERT: u32 = 0x31;

/// What an advert for a virtual IP of this node looks like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wanted {
    pub router_id: u8,
    pub form: Form,
}

/// What such an advert says beside its router id.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// Version 2.
    V2 {
        /// Seconds between adverts.
        interval: u8,
        password: Option<[u8; 8]>,
    },
    /// Version 3: any interval, and there is no password.
    V3,
}

/// Which part of what comes a socket gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// What looks as it has to.
    Wanted,
    /// Everything else.
    Rest,
}

impl Part {
    /// What a program says of what looks as it has to, and of everything else.
    const fn verdicts(self) -> (u32, u32) {
        match self {
            Self::Wanted => (WHOLE, 0),
            Self::Rest => (0, WHOLE),
        }
    }
}

impl Socket {
    /// From now on only this part of the adverts comes to the socket. What it got before stays in it.
    ///
    /// # Errors
    /// When there are more virtual IPs than the kernel can look for (about 170 with passwords).
    pub fn hear(&self, part: Part, wanted: &[Wanted]) -> io::Result<()> {
        let mut words = match self.is_v6 {
            false => program(part, wanted),
            true => program_v6(part, wanted),
        };
        attach(self.as_fd(), &mut words)
    }
}

struct Program {
    words: Vec<libc::sock_filter>,
    no: u32,
}

impl Program {
    fn load(&mut self, code: u16, at: u32) {
        self.words.push(word(code, at));
    }

    /// Goes on, or it is none of the wanted.
    fn must(&mut self, code: u16, k: u32) {
        self.words.push(libc::sock_filter { code, jt: 1, jf: 0, k });
        self.words.push(word(RETURN, self.no));
    }

    /// So many bytes are there behind the offset in X.
    fn must_have(&mut self, bytes: u32) {
        self.load(LENGTH, 0);
        self.load(SUBTRACT, bytes);
        self.must(JUMP_IF_AT_LEAST_X, 0);
    }
}

fn program(part: Part, wanted: &[Wanted]) -> Vec<libc::sock_filter> {
    let (yes, no) = part.verdicts();
    let mut all = Program { words: vec![], no };
    // A load behind the end would drop the packet for both.
    all.load(X_IP_HEADER, 0);
    all.must_have(HEAD);
    all.load(BYTE_AT, TTL_AT);
    all.must(JUMP_IF_EQUAL, u32::from(TTL));
    all.load(BYTE_AT_X, KIND_AT);
    let third = of_version_3(wanted, yes, no);
    let beyond = u32::try_from(third.len()).expect("a few hundred words");
    all.words.push(libc::sock_filter { code: JUMP_IF_EQUAL, jt: 1, jf: 0, k: VERSION_3_ADVERT });
    all.load(JUMP, beyond);
    all.words.extend(third);
    all.must(JUMP_IF_EQUAL, VERSION_2_ADVERT);
    all.must_have(HEAD + PASSWORD);
    for one in wanted {
        let Form::V2 { interval, password } = one.form else { continue };
        let mut rest = Program { words: vec![], no };
        rest.load(BYTE_AT_X, INTERVAL_AT);
        rest.must(JUMP_IF_EQUAL, u32::from(interval));
        rest.load(BYTE_AT_X, AUTHENTICATION_AT);
        rest.must(JUMP_IF_EQUAL, u32::from(password.is_some()));
        if let Some([a, b, c, d, e, f, g, h]) = password {
            rest.load(BYTE_AT_X, COUNT_AT);
            rest.load(SHIFT_LEFT, 2);
            rest.load(ADD_X, 0);
            rest.load(X_FROM_A, 0);
            rest.must_have(HEAD + PASSWORD);
            for (at, part) in [(0, [a, b, c, d]), (4, [e, f, g, h])] {
                rest.load(WORD_AT_X, HEAD + at);
                rest.must(JUMP_IF_EQUAL, u32::from_be_bytes(part));
            }
        }
        rest.load(RETURN, yes);
        all.load(BYTE_AT_X, ROUTER_ID_AT);
        let beyond = u8::try_from(rest.words.len()).expect("at most 22 words");
        let k = u32::from(one.router_id);
        all.words.push(libc::sock_filter { code: JUMP_IF_EQUAL, jt: 0, jf: beyond, k });
        all.words.append(&mut rest.words);
    }
    all.load(RETURN, no);
    all.words
}

/// A socket for IPv6 looks at packets without their header. Its hop limit is looked at later: it says nothing of one from
/// a peer.
fn program_v6(part: Part, wanted: &[Wanted]) -> Vec<libc::sock_filter> {
    let (yes, no) = part.verdicts();
    let mut all = Program { words: vec![], no };
    all.load(LENGTH, 0);
    all.must(JUMP_IF_AT_LEAST, HEAD);
    all.load(X_IS, 0);
    all.load(BYTE_AT_X, KIND_AT);
    all.must(JUMP_IF_EQUAL, VERSION_3_ADVERT);
    all.words.extend(of_version_3(wanted, yes, no));
    all.words
}

/// What becomes of an advert of version 3.
fn of_version_3(wanted: &[Wanted], yes: u32, no: u32) -> Vec<libc::sock_filter> {
    let mut all = vec![word(BYTE_AT_X, ROUTER_ID_AT)];
    for one in wanted.iter().filter(|one| one.form == Form::V3) {
        let k = u32::from(one.router_id);
        all.push(libc::sock_filter { code: JUMP_IF_EQUAL, jt: 0, jf: 1, k });
        all.push(word(RETURN, yes));
    }
    all.push(word(RETURN, no));
    all
}
