//! How good or bad something is: one sign, one word, one colour for all pages.

use std::time::Duration;

use api::{BalancerState, Duty, NodeState, ServerCheck, ServerState, Standing, Verdict};
use maud::{Markup, html};

/// From best to worst, so that sorting puts the worst last and `max` finds it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Grade {
    Well,
    /// Not judged: unknown, not watched, out of use on purpose.
    Aside,
    Warning,
    Bad,
}

impl Grade {
    /// The class that the style sheet colours.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Aside => "aside",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }
}

/// A sign with its word; the colour only repeats it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Mark {
    pub(crate) grade: Grade,
    pub(crate) sign: &'static str,
    pub(crate) word: &'static str,
}

const fn mark(grade: Grade, sign: &'static str, word: &'static str) -> Mark {
    Mark { grade, sign, word }
}

impl Mark {
    /// Sign and word.
    pub(crate) fn shown(self) -> Markup {
        html! { span class=(format!("mark {}", self.grade.class())) { (self.only_sign()) " " (self.word) } }
    }

    /// The sign for those who see, hidden from those who are read to.
    pub(crate) fn only_sign(self) -> Markup {
        html! { span.sign aria-hidden="true" { (self.sign) } }
    }
}

pub(crate) const OK: Mark = mark(Grade::Well, "✓", "ok");
pub(crate) const SILENT: Mark = mark(Grade::Bad, "✗", "silent");
pub(crate) const NEVER: Mark = mark(Grade::Aside, "?", "never heard");
pub(crate) const NOT_WATCHED: Mark = mark(Grade::Aside, "–", "not watched");
pub(crate) const NONE: Mark = mark(Grade::Aside, "–", "none");
pub(crate) const MINORITY: Mark = mark(Grade::Bad, "✗", "no majority");

pub(crate) const fn standing(standing: Standing) -> Mark {
    match standing {
        Standing::Unknown => mark(Grade::Aside, "?", "never heard"),
        Standing::Alive => mark(Grade::Well, "✓", "alive"),
        Standing::Suspect => mark(Grade::Bad, "✗", "suspect"),
        Standing::Left => mark(Grade::Aside, "→", "left"),
    }
}

/// The verdict on a node; its duty where nothing else is to be said, its standing where nothing judges.
pub(crate) const fn verdict(node: &NodeState) -> Mark {
    let is_well = matches!(node.standing, Standing::Alive)
        && matches!(node.opinion.verdict, Verdict::Unknown | Verdict::Alive);
    match node.duty {
        Duty::Standby if is_well => return mark(Grade::Aside, "◐", "on standby"),
        Duty::Draining if is_well => return mark(Grade::Aside, "◐", "being drained"),
        Duty::On | Duty::Standby | Duty::Draining => {}
    }
    match node.opinion.verdict {
        Verdict::Unknown => standing(node.standing),
        Verdict::Alive => match node.standing {
            Standing::Suspect => mark(Grade::Warning, "!", "alive, not heard here"),
            Standing::Unknown | Standing::Alive | Standing::Left => mark(Grade::Well, "✓", "alive"),
        },
        Verdict::Suspect => match node.standing {
            Standing::Suspect => mark(Grade::Bad, "✗", "suspect"),
            Standing::Unknown | Standing::Alive | Standing::Left => {
                mark(Grade::Warning, "!", "suspect")
            }
        },
        Verdict::CutOff => mark(Grade::Warning, "!", "cut off"),
        Verdict::Unreachable => mark(Grade::Bad, "✗", "unreachable"),
        Verdict::Leaving => mark(Grade::Aside, "→", "left"),
        Verdict::ProvenDead => mark(Grade::Bad, "✗", "proven dead"),
    }
}

/// A verdict by itself, as it was once.
pub(crate) const fn concluded(verdict: Verdict) -> Mark {
    match verdict {
        Verdict::Unknown => mark(Grade::Aside, "?", "never heard"),
        Verdict::Alive => mark(Grade::Well, "✓", "alive"),
        Verdict::Suspect => mark(Grade::Warning, "!", "suspect"),
        Verdict::CutOff => mark(Grade::Warning, "!", "cut off"),
        Verdict::Unreachable => mark(Grade::Bad, "✗", "unreachable"),
        Verdict::Leaving => mark(Grade::Aside, "→", "left"),
        Verdict::ProvenDead => mark(Grade::Bad, "✗", "proven dead"),
    }
}

