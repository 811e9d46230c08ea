//! Evidence against a server beyond the file's checks (adaptive mode).

use std::time::Duration;

use base::Time;

use super::Standing;

/// Requests without an answer speak against a server from here on. Slow answers are normal, therefore
/// one alone says nothing, and others must be answering.
pub const ANSWER_SILENCE: Duration = Duration::from_secs(1);

/// How long evidence that nothing can refute counts: then a request may try again.
pub const FRESH: Duration = Duration::from_secs(5);

/// What the driver saw of one server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Evidence {
    /// The verdict on the node the server's address lives on.
    Node(Standing),
    /// Nothing was heard of the node for the time of a few beats; none: something is heard again. An opinion: whatever the
    /// server says refutes it, and so does time, as agents know more `until` then.
    Silence { until: Option<Time> },
    /// Whether it is committed that the node is off.
    Proven(bool),
    /// A connect was refused, or the network said unreachable.
    Refused,
    /// A connect begun at `since` has no answer, and connects there never need `patience`; another server of the proxy last
    /// answered at `other`.
    ConnectPending { since: Time, patience: Duration, other: Option<Time> },
    /// Two requests or more have no answer, the younger one of the two oldest was sent at `since`;
    /// another server of the proxy last answered at `other`.
    Unanswered { since: Time, other: Option<Time> },
    /// A connect succeeded.
    Connected,
    /// A byte of an answer came.
    Answered,
    /// A check that began at `started` passed; `answered` if the server had to say something.
    CheckPassed { started: Time, answered: bool },
    /// [`Suspicion::deadline`] has come.
    Timeout,
}

/// What speaks against one server now.
#[derive(Clone, Debug)]
pub struct Suspicion {
    node: Standing,
    proven: bool,
    /// Since when, and until when it counts.
    silence: Option<(Time, Time)>,
    refused: Option<Time>,
    no_connect: Option<Time>,
    no_answer: Option<Time>,
    /// The last answer, or when unanswered requests were last forgiven: older ones say nothing new.
    heard: Time,
    checked: bool,
}

impl Suspicion {
    /// `checked`: the file's checks can refute what connects say. Otherwise it expires.
    #[must_use]
    pub const fn new(checked: bool) -> Self {
        Self {
            node: Standing::Unknown,
            proven: false,
            silence: None,
            refused: None,
            no_connect: None,
            no_answer: None,
            heard: Time::ZERO,
            checked,
        }
    }

    /// Takes evidence in; true if the server became or stopped being suspect.
    pub fn step(&mut self, now: Time, evidence: Evidence) -> bool {
        let before = self.is_suspect();
        match evidence {
            Evidence::Node(standing) => self.node = standing,
            Evidence::Proven(dead) => self.proven = dead,
            Evidence::Silence { until } => self.silence = until.map(|until| (now, until)),
            Evidence::Refused => self.refused = Some(now),
            Evidence::ConnectPending { since, patience, other } => {
                if now.since(since) >= patience && other.is_some_and(|other| other > since) {
                    self.no_connect = Some(now);
                }
            }
            Evidence::Unanswered { since, other } => {
                let silent = now.since(since) > ANSWER_SILENCE && since >= self.heard;
                if silent && other.is_some_and(|other| other > since) {
                    self.no_answer.get_or_insert(now);
                }
            }
            Evidence::Connected => {
                (self.silence, self.refused, self.no_connect) = (None, None, None);
            }
            Evidence::Answered => {
                self.heard = now;
                (self.silence, self.refused) = (None, None);
                (self.no_connect, self.no_answer) = (None, None);
            }
            Evidence::CheckPassed { started, answered } => self.check_passed(started, answered),
            Evidence::Timeout => self.expire(now),
        }
        before != self.is_suspect()
    }

    #[must_use]
    pub const fn is_suspect(&self) -> bool {
        self.proven
            || self.node_speaks_against()
            || self.silence.is_some()
            || self.refused.is_some()
            || self.no_connect.is_some()
            || self.no_answer.is_some()
    }

    /// When [`Evidence::Timeout`] is wanted.
    #[must_use]
    pub fn deadline(&self) -> Time {
        let silence = self.silence.map_or(Time::NEVER, |(_, until)| until);
        let fresh = self.expiring().into_iter().flatten().map(|at| at + FRESH).min();
        fresh.unwrap_or(Time::NEVER).min(silence)
    }

    /// Every piece of evidence in words, without ages: whoever is told keeps when that was. Empty if
    /// there is none.
    #[must_use]
    pub fn why(&self) -> String {
        let proven = self.proven.then_some("somebody confirmed that its node is off");
        let node = match self.node {
            Standing::Suspect => Some("its node is silent on every network"),
            Standing::Left => Some("its node said goodbye"),
            Standing::Unknown | Standing::Alive => None,
        };
        let said = |at: Option<Time>, what: &'static str| at.map(|_| what);
        let seen = [
            proven,
            node,
            self.silence.map(|_| "its node is silent in vip beats on every network"),
            said(self.refused, "it refused a connection"),
            said(self.no_connect, "a connect was silent while another server answered"),
            said(self.no_answer, "requests were unanswered for 1 s while another server answered"),
        ];
        seen.into_iter().flatten().collect::<Vec<_>>().join("; ")
    }

    const fn node_speaks_against(&self) -> bool {
        match self.node {
            Standing::Suspect | Standing::Left => true,
            Standing::Unknown | Standing::Alive => false,
        }
    }

    /// A check refutes only what was seen before it began. A bare connect says nothing about answers:
    /// the kernel of a frozen process still accepts.
    fn check_passed(&mut self, started: Time, answered: bool) {
        let refute = |seen: &mut Option<Time>| {
            if seen.is_some_and(|at| at <= started) {
                *seen = None;
            }
        };
        refute(&mut self.refused);
        refute(&mut self.no_connect);
        self.silence = self.silence.filter(|(since, _)| *since > started);
        if answered {
            refute(&mut self.no_answer);
        }
    }

    fn expire(&mut self, now: Time) {
        self.silence = self.silence.filter(|(_, until)| now < *until);
        let fresh = |at: &Time| now < *at + FRESH;
        if self.no_answer.take_if(|at| !fresh(at)).is_some() {
            self.heard = now;
        }
        if !self.checked {
            self.refused = self.refused.filter(fresh);
            self.no_connect = self.no_connect.filter(fresh);
        }
    }

    /// What nothing but time refutes.
    const fn expiring(&self) -> [Option<Time>; 3] {
        if self.checked {
            [self.no_answer, None, None]
        } else {
            [self.no_answer, self.refused, self.no_connect]
        }
    }
}
