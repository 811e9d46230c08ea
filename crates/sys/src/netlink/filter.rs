//! Programs on the two sides of a device: its clsact queue and the filters there (`linux/pkt_sched.h`,
//! `linux/pkt_cls.h`).

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::Netlink;
use super::message::{self, Attributes, Traffic};

/// The side of a device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// What arrives.
    In,
    /// What is sent.
    Out,
}

/// A filter in a device's clsact queue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Filter {
    pub direction: Direction,
    /// The lowest is asked first.
    pub priority: u16,
    /// Its number among those of one priority.
    pub handle: u32,
    /// Of a program; empty where none was given, or where it is none.
    pub name: String,
    /// The kernel's number of the program; 0 where it is none.
    pub program: u32,
}

/// A filter of a program that is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    pub direction: Direction,
    pub priority: u16,
    pub handle: u32,
    pub name: &'a str,
    pub program: u32,
}

// Not all in libc.
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_ID: u16 = 11;
/// The program's answer is what becomes of the packet.
const DIRECT: u32 = 1;
const CLSACT: &str = "clsact";
const BPF: &str = "bpf";
/// Where such a queue hangs, and its own number.
const ROOT: u32 = 0xffff_fff1;
const QUEUE: u32 = 0xffff_0000;
const CREATE: c_int = libc::NLM_F_CREATE;
const CREATE_NEW: c_int = libc::NLM_F_CREATE | libc::NLM_F_EXCL;

impl Direction {
    fn parent(self) -> u32 {
        match self {
            Self::In => 0xffff_fff2,
            Self::Out => 0xffff_fff3,
        }
    }
}

impl Netlink {
    /// Gives a device the queue that filters of both directions hang in; false: it has one.
    ///
    /// # Errors
    /// `AlreadyExists` where a queue of another kind is in its place, which takes filters of one direction only.
    pub fn add_clsact(&self, index: u32) -> io::Result<bool> {
        let traffic = Traffic { index, handle: QUEUE, parent: ROOT, info: 0 };
        let mut request = message::traffic(libc::RTM_NEWQDISC, CREATE_NEW, traffic);
        request.text(TCA_KIND, CLSACT);
        match self.transport.ask(&mut request, &mut |_, _| {}) {
            Ok(()) => Ok(true),
            Err(error) => match self.queue_kind(index) {
                Ok(Some(kind)) if kind == CLSACT => Ok(false),
                Ok(Some(_)) => Err(io::ErrorKind::AlreadyExists.into()),
                Ok(None) | Err(_) => Err(error),
            },
        }
    }

    /// Removes that queue with all filters in it, whosever they are; false: there was none.
    ///
    /// # Errors
    /// Without `CAP_NET_ADMIN`.
    pub fn delete_clsact(&self, index: u32) -> io::Result<bool> {
        let traffic = Traffic { index, handle: QUEUE, parent: ROOT, info: 0 };
        let mut request = message::traffic(libc::RTM_DELQDISC, 0, traffic);
        request.text(TCA_KIND, CLSACT);
        unless_absent(self.transport.ask(&mut request, &mut |_, _| {}))
    }

    fn queue_kind(&self, index: u32) -> io::Result<Option<String>> {
        let traffic = Traffic { index, handle: 0, parent: ROOT, info: 0 };
        // Without ECHO the answer goes to whoever hears all changes, but not to who asked.
        let mut request = message::traffic(libc::RTM_GETQDISC, libc::NLM_F_ECHO, traffic);
        let mut kind = None;
        self.transport.ask(&mut request, &mut |answer, body| {
            if answer == libc::RTM_NEWQDISC {
                kind = attribute(body, TCA_KIND).map(text);
            }
        })?;
        Ok(kind)
    }

    /// Puts a program into the queue, in one step instead of the one of the same direction, priority and handle.
    ///
    /// # Errors
    /// `NotFound` without the queue or where the kernel has no such filters; `EINVAL` where a filter of another
    /// kind has the priority.
    pub fn set_filter(
        &self,
        index: u32,
        filter: &Filter,
        program: BorrowedFd<'_>,
    ) -> io::Result<()> {
        let mut request = message::traffic(libc::RTM_NEWTFILTER, CREATE, place(index, filter));
        request.text(TCA_KIND, BPF);
        let options = request.open(TCA_OPTIONS);
        request.attribute(TCA_BPF_FD, &program.as_raw_fd().to_ne_bytes());
        request.text(TCA_BPF_NAME, &filter.name);
        request.number(TCA_BPF_FLAGS, DIRECT);
        request.close(options);
        self.transport.ask(&mut request, &mut |_, _| {})
    }

