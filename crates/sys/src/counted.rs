//! How often a thread asks for memory: an allocator for tests of code that must not, once it has started.
//!
//! ```text
//! #[cfg(test)]
//! #[global_allocator]
//! static COUNTED: sys::counted::Counted = sys::counted::Counted;
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;

/// The system's, and counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    /// The next one is to be told with its place.
    static TELLS: Cell<bool> = const { Cell::new(false) };
}

fn count() {
    // A thread that ends counts no more.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
    if TELLS.try_with(|tells| tells.replace(false)).unwrap_or(false) {
        let before = COUNT.get();
        eprintln!("memory was asked for:\n{}", Backtrace::force_capture());
        // To tell it takes memory, too.
        COUNT.set(before);
    }
}

// SAFETY: every call goes to the system's allocator as it came; what is counted lies in the thread and asks for no memory
// (a place is told only where a test asked for it, after it was marked as told, so that it is not told again).
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(old, layout) }
    }
}

/// How often this thread asked for memory during `work`; the place of the first time is told on standard error. Zero where
/// [`Counted`] is not the allocator.
pub fn during<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = COUNT.get();
    TELLS.set(true);
    let done = work();
    TELLS.set(false);
    (done, COUNT.get() - before)
}
