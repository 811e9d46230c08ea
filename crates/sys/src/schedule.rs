//! How the kernel schedules this thread.

use std::ffi::c_int;
use std::io;

use rustix::process::{getpriority_process, set_parent_process_death_signal, setpriority_process};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::raw::check;

/// One turn of a prompt thread, in nanoseconds: the shortest that the kernel gives. Who asks for short turns may interrupt a
/// longer one when it wakes.
const SHORT_TURN: u64 = 100_000;

/// What becomes of threads and children that a prompt thread starts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Heirs {
    /// As prompt as it is.
    Prompt,
    /// Ordinary ones.
    Ordinary,
}

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

/// Runs this thread soon after it wakes, on a busy machine too, and still as an ordinary one, which takes nothing from others
/// for long: short turns (Linux 6.12 and later; older ones do not hear it) and the share of nice `level`. A policy or a share
/// that somebody gave this process stays as it is, for its heirs too.
///
/// # Errors
/// When the kernel takes neither. Without the right to the share (`CAP_SYS_NICE`) the turns are short.
pub fn prompt(level: i32, heirs: Heirs) -> io::Result<()> {
    // SAFETY: 0 is the calling thread; nothing is passed.
    let policy = check(unsafe { libc::sched_getscheduler(0) })?;
    if policy & !libc::SCHED_RESET_ON_FORK != libc::SCHED_OTHER {
        return Ok(());
    }
    let present = getpriority_process(None)?;
    if present != 0 {
        return set_share(present, Heirs::Prompt);
    }
    set_share(level, heirs).or_else(|_| set_share(present, heirs))
}

fn set_share(level: i32, heirs: Heirs) -> io::Result<()> {
    let flags = if heirs == Heirs::Ordinary { libc::SCHED_FLAG_RESET_ON_FORK } else { 0 };
    let attributes = libc::sched_attr {
        size: u32::try_from(size_of::<libc::sched_attr>()).unwrap_or(0),
        sched_policy: libc::SCHED_OTHER.cast_unsigned(),
        sched_flags: u64::from(flags.cast_unsigned()),
        sched_nice: level,
        sched_priority: 0,
        sched_runtime: SHORT_TURN,
        sched_deadline: 0,
        sched_period: 0,
    };
    let (this, no_flags): (libc::c_long, libc::c_long) = (0, 0);
    // SAFETY: 0 is the calling thread; the kernel reads the attributes, which are live and say their size.
    let result =
        unsafe { libc::syscall(libc::SYS_sched_setattr, this, &raw const attributes, no_flags) };
    check(c_int::try_from(result).unwrap_or(-1)).map(drop)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What `f` says in a thread of its own: others keep their share.
    fn in_a_thread<T: Send>(f: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| scope.spawn(f).join().unwrap())
    }

    fn share() -> i32 {
        getpriority_process(None).unwrap()
    }

    #[test]
    fn a_prompt_thread_hands_its_share_on_or_not() {
        let shares = |level, heirs| {
            in_a_thread(move || set_share(level, heirs).map(|()| (share(), in_a_thread(share))))
        };
        assert_eq!(shares(6, Heirs::Prompt).unwrap(), (6, 6));
        // Without the right to it there is nothing to hand on.
        if let Ok(shares) = shares(-3, Heirs::Ordinary) {
            assert_eq!(shares, (-3, 0));
        }
    }

    #[test]
    fn who_was_given_a_share_keeps_it_and_who_may_not_have_more_is_no_error() {
        in_a_thread(|| {
            nice(7).unwrap();
            prompt(-10, Heirs::Prompt).unwrap();
            assert_eq!(share(), 7);
        });
        in_a_thread(|| {
            let before = share();
            prompt(-10, Heirs::Prompt).unwrap();
            let expected: &[i32] = if before == 0 { &[-10, 0] } else { &[before] };
            assert!(expected.contains(&share()), "{}", share());
        });
    }
}
