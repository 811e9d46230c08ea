//! How the kernel schedules this thread.

use std::ffi::c_int;
use std::io;

use rustix::process::{set_parent_process_death_signal, setpriority_process};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::raw::check;

/// Runs this thread before every ordinary one until it waits (`SCHED_FIFO`). Children start as
/// ordinary processes.
///
/// # Errors
/// Without the right to it (`CAP_SYS_NICE` outside of user namespaces).
pub fn realtime(priority: u8) -> io::Result<()> {
    set_policy(libc::SCHED_FIFO, priority)
}

/// As [`realtime`], but threads of one priority take turns (`SCHED_RR`).
///
/// # Errors
/// As [`realtime`].
pub fn realtime_round_robin(priority: u8) -> io::Result<()> {
    set_policy(libc::SCHED_RR, priority)
}

/// Makes an ordinary one of another process's first thread (`SCHED_OTHER`).
///
/// # Errors
/// When there is no such process, or it is somebody else's.
pub fn ordinary(pid: i32) -> io::Result<()> {
    let parameter = libc::sched_param { sched_priority: 0 };
    // SAFETY: a number, and a parameter that is live, which the kernel only reads.
    check(unsafe { libc::sched_setscheduler(pid, libc::SCHED_OTHER, &raw const parameter) })
        .map(drop)
}

/// Gives this thread, and threads and children that it starts from now on, a larger share of the
/// processors: -20 (most) to 19, 0 is the ordinary one (`setpriority(2)`).
///
/// # Errors
/// Below the present one without the right to it (`CAP_SYS_NICE`, or `RLIMIT_NICE`).
pub fn nice(level: i32) -> io::Result<()> {
    Ok(setpriority_process(None, level)?)
}

/// Keeps this thread on one processor.
///
/// # Errors
/// When there is no such processor.
pub fn pin(cpu: usize) -> io::Result<()> {
    if cpu >= CpuSet::MAX_CPU {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

/// Sent to this process when the thread that started it ends.
///
/// # Errors
/// When there is no such signal.
pub fn death_signal(signal: i32) -> io::Result<()> {
    Ok(set_parent_process_death_signal(Some(crate::signal::named(signal)?))?)
}

fn set_policy(policy: c_int, priority: u8) -> io::Result<()> {
    let parameter = libc::sched_param { sched_priority: c_int::from(priority) };
    // SAFETY: 0 is the calling thread; the kernel reads the parameter, which is live.
    let result = unsafe {
        libc::sched_setscheduler(0, policy | libc::SCHED_RESET_ON_FORK, &raw const parameter)
    };
    check(result).map(drop)
}
