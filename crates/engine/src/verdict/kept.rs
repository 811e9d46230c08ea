//! Verdicts in recordings.

use super::{Asked, Case, Death, Other, Own, Proof, RULES, Rule, Verdict};
use crate::keep::{Keep, kept, kept_variants};
use crate::reach::Networks;

kept!(Proof { entry, how });
kept!(Case { now, times, before, proof, own, other });
kept!(Own { judge_from, linked, quorum, reference });
kept!(Other {
    goodbye,
    known,
    silent_at,
    heard,
    cut,
    cut_since,
    cut_everywhere,
    refused,
    ailments,
    ailing_since,
    failing_since,
    quarantined_until,
    asked,
});
kept_variants!(Asked { Answered = 0, Declared = 1, Unanswered = 2 });

impl Keep for Death {
    fn keep(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Fenced => 0,
            Self::WatchdogExpired => 1,
            Self::Operator => 2,
        });
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        match u8::revive(bytes)? {
            0 => Some(Self::Fenced),
            1 => Some(Self::WatchdogExpired),
            2 => Some(Self::Operator),
            _ => None,
        }
    }
}

impl Keep for Verdict {
    fn keep(&self, out: &mut Vec<u8>) {
        match self {
            Self::Unknown => out.push(0),
            Self::Alive => out.push(1),
            Self::Suspect => out.push(2),
            Self::CutOff { networks } => {
                out.push(3);
                networks.keep(out);
            }
            Self::Unreachable => out.push(4),
            Self::Leaving => out.push(5),
            Self::ProvenDead(proof) => {
                out.push(6);
                proof.keep(out);
            }
        }
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        match u8::revive(bytes)? {
            0 => Some(Self::Unknown),
            1 => Some(Self::Alive),
            2 => Some(Self::Suspect),
            3 => Networks::revive(bytes).map(|networks| Self::CutOff { networks }),
            4 => Some(Self::Unreachable),
            5 => Some(Self::Leaving),
            6 => Proof::revive(bytes).map(Self::ProvenDead),
            _ => None,
        }
    }
}

/// By its name: places in the table move with versions.
impl Keep for &'static Rule {
    fn keep(&self, out: &mut Vec<u8>) {
        self.name.to_owned().keep(out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        let name = String::revive(bytes)?;
        RULES.iter().find(|rule| rule.name == name)
    }
}
