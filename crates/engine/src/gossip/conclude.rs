//! From what was found to verdicts, by the table of [`crate::verdict`].

use base::Time;

use super::confirm::Agreed;
use super::{Action, Gossip, More};
use crate::evidence::{Ailments, Kind, not_closed};
use crate::member::{Cell, FLAPS, FLAPS_WITHIN, STEADY_FOR, Sighting, Standing};
use crate::reach::Networks;
use crate::verdict::{self, Asked, Case, Other, Own, Verdict, judge};

impl Gossip {
    /// Judges those of whom something is new, or whose time has come.
    pub(super) fn conclude(&mut self, now: Time, out: &mut Vec<Action>) {
        let is_due = |(node, at): (&u16, &Time)| (*at <= now).then_some(*node);
        let due: Vec<u16> = self.due.iter().filter_map(is_due).collect();
        for node in due {
            self.due.remove(&node);
            if self.watches(node) {
                self.judge(now, node, out);
            }
        }
        // What is declared here is found at once.
        self.found.clear();
    }

    fn judge(&mut self, now: Time, node: u16, out: &mut Vec<Action>) {
        let (case, again) = self.case(now, node);
        let judgement = judge(&case);
        // Nothing new about it ends this: a majority does, or a reference point.
        let is_held = judgement.rule.name == "own-reference";
        let look_again = if is_held { now + self.times.confirm() } else { Time::NEVER };
        let due = verdict::due(&case).min(again).min(look_again);
        if due != Time::NEVER {
            self.due.insert(node, due.max(now + std::time::Duration::from_millis(1)));
        }
        let Some(thought) = self.thoughts.get_mut(usize::from(node)) else { return };
        let is_news = thought.verdict != judgement.verdict;
        (thought.verdict, thought.rule) = (judgement.verdict, judgement.rule);
        let before = thought.standing;
        let standing = match judgement.verdict {
            Verdict::Unknown => Standing::Unknown,
            Verdict::Alive | Verdict::CutOff { .. } => Standing::Alive,
            Verdict::Suspect | Verdict::Unreachable | Verdict::ProvenDead(_) => Standing::Suspect,
            Verdict::Leaving => Standing::Left,
        };
        thought.standing = standing;
        if before != standing {
            if (before, standing) == (Standing::Suspect, Standing::Alive) {
                self.returned(now, node);
            }
            let why = judgement.rule.sentence.to_owned();
            out.push(Action::Verdict { node, standing, why });
        }
        if is_news {
            let (verdict, rule) = (judgement.verdict, judgement.rule);
            out.push(Action::Opinion { node, verdict, rule, case: Box::new(case) });
            if verdict == Verdict::Unreachable {
                self.declare(now, node, out);
            }
        }
        if judgement.rule.name == "agent-gone" {
            self.doubts(now, node, out);
        }
    }

    pub(super) fn returned(&mut self, now: Time, node: u16) {
        let more = self.more.entry(node).or_default();
        if more.planned {
            return;
        }
        if more.returns.is_full() {
            more.returns.remove(0);
        }
        more.returns.push(now);
        let first = more.returns.first().filter(|_| more.returns.len() == FLAPS);
        if first.is_some_and(|first| now.since(*first) < FLAPS_WITHIN) {
            more.quarantined_until = now + STEADY_FOR;
            self.due.insert(node, now);
        }
    }

    /// It is in a maintenance window from now on, or no more: what came before is forgiven.
    pub(super) fn planned(&mut self, now: Time, node: u16, planned: bool) {
        let more = self.more.entry(node).or_default();
        more.planned = planned;
        if planned {
            more.returns.clear();
            more.quarantined_until = Time::ZERO;
        }
        self.due.insert(node, now);
    }

    /// All evidence about a node, and when more than the table's own times may change it.
    fn case(&mut self, now: Time, node: u16) -> (Case, Time) {
        let found = match &self.confirm {
            Some(_) => self.found_by_asking(now, node),
            None => self.found_by_gossip(now, node),
        };
        let is_quick = self.more.contains_key(&node) || !found.agreed.cut.is_empty();
        let mut rare = More::default();
        if is_quick {
            let more = self.more.entry(node).or_default();
            more.cut_since = match found.agreed.cut.is_empty() || found.asked != Asked::Answered {
                true => None,
                false => Some(more.cut_since.unwrap_or(now)),
            };
            rare = more.clone();
        }
        let before = self.opinion(node).verdict;
        let linked = self.shared(node).next().is_some();
        let case = Case {
            now,
            times: self.times,
            before,
            proof: rare.proof,
            own: Own {
                judge_from: self.judge_from,
                linked,
                quorum: found.quorum,
                reference: self.reference,
            },
            other: Other {
                goodbye: found.left,
                known: found.known,
                silent_at: found.silent_since.unwrap_or(Time::NEVER),
                heard: true,
                cut: if rare.cut_since.is_some() { found.agreed.cut } else { Networks::NONE },
                cut_since: rare.cut_since.unwrap_or(Time::NEVER),
                cut_everywhere: found.agreed.cut == self.networks_of(node),
                refused: found.refused,
                ailments: found.ailments,
                ailing_since: found.ailing_since,
                failing_since: rare.failing_since,
                quarantined_until: rare.quarantined_until,
                asked: found.asked,
            },
        };
        (case, found.agreed.due)
    }

