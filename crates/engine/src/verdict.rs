//! What is concluded of a node: one pure function from evidence to a verdict, by an ordered table.
//!
//! ```text
//!   evidence about it --+
//!                       +--> judge --> the first of RULES that applies --> Verdict
//!   evidence about me --+
//! ```
//!
//! No rule has a weight: the first one that applies decides, and it is named wherever the verdict is
//! shown. All verdicts but one are opinion of this node. [`Verdict::ProvenDead`] is fact: it needs a
//! [`Proof`], which only a committed entry gives. No silence, however long, makes one.

use std::num::NonZeroU64;
use std::time::Duration;

use base::Time;

use crate::evidence::Ailments;
use crate::reach::Networks;

pub use rules::{RULES, Rule};
pub use times::{DEFAULT_DETECT, LONGEST_DETECT, SHORTEST_DETECT, Times};

mod kept;
mod rules;
#[cfg(test)]
mod tests;
mod times;

/// Keys of proofs of death in the store, one per node.
pub const PROOFS: &str = "proof/";

/// What is concluded of a node.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Verdict {
    /// Never heard by anybody whom this node reaches.
    #[default]
    Unknown,
    Alive,
    /// In doubt: other servers are preferred, nothing else is done.
    Suspect,
    /// It lives, and does not reach all others on these networks, or they not it.
    CutOff {
        networks: Networks,
    },
    /// Nobody of a majority of the nodes hears it. Still opinion: it may run on.
    Unreachable,
    /// It said goodbye.
    Leaving,
    /// It executes nothing any more, and that is committed.
    ProvenDead(Proof),
}

/// That a node executes nothing any more, as the cluster committed it. Opinion cannot make one: it has
/// the number of its entry in the replicated store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Proof {
    entry: NonZeroU64,
    how: Death,
}

/// How it is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Death {
    /// Power is off, by its management controller and read back.
    Fenced,
    /// Its watchdog has provably expired.
    WatchdogExpired,
    /// An operator says so.
    Operator,
}

/// All that [`judge`] looks at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Case {
    pub now: Time,
    pub times: Times,
    /// What was concluded last.
    pub before: Verdict,
    pub proof: Option<Proof>,
    pub own: Own,
    pub other: Other,
}

/// Evidence of this node against itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Own {
    /// It was late: until then others have not had their chance to be heard.
    pub judge_from: Time,
    /// One of the links it shares with the other has a carrier.
    pub linked: bool,
    /// It reaches a majority of the nodes both ways.
    pub quorum: bool,
    /// A reference point answers it, or none ever did, or there is none.
    pub reference: bool,
}

/// Evidence about the other node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Other {
    pub goodbye: bool,
    /// Heard before, by this node or one that it reaches.
    pub known: bool,
    /// When its silence towards this node is longer than tolerated, on every shared network; may lie
    /// ahead. [`Time::NEVER`]: never heard, or not to be judged by silence.
    pub silent_at: Time,
    /// Somebody whom this node reaches hears it.
    pub heard: bool,
    /// Where it stands outside of those who all reach each other, and since when.
    pub cut: Networks,
    pub cut_since: Time,
    /// These are all networks that it has.
    pub cut_everywhere: bool,
    /// Its kernel has refused beats since then, none of its beats came after it, and the newest refusal.
    pub refused: Option<(Time, Time)>,
    /// What it says against itself, and since when.
    pub ailments: Ailments,
    pub ailing_since: Time,
    /// All of at least two of its servers fail, since then.
    pub failing_since: Option<Time>,
    /// It came and went too often: until then it stays in doubt.
    pub quarantined_until: Time,
    /// Of those that are watched by gossip: what came of it.
    pub asked: Asked,
}

/// What gossip, and the questions of controllers, have come to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Asked {
    /// It answers, or is not watched by gossip.
    #[default]
    Answered,
    /// The members of each of its networks declared it gone, and this node asks nobody itself.
    Declared,
    /// A majority of the controllers asked it on every network and had no answer.
    Unanswered,
}

/// A verdict and the rule that gave it.
#[derive(Clone, Copy, Debug)]
pub struct Judgement {
    pub verdict: Verdict,
    pub rule: &'static Rule,
}

