//! Verdicts on nodes that are watched by gossip: each case that had another verdict than the one before, with all
//! evidence, judged again by the same table. What of it was gossiped, and by whom, is not recorded: a case has what came
//! of that.

use base::Time;

use super::{Decision, Names};
use crate::keep::Keep;
use crate::verdict::{Asked, Case, Judgement, judge};

/// A case about a node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CaseFact {
    pub node: u16,
    pub case: Case,
}

impl CaseFact {
    /// What the table decides.
    pub(super) fn feed(&self, names: &Names) -> Vec<Decision> {
        let Judgement { verdict, rule } = judge(&self.case);
        vec![Decision::of_verdict(self.node, verdict, rule, names)]
    }

    /// For people: what speaks against the node, and against the one that judges.
    #[must_use]
    pub fn words(&self, names: &Names) -> String {
        let Case { now, own, other, proof, .. } = &self.case;
        let ago = |at: Time| format!("{:.1} s", now.since(at).as_secs_f64());
        let mut said = vec![];
        let mut say = |what: &str| said.push(what.to_owned());
        match other.asked {
            Asked::Answered => say("it answers"),
            Asked::Declared => say("the members of each of its networks declared it gone"),
            Asked::Unanswered => say("a majority of the controllers asked it and had no answer"),
        }
        if !other.known {
            say("never heard of");
        }
        if other.goodbye {
            say("it said goodbye");
        }
        if other.silent_at <= *now {
            say(&format!("silent here for {}", ago(other.silent_at)));
        }
        if !other.cut.is_empty() {
            let networks: Vec<_> = other.cut.iter().map(|network| names.network(network)).collect();
            say(&format!("outside on {}", networks.join(", ")));
        }
        if !other.ailments.is_empty() {
            say(&format!("it says: {}", other.ailments.words()));
        }
        if let Some(since) = other.failing_since {
            say(&format!("all of its servers fail for {}", ago(since)));
        }
        if *now < other.quarantined_until {
            say("it came and went too often");
        }
        if let Some(proof) = proof {
            say(&format!("entry {} proves that it is dead", proof.entry()));
        }
        for (is_so, what) in [
            (*now < own.judge_from, "this node was late itself"),
            (!own.linked, "this node has no link to it"),
            (!own.quorum, "this node has no majority, or is not sure of itself"),
            (!own.reference, "no reference point answers this node"),
        ] {
            if is_so {
                say(what);
            }
        }
        format!("a case about {}: {}", names.node(self.node), said.join("; "))
    }
}

impl Keep for CaseFact {
    fn keep(&self, out: &mut Vec<u8>) {
        self.node.keep(out);
        self.case.keep(out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        let (node, case) = Keep::revive(bytes)?;
        Some(Self { node, case })
    }
}
