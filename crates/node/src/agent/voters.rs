//! What changed in the store, as events.
//!
//! ```text
//!   Unknown --first word--> Follows(leader) --nobody--> Waits(since) --1 s--> Leaderless (told)
//!                               ^   |                        |                     |
//!                               +---+------- a leader -------+---------------------+
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use api::{Event, StoreDisk, StoreState};
use base::Time;
use engine::back::{Back, Gone};

/// An election takes up to 0.45 s, another process 0.6 s; what is over by then is told by its end only.
const LEADERLESS_AFTER: Duration = Duration::from_secs(1);

/// The last word that was an event, or is too young to be one.
#[derive(Debug, Default)]
pub(crate) struct Voters {
    leader: Leader,
    members: Option<BTreeSet<(String, bool)>>,
    disk: StoreDisk,
    /// Of an etcd: the store inside knows by itself.
    back: Back,
}

#[derive(Debug, Default)]
enum Leader {
    /// Nobody told.
    #[default]
    Unknown,
    Follows(String),
    Waits {
        since: Time,
    },
    Leaderless,
}

impl Voters {
    /// What is worth an event in what this node's store says now.
    pub(crate) fn step(&mut self, now: Time, state: &StoreState) -> Vec<Event> {
        let news = [self.leader(now, state), self.members(state), self.disk(state)];
        let events = news.into_iter().chain([self.back(now, state)]);
        let about = |event| Event { object: "process/store".to_owned(), ..event };
        events.flatten().map(about).collect()
    }

    fn leader(&mut self, now: Time, state: &StoreState) -> Option<Event> {
        match (&self.leader, &state.leader) {
            (Leader::Follows(before), Some(leader)) if before == leader => None,
            (_, Some(leader)) => {
                self.leader = Leader::Follows(leader.clone());
                Some(Event {
                    what: "store-led".to_owned(),
                    evidence: format!("{leader} leads the store since term {}", state.term),
                    decision: "reads and writes of this node go there".to_owned(),
                    ..Event::default()
                })
            }
            (Leader::Unknown | Leader::Follows(_), None) => {
                self.leader = Leader::Waits { since: now };
                None
            }
            (Leader::Waits { since }, None) if now.since(*since) < LEADERLESS_AFTER => None,
            (Leader::Waits { .. }, None) => {
                self.leader = Leader::Leaderless;
                let silent = format!("no leader for {} s", LEADERLESS_AFTER.as_secs());
                Some(Event {
                    what: "store-leaderless".to_owned(),
                    evidence: state.trouble.clone().unwrap_or(silent),
                    decision: "go on asking the other members".to_owned(),
                    not_done: "reads and writes of the store wait; addresses and balancer do not"
                        .to_owned(),
                    ..Event::default()
                })
            }
            (Leader::Leaderless, None) => None,
        }
    }

    /// An etcd that was put back. Without a leader it has told no revision.
    fn back(&mut self, now: Time, state: &StoreState) -> Option<Event> {
        let is_read = state.engine == "etcd" && state.leader.is_some() && state.revision > 0;
        let gone = is_read.then(|| self.back.seen(now, state.revision)).flatten()?;
        Some(Event {
            what: "store-put-back".to_owned(),
            evidence: went_back(gone),
            decision: "go on with what it says now".to_owned(),
            not_done: "what was decided since its copy is gone, and orders may be refused as stale: stop outlast on all \
                       nodes and start it again (docs/operate/store.md)"
                .to_owned(),
            ..Event::default()
        })
    }

    /// For `status`, until the store is as far as it had been.
    pub(crate) fn limit(&self) -> Option<String> {
        self.back.lasting().map(went_back)
    }

    /// Who is in and votes, against what it was; the first word is nothing new.
    fn members(&mut self, state: &StoreState) -> Option<Event> {
        let members = state.members.iter().map(|member| (member.node.clone(), member.votes));
        let members: BTreeSet<_> = members.collect();
        // A process that starts does not know them yet.
        if members.is_empty() {
            return None;
        }
        let before = self.members.replace(members.clone())?;
        if before == members {
            return None;
        }
        let words = |these: BTreeSet<&(String, bool)>| {
            let word = |(node, votes): &(String, bool)| {
                if *votes { node.clone() } else { format!("{node} (without a vote)") }
            };
            let words: Vec<_> = these.into_iter().map(word).collect();
            if words.is_empty() { "nobody".to_owned() } else { words.join(", ") }
        };
        let came = words(members.difference(&before).collect());
        let went = words(before.difference(&members).collect());
        Some(Event {
            what: "store-members".to_owned(),
            evidence: format!("new: {came}; no more: {went}"),
            decision: format!("a majority is of {}", words(members.iter().collect())),
            ..Event::default()
        })
    }