    /// Where a node has an address.
    fn networks_of(&self, node: u16) -> Networks {
        let on = self.roster.on.get(usize::from(node)).copied().unwrap_or_default();
        (0_u8..)
            .zip(&self.circles)
            .filter(|(at, _)| on[usize::from(*at)])
            .map(|(at, _)| at)
            .collect()
    }

    /// On a controller.
    fn found_by_asking(&self, now: Time, node: u16) -> Found {
        let Some(confirm) = &self.confirm else { return Found::default() };
        let Some(watched) = confirm.watched(node) else { return Found::default() };
        let agreed = confirm.agreed(now, node);
        Found {
            // What members tell is hearsay: they may not have missed it yet.
            known: watched.life > 0,
            left: watched.left,
            silent_since: watched.silent_since,
            asked: if agreed.unanswered { Asked::Unanswered } else { Asked::Answered },
            quorum: self.quorum,
            ailments: watched.word.map_or(Ailments::NONE, |word| word.said.ailments),
            ailing_since: watched.word.map_or(Time::NEVER, |word| word.ailing_since),
            refused: confirm.refusal(node),
            agreed: Agreed { due: agreed.due.min(self.again(now, node)), ..agreed },
        }
    }

    /// While it is missed, others may say something else any time.
    fn again(&self, now: Time, node: u16) -> Time {
        let is_missed = matches!(self.opinion(node).verdict, Verdict::Suspect);
        if is_missed { now + self.times.confirm() } else { Time::NEVER }
    }

    /// On a compute node.
    fn found_by_gossip(&self, now: Time, node: u16) -> Found {
        let networks =
            || self.shared(node).filter_map(|network| self.circles[usize::from(network)].as_ref());
        let known = networks().any(|circle| circle.fellow(node).life > 0);
        let left = networks().any(|circle| circle.fellow(node).left)
            && networks().all(|circle| {
                let fellow = circle.fellow(node);
                fellow.life == 0 || fellow.down
            });
        let is_gone = known && networks().all(|circle| circle.fellow(node).down);
        Found {
            known,
            left,
            silent_since: is_gone.then_some(Time::ZERO),
            asked: if is_gone { Asked::Declared } else { Asked::Answered },
            quorum: networks().any(|circle| circle.is_sure(now)),
            ailments: Ailments::NONE,
            ailing_since: Time::NEVER,
            refused: None,
            agreed: Agreed { due: Time::NEVER, ..Agreed::default() },
        }
    }

