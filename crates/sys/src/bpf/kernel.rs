//! bpf(2): what rustix does not wrap (`linux/bpf.h`).

use std::ffi::{CStr, c_int};
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::Refused;
use super::program::Word;

const MAP_CREATE: c_int = 0;
const PROG_LOAD: c_int = 5;
const PROG_TEST_RUN: c_int = 10;
const OBJ_GET_INFO_BY_FD: c_int = 15;

const MAP_TYPE_ARRAY: u32 = 2;
/// The map's memory can be mapped (Linux 5.5).
const MMAPABLE: u32 = 1 << 10;
/// Judges packets for a device's traffic control.
const TYPE_SCHED_CLS: u32 = 3;
/// Both helpers that the programs call are open to any licence.
const LICENCE: &CStr = c"Apache-2.0";
/// What tools show, as `bpftool`.
const NAME: [u8; 16] = *b"outlast_vip\0\0\0\0\0";
/// The verifier's words about a program of a few hundred instructions (bytes).
const LOG: usize = 256 * 1024;

#[repr(C)]
struct MapCreate {
    kind: u32,
    key_size: u32,
    value_size: u32,
    entries: u32,
    flags: u32,
    inner: u32,
    numa_node: u32,
    name: [u8; 16],
}

#[repr(C)]
struct ProgramLoad {
    kind: u32,
    count: u32,
    words: u64,
    licence: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel: u32,
    flags: u32,
    name: [u8; 16],
}

#[derive(Default)]
#[repr(C)]
struct TestRun {
    program: u32,
    verdict: u32,
    in_size: u32,
    out_size: u32,
    bytes_in: u64,
    bytes_out: u64,
    repeat: u32,
    duration: u32,
    context_in_size: u32,
    context_out_size: u32,
    context_in: u64,
    context_out: u64,
}

#[repr(C)]
struct InfoByFd {
    fd: u32,
    size: u32,
    to: u64,
}

/// A map of one entry that has `size` bytes of memory, all zero, which programs and processes share.
pub(super) fn shared_map(size: usize) -> io::Result<OwnedFd> {
    let mut request = MapCreate {
        kind: MAP_TYPE_ARRAY,
        key_size: 4,
        value_size: u32::try_from(size).map_err(|_large| io::ErrorKind::InvalidInput)?,
        // More than one would shut the way to the memory itself, which `MAP_VALUE` takes.
        entries: 1,
        flags: MMAPABLE,
        inner: 0,
        numa_node: 0,
        name: NAME,
    };
    // SAFETY: the request is of the shape that this command reads, and points nowhere.
    let fd = unsafe { bpf(MAP_CREATE, &mut request) }?;
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Loads a program that judges packets.
///
/// # Errors
/// With the verifier's words where it refuses.
pub(super) fn load(words: &[Word]) -> Result<OwnedFd, Refused> {
    if let Ok(program) = try_to_load(words, &mut []) {
        return Ok(program);
    }
    // Only the verifier writes: who lacks the right, or calls a kernel without programs, reads nothing.
    let mut log = vec![0; LOG];
    try_to_load(words, &mut log).map_err(|error| {
        let written = log.split(|byte| *byte == 0).next().unwrap_or_default();
        match String::from_utf8_lossy(written).into_owned() {
            log if log.trim().is_empty() => error.into(),
            log => Refused::Verifier { error, log },
        }
    })
}

fn try_to_load(words: &[Word], log: &mut [u8]) -> io::Result<OwnedFd> {
    let mut request = ProgramLoad {
        kind: TYPE_SCHED_CLS,
        count: u32::try_from(words.len()).map_err(|_long| io::ErrorKind::InvalidInput)?,
        words: words.as_ptr() as u64,
        licence: LICENCE.as_ptr() as u64,
        log_level: u32::from(!log.is_empty()),
        log_size: u32::try_from(log.len()).map_err(|_long| io::ErrorKind::InvalidInput)?,
        log: if log.is_empty() { 0 } else { log.as_mut_ptr() as u64 },
        kernel: 0,
        flags: 0,
        name: NAME,
    };
    // SAFETY: the request is of the shape that this command reads; its pointers are to live memory of the lengths
    // given, and the kernel writes to that of the log alone.
    let fd = unsafe { bpf(PROG_LOAD, &mut request) }?;
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Runs a program once on a packet from its Ethernet header on, and tells its answer.
pub(super) fn run(program: BorrowedFd<'_>, packet: &[u8]) -> io::Result<i32> {
    let mut request = TestRun {
        program: number(program)?,
        in_size: u32::try_from(packet.len()).map_err(|_long| io::ErrorKind::InvalidInput)?,
        bytes_in: packet.as_ptr() as u64,
        ..TestRun::default()
    };
    // SAFETY: the request is of the shape that this command reads and answers in; it points to live memory of the
    // length given, which the kernel only reads.
    unsafe { bpf(PROG_TEST_RUN, &mut request) }?;
    Ok(request.verdict.cast_signed())
}

/// The kernel's number of a loaded program, by which filters name it.
pub(super) fn id(program: BorrowedFd<'_>) -> io::Result<u32> {
    let mut info = [0_u32; 2];
    let mut request = InfoByFd {
        fd: number(program)?,
        size: u32::try_from(size_of::<[u32; 2]>()).map_err(io::Error::other)?,
        to: info.as_mut_ptr() as u64,
    };
    // SAFETY: the request is of the shape that this command reads; it points to live memory of the length given,
    // and the kernel writes no more than that.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut request) }?;
    Ok(info[1])
}

fn number(fd: BorrowedFd<'_>) -> io::Result<u32> {
    u32::try_from(fd.as_raw_fd()).map_err(io::Error::other)
}

/// # Safety
/// `request` is what this command reads and writes, and every pointer in it is good for that.
unsafe fn bpf<T>(command: c_int, request: &mut T) -> io::Result<c_int> {
    // SAFETY: the size is that of the request; the rest is the caller's.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(request), size_of::<T>())
    };
    c_int::try_from(result).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)
}
