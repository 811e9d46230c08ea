//! The ordered table. The first rule that applies decides.

use super::{AILING_FOR, Asked, Case, FAILING_FOR, Own, REFUSED_FOR, Times, Verdict, is_gone};
use crate::evidence::REFUSAL_FRESH;
use crate::gossip::ASKS;

/// One row of the table.
#[derive(Clone, Copy)]
pub struct Rule {
    /// As status, events and `outlast why` print it.
    pub name: &'static str,
    pub sentence: &'static str,
    /// Its numbers at this setting; empty where it has none.
    pub numbers: fn(Times) -> String,
    /// What would change the verdict.
    pub changes: &'static str,
    pub(super) applies: fn(&Case) -> Option<Verdict>,
}

impl Rule {
    /// It says no more than the standing of a node that is silent here.
    #[must_use]
    pub fn is_mere_silence(&self) -> bool {
        matches!(self.name, "silent-here" | "own-quorum")
    }
}

/// A rule is its name.
impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Rule {}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

const NONE: fn(Times) -> String = |_| String::new();

/// Facts first, then what this node has against itself, then what it sees of the other.
pub const RULES: [Rule; 19] = [
    Rule {
        name: "proven-dead",
        sentence: "a committed proof of death counts, whatever is heard: only with it work is restarted elsewhere",
        numbers: NONE,
        changes: "a committed entry that takes the node back",
        applies: |case| case.proof.map(Verdict::ProvenDead),
    },
    Rule {
        name: "goodbye",
        sentence: "a goodbye is no failure, and only a new start undoes it",
        numbers: NONE,
        changes: "its first beat after a new start",
        applies: |case| case.other.goodbye.then_some(Verdict::Leaving),
    },
    Rule {
        name: "own-timers",
        sentence: "a node that was woken late accuses nobody: what it concluded before stays until the others have had time to be heard",
        numbers: |times| {
            format!("late by more than {:?}, then patient for {:?}", times.slip(), times.patience())
        },
        changes: "a beat of it, or a silence that lasts when this node runs in time again",
        applies: |case| (case.is_silent() && case.now < case.own.judge_from).then_some(case.before),
    },
    Rule {
        name: "own-links",
        sentence: "a node without carrier on any link it shares with the other accuses nobody: what it concluded before stays",
        numbers: NONE,
        changes: "a carrier on one of this node's own links",
        applies: |case| (!case.own.linked && case.other.known).then_some(case.before),
    },
    Rule {
        name: "own-reference",
        sentence: "a node that no reference point answers, on any network, and that reaches no majority either, accuses nobody and doubts nobody anew: what it concluded before stays. A majority that hears each other outweighs every address that is pinged, so one that is down silences nobody",
        numbers: |times| {
            format!(
                "no answer for {:?}: known before a silence of {:?} is",
                times.unanswered(),
                times.detect()
            )
        },
        changes: "an answer of one reference point; a majority that this node reaches",
        applies: |case| {
            let Own { quorum, reference, .. } = case.own;
            (case.is_silent() && !quorum && !reference).then_some(case.before)
        },
    },
    Rule {
        name: "own-quorum",
        sentence: "a node that reaches no majority may be the one that is cut off: it accuses nobody, and doubts those it does not hear",
        numbers: NONE,
        changes: "a beat of it, or a majority that this node reaches and that does not hear it either",
        applies: |case| (case.is_silent() && !case.own.quorum).then_some(Verdict::Suspect),
    },
    Rule {
        name: "never-heard",
        sentence: "a node that nobody has heard is not suspected: the checks of the files decide",
        numbers: NONE,
        changes: "its first beat",
        applies: |case| (!case.other.known).then_some(Verdict::Unknown),
    },
    Rule {
        name: "unanswered",
        sentence: "a compute node that a majority of the controllers asked on every network, and that answered none of them: unreachable, which proves nothing and restarts nothing",
        numbers: |times| {
            format!("{ASKS} questions within {:?} on each network", times.detect() / 2)
        },
        changes: "one packet of it on any network, at any controller",
        applies: |case| {
            let unanswered = case.other.asked == Asked::Unanswered && case.own.quorum;
            unanswered.then_some(Verdict::Unreachable)
        },
    },
    Rule {
        name: "declared",
        sentence: "the members of its networks declared it gone, on each of them: doubt, as only controllers conclude more of it",
        numbers: NONE,
        changes: "its return, which it tells members itself",
        applies: |case| (case.other.asked == Asked::Declared).then_some(Verdict::Suspect),
    },
    Rule {
        name: "silent-everywhere",
        sentence: "no beat on any network for the detection time, here and at everybody whom this node reaches, who are a majority: unreachable, which proves nothing and restarts nothing",
        numbers: |times| format!("{:?}, longer by measured stalls", times.detect()),
        changes: "one beat of it on any network, at any of them",
        applies: |case| {
            let is_silent = case.is_silent() || case.other.silent_at == base::Time::NEVER;
            let confirmed = !case.other.heard && case.own.quorum;
            (is_silent && confirmed).then_some(Verdict::Unreachable)
        },
    },
    Rule {
        name: "silent-here",
        sentence: "no beat on any network for the detection time; the others have two beat intervals to say whether they hear it",
        numbers: |times| format!("{:?}, then {:?}", times.detect(), times.confirm()),
        changes: "a beat of it; what the others say",
        applies: |case| {
            let waits = !case.since(case.other.silent_at, case.times.confirm());
            (case.is_silent() && waits).then_some(Verdict::Suspect)
        },
    },
    Rule {
        name: "agent-gone",
        sentence: "its kernel refused packets twice, of a compute node on every network where it answered, and none of its own came in between: the machine lives, its agent does not, whatever network it was cut off on before. Doubt alone, as nothing seals a refusal; its servers go on",
        numbers: |_| format!("{REFUSED_FOR:?} apart, the newest within {REFUSAL_FRESH:?}"),
        changes: "one packet of it",
        applies: |case| {
            let is_gone = !case.is_silent() && is_gone(case.now, case.other.refused);
            is_gone.then_some(Verdict::Suspect)
        },
    },
    Rule {
        name: "quarantine",
        sentence: "a node that came and went too often stays in doubt until it has been steady",
        numbers: |_| {
            format!(
                "{} times within {:?}, then steady for {:?}",
                crate::member::FLAPS,
                crate::member::FLAPS_WITHIN,
                crate::member::STEADY_FOR
            )
        },
        changes: "steady beats for that long",
        applies: |case| {
            let is_in = case.now < case.other.quarantined_until;
            is_in.then_some(Verdict::Suspect)
        },
    },
    Rule {
        name: "heard-outside",
        sentence: "it is heard, and on each of its networks it stands outside of those who all reach each other: who is heard is not cut off from all, so this is doubt and never more",
        numbers: |times| format!("for {:?} after the detection time", times.confirm()),
        changes: "beats in both directions between it and all others on one network",
        applies: |case| case.outside(Verdict::Suspect).filter(|_| case.other.cut_everywhere),
    },
    Rule {
        name: "cut-off",
        sentence: "the largest part of the nodes all reach each other on a network, and it is not among them: one way is no way, and all nodes of a majority conclude the same. Who has just started is given the detection time before its word, or another's of it, counts. Without a majority, or just woken late, this node may be the one that is cut off",
        numbers: |times| format!("for {:?} after the detection time", times.confirm()),
        changes: "beats in both directions between it and all others on that network",
        applies: |case| {
            let networks = case.other.cut;
            case.outside(Verdict::CutOff { networks }).filter(|_| !case.other.cut_everywhere)
        },
    },
    Rule {
        name: "heard-elsewhere",
        sentence: "this node does not hear it, others do, and in the view of all it reaches everybody who reaches each other: it is this node that is cut off. Its servers get no new request from here all the same",
        numbers: NONE,
        changes: "the view of all",
        applies: |case| case.is_silent().then_some(Verdict::Alive),
    },
    Rule {
        name: "ailing",
        sentence: "it says itself that a process of it does not run, or that a disk or mount does not answer",
        numbers: |_| format!("for {AILING_FOR:?}"),
        changes: "a beat of it that says so no more",
        applies: |case| {
            let is_old = case.since(case.other.ailing_since, AILING_FOR);
            (!case.other.ailments.is_empty() && is_old).then_some(Verdict::Suspect)
        },
    },
    Rule {
        name: "not-serving",
        sentence: "it beats, and all of its servers (two at least) fail checks or requests",
        numbers: |_| format!("for {FAILING_FOR:?}"),
        changes: "one of its servers that answers",
        applies: |case| {
            let since = case.other.failing_since?;
            case.since(since, FAILING_FOR).then_some(Verdict::Suspect)
        },
    },
    Rule {
        name: "alive",
        sentence: "one beat within the detection time on any network is life",
        numbers: |times| {
            format!("a beat every {:?}, one within {:?}", times.beat_every(), times.detect())
        },
        changes: "silence on every network; its goodbye",
        applies: |_| Some(Verdict::Alive),
    },
];