impl Judgement {
    /// Whether it rests on a sign of life, so that a word that the machine is off cannot be true: beats, what others
    /// hear, or a refusal of its kernel. Silence, however seen, is none.
    #[must_use]
    pub fn tells_of_life(&self) -> bool {
        if matches!(self.rule.name, "own-timers" | "own-links" | "own-reference") {
            // What was concluded before stays, and nothing is heard.
            return false;
        }
        match self.verdict {
            Verdict::Alive | Verdict::CutOff { .. } => true,
            Verdict::Suspect => {
                !matches!(self.rule.name, "silent-here" | "own-quorum" | "declared")
            }
            Verdict::Unknown | Verdict::Unreachable | Verdict::Leaving | Verdict::ProvenDead(_) => {
                false
            }
        }
    }
}

/// The verdict on a node: the first of [`RULES`] that applies.
#[must_use]
pub fn judge(case: &Case) -> Judgement {
    for rule in &RULES {
        if let Some(verdict) = (rule.applies)(case) {
            return Judgement { verdict, rule };
        }
    }
    // The last rule applies always; a test says so.
    Judgement { verdict: Verdict::Unknown, rule: &RULES[RULES.len() - 1] }
}

/// When time alone may change the verdict; [`Time::NEVER`] if it cannot.
#[must_use]
pub fn due(case: &Case) -> Time {
    let Case { now, times, own, other, .. } = case;
    let confirmed = |at: Time| if at == Time::NEVER { at } else { at + times.confirm() };
    let moments = [
        own.judge_from,
        other.silent_at,
        confirmed(other.silent_at),
        confirmed(other.cut_since),
        other.refused.map_or(Time::NEVER, |(_, last)| last + crate::evidence::REFUSAL_FRESH),
        other.ailing_since + AILING_FOR,
        other.failing_since.map_or(Time::NEVER, |since| since + FAILING_FOR),
        other.quarantined_until,
    ];
    moments.into_iter().filter(|at| at > now).min().unwrap_or(Time::NEVER)
}

/// Whether refusals of its kernel, the first and the newest, say that nothing listens on a node any more: two of them
/// far enough apart, none of its packets in between.
#[must_use]
pub fn is_gone(now: Time, refused: Option<(Time, Time)>) -> bool {
    refused.is_some_and(|(first, last)| {
        last >= first + REFUSED_FOR && now < last + crate::evidence::REFUSAL_FRESH
    })
}

/// Two refusals so far apart are no restart of an agent: that takes less.
pub const REFUSED_FOR: Duration = Duration::from_millis(50);
/// A process that is replaced in place, or a disk that is busy once, is no ailment.
pub const AILING_FOR: Duration = Duration::from_secs(2);
/// As long as the slowest connect that still succeeds, twice.
pub const FAILING_FOR: Duration = Duration::from_secs(2);

impl Proof {
    /// `entry`: the number under which the replicated store committed it.
    #[must_use]
    pub const fn committed(entry: NonZeroU64, how: Death) -> Self {
        Self { entry, how }
    }

    #[must_use]
    pub const fn entry(self) -> NonZeroU64 {
        self.entry
    }

    #[must_use]
    pub const fn how(self) -> Death {
        self.how
    }
}

impl Verdict {
    /// One word, the same everywhere: status, events, metrics, dashboard.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Alive => "alive",
            Self::Suspect => "suspect",
            Self::CutOff { .. } => "cut-off",
            Self::Unreachable => "unreachable",
            Self::Leaving => "leaving",
            Self::ProvenDead(_) => "proven-dead",
        }
    }
}

impl Case {
    /// Silent towards this node on every network that both have, and it was heard before.
    const fn is_silent(&self) -> bool {
        self.other.silent_at.as_nanos() <= self.now.as_nanos()
    }

    fn since(&self, moment: Time, span: Duration) -> bool {
        self.now >= moment + span
    }

    /// What it is called, as it stands outside somewhere for long enough, and this node may say so.
    fn outside(&self, is_called: Verdict) -> Option<Verdict> {
        let is_old = self.since(self.other.cut_since, self.times.confirm());
        if self.other.cut.is_empty() || !is_old || !self.own.quorum {
            return None;
        }
        // It was late itself: what it concluded before stays.
        let is_same = std::mem::discriminant(&self.before) == std::mem::discriminant(&is_called);
        if self.now >= self.own.judge_from {
            Some(is_called)
        } else {
            is_same.then_some(self.before)
        }
    }
}
