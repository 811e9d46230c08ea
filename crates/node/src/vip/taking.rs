//! What it took to take an address, stage by stage.

use std::time::Duration;

use api::Took;
use base::Time;
use engine::vip::lease::Gained;
use engine::vip::{Action, Cause};

use super::Driver;
use super::instance::Instance;

/// Who asks for an address within so long shows how long it was away; later ones say nothing about that.
const ASKED_WITHIN: Duration = Duration::from_secs(10);

/// The moments of one take-over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taking {
    pub(super) from: Option<u16>,
    detect: Option<Duration>,
    decide: Duration,
    decided: Time,
    taken: Time,
    announced: Option<Time>,
    answered: Option<Time>,
}

impl Taking {
    /// By VRRP: `heard` is when the holder was heard last, `began` when it was looked at the clock, `decided` after that.
    pub(super) fn by_vrrp(heard: Time, cause: Option<Cause>, began: Time, decided: Time) -> Self {
        // Any other cause is a word that came just now.
        let is_silence = matches!(cause, Some(Cause::Silence | Cause::Goodbye));
        let detect = (is_silence && heard > Time::ZERO).then(|| began.since(heard));
        Self::new(None, detect, decided.since(began), decided)
    }

    /// By votes. `granted`: when a majority had.
    pub(super) fn by_votes(gained: Option<Gained>, granted: Time) -> Self {
        let of = gained.filter(|of| of.from.is_some());
        let decide = gained.map_or(Duration::ZERO, |of| of.granted);
        Self::new(of.and_then(|of| of.from), of.map(|of| of.unheard), decide, granted)
    }

    /// The kernel has it now.
    fn new(from: Option<u16>, detect: Option<Duration>, decide: Duration, decided: Time) -> Self {
        let taken = sys::clock::now();
        Self { from, detect, decide, decided, taken, announced: None, answered: None }
    }

    pub(super) fn note_announced(&mut self) {
        self.announced.get_or_insert_with(sys::clock::now);
    }

    /// Whether a first answer would still say something.
    fn awaits_answer(&self, now: Time) -> bool {
        self.answered.is_none() && now.since(self.taken) < ASKED_WITHIN
    }

    pub(super) fn took(&self) -> Took {
        let told = self.announced.unwrap_or(self.taken);
        Took {
            detect_us: self.detect.map(micros),
            decide_us: micros(self.decide),
            address_us: micros(self.taken.since(self.decided)),
            announce_us: self.announced.map(|told| micros(told.since(self.taken))),
            answer_us: self.answered.map(|first| micros(first.since(told))),
        }
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

impl Instance {
    /// What was ordered of one that is held by VRRP is done. `was_held`: before that; `at`: when it was looked at the
    /// clock, and when it was decided.
    pub(super) fn note_done(&mut self, action: &Action, was_held: bool, at: (Time, Time)) {
        match action {
            // Only put there again.
            Action::Claim if was_held => {}
            Action::Claim => {
                let cause = self.machine.cause();
                self.taking = Some(Taking::by_vrrp(self.heard_at, cause, at.0, at.1));
            }
            Action::Announce => self.note_announced(),
            Action::Release => self.taking = None,
            Action::Advertise { .. }
            | Action::HandOver(_)
            | Action::Hello(_)
            | Action::Probe
            | Action::Report => {}
        }
    }

    pub(super) fn note_announced(&mut self) {
        if let Some(taking) = &mut self.taking {
            taking.note_announced();
        }
    }
}

impl Driver<'_> {
    /// What the kernel stamped since this was asked last.
    pub(super) fn note_first_answers(&mut self, now: Time) {
        for number in 0..self.instances.len() {
            if let Some(first) = self.first_answer(&self.instances[number], now) {
                self.note_answered(number, first);
            }
        }
    }

    fn first_answer(&self, instance: &Instance, now: Time) -> Option<Time> {
        let taking = instance.taking.filter(|taking| taking.awaits_answer(now))?;
        let gate = self.vip_leases.as_ref()?.guard.gate.as_ref()?;
        let first = gate.first_answer(instance.seat.as_ref()?.place.cell)?;
        // It was opened before the address was there.
        (first >= taking.decided).then_some(first)
    }

    fn note_answered(&mut self, number: usize, first: Time) {
        let instance = &mut self.instances[number];
        if let Some(taking) = &mut instance.taking {
            taking.answered = Some(first);
        }
        self.tell_state(number);
        let Self { words, instances, node, nodes, line, .. } = self;
        if let Some(event) = words.answers(&instances[number], (node, nodes)) {
            line.say(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Time {
        Time::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn by_vrrp_silence_and_goodbyes_were_waited_for_and_nothing_else_was() {
        let took = |heard, cause| Taking::by_vrrp(heard, cause, ms(5000), ms(5001)).took();
        assert_eq!(took(ms(1400), Some(Cause::Silence)).detect_us, Some(3_600_000));
        assert_eq!(took(ms(4800), Some(Cause::Goodbye)).detect_us, Some(200_000));
        assert_eq!(took(Time::ZERO, Some(Cause::Silence)).detect_us, None, "nobody was ever heard");
        for cause in [None, Some(Cause::Named), Some(Cause::Stronger)] {
            assert_eq!(took(ms(1400), cause).detect_us, None, "{cause:?}");
        }
        assert_eq!(took(ms(1400), None).decide_us, 1000);
    }

    #[test]
    fn the_stages_follow_each_other_without_a_gap() {
        let gained = Gained {
            from: Some(1),
            unheard: Duration::from_micros(46_130),
            granted: Duration::from_micros(700),
            lapsed: None,
        };
        let granted = sys::clock::now();
        let mut taking = Taking::by_votes(Some(gained), granted);
        let took = taking.took();
        assert_eq!((took.detect_us, took.decide_us), (Some(46_130), 700));
        assert_eq!((took.announce_us, took.answer_us), (None, None));
        taking.note_announced();
        let announced = taking.announced.unwrap();
        taking.note_announced();
        assert_eq!(taking.announced, Some(announced), "a burst was told the first time");
        assert!(taking.awaits_answer(announced) && !taking.awaits_answer(announced + ASKED_WITHIN));
        taking.answered = Some(announced + Duration::from_micros(1200));
        let took = taking.took();
        let whole = taking.answered.unwrap().since(granted) + gained.unheard + gained.granted;
        // Each stage is cut to microseconds by itself.
        assert!((0..=3).contains(&(micros(whole) - took.total_us())), "{took:?} {whole:?}");
        assert!(!taking.awaits_answer(announced));
        let given = Gained { from: None, ..gained };
        assert_eq!(Taking::by_votes(Some(given), granted).took().detect_us, None);
    }
}
