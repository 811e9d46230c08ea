//! A process that waits for almost nothing of memory, and keeps its number and its words meanwhile.
//!
//! The program of this crate has megabytes that are its own once it runs: the linker's tables, its heap. A process that only has
//! to be there, to be signalled and to be missed, becomes a program of 300 bytes: it waits until a signal comes, or its socket has
//! something to say, and becomes the whole program again, with the words that it was called with.

use std::ffi::{CString, OsStr, c_char};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::channel::Channel;

/// Where the small program, and the whole one after it, find what is left to them.
const SOCKET: RawFd = 3;
const SIGNALS: RawFd = 4;
const TURN: RawFd = 5;
const RECORD: RawFd = 6;

/// What is kept from program to program.
#[derive(Debug)]
pub struct Kept {
    /// When its other side is gone, the turn is taken before the whole program runs: of many that miss the same one, few
    /// are whole at once.
    pub socket: Channel,
    /// A file that all of them lock in turn.
    pub turn: OwnedFd,
    /// A file of its own; what is locked of it is locked as long as the process lives. `/dev/null`: none.
    pub record: OwnedFd,
}

impl Kept {
    /// Lets the next one have its turn; whoever has none gives none back.
    pub fn end_turn(&self) {
        // A lock of a file that is open cannot be refused.
        let _ended = flock(&self.turn, FlockOperation::Unlock);
    }

    /// What the small program left under its numbers. Signals that came are still to be read, by whoever asks for them anew.
    ///
    /// # Errors
    /// When this process was not one that waited.
    pub fn resume() -> io::Result<Self> {
        let socket = Channel::inherited(SOCKET)?;
        // SAFETY: the small program had these numbers of `sleep`, and nothing else of this process owns them.
        let (signals, turn) =
            unsafe { (OwnedFd::from_raw_fd(SIGNALS), OwnedFd::from_raw_fd(TURN)) };
        drop(signals);
        rustix::io::fcntl_setfd(&turn, rustix::io::FdFlags::CLOEXEC)?;
        let record = inherited_record()?;
        Ok(Self { socket, turn, record })
    }

    /// Becomes the small program, which is called `name` where processes are listed, and later `program` with the words of
    /// this one. `signals` is readable when one came. It returns only if that cannot be, and the descriptors are then those of
    /// [`Self::resume`].
    pub fn sleep(
        self,
        signals: BorrowedFd<'_>,
        program: &Path,
        name: &str,
        environment: &[(&str, &OsStr)],
    ) -> io::Error {
        let prepared = self.put_down(signals);
        // Their numbers may be taken by others now.
        std::mem::forget(self);
        let Err(error) = prepared.and_then(|()| become_small(program, name, environment));
        error
    }

    fn put_down(&self, signals: BorrowedFd<'_>) -> io::Result<()> {
        let all = [
            (self.socket.as_fd(), SOCKET),
            (signals, SIGNALS),
            (self.turn.as_fd(), TURN),
            (self.record.as_fd(), RECORD),
        ];
        let mut copies = Vec::with_capacity(all.len());
        for (fd, number) in all {
            copies.push((super::above(fd)?, number));
        }
        for (copy, number) in copies {
            // SAFETY: whatever has the number here is of no use any more: another program follows, or `resume`.
            crate::raw::check(unsafe { libc::dup2(copy.as_raw_fd(), number) })?;
        }
        Ok(())
    }
}

/// A process that became small in an earlier version has left none.
fn inherited_record() -> io::Result<OwnedFd> {
    // SAFETY: the number is looked at only; the kernel says whether there is such a descriptor.
    let flags = rustix::io::fcntl_getfd(unsafe { BorrowedFd::borrow_raw(RECORD) });
    if flags.is_err() {
        return Ok(File::open("/dev/null")?.into());
    }
    // SAFETY: as the others, it was left by the small program, or by `put_down`.
    let record = unsafe { OwnedFd::from_raw_fd(RECORD) };
    rustix::io::fcntl_setfd(&record, rustix::io::FdFlags::CLOEXEC)?;
    Ok(record)
}

/// Nothing is read from these, or said to them, any more.
///
/// # Errors
/// Where there is no `/dev/null`.
pub fn forget_streams() -> io::Result<()> {
    let nowhere = File::options().read(true).write(true).open("/dev/null")?;
    for stream in 0..3 {
        // SAFETY: the standard streams belong to the whole process, which gives them up.
        crate::raw::check(unsafe { libc::dup2(nowhere.as_raw_fd(), stream) })?;
    }
    Ok(())
}

/// Puts a text in place of what the file had.
///
/// # Errors
/// When it cannot be written.
pub fn note(file: &OwnedFd, text: &str) -> io::Result<()> {
    rustix::fs::ftruncate(file, 0)?;
    rustix::io::pwrite(file, text.as_bytes(), 0)?;
    Ok(())
}

fn become_small(
    program: &Path,
    name: &str,
    environment: &[(&str, &OsStr)],
) -> io::Result<std::convert::Infallible> {
    let image = image(program, name)?;
    let image = super::above(crate::memory::file(name, &image)?.as_fd())?;
    let text = |bytes: &[u8]| CString::new(bytes).map_err(io::Error::from);
    let words: Vec<CString> =
        std::env::args_os().map(|word| text(word.as_bytes())).collect::<io::Result<_>>()?;
    let entry =
        |(name, value): &(&str, &OsStr)| text(&[name.as_bytes(), b"=", value.as_bytes()].concat());
    let entries: Vec<CString> = environment.iter().map(entry).collect::<io::Result<_>>()?;
    let pointers = |texts: &[CString]| -> Vec<*const c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (words, entries) = (pointers(&words), pointers(&entries));
    let path: *const c_char = c"".as_ptr();
    // SAFETY: the path is a string, the lists end with null, and all of them live until the call returns, if it does.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            image.as_raw_fd(),
            path,
            words.as_ptr(),
            entries.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    Err(io::Error::last_os_error())
}

