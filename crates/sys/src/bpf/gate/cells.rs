//! The memory that a gate's programs and processes share.

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use base::Time;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Of one virtual IP: `until u64 | dropped u64 | first answer u64 | spare u64`, in this machine's order; moments in
/// nanoseconds of the boot clock.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Cell {
    until: AtomicU64,
    dropped: AtomicU64,
    first_answer: AtomicU64,
    _spare: u64,
}

/// Where the programs find them.
pub(super) const UNTIL: i16 = 0;
pub(super) const DROPPED: i16 = 8;
pub(super) const FIRST_ANSWER: i16 = 16;

/// The cells of a gate, seen from this process. Another one that was given [`super::Gate::fd`] sees the same, also
/// when the first is gone: so a supervisor shuts what its child left open.
#[derive(Debug)]
pub struct Cells {
    start: NonNull<Cell>,
    count: usize,
}

// SAFETY: the memory is shared with programs and processes anyway; it is only touched by atomic operations.
unsafe impl Send for Cells {}
// SAFETY: as above.
unsafe impl Sync for Cells {}

impl Cells {
    /// Maps the cells behind the descriptor of a gate that was opened for `count` lists of addresses.
    ///
    /// # Errors
    /// When it is no gate's, or one of fewer cells.
    pub fn of(map: BorrowedFd<'_>, count: usize) -> io::Result<Self> {
        let (count, access) = (count.max(1), ProtFlags::READ | ProtFlags::WRITE);
        let size = count * size_of::<Cell>();
        // SAFETY: a new mapping at an address that the kernel chooses; it ends with this value.
        let start = unsafe { mmap(std::ptr::null_mut(), size, access, MapFlags::SHARED, map, 0) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, count })
    }

    /// Lets packets of the cell's addresses through until `until`, a moment of [`crate::clock::now`]; [`Time::ZERO`]
    /// shuts it, and nothing is let through when this returns but what the kernel was just handing on. No system
    /// call, no allocation. One process at a time opens; whoever has the descriptor may shut.
    ///
    /// # Panics
    /// When there is no such cell.
    pub fn set(&self, cell: usize, until: Time) {
        let cell = &self.cells()[cell];
        if until > Time::ZERO && cell.until.load(Ordering::Acquire) == 0 {
            cell.first_answer.store(0, Ordering::Release);
        }
        cell.until.store(until.as_nanos(), Ordering::Release);
    }

    /// Shuts all of them. The process that opens them has to be gone.
    pub fn shut(&self) {
        (0..self.count).for_each(|cell| self.set(cell, Time::ZERO));
    }

    /// What was set last, by whom ever.
    ///
    /// # Panics
    /// When there is no such cell.
    #[must_use]
    pub fn until(&self, cell: usize) -> Time {
        Time::from_nanos(self.cells()[cell].until.load(Ordering::Acquire))
    }

    /// When the first packet left that had one of the addresses as its source, after the cell was last opened from
    /// shut; announcements are none. None: not yet.
    ///
    /// # Panics
    /// When there is no such cell.
    #[must_use]
    pub fn first_answer(&self, cell: usize) -> Option<Time> {
        moment(self.cells()[cell].first_answer.load(Ordering::Acquire))
    }

    /// As [`Self::first_answer`], which it forgets.
    pub(super) fn take_first_answer(&self, cell: usize) -> Option<Time> {
        moment(self.cells()[cell].first_answer.swap(0, Ordering::AcqRel))
    }

    /// How many packets were dropped, in both directions and on all devices.
    ///
    /// # Panics
    /// When there is no such cell.
    #[must_use]
    pub fn dropped(&self, cell: usize) -> u64 {
        self.cells()[cell].dropped.load(Ordering::Relaxed)
    }

    fn cells(&self) -> &[Cell] {
        // SAFETY: the mapping is that long and lives as long as `self`; a map's memory is page-aligned, any bytes are
        // a cell, and all that is read of one is atomic.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

fn moment(nanos: u64) -> Option<Time> {
    (nanos > 0).then(|| Time::from_nanos(nanos))
}

impl Drop for Cells {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this size, and no reference into it is left.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.count * size_of::<Cell>()) };
    }
}
