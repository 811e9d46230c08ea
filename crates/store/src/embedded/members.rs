//! Changes of the members that operators want: keys `member/NODE`, which go when they are so.
//!
//! ```text
//!   member/node04 = join                   the leader fills it up, then it votes
//!   member/node04 = join instead of node03 the same, and node03 votes no more in the same step
//!   member/node03 = leave
//!   ... ; waits: WHY                       cannot be done yet, and is tried again
//!   ... ; refused: WHY                     is not done; the key goes by itself after a minute
//! ```
//!
//! A wish survives the leader that began with it, and asking again changes nothing. All wishes are one
//! change: two nodes that join one voter are three, and never two on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use engine::kv::{Compare, Condition, Item, Keys, Op, Transaction};
use openraft::{BasicNode, ChangeMembers, ServerState};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Core;
use super::link::{CallError, Lane};
use super::message::{encode_founders, kind};
use super::types::NodeId;
use crate::{Error, node_id};

/// Where wishes are.
pub const WISHES: &str = "member/";
/// As often as somebody looks who waits for it.
const LOOK: Duration = Duration::from_millis(500);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(1);
/// One attempt to fill a node up and let it vote; then others get their turn, and it is tried again.
const ATTEMPT: Duration = Duration::from_secs(5);
/// Entries that one may lack when it gets its vote: less than a batch of a busy second.
const CLOSE: u64 = 500;
/// How long a refusal can be read (milliseconds).
const REFUSED: u32 = 60_000;

/// What is wanted of a node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Wish {
    /// To vote; with a name: that one votes no more.
    Join {
        instead_of: Option<String>,
    },
    Leave,
}

impl Wish {
    /// As it lies in the store.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Join { instead_of: None } => "join".to_owned(),
            Self::Join { instead_of: Some(old) } => format!("join instead of {old}"),
            Self::Leave => "leave".to_owned(),
        }
    }

    /// The wish in a value, and what became of it so far.
    #[must_use]
    pub fn read(value: &str) -> Option<(Self, Outlook)> {
        let (wish, rest) = value.split_once("; ").unwrap_or((value, ""));
        let outlook = match rest.split_once(": ") {
            Some(("waits", why)) => Outlook::Waits(why.to_owned()),
            Some(("refused", why)) => Outlook::Refused(why.to_owned()),
            Some(_) | None => Outlook::Open,
        };
        let wish = match wish {
            "join" => Self::Join { instead_of: None },
            "leave" => Self::Leave,
            other => {
                let old = other.strip_prefix("join instead of ")?;
                Self::Join { instead_of: Some(old.to_owned()) }
            }
        };
        Some((wish, outlook))
    }
}

/// What became of a wish so far.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outlook {
    Open,
    Waits(String),
    Refused(String),
}

/// What the leader does about all wishes together.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Plan {
    /// All are so.
    Done,
    Wait(String),
    Refuse(String),
    Change(BTreeSet<String>),
}

type Names = BTreeSet<String>;

fn wanted(voters: &Names, wishes: &BTreeMap<String, Wish>) -> Names {
    let mut wanted = voters.clone();
    for (node, wish) in wishes {
        match wish {
            Wish::Leave => {
                wanted.remove(node);
            }
            Wish::Join { instead_of } => {
                wanted.insert(node.clone());
                if let Some(old) = instead_of.as_ref().filter(|old| *old != node) {
                    wanted.remove(old);
                }
            }
        }
    }
    wanted
}

/// `silent`: who of those that would vote does not answer, and why.
fn plan(voters: &Names, wanted: &Names, silent: &BTreeMap<String, String>) -> Plan {
    if wanted == voters {
        return Plan::Done;
    }
    if wanted.is_empty() {
        return Plan::Refuse("nobody would vote".to_owned());
    }
    if wanted.len() == 2 {
        return Plan::Refuse(Error::TwoVoters.to_string());
    }
    let joins = wanted.difference(voters).find_map(|node| Some((node, silent.get(node)?)));
    if let Some((node, why)) = joins {
        return Plan::Wait(format!("{node} does not answer ({why})"));
    }
    let answer = wanted.iter().filter(|node| !silent.contains_key(*node)).count();
    if answer * 2 <= wanted.len() {
        let all = wanted.len();
        return Plan::Refuse(format!("of {all} that would vote only {answer} answer"));
    }
    Plan::Change(wanted.clone())
}

