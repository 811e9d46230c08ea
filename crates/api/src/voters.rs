//! Who votes about virtual IPs with a vip lease: the list of the store, and what each machine says of it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A list of voters, under `vip/voters` in the store. A later one has a greater number.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct VoterList {
    /// The incarnation of the store that gave the number.
    pub store: u64,
    /// Counted within that. 0: nobody may hold by it.
    pub list: u32,
    /// Of the first list of a store: the list of a former one that it goes on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<ListNumber>,
    pub voters: Vec<Voter>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct ListNumber {
    pub store: u64,
    pub list: u32,
}

/// A machine that votes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Voter {
    pub node: String,
    /// When that machine joined the cluster, in milliseconds since 1970, as the roster says; 0 where there is none:
    /// whichever has the name.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub joined_ms: u64,
}

/// By which list a vip process votes and holds.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum VotersInUse {
    /// By none: since the machine started nobody read which one the store has.
    Unread,
    /// All controllers of the cluster file.
    ByFile(Vec<String>),
    List(VoterList),
}

/// What a vip process says of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Electorate {
    pub in_use: VotersInUse,
    /// Nothing that it granted under an older list counts any more.
    pub settled: bool,
}

/// What a machine says of it to all, under `vip/voter/NODE` in the store.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct VoterWord {
    /// As [`Voter::joined_ms`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub joined_ms: u64,
    /// The incarnation of the store that it is a member of.
    pub store: u64,
    #[serde(flatten)]
    pub said: Electorate,
}

/// What a machine keeps of it, so that its next vip process begins with it: file `voters` of the state folder.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct KeptVoters {
    /// The kernel's name for this start of the machine: one that started since may have been taken for dead meanwhile.
    pub boot: String,
    /// None: the store has none.
    pub list: Option<VoterList>,
}

impl VoterList {
    #[must_use]
    pub const fn number(&self) -> ListNumber {
        ListNumber { store: self.store, list: self.list }
    }
}

impl fmt::Display for VoterList {
    /// For an operator.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { store, list, voters, .. } = self;
        let names: Vec<&str> = voters.iter().map(|voter| voter.node.as_str()).collect();
        let names = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
        write!(f, "list {list} of store {store}: {names}")
    }
}

impl Electorate {
    /// For an operator. `led`: whether the store has a leader; none: there is no store.
    #[must_use]
    pub fn words(&self, led: Option<bool>) -> String {
        match &self.in_use {
            VotersInUse::Unread => {
                "who votes is not known: since this machine started nobody here has read which list the store has, and until \
                 then it grants and holds nothing by votes"
                    .to_owned()
            }
            VotersInUse::ByFile(names) => format!("voters are those of the file: {}", names.join(", ")),
            VotersInUse::List(list) => {
                let young = if self.settled { "" } else { " (just adopted)" };
                let stays = match led {
                    Some(false) => "; the store has no leader: this list is used on, and none follows",
                    Some(true) | None => "",
                };
                format!("voters by {list}{young}{stays}")
            }
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_said_with_its_number_its_voters_and_whether_it_can_change() {
        let voter = |node: &str| Voter { node: node.to_owned(), joined_ms: 0 };
        let list =
            VoterList { store: 9, list: 3, former: None, voters: vec![voter("a"), voter("b")] };
        let said = |in_use, settled, led| Electorate { in_use, settled }.words(led);
        let listed = |settled, led| said(VotersInUse::List(list.clone()), settled, led);
        assert_eq!(listed(true, Some(true)), "voters by list 3 of store 9: a, b");
        assert_eq!(listed(false, Some(true)), "voters by list 3 of store 9: a, b (just adopted)");
        assert!(listed(true, Some(false)).contains("no leader: this list is used on"));
        let file = VotersInUse::ByFile(vec!["a".to_owned(), "c".to_owned()]);
        assert_eq!(said(file, true, None), "voters are those of the file: a, c");
        assert!(said(VotersInUse::Unread, false, Some(false)).contains("grants and holds nothing"));
        let nobody = VoterList { store: 9, ..VoterList::default() };
        assert_eq!(nobody.to_string(), "list 0 of store 9: nobody");
    }

    #[test]
    fn a_later_list_has_a_greater_number() {
        let number = |store, list| ListNumber { store, list };
        assert!(number(1, 9) < number(2, 0) && number(2, 0) < number(2, 1));
    }
}