pub(crate) const fn balancer(state: BalancerState) -> Mark {
    match state {
        BalancerState::Serving => mark(Grade::Well, "✓", "serving"),
        BalancerState::Replacing => mark(Grade::Warning, "↻", "being replaced"),
        BalancerState::Failed => mark(Grade::Bad, "✗", "failed"),
        BalancerState::Absent => mark(Grade::Aside, "–", "none"),
    }
}

pub(crate) const fn process(running: bool) -> Mark {
    if running {
        mark(Grade::Well, "✓", "running")
    } else {
        mark(Grade::Bad, "✗", "not running")
    }
}

/// A server for itself; a pool is judged from its servers together.
pub(crate) fn server(server: &ServerState) -> Mark {
    match server.check {
        ServerCheck::Down => mark(Grade::Bad, "✗", "down"),
        ServerCheck::Drain => mark(Grade::Aside, "◐", "draining"),
        ServerCheck::Maintenance => mark(Grade::Aside, "■", "maintenance"),
        ServerCheck::Up | ServerCheck::Unchecked if server.suspect => {
            mark(Grade::Warning, "!", "suspect")
        }
        ServerCheck::Up | ServerCheck::Unchecked if server.resting => {
            mark(Grade::Aside, "◐", "node at rest")
        }
        ServerCheck::Up => mark(Grade::Well, "✓", "up"),
        ServerCheck::Unchecked => mark(Grade::Well, "·", "not checked"),
    }
}

/// Whether new requests go there.
pub(crate) fn is_usable(state: &ServerState) -> bool {
    matches!(server(state).grade, Grade::Well)
}

/// Well, and the last to be asked.
pub(crate) const fn rests(server: &ServerState) -> bool {
    let serves = matches!(server.check, ServerCheck::Up | ServerCheck::Unchecked);
    serves && server.resting && !server.suspect
}

/// How old, in as few letters as tell it. Below a second it does not change, so that a page at rest
/// stands still.
pub(crate) fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0 => "< 1 s".to_owned(),
        1..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// "1 server", "2 servers".
pub(crate) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Time of day in the node's own zone, with the date where it is another day than today's.
pub(crate) fn time_of_day(at_ms: u64) -> String {
    let local = sys::calendar::local(at_ms / 1000);
    let today = sys::calendar::local(sys::clock::wall_ms() / 1000);
    let time = format!("{:02}:{:02}:{:02}", local.hour, local.minute, local.second);
    if (local.year, local.month, local.day) == (today.year, today.month, today.day) {
        time
    } else {
        format!("{:04}-{:02}-{:02} {time}", local.year, local.month, local.day)
    }
}

/// The same for programs: RFC 3339 with the zone's offset.
pub(crate) fn stamp(at_ms: u64) -> String {
    let at = sys::calendar::local(at_ms / 1000);
    let sign = if at.offset < 0 { '-' } else { '+' };
    let minutes = at.offset.unsigned_abs() / 60;
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}{sign}{:02}:{:02}",
        at.year,
        at.month,
        at.day,
        at.hour,
        at.minute,
        at.second,
        at_ms % 1000,
        minutes / 60,
        minutes % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short_and_stand_still_while_fresh() {
        let shown = |ms| age(Duration::from_millis(ms));
        assert_eq!([shown(0), shown(999)], ["< 1 s", "< 1 s"]);
        assert_eq!([shown(1000), shown(119_999)], ["1 s", "119 s"]);
        assert_eq!([shown(120_000), shown(7_200_000)], ["2 min", "2 h"]);
        assert_eq!(shown(200_000_000), "2 days");
    }

    #[test]
    fn the_worst_is_the_greatest() {
        assert!(Grade::Bad > Grade::Warning && Grade::Warning > Grade::Aside);
        assert!(Grade::Aside > Grade::Well);
    }
}
