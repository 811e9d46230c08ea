//! What a take-over of a virtual IP took, stage by stage.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::VipCause;

/// Stages that follow each other without a gap, so that together they are what a client waited; in microseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Took {
    /// Detection: from the last that was heard of the former holder until it was clear that it holds no more. None:
    /// nobody was waited for, as the address was given, or nobody held it.
    pub detect_us: Option<u64>,
    /// Decision: until this node was to have it; with a vip lease, until a majority had granted it.
    pub decide_us: u64,
    /// Address: until the kernel had it.
    pub address_us: u64,
    /// ARP: until the neighbours were told. None: not yet.
    pub announce_us: Option<u64>,
    /// First answer: until the first packet of a connection left from the address, as the kernel says. None: not yet, or
    /// the kernel was not asked, as it is with a vip lease alone.
    pub answer_us: Option<u64>,
}

/// A take-over, as an event tells it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Moved {
    /// Who held it before; none: nobody else, as far as that node knows.
    pub from: Option<String>,
    pub to: String,
    pub cause: Option<VipCause>,
    pub term: u64,
    pub took: Took,
}

impl Took {
    /// Each with its name, in their order.
    #[must_use]
    pub const fn stages(&self) -> [(&'static str, Option<u64>); 5] {
        [
            ("detection", self.detect_us),
            ("decision", Some(self.decide_us)),
            ("address", Some(self.address_us)),
            ("ARP", self.announce_us),
            ("first answer", self.answer_us),
        ]
    }

    /// All that is known together.
    #[must_use]
    pub fn total_us(&self) -> u64 {
        self.stages().iter().filter_map(|(_, micros)| *micros).sum()
    }

    /// For an operator.
    #[must_use]
    pub fn words(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages = self.stages();
        let known = stages.iter().filter_map(|(name, micros)| Some((name, (*micros)?)));
        for (number, (name, micros)) in known.enumerate() {
            let between = if number == 0 { "" } else { ", " };
            write!(f, "{between}{name} {}", Millis(micros))?;
        }
        Ok(())
    }
}

/// `46.13 ms`.
#[must_use]
pub fn millis(micros: u64) -> String {
    Millis(micros).to_string()
}

struct Millis(u64);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02} ms", self.0 / 1000, self.0 % 1000 / 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_left_out_and_the_rest_adds_up() {
        let given = Took { decide_us: 700, address_us: 310, ..Took::default() };
        assert_eq!(given.words(), "decision 0.70 ms, address 0.31 ms");
        let all = Took {
            detect_us: Some(46_130),
            announce_us: Some(95),
            answer_us: Some(1_200_000),
            ..given
        };
        let words = "detection 46.13 ms, decision 0.70 ms, address 0.31 ms, ARP 0.09 ms, first answer 1200.00 ms";
        assert_eq!((all.words().as_str(), all.total_us()), (words, 1_247_235));
    }
}
