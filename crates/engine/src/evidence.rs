//! What can be seen of a node: every kind of evidence by name, with what it means and how long it counts.
//!
//! Evidence is what was seen, never what was concluded: that is [`crate::verdict`].

use std::time::Duration;

/// What a tether says while nobody has closed it.
pub(crate) fn not_closed(networks: usize) -> String {
    let plural = if networks == 1 { "" } else { "s" };
    format!("not closed, on {networks} network{plural}: without power nobody closes one")
}

/// One kind of evidence. What a rule of [`crate::verdict`] reads stands in `used`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Beat,
    Goodbye,
    Refusal,
    Tether,
    View,
    Gossip,
    Probe,
    Ailment,
    Requests,
    Checks,
    Link,
    OwnTimers,
    OwnLinks,
    OwnReach,
    OwnReference,
    Proof,
    Controller,
    Hypervisor,
    StorageBeat,
}

/// How long evidence counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Freshness {
    /// As long as a beat: the detection time, longer by measured stalls.
    Detection,
    /// Until this old.
    For(Duration),
    /// Until its giver says otherwise, or is not heard any more.
    WhileSaid,
    /// Until a new start of the node.
    UntilStart,
    /// For ever: only another committed entry undoes it.
    Committed,
}

impl Freshness {
    /// As the page and the dashboard say it.
    #[must_use]
    pub fn words(self) -> String {
        match self {
            Self::Detection => "for the detection time".to_owned(),
            Self::For(span) => format!("for {span:?}"),
            Self::WhileSaid => "while it is said".to_owned(),
            Self::UntilStart => "until a new start of the node".to_owned(),
            Self::Committed => "until another committed entry".to_owned(),
        }
    }
}

/// A row of the table of evidence.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub kind: Kind,
    /// As `outlast why` prints it.
    pub name: &'static str,
    pub meaning: &'static str,
    pub freshness: Freshness,
    /// The part of the program that gives it.
    pub layer: &'static str,
    /// What reads it: names of rules, or why none does yet.
    pub used: &'static str,
}

/// What a refusal of a node's kernel counts for: the second one within this time confirms it, a beat
/// undoes it. Five detection times of the shortest setting and more than any beat interval.
pub const REFUSAL_FRESH: Duration = Duration::from_secs(2);
/// Passive evidence is as old as the newest request at most; the balancer's own suspicion ends as soon.
pub const REQUESTS_FRESH: Duration = Duration::from_secs(5);

/// Every kind, in the order in which `outlast why` prints them.
pub const KINDS: [Row; 19] = [
    Row {
        kind: Kind::Beat,
        name: "beat",
        meaning: "its agent spoke on this network, sealed with the cluster's key",
        freshness: Freshness::Detection,
        layer: "agent of this node",
        used: "alive, silent-here, heard-elsewhere, silent-everywhere",
    },
    Row {
        kind: Kind::Goodbye,
        name: "goodbye",
        meaning: "its last beat said that it ends in order",
        freshness: Freshness::UntilStart,
        layer: "agent of that node",
        used: "goodbye",
    },
    Row {
        kind: Kind::Refusal,
        name: "refusal",
        meaning: "its kernel answers that nothing listens for beats or gossip: the machine lives, the agent does not. \
                  Not sealed, so it raises doubt and nothing more",
        freshness: Freshness::For(REFUSAL_FRESH),
        layer: "kernel of that node",
        used: "agent-gone",
    },
    Row {
        kind: Kind::Tether,
        name: "tether",
        meaning: "an idle connection from a controller to another node, which its kernel closes when its agent ends \
                  in whatever way: a hint, upon which the node is asked at once, and nothing more",
        freshness: Freshness::For(crate::gossip::TETHER_FRESH),
        layer: "kernel of that node",
        used: "none: it makes this controller ask, what comes of that is read",
    },
    Row {
        kind: Kind::View,
        name: "view",
        meaning: "which nodes a node hears on which network, as its beats say; passed on by the others",
        freshness: Freshness::WhileSaid,
        layer: "agents of all nodes",
        used: "silent-everywhere, heard-outside, cut-off, own-quorum",
    },
    Row {
        kind: Kind::Gossip,
        name: "gossip",
        meaning: "what the members of a network found by probing each other in turn, directly and over others",
        freshness: Freshness::WhileSaid,
        layer: "agents of all nodes",
        used: "declared, unanswered",
    },
    Row {
        kind: Kind::Probe,
        name: "probe",
        meaning: "whether a compute node answers controllers that ask it, on each network",
        freshness: Freshness::For(crate::gossip::CLAIM_FRESH),
        layer: "agents of controllers",
        used: "unanswered, heard-outside, cut-off",
    },
    Row {
        kind: Kind::Ailment,
        name: "ailment",
        meaning: "it says of itself that a process of it is not running, or that a disk or mount does not answer",
        freshness: Freshness::WhileSaid,
        layer: "agent and supervisor of that node",
        used: "ailing",
    },
    Row {
        kind: Kind::Requests,
        name: "requests",
        meaning: "how many of its servers this node's balancer suspects by what requests and connects met",
        freshness: Freshness::For(REQUESTS_FRESH),
        layer: "balancer of this node",
        used: "not-serving",
    },
    Row {
        kind: Kind::Checks,
        name: "checks",
        meaning: "how many of its servers are down by the checks of the file",
        freshness: Freshness::WhileSaid,
        layer: "balancer of this node",
        used: "not-serving",
    },
    Row {
        kind: Kind::Link,
        name: "link",
        meaning: "its own links without carrier, as its beats on another network say by their view",
        freshness: Freshness::WhileSaid,
        layer: "kernel of that node",
        used: "heard-outside, cut-off",
    },
    Row {
        kind: Kind::OwnTimers,
        name: "own timers",
        meaning: "this node was woken late, so others could not be heard in time",
        freshness: Freshness::Detection,
        layer: "agent of this node",
        used: "own-timers",
    },
    Row {
        kind: Kind::OwnLinks,
        name: "own links",
        meaning: "this node's own links have no carrier",
        freshness: Freshness::WhileSaid,
        layer: "kernel of this node",
        used: "own-links",
    },
    Row {
        kind: Kind::OwnReach,
        name: "own reach",
        meaning: "how many nodes this one reaches both ways, of how many there are",
        freshness: Freshness::Detection,
        layer: "agent of this node",
        used: "own-quorum, own-reference",
    },
    Row {
        kind: Kind::OwnReference,
        name: "own reference",
        meaning: "whether reference points of the cluster file answer this node's pings, by network; points that never answered say nothing",
        freshness: Freshness::Detection,
        layer: "agent of this node",
        used: "own-reference",
    },
    Row {
        kind: Kind::Proof,
        name: "proof",
        meaning: "a committed entry: fenced and read back, watchdog provably expired, or an operator's word",
        freshness: Freshness::Committed,
        layer: "replicated store",
        used: "proven-dead",
    },
    Row {
        kind: Kind::Controller,
        name: "power controller",
        meaning: "what its management controller says about power",
        freshness: Freshness::For(Duration::from_secs(10)),
        layer: "fencing",
        used: "none yet: nobody asks it in this version",
    },
    Row {
        kind: Kind::Hypervisor,
        name: "hypervisor",
        meaning: "what libvirt and Nova say about the node",
        freshness: Freshness::For(Duration::from_secs(30)),
        layer: "guests",
        used: "none yet: nobody asks it in this version",
    },
    Row {
        kind: Kind::StorageBeat,
        name: "storage beat",
        meaning: "what it last wrote to shared storage",
        freshness: Freshness::Detection,
        layer: "storage",
        used: "none yet: nobody writes it in this version",
    },
];