/// While this node leads, makes it so.
pub(crate) async fn run(core: Arc<Core>) {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let Some(raft) = core.raft() else { continue };
        if raft.metrics().borrow().state != ServerState::Leader {
            continue;
        }
        let wishes = core.wishes();
        if !wishes.is_empty() {
            core.grant(&wishes).await;
        }
    }
}

impl Core {
    /// Those that are not refused.
    fn wishes(&self) -> BTreeMap<String, Wish> {
        let keys = Keys::Prefix(WISHES.to_owned());
        let (items, _) = self.content.look(|kv| kv.range(&keys, usize::MAX));
        let read = |(key, item): (String, Item)| {
            let node = key.strip_prefix(WISHES)?.to_owned();
            let (wish, outlook) = Wish::read(std::str::from_utf8(&item.value).ok()?)?;
            (!matches!(outlook, Outlook::Refused(_))).then_some((node, wish))
        };
        items.into_iter().filter_map(read).collect()
    }

    async fn grant(self: &Arc<Self>, wishes: &BTreeMap<String, Wish>) {
        let Some(raft) = self.raft() else { return };
        let members = raft.metrics().borrow().membership_config.clone();
        let voters: Names = self.voters(&members).into_iter().map(|(_, name)| name).collect();
        let wanted = wanted(&voters, wishes);
        let silent = self.silent(&wanted).await;
        let mut plan = plan(&voters, &wanted, &silent);
        if plan == Plan::Done && members.membership().get_joint_config().len() > 1 {
            // A change that was broken off half way through is ended first.
            plan = Plan::Change(wanted);
        }
        match plan {
            Plan::Done => {
                // One that was filled up and is not to vote after all is let go.
                let gone = wishes.iter().filter(|(_, wish)| **wish == Wish::Leave);
                let gone: BTreeSet<_> = gone.map(|(node, _)| node_id(node)).collect();
                let gone: BTreeSet<_> =
                    members.nodes().map(|(id, _)| *id).filter(|id| gone.contains(id)).collect();
                if !gone.is_empty() {
                    let change = ChangeMembers::RemoveNodes(gone);
                    // Asked again, as the wish is still there.
                    let changed = timeout(ATTEMPT, raft.change_membership(change, false)).await;
                    if !matches!(changed, Ok(Ok(_))) {
                        return;
                    }
                }
                // The members may be those of a leader that was, and never be committed: only on a node that
                // leads now, with the same members, does what is committed next come after them.
                let is_same = {
                    let metrics = raft.metrics();
                    let metrics = metrics.borrow();
                    metrics.state == ServerState::Leader && *metrics.membership_config == *members
                };
                if is_same {
                    self.fulfil(wishes).await;
                }
            }
            Plan::Refuse(why) => self.note(wishes, &format!("refused: {why}"), Some(REFUSED)).await,
            Plan::Wait(why) => self.note(wishes, &format!("waits: {why}"), None).await,
            Plan::Change(wanted) => {
                if let Some(node) = self.far_behind(&wanted.difference(&voters).cloned().collect())
                {
                    return self
                        .note(wishes, &format!("waits: {node} is being filled up"), None)
                        .await;
                }
                let ids = wanted.into_iter().map(|name| (node_id(&name), name)).collect();
                let changed = timeout(ATTEMPT, self.change_voters(ids)).await;
                let why = match changed {
                    Ok(Ok(())) => return,
                    Ok(Err(error)) => base::Chain(&error).to_string(),
                    Err(_) => "it is being filled up".to_owned(),
                };
                self.note(wishes, &format!("waits: {why}"), None).await;
            }
        }
    }

