//! The wall clock as people write it: date and time in the machine's own zone.

use std::mem::MaybeUninit;

/// A moment in local time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Local {
    pub year: i32,
    /// 1-12.
    pub month: u8,
    /// 1-31.
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    /// 0-60.
    pub second: u8,
    /// Seconds east of UTC.
    pub offset: i64,
}

/// Breaks down seconds since 1970 (UTC). The zone is read from the file system at the first call in
/// a process: make that one before `chroot`.
#[must_use]
pub fn local(seconds: u64) -> Local {
    broken_down(seconds, libc::localtime_r)
}

/// The same in UTC; its offset is 0.
#[must_use]
pub fn utc(seconds: u64) -> Local {
    broken_down(seconds, libc::gmtime_r)
}

type Break = unsafe extern "C" fn(*const libc::time_t, *mut libc::tm) -> *mut libc::tm;

fn broken_down(seconds: u64, break_down: Break) -> Local {
    let time = libc::time_t::try_from(seconds).unwrap_or(libc::time_t::MAX);
    let mut broken = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are to live values of the right types; all-zero is a valid `tm`, so it
    // is initialised even where the call fails (a year that does not fit).
    let tm = unsafe {
        break_down(&raw const time, broken.as_mut_ptr());
        broken.assume_init()
    };
    let byte = |n: libc::c_int| u8::try_from(n).unwrap_or(0);
    Local {
        year: tm.tm_year.saturating_add(1900),
        month: byte(tm.tm_mon + 1),
        day: byte(tm.tm_mday),
        hour: byte(tm.tm_hour),
        minute: byte(tm.tm_min),
        second: byte(tm.tm_sec),
        offset: tm.tm_gmtoff,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utc_has_no_offset() {
        let moment = utc(1_795_478_767);
        let date = (moment.year, moment.month, moment.day);
        let clock = (moment.hour, moment.minute, moment.second, moment.offset);
        assert_eq!((date, clock), ((2026, 11, 24), (0, 6, 7, 0)));
    }

    #[test]
    fn a_moment_is_its_utc_plus_the_offset() {
        let moment = local(1_795_478_760);
        let minutes = i64::from(moment.hour) * 60 + i64::from(moment.minute);
        let utc = minutes - moment.offset / 60;
        assert_eq!(utc.rem_euclid(24 * 60), 6);
        assert_eq!((moment.year, moment.month, moment.second), (2026, 11, 0));
    }
}
