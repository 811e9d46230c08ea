//! Whether enough processes run, and for long enough; and what the number in a file weighs.

use std::time::Duration;

use base::Time;

/// When a number of processes is right.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rule {
    pub least: u32,
    /// None: any number above.
    pub most: Option<u32>,
    /// So long it has to be right before it counts: programs fork to become another one.
    pub rise: Duration,
    /// So long it has to be wrong before it counts: a program that is replaced is gone for a moment.
    pub fall: Duration,
}

/// The processes of one rule.
#[derive(Clone, Copy, Debug)]
pub struct Crew {
    rule: Rule,
    up: Option<bool>,
    /// Since when it is otherwise than `up`.
    otherwise: Option<Time>,
}

impl Crew {
    #[must_use]
    pub const fn new(rule: Rule) -> Self {
        Self { rule, up: None, otherwise: None }
    }

    /// So many run now; what is news by it. The first number counts at once.
    pub fn counted(&mut self, now: Time, number: usize) -> Option<bool> {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let is_right =
            number >= self.rule.least && self.rule.most.is_none_or(|most| number <= most);
        if self.up == Some(is_right) {
            self.otherwise = None;
            return None;
        }
        let since = *self.otherwise.get_or_insert(now);
        let long_enough = self.up.is_none() || now >= since + self.delay();
        if !long_enough {
            return None;
        }
        (self.up, self.otherwise) = (Some(is_right), None);
        self.up
    }

    /// When the same number is news, if it is still that one then.
    #[must_use]
    pub fn deadline(&self) -> Time {
        self.otherwise.map_or(Time::NEVER, |since| since + self.delay())
    }

    /// Whether one more process could be news.
    #[must_use]
    pub const fn awaits(&self) -> bool {
        !matches!(self.up, Some(true)) || self.rule.most.is_some()
    }

    const fn delay(&self) -> Duration {
        match self.up {
            Some(true) => self.rule.fall,
            Some(false) | None => self.rule.rise,
        }
    }
}

/// The number that a text begins with, as C's `strtol` reads it with any base; what is none is 0, as keepalived has it.
/// None: it is too large to mean something, and what was known stays.
#[must_use]
pub fn number(text: &[u8]) -> Option<i64> {
    let text = text.trim_ascii_start();
    let (is_negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (base, digits) = match text {
        [b'0', b'x' | b'X', rest @ ..] if rest.first().is_some_and(u8::is_ascii_hexdigit) => {
            (16, rest)
        }
        [b'0', rest @ ..] => (8, rest),
        _ => (10, text),
    };
    let digits = digits.iter().map_while(|byte| char::from(*byte).to_digit(base));
    let mut sum: i64 = 0;
    for digit in digits {
        sum = sum.checked_mul(i64::from(base))?.checked_add(i64::from(digit))?;
    }
    let sum = if is_negative { -sum } else { sum };
    (i64::from(i32::MIN)..=i64::from(i32::MAX) + 1).contains(&sum).then_some(sum)
}

/// What that number of a file adds to the priority; beyond -253 the node cannot hold. `weight` 0: any number but 0 means
/// that (reversed: 0 does).
#[must_use]
pub fn weighed(number: i64, weight: i32, reversed: bool) -> i16 {
    const FAULT: i64 = -254;
    let product = if weight == 0 {
        if (number != 0) == reversed { 0 } else { FAULT }
    } else {
        let signed = if reversed { -i64::from(weight) } else { i64::from(weight) };
        number.saturating_mul(signed)
    };
    i16::try_from(product.clamp(FAULT, 253)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    fn crew(least: u32, most: Option<u32>, rise: u64, fall: u64) -> Crew {
        let [rise, fall] = [rise, fall].map(Duration::from_millis);
        Crew::new(Rule { least, most, rise, fall })
    }

    #[test]
    fn the_first_number_counts_at_once_and_each_other_one_when_it_lasts() {
        let mut crew = crew(1, None, 500, 200);
        assert_eq!((crew.counted(at(0), 0), crew.deadline()), (Some(false), Time::NEVER));
        assert!(crew.awaits());
        assert_eq!((crew.counted(at(1000), 2), crew.deadline()), (None, at(1500)));
        // It was a process on its way to be another one.
        assert_eq!((crew.counted(at(1400), 0), crew.deadline()), (None, Time::NEVER));
        assert_eq!(crew.counted(at(2000), 1), None);
        assert_eq!(crew.counted(at(2500), 1), Some(true));
        assert!(!crew.awaits(), "one more is no news");
        assert_eq!((crew.counted(at(3000), 0), crew.deadline()), (None, at(3200)));
        assert_eq!(crew.counted(at(3200), 0), Some(false));
    }

    #[test]
    fn there_may_be_too_many() {
        let mut one = crew(1, Some(1), 0, 0);
        let told: Vec<_> = (0..4).chain([1]).map(|count| one.counted(at(1), count)).collect();
        assert_eq!(told, [Some(false), Some(true), Some(false), None, Some(true)]);
        assert!(one.awaits());
        let mut none = crew(0, Some(0), 0, 0);
        assert_eq!((none.counted(at(1), 0), none.counted(at(2), 1)), (Some(true), Some(false)));
    }

    #[test]
    fn a_number_is_read_as_by_strtol() {
        let rows: [(&str, Option<i64>); 13] = [
            ("7\n", Some(7)),
            ("  -12 apples", Some(-12)),
            ("+5", Some(5)),
            ("0x1f", Some(31)),
            ("0x", Some(0)),
            ("017", Some(15)),
            ("08", Some(0)),
            ("", Some(0)),
            ("up", Some(0)),
            ("2147483648", Some(2_147_483_648)),
            ("2147483649", None),
            ("-2147483649", None),
            ("99999999999999999999", None),
        ];
        for (text, found) in rows {
            assert_eq!(number(text.as_bytes()), found, "{text:?}");
        }
    }

    #[test]
    fn a_number_weighs_within_what_a_priority_has() {
        let rows = [
            ((3, 2, false), 6),
            ((3, 2, true), -6),
            ((-3, 2, false), -6),
            ((1000, 1, false), 253),
            ((-253, 1, false), -253),
            ((-254, 1, false), -254),
            ((-1000, 9, false), -254),
            ((0, 0, false), 0),
            ((-1, 0, false), -254),
            ((0, 0, true), -254),
            ((1, 0, true), 0),
        ];
        for ((number, weight, reversed), value) in rows {
            assert_eq!(weighed(number, weight, reversed), value, "{number} {weight} {reversed}");
        }
    }
}
