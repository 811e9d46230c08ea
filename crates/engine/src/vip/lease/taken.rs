//! Somebody takes the gate off a device, maybe again and again: whether it is put back, and what is told of it.

use std::time::Duration;

use base::Time;

/// So often it is told.
const PAUSE: Duration = Duration::from_secs(10);
/// So often in that time it is put back: two programs that undo each other's work would have this processor for
/// themselves, in front of everything else on the machine.
const MOST: u64 = 100;

/// What is done about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// `told`: how often it was taken off since the last word of it, if that is to be told now.
    PutBack { told: Option<u64> },
    /// Not before the next claim or change of a device; until then the process alone ends vip leases there.
    Leave,
}

/// Of all devices of a node.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken {
    times: u64,
    quiet_until: Time,
}

impl Taken {
    /// It was found missing once more.
    pub fn answer(&mut self, now: Time) -> Answer {
        self.times += 1;
        if now >= self.quiet_until {
            self.quiet_until = now + PAUSE;
            return Answer::PutBack { told: Some(std::mem::take(&mut self.times)) };
        }
        if self.times > MOST { Answer::Leave } else { Answer::PutBack { told: None } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Time {
        Time::from_nanos(secs * 1_000_000_000)
    }

    #[test]
    fn a_gate_that_is_taken_off_is_put_back_and_told_but_not_for_ever() {
        let mut taken = Taken::default();
        assert_eq!(taken.answer(secs(20)), Answer::PutBack { told: Some(1) });
        for _ in 0..MOST {
            assert_eq!(taken.answer(secs(21)), Answer::PutBack { told: None });
        }
        assert_eq!(taken.answer(secs(29)), Answer::Leave);
        assert_eq!(taken.answer(secs(30)), Answer::PutBack { told: Some(MOST + 2) });
        assert_eq!(taken.answer(secs(31)), Answer::PutBack { told: None });
        assert_eq!(taken.answer(secs(50)), Answer::PutBack { told: Some(2) });
    }
}
