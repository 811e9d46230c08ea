//! What operators keep in the cluster's store: generations of the configuration, maintenance windows, who votes.

use serde::{Deserialize, Serialize};

use crate::generation::{Applied, Content, Generation};
use crate::maintenance::Window;
use crate::proof::Proof;

/// What is asked of the books, or to be written in them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BookAsk {
    /// The generations that are kept.
    History,
    /// What each node says of its configuration.
    Standing,
    /// One generation with its files, which may have passwords.
    Generation { number: u64 },
    /// Commits it, if the newest is the one before. Its content follows on the connection: `bytes` of it.
    Commit(Generation),
    /// The windows that the store has.
    Windows,
    /// Begins a window, for so many milliseconds from now, or sets another end and reason.
    Begin { window: Window, millis: u64 },
    /// Ends the window of a node, or of all.
    End { node: Option<String> },
    /// Commits that a node is off. Refused while it is heard.
    Prove(Proof),
    /// Takes that back.
    TakeBack { node: String },
    /// Lets nodes vote, once they are filled up; the other one votes no more, in the same step.
    Join { nodes: Vec<String>, instead_of: Option<String> },
    /// Lets nodes vote no more.
    Leave { nodes: Vec<String> },
    /// What is wanted of nodes and not yet so.
    Wishes,
    /// Whether the store hears this voter now: the leader finds that out. Whoever was asked by a member that took
    /// it for the leader asks no third one.
    Hears {
        node: String,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        passed_on: bool,
    },
    /// May this node be replaced by that one? Not while the store hears it. A yes: there is a store. What is in
    /// the trust folder is changed by the tool.
    Replace { old: String, new: String },
}

/// What comes of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BookAnswer {
    /// The oldest first.
    History(Vec<Generation>),
    Standing(Box<BookStanding>),
    /// None: it is not kept.
    Generation(Option<Box<(Generation, Content)>>),
    /// Somebody else committed this one meanwhile; nothing was committed now.
    Overtaken(u64),
    Windows(Vec<Window>),
    /// By node, each as it stands in the store.
    Wishes(Vec<(String, String)>),
    /// Done; or, where that is the question, a yes. False: there was nothing to do, or a no.
    Done(bool),
}

/// The newest generation, and what each of its nodes says.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct BookStanding {
    /// None: nothing was applied yet.
    pub newest: Option<Generation>,
    pub nodes: Vec<BookLine>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct BookLine {
    pub node: String,
    /// It has the store; members bring generations to the others.
    pub is_member: bool,
    pub applied: Option<Applied>,
}

/// A piece of an answer, for a node that has no store: the answer is longer than one errand.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct BookPart {
    pub whole: crate::Mark,
    pub text: String,
}