    /// The filters of one direction, of all kinds; none where there is no queue or no device.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn filters(&self, index: u32, direction: Direction) -> io::Result<Vec<Filter>> {
        let traffic = Traffic { index, handle: 0, parent: direction.parent(), info: 0 };
        let mut request = message::traffic(libc::RTM_GETTFILTER, 0, traffic);
        let mut filters = Vec::new();
        self.transport.dump(&mut request, &mut |answer, body| {
            if answer == libc::RTM_NEWTFILTER {
                filters.extend(read(body, direction));
            }
        })?;
        Ok(filters)
    }

    /// Whether exactly this one is there. Asks for no memory.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn has_filter(&self, index: u32, known: Known<'_>) -> io::Result<bool> {
        let traffic = Traffic { index, handle: 0, parent: known.direction.parent(), info: 0 };
        let mut request = message::traffic(libc::RTM_GETTFILTER, 0, traffic);
        let mut found = false;
        self.transport.dump(&mut request, &mut |answer, body| {
            found |= answer == libc::RTM_NEWTFILTER && is_known(body, known).unwrap_or(false);
        })?;
        Ok(found)
    }

    /// Removes a program's filter; false: it was not there, or the device is gone.
    ///
    /// # Errors
    /// Without `CAP_NET_ADMIN`.
    pub fn delete_filter(&self, index: u32, filter: &Filter) -> io::Result<bool> {
        let mut request = message::traffic(libc::RTM_DELTFILTER, 0, place(index, filter));
        request.text(TCA_KIND, BPF);
        unless_absent(self.transport.ask(&mut request, &mut |_, _| {}))
    }
}

/// Where a filter is: for packets of every protocol.
fn place(index: u32, filter: &Filter) -> Traffic {
    const EVERY_PROTOCOL: u16 = 3;
    let info = u32::from(filter.priority) << 16 | u32::from(EVERY_PROTOCOL.to_be());
    Traffic { index, handle: filter.handle, parent: filter.direction.parent(), info }
}

fn unless_absent(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) => match error.raw_os_error() {
            // The last says that the queue of a filter is gone.
            Some(libc::ENODEV | libc::ENOENT | libc::EINVAL) => Ok(false),
            _ => Err(error),
        },
    }
}

/// Reads `tcmsg` and its attributes; none where a priority is told without one of its filters.
fn read(body: &[u8], direction: Direction) -> Option<Filter> {
    let traffic = Traffic::read(body)?;
    let mut filter = Filter {
        direction,
        priority: u16::try_from(traffic.info >> 16).ok()?,
        handle: traffic.handle,
        name: String::new(),
        program: 0,
    };
    let is_program = attribute(body, TCA_KIND).map(text).is_some_and(|kind| kind == BPF);
    for (kind, value) in Attributes::new(attribute(body, TCA_OPTIONS)?) {
        match kind {
            TCA_BPF_NAME if is_program => filter.name = text(value),
            TCA_BPF_ID if is_program => {
                filter.program = value.try_into().map_or(0, u32::from_ne_bytes);
            }
            _ => {}
        }
    }
    Some(filter)
}

fn is_known(body: &[u8], known: Known<'_>) -> Option<bool> {
    let traffic = Traffic::read(body)?;
    let is_program = bytes(attribute(body, TCA_KIND)?) == BPF.as_bytes();
    let is_there =
        traffic.info >> 16 == u32::from(known.priority) && traffic.handle == known.handle;
    let (mut is_named, mut is_it) = (false, false);
    for (kind, value) in Attributes::new(attribute(body, TCA_OPTIONS)?) {
        match kind {
            TCA_BPF_NAME => is_named = bytes(value) == known.name.as_bytes(),
            TCA_BPF_ID => is_it = value.try_into().map_or(0, u32::from_ne_bytes) == known.program,
            _ => {}
        }
    }
    Some(is_program && is_there && is_named && is_it)
}

fn attribute(body: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut attributes = Attributes::new(body.get(message::TRAFFIC_HEADER..)?);
    attributes.find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(bytes(value)).into_owned()
}

/// Without the zero at its end.
fn bytes(value: &[u8]) -> &[u8] {
    value.split(|byte| *byte == 0).next().unwrap_or_default()
}