    /// One of these that is filled up already, and lacks much.
    fn far_behind(&self, joins: &Names) -> Option<String> {
        let metrics = self.raft()?.metrics();
        let metrics = metrics.borrow();
        let last = metrics.last_log_index.unwrap_or(0);
        let has = |node: &&String| {
            Some(metrics.replication.as_ref()?.get(&node_id(node))?.map_or(0, |id| id.index))
        };
        joins
            .iter()
            .find(|node| has(node).is_some_and(|has| last.saturating_sub(has) > CLOSE))
            .cloned()
    }

    /// Takes away what is so; not what was changed meanwhile, and only as leader.
    async fn fulfil(&self, wishes: &BTreeMap<String, Wish>) {
        for (node, wish) in wishes {
            let Some((key, found)) = self.still_wished(node, wish) else { continue };
            let is = Condition::Changed(found.changed);
            let compares = vec![Compare { key: key.clone(), is }];
            let then = vec![Op::Delete { keys: Keys::One(key) }];
            drop(self.write(Transaction { compares, then, ..none() }).await);
        }
    }

    /// The key of a wish with what lies there, if that is still this wish: asking who answers takes a
    /// second, and another may have been written meanwhile.
    fn still_wished(&self, node: &str, wish: &Wish) -> Option<(String, Item)> {
        let key = key(node);
        let found = self.content.look(|kv| kv.get(&key).cloned())?;
        is_of(wish, &found.value).then_some((key, found))
    }

    /// Who of these does not answer, and why.
    async fn silent(self: &Arc<Self>, nodes: &Names) -> BTreeMap<String, String> {
        let mut asked = JoinSet::new();
        for name in nodes.iter().filter(|name| node_id(name) != self.me()) {
            let (core, name) = (Arc::clone(self), name.clone());
            asked.spawn(async move {
                let question = encode_founders(core.options.founders.keys().copied());
                let to = (node_id(&name), name.as_str());
                let answer = core.links.call(to, Lane::Raft, (kind::ASK, question), ANSWER).await;
                let why = match answer {
                    // One that names other members in its file answers, too.
                    Ok(_) | Err(CallError::Refused(_)) => None,
                    Err(error) => Some(base::Chain(&error).to_string()),
                };
                (name, why)
            });
        }
        let mut silent = BTreeMap::new();
        while let Some(answer) = asked.join_next().await {
            if let Ok((name, Some(why))) = answer {
                silent.insert(name, why);
            }
        }
        silent
    }

    /// Writes down what became of all wishes, if it is something new; not where one was changed meanwhile.
    async fn note(&self, wishes: &BTreeMap<String, Wish>, outlook: &str, limit: Option<u32>) {
        for (node, wish) in wishes {
            let value = format!("{}; {outlook}", wish.text());
            let Some((key, found)) = self.still_wished(node, wish) else { continue };
            if *found.value == *value.as_bytes() {
                continue;
            }
            let is = Condition::Changed(found.changed);
            let put = Op::Put { key: key.clone(), value: value.as_bytes().into(), limit };
            let compares = vec![Compare { key, is }];
            drop(self.transact(Transaction { compares, then: vec![put], ..none() }).await);
        }
    }
}

fn key(node: &str) -> String {
    format!("{WISHES}{node}")
}

/// Whether a value says this wish, whatever became of it.
fn is_of(wish: &Wish, value: &[u8]) -> bool {
    let read = std::str::from_utf8(value).ok().and_then(Wish::read);
    read.is_some_and(|(read, _)| read == *wish)
}

const fn none() -> Transaction {
    Transaction { compares: vec![], then: vec![], otherwise: vec![] }
}