    fn disk(&mut self, state: &StoreState) -> Option<Event> {
        let before = std::mem::replace(&mut self.disk, state.disk);
        // One that was filled up long ago is no news to an agent that has just started.
        let went = |disk| matches!(disk, StoreDisk::WentBack { upto: Some(_) });
        (went(state.disk) && !went(before)).then(|| Event {
            what: "store-went-back".to_owned(),
            evidence: "others remember more of this node's store than its disk does".to_owned(),
            decision: "it is filled up by the leader, as on a machine that replaces another under its name"
                .to_owned(),
            not_done: "until then it does not vote for a shorter log, and does not stand"
                .to_owned(),
            ..Event::default()
        })
    }
}

fn went_back(Gone { was, is }: Gone) -> String {
    format!(
        "etcd had revision {was} and was found at {is} then: it was put back from an older copy, and what was written \
         since is gone"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::StoreMember;

    const ONE: Duration = Duration::from_secs(1);

    fn state(leader: Option<&str>, members: &[(&str, bool)]) -> StoreState {
        let member = |(node, votes): &(&str, bool)| StoreMember {
            node: (*node).to_owned(),
            votes: *votes,
            has: None,
        };
        let members = members.iter().map(member).collect();
        StoreState { leader: leader.map(str::to_owned), term: 7, members, ..StoreState::default() }
    }

    fn told(voters: &mut Voters, now: Time, state: &StoreState) -> Vec<String> {
        voters
            .step(now, state)
            .into_iter()
            .map(|event| format!("{}: {}", event.what, event.evidence))
            .collect()
    }

    #[test]
    fn a_leader_is_told_once_and_a_short_election_only_by_its_end() {
        let (mut voters, at) = (Voters::default(), Time::ZERO);
        assert_eq!(told(&mut voters, at, &state(None, &[])), [""; 0]);
        let a = state(Some("a"), &[]);
        assert_eq!(told(&mut voters, at, &a), ["store-led: a leads the store since term 7"]);
        assert_eq!(told(&mut voters, at, &a), [""; 0]);
        assert_eq!(told(&mut voters, at, &state(None, &[])), [""; 0]);
        let b = state(Some("b"), &[]);
        assert_eq!(
            told(&mut voters, at + ONE / 2, &b),
            ["store-led: b leads the store since term 7"]
        );
    }

    #[test]
    fn a_second_without_a_leader_is_told_once() {
        let (mut voters, at) = (Voters::default(), Time::ZERO);
        let nobody = StoreState { trouble: Some("waits for b".into()), ..state(None, &[]) };
        assert_eq!(told(&mut voters, at, &nobody), [""; 0]);
        assert_eq!(told(&mut voters, at + ONE / 2, &nobody), [""; 0]);
        assert_eq!(told(&mut voters, at + ONE, &nobody), ["store-leaderless: waits for b"]);
        assert_eq!(told(&mut voters, at + ONE * 9, &nobody), [""; 0]);
    }

    #[test]
    fn who_joined_left_or_got_a_vote_is_told_and_what_a_new_process_does_not_know_is_not() {
        let (mut voters, at) = (Voters::default(), Time::ZERO);
        let leads = |members: &[(&str, bool)]| state(Some("a"), members);
        told(&mut voters, at, &leads(&[("a", true), ("b", true), ("c", true)]));
        assert_eq!(told(&mut voters, at, &leads(&[])), [""; 0], "its process is a new one");
        assert_eq!(
            told(&mut voters, at, &leads(&[("a", true), ("b", true), ("d", false)])),
            ["store-members: new: d (without a vote); no more: c"]
        );
        assert_eq!(
            told(&mut voters, at, &leads(&[("a", true), ("b", true), ("d", true)])),
            ["store-members: new: d; no more: d (without a vote)"]
        );
    }

    #[test]
    fn a_disk_that_went_back_is_told_once() {
        let (mut voters, at) = (Voters::default(), Time::ZERO);
        let mut went = state(Some("a"), &[]);
        told(&mut voters, at, &went);
        went.disk = StoreDisk::WentBack { upto: Some(9) };
        assert_eq!(
            told(&mut voters, at, &went),
            ["store-went-back: others remember more of this node's store than its disk does"]
        );
        went.disk = StoreDisk::WentBack { upto: None };
        assert_eq!(told(&mut voters, at, &went), [""; 0]);
        assert_eq!(told(&mut Voters::default(), at, &went)[1..], [""; 0], "only its leader is new");
    }
}