    /// Liveness of a node on each network, for `status`; none where it has no address. On a compute node
    /// there are no ages: it is told, and hears few itself.
    pub fn cells(&self, node: u16, now: Time) -> impl Iterator<Item = Option<Cell>> + '_ {
        let on = self.roster.on.get(usize::from(node)).copied().unwrap_or_default();
        (0..self.circles.len()).map(move |network| {
            if !on[network] {
                return None;
            }
            if let Some(watched) = self.confirm.as_ref().and_then(|confirm| confirm.watched(node)) {
                let age = watched.proofs[network].map(|at| now.since(at));
                let silent = u8::try_from(network).is_ok_and(|at| watched.silent.has(at));
                return Some(Cell { alive: age.is_some() && !silent && !watched.left, age });
            }
            let fellow = self.circles[network].as_ref().map(|circle| circle.fellow(node));
            let alive = fellow.is_some_and(|fellow| fellow.life > 0 && !fellow.down);
            Some(Cell { alive, age: None })
        })
    }

    /// All that is seen of a node, in the order of [`crate::evidence::KINDS`].
    #[must_use]
    pub fn evidence(&self, node: u16, now: Time) -> Vec<Sighting> {
        let mut seen = vec![];
        if !self.watches(node) {
            return seen;
        }
        self.kernel_evidence(node, now, &mut seen);
        let mut see = |kind, what: String, age: Option<Time>| {
            seen.push(Sighting { kind, what, age: age.map(|at| now.since(at)) });
        };
        for (name, circle) in self.roster.networks.iter().zip(&self.circles) {
            let Some(circle) = circle else { continue };
            let fellow = circle.fellow(node);
            let what = match (fellow.life, fellow.down, fellow.left) {
                (0, _, _) => "not heard of",
                (_, _, true) => "said goodbye, members say",
                (_, true, false) => "declared gone by its members",
                (_, false, false) => "alive, members say",
            };
            see(Kind::Gossip, format!("{name}: {what}"), None);
        }
        if let Some(watched) = self.confirm.as_ref().and_then(|confirm| confirm.watched(node)) {
            if let Some((by, at)) = watched.missed {
                see(Kind::Gossip, format!("node {by} missed it"), Some(at));
            }
            for (network, name) in self.roster.networks.iter().enumerate() {
                let silent = u8::try_from(network).is_ok_and(|at| watched.silent.has(at));
                let what = if silent { "does not answer this controller" } else { "last heard" };
                if let Some(proof) = watched.proofs[network] {
                    see(Kind::Probe, format!("{name}: {what}"), Some(proof));
                }
            }
            if let Some(word) = watched.word.filter(|word| !word.said.ailments.is_empty()) {
                see(Kind::Ailment, word.said.ailments.words(), Some(word.ailing_since));
            }
            let claims = self.confirm.iter().flat_map(|confirm| confirm.claims(node, now));
            claims.for_each(|(what, at)| see(Kind::Probe, what, Some(at)));
        }
        if let Some(more) = self.more.get(&node) {
            if let Some(since) = more.failing_since {
                let what = "all of its servers fail checks or requests".to_owned();
                see(Kind::Requests, what, Some(since));
            }
            if let Some(proof) = more.proof {
                let what = format!("entry {} of the store: {:?}", proof.entry(), proof.how());
                see(Kind::Proof, what, None);
            }
        }
        self.own_evidence(node, now, &mut seen);
        seen
    }

    /// What the kernel of that node said.
    fn kernel_evidence(&self, node: u16, now: Time, seen: &mut Vec<Sighting>) {
        let watched = self.confirm.as_ref().and_then(|confirm| confirm.watched(node));
        let Some(watched) = watched else { return };
        let mut see = |kind, what: String, at: Option<Time>| {
            seen.push(Sighting { kind, what, age: at.map(|at| now.since(at)) });
        };
        if let Some(refusal) = watched.refusal {
            for network in refusal.on.iter().map(usize::from) {
                let name = self.roster.networks.get(network).map_or("", String::as_str);
                let what = format!("{name}: its kernel says that nothing listens there");
                see(Kind::Refusal, what, Some(refusal.last));
            }
        }
        if let Some(closed) = watched.lost_tether(now) {
            see(Kind::Tether, "closed without a goodbye".to_owned(), Some(closed));
        } else if watched.tethers() > 0 {
            see(Kind::Tether, not_closed(watched.tethers()), None);
        }
    }

    /// What this node has against itself.
    fn own_evidence(&self, node: u16, now: Time, seen: &mut Vec<Sighting>) {
        let mut see = |kind, what: &str| {
            seen.push(Sighting { kind, what: what.to_owned(), age: None });
        };
        if now < self.judge_from {
            see(Kind::OwnTimers, "this node was late: it accuses nobody yet");
        }
        if self.shared(node).next().is_none() {
            see(Kind::OwnLinks, "this node has no carrier on a link that both have");
        }
        for (name, circle) in self.roster.networks.iter().zip(&self.circles) {
            if circle.as_ref().is_some_and(|circle| !circle.is_sure(now)) {
                let what = format!(
                    "{name}: this node's own probes fail, or it hears nobody: it accuses nobody there"
                );
                see(Kind::OwnReach, &what);
            }
        }
        if self.confirm.is_some() {
            let quorum = if self.quorum { "a majority" } else { "no majority" };
            see(Kind::OwnReach, &format!("this controller reaches {quorum} of the controllers"));
        }
        if !self.reference {
            see(Kind::OwnReference, "no reference point answers this node");
        }
    }
}

/// What is found of a node, by asking or by gossip.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    known: bool,
    left: bool,
    silent_since: Option<Time>,
    asked: Asked,
    quorum: bool,
    ailments: Ailments,
    ailing_since: Time,
    /// First and newest refusal of its kernel.
    refused: Option<(Time, Time)>,
    agreed: Agreed,
}