impl Core {
    /// Makes these the voters, if this node leads.
    pub(super) async fn change_voters(
        &self,
        voters: BTreeMap<NodeId, String>,
    ) -> Result<(), Error> {
        if voters.len() == 2 {
            return Err(Error::TwoVoters);
        }
        let raft = self.raft().ok_or(Error::NoLeader(Duration::ZERO))?;
        let known = raft.metrics().borrow().membership_config.clone();
        for (id, address) in &voters {
            let there = known.nodes().any(|(known, node)| known == id && node.addr == *address);
            if !there {
                let node = BasicNode::new(address.clone());
                let added = raft.add_learner(*id, node, true).await;
                added.map_err(|error| Error::Members(error.to_string()))?;
            }
        }
        let ids: BTreeSet<_> = voters.keys().copied().collect();
        let changed = raft.change_membership(ids, false).await;
        changed.map(drop).map_err(|error| Error::Members(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Names {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn planned(voters: &str, wishes: &[(&str, &str)], silent: &str) -> Plan {
        let wishes = wishes.iter().map(|(node, wish)| {
            ((*node).to_owned(), Wish::read(wish).expect("a wish of the test").0)
        });
        let voters = names(voters);
        let wanted = wanted(&voters, &wishes.collect());
        let silent = names(silent).into_iter().map(|name| (name, "no route".to_owned())).collect();
        plan(&voters, &wanted, &silent)
    }

    /// Else what a leader writes of the former wish would take the place of the new one.
    #[test]
    fn a_wish_that_was_changed_meanwhile_is_another_one() {
        let (former, new) = (Wish::read("join").unwrap().0, "join instead of c");
        assert!(is_of(&former, b"join; waits: d does not answer"));
        assert!(!is_of(&former, new.as_bytes()));
        assert!(!is_of(&former, b"leave") && !is_of(&former, &[0xff]));
    }

    #[test]
    fn members_change_only_to_what_is_safe() {
        let change = |to: &str| Plan::Change(names(to));
        let join = [("d", "join")];
        assert_eq!(planned("a b c", &join, ""), change("a b c d"));
        assert_eq!(planned("a b c d", &join, ""), Plan::Done);
        assert_eq!(
            planned("a b c", &join, "d"),
            Plan::Wait("d does not answer (no route)".to_owned())
        );
        // A dead one is replaced in one step: there are three all the time.
        assert_eq!(planned("a b c", &[("d", "join instead of c")], "c"), change("a b d"));
        assert_eq!(planned("a b c", &[("c", "join instead of c")], "c"), Plan::Done);
        let two = Plan::Refuse(Error::TwoVoters.to_string());
        assert_eq!(planned("a b c", &[("c", "leave")], ""), two);
        assert_eq!(planned("a", &[("b", "join")], ""), two);
        assert_eq!(planned("a", &[("b", "join"), ("c", "join")], ""), change("a b c"));
        assert_eq!(planned("a b c", &[("c", "leave"), ("b", "leave")], ""), change("a"));
        assert_eq!(
            planned("a", &[("a", "leave")], ""),
            Plan::Refuse("nobody would vote".to_owned())
        );
        // Those that are left must be able to go on.
        assert_eq!(
            planned("a b c d", &[("a", "leave")], "c d"),
            Plan::Refuse("of 3 that would vote only 1 answer".to_owned())
        );
        assert_eq!(planned("a b c d e", &[("e", "leave")], "d"), change("a b c d"));
        assert_eq!(planned("a b c", &[("x", "leave")], ""), Plan::Done, "it never was in");
    }

    #[test]
    fn wishes_are_read_as_they_were_written() {
        let join = Wish::Join { instead_of: Some("c".to_owned()) };
        for wish in [Wish::Leave, Wish::Join { instead_of: None }, join.clone()] {
            assert_eq!(Wish::read(&wish.text()), Some((wish, Outlook::Open)));
        }
        let waits = "join instead of c; waits: d does not answer (x: y)";
        let outlook = Outlook::Waits("d does not answer (x: y)".to_owned());
        assert_eq!(Wish::read(waits), Some((join, outlook)));
        assert_eq!(
            Wish::read("leave; refused: no"),
            Some((Wish::Leave, Outlook::Refused("no".to_owned())))
        );
        assert_eq!(Wish::read("something"), None);
    }
}