/// The small program: one page of code that ends with its name (16 bytes) and the path of the whole one.
fn image(program: &Path, name: &str) -> io::Result<Vec<u8>> {
    const HEADERS: u64 = 64 + 2 * 56;
    const BASE: u64 = 0x40_0000;
    let code = code().ok_or(io::ErrorKind::Unsupported)?;
    let path = CString::new(program.as_os_str().as_bytes())?;
    let mut shown = [0; 16];
    let length = name.len().min(shown.len() - 1);
    shown[..length].copy_from_slice(&name.as_bytes()[..length]);
    let tail = [code, &shown[..], path.as_bytes_with_nul()].concat();
    let size = HEADERS + u64::try_from(tail.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut bytes = Vec::with_capacity(4096);
    // The head of an executable for this processor (elf(5)): class, order, version; then type, machine, version.
    bytes.extend([0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for (half, word) in [(2_u16, None), (libc::EM_X86_64, Some(1_u32))] {
        bytes.extend(half.to_le_bytes());
        word.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
    }
    [BASE + HEADERS, 64, 0].iter().for_each(|long| bytes.extend(long.to_le_bytes()));
    bytes.extend(0_u32.to_le_bytes());
    // Its own length, that of a program header and how many, and no sections.
    [64_u16, 56, 2, 64, 0, 0].iter().for_each(|half| bytes.extend(half.to_le_bytes()));
    let segments = [
        (libc::PT_LOAD, libc::PF_R | libc::PF_X, BASE, size, 4096_u64),
        // Without this one the stack might be executable.
        (libc::PT_GNU_STACK, libc::PF_R | libc::PF_W, 0, 0, 16),
    ];
    for (kind, flags, address, size, align) in segments {
        [kind, flags].iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        let longs = [0, address, address, size, size, align];
        longs.iter().for_each(|long| bytes.extend(long.to_le_bytes()));
    }
    bytes.extend(tail);
    Ok(bytes)
}

/// Where the code is known for this processor.
#[cfg(not(target_arch = "x86_64"))]
const fn code() -> Option<&'static [u8]> {
    None
}

#[cfg(target_arch = "x86_64")]
fn code() -> Option<&'static [u8]> {
    unsafe extern "C" {
        static outlast_stand_in_begin: u8;
        static outlast_stand_in_end: u8;
    }
    let (begin, end) = (&raw const outlast_stand_in_begin, &raw const outlast_stand_in_end);
    let length = end.addr().checked_sub(begin.addr())?;
    // SAFETY: both are of the block below, which lies in one piece from one to the other and never changes.
    Some(unsafe { std::slice::from_raw_parts(begin, length) })
}

// Numbers of system calls: poll 7, execve 59, flock 73, prctl 157.
#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    ".pushsection .rodata.outlast_stand_in, \"a\", @progbits",
    ".global outlast_stand_in_begin",
    ".hidden outlast_stand_in_begin",
    ".global outlast_stand_in_end",
    ".hidden outlast_stand_in_end",
    "outlast_stand_in_begin:",
    // Words, and environment behind them, to be handed on.
    "mov rbx, [rsp]",
    "lea r12, [rsp + 8]",
    "lea r13, [r12 + rbx * 8 + 8]",
    // prctl(PR_SET_NAME, the 16 bytes behind the code)
    "mov eax, 157",
    "mov edi, 15",
    "lea rsi, [rip + 9f]",
    "syscall",
    "sub rsp, 16",
    // poll([{{3, POLLIN}}, {{4, POLLIN}}], 2, for ever)
    "2:",
    "movabs rax, 0x100000003",
    "mov [rsp], rax",
    "movabs rax, 0x100000004",
    "mov [rsp + 8], rax",
    "mov eax, 7",
    "mov rdi, rsp",
    "mov esi, 2",
    "mov rdx, -1",
    "syscall",
    "test rax, rax",
    "jle 2b",
    // The other side is gone (POLLHUP): flock(5, LOCK_EX)
    "test word ptr [rsp + 6], 0x10",
    "jz 3f",
    "mov eax, 73",
    "mov edi, 5",
    "mov esi, 2",
    "syscall",
    // execve(path behind the name, words, environment)
    "3:",
    "mov eax, 59",
    "lea rdi, [rip + 9f + 16]",
    "mov rsi, r12",
    "mov rdx, r13",
    "syscall",
    // It is not there at the moment: again in a second.
    "mov eax, 7",
    "xor edi, edi",
    "xor esi, esi",
    "mov edx, 1000",
    "syscall",
    "jmp 3b",
    "9:",
    "outlast_stand_in_end:",
    ".popsection",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_small_program_is_less_than_a_page_and_ends_with_what_it_becomes() {
        let image = image(Path::new("/usr/bin/outlast"), "keepalived").unwrap();
        assert!(image.len() < 512, "{}", image.len());
        assert_eq!(&image[..4], b"\x7fELF");
        assert!(image.ends_with(b"keepalived\0\0\0\0\0\0/usr/bin/outlast\0"));
        assert_eq!(image[24..32], (0x40_0000_u64 + 176).to_le_bytes());
    }
}