impl Kind {
    #[must_use]
    pub fn row(self) -> &'static Row {
        let row = KINDS.iter().find(|row| row.kind == self);
        row.expect("a test walks through all kinds")
    }
}

/// What a node says against itself, in its beats; one bit each.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ailments(u8);

/// One of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ailment {
    /// The folder of its own state does not answer.
    Disk,
    /// A mount does not answer: typically a network file system whose server is gone.
    Mount,
    /// A balancer that its files ask for does not run.
    Balancer,
    /// The vip process does not run.
    Vip,
}

impl Ailment {
    pub const ALL: [Self; 4] = [Self::Disk, Self::Mount, Self::Balancer, Self::Vip];

    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Disk => "the disk of its state does not answer",
            Self::Mount => "a mount does not answer",
            Self::Balancer => "its balancer does not run",
            Self::Vip => "its vip process does not run",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl crate::keep::Keep for Ailments {
    fn keep(&self, out: &mut Vec<u8>) {
        out.push(self.0);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        u8::revive(bytes).map(Self::from_byte)
    }
}

impl Ailments {
    pub const NONE: Self = Self(0);

    /// Bits of later versions are kept out.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Self {
        Self(byte & 0b1111)
    }

    #[must_use]
    pub const fn byte(self) -> u8 {
        self.0
    }

    pub const fn set(&mut self, ailment: Ailment, is: bool) {
        if is {
            self.0 |= ailment.bit();
        } else {
            self.0 &= !ailment.bit();
        }
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = Ailment> {
        Ailment::ALL.into_iter().filter(move |ailment| self.0 & ailment.bit() != 0)
    }

    /// `a mount does not answer; its balancer does not run`.
    #[must_use]
    pub fn words(self) -> String {
        self.iter().map(Ailment::words).collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::RULES;

    #[test]
    fn every_kind_has_one_row_and_its_rules_exist() {
        for row in KINDS {
            assert_eq!(KINDS.iter().filter(|other| other.kind == row.kind).count(), 1, "{row:?}");
            assert_eq!(row.kind.row().name, row.name);
            for rule in row.used.split(", ").filter(|_| !row.used.starts_with("none")) {
                assert!(RULES.iter().any(|known| known.name == rule), "{}: {rule}", row.name);
            }
        }
    }

    #[test]
    fn ailments_travel_as_bits_and_unknown_bits_are_dropped() {
        let mut ailments = Ailments::from_byte(0b1111_0010);
        assert_eq!(ailments.words(), "a mount does not answer");
        ailments.set(Ailment::Balancer, true);
        ailments.set(Ailment::Mount, false);
        assert_eq!(ailments.iter().collect::<Vec<_>>(), [Ailment::Balancer]);
        ailments.set(Ailment::Balancer, false);
        assert!(ailments.is_empty());
    }
}
