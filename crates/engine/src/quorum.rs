//! What each layer does on a node that does not reach a majority: a table, told in advance.
//!
//! Rules, in this order: what serves clients goes on serving. What would change the cluster freezes.
//! What must be in one place only, and is held by a token, is let go before somebody else can get it.
//! Addresses are the exception that serves: two of them disturb clients, none of them ends service, and
//! the wire itself (adverts, a named successor) decides who holds, not votes.

#[cfg(test)]
mod tests;

/// What a layer does without a majority.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Conduct {
    /// As ever.
    Serves,
    /// What is, stays; nothing new is begun.
    Freezes,
    /// Given up, in time.
    Releases,
}

impl Conduct {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Serves => "serves",
            Self::Freezes => "freezes",
            Self::Releases => "releases",
        }
    }
}

/// One layer.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub layer: &'static str,
    pub conduct: Conduct,
    /// What that means for it.
    pub means: &'static str,
    pub because: &'static str,
    /// Whether processes do it, or so far only the machine that decides it.
    pub runs: bool,
    /// The test of the row: crate and function.
    pub proof: &'static str,
}

/// The number of nodes, this one included, that is a majority.
#[must_use]
pub const fn majority(nodes: usize) -> usize {
    nodes / 2 + 1
}

/// Whether a node that reaches so many, itself included, may speak for the cluster. A cluster of two has
/// a majority only with both: a tie is no majority.
#[must_use]
pub const fn has_majority(reached: usize, nodes: usize) -> bool {
    reached >= majority(nodes)
}

/// Every layer.
pub const TABLE: [Row; 16] = [
    Row {
        layer: "virtual IPs by VRRP",
        conduct: Conduct::Serves,
        means: "held, announced and taken over as ever; after a heal the stronger holder keeps it",
        because: "adverts on the wire decide; votes would take the address from clients that reach it",
        runs: true,
        proof: "sim::after_a_split_the_stronger_keeps_the_address_whoever_was_alone",
    },
    Row {
        layer: "virtual IPs with `lease = true`",
        conduct: Conduct::Releases,
        means: "let go as the vip lease ends, and nobody answers until a majority is back (`last_man` excepted)",
        because: "two holders are worse than none",
        runs: true,
        proof: "outlast::nodes_that_are_cut_from_each_other_are_silent_and_one_answers_when_they_are_not",
    },
    Row {
        layer: "balancer",
        conduct: Conduct::Serves,
        means: "requests go to servers as their own checks say; suspects come last, not never",
        because: "a check that passes now is better evidence than a vote",
        runs: true,
        proof: "outlast::while_a_majority_stands_still_the_last_node_serves_says_so_and_accuses_nobody",
    },
    Row {
        layer: "database choice",
        conduct: Conduct::Serves,
        means: "the database in use stays in use; it changes only when its own checks fail",
        because: "both sides of a split keep one database each; the newer choice wins after the heal",
        runs: true,
        proof: "outlast::while_a_majority_stands_still_the_last_node_serves_says_so_and_accuses_nobody",
    },
    Row {
        layer: "verdicts",
        conduct: Conduct::Freezes,
        means: "in doubt, never unreachable: nobody is accused by a minority",
        because: "whoever is cut off sees all others die at once",
        runs: true,
        proof: "outlast::while_a_majority_stands_still_the_last_node_serves_says_so_and_accuses_nobody",
    },
    Row {
        layer: "compute nodes",
        conduct: Conduct::Freezes,
        means: "in doubt, never unreachable: what gossip says of them is confirmed by nobody",
        because: "a controller that reaches no other may be the one that is cut off",
        runs: true,
        proof: "outlast::while_a_majority_stands_still_the_last_node_serves_says_so_and_accuses_nobody",
    },
    Row {
        layer: "planned moves and standby",
        conduct: Conduct::Freezes,
        means: "refused, and nothing is done; `--local` puts a node itself on standby. Without [store]: as ever",
        because: "each is an intent; in an emergency an operator at the node knows better",
        runs: true,
        proof: "outlast::without_a_majority_nothing_is_decided_and_a_node_can_still_stand_by_itself",
    },
    Row {
        layer: "reload of the local files",
        conduct: Conduct::Serves,
        means: "SIGHUP works as ever",
        because: "the files are the node's own",
        runs: true,
        proof: "outlast::while_a_majority_stands_still_the_last_node_serves_says_so_and_accuses_nobody",
    },
    Row {
        layer: "store",
        conduct: Conduct::Freezes,
        means: "what is not committed by a majority is not applied and not told",
        because: "two halves would tell two stories",
        runs: true,
        proof: "outlast::while_a_majority_stands_still_the_last_node_serves_says_so_and_accuses_nobody",
    },
    Row {
        layer: "intents",
        conduct: Conduct::Freezes,
        means: "none is begun, none goes a step further; the step under way ends at its receiver",
        because: "each step follows from a committed entry",
        runs: true,
        proof: "outlast::without_a_majority_the_step_under_way_ends_at_its_node_and_a_window_by_its_own_time",
    },
    Row {
        layer: "generations of the configuration",
        conduct: Conduct::Freezes,
        means: "`config apply` and `rollback` are refused; what each node runs, it goes on running",
        because: "a generation is what all nodes agree on, and a minority agrees on nothing",
        runs: true,
        proof: "outlast::while_a_majority_stands_still_the_last_node_serves_says_so_and_accuses_nobody",
    },
    Row {
        layer: "maintenance windows",
        conduct: Conduct::Freezes,
        means: "none is begun or ended by command; what is known ends by its own time",
        because: "a window is a fact for all nodes, and clocks need no votes",
        runs: true,
        proof: "outlast::without_a_majority_the_step_under_way_ends_at_its_node_and_a_window_by_its_own_time",
    },
    Row {
        layer: "proofs of death, members of the store",
        conduct: Conduct::Freezes,
        means: "`confirm-off`, `node replace` and `store members` are refused",
        because: "who is alone cannot know who is off, and would shrink the cluster to itself",
        runs: true,
        proof: "outlast::while_a_majority_stands_still_the_last_node_serves_says_so_and_accuses_nobody",
    },
    Row {
        layer: "roles held by a token",
        conduct: Conduct::Releases,
        means: "stopped two seconds before the store may give them to another",
        because: "nobody renews them here, and receivers will refuse the token",
        runs: true,
        proof: "outlast::without_a_majority_nothing_is_decided_and_a_node_can_still_stand_by_itself",
    },
    Row {
        layer: "joins, revocations, certificates",
        conduct: Conduct::Serves,
        means: "the node with the authority lets in, shuts out and renews as ever",
        because: "trust is signed, not voted: a stolen node must be shut out in a split too",
        runs: true,
        proof: "outlast::without_a_majority_the_node_with_the_authority_lets_in_and_shuts_out",
    },
    Row {
        layer: "status, events, dashboard, metrics",
        conduct: Conduct::Serves,
        means: "what this node knows, with its age, and that it has no majority",
        because: "in a split an operator needs them most",
        runs: true,
        proof: "outlast::while_a_majority_stands_still_the_last_node_serves_says_so_and_accuses_nobody",
    },
];
