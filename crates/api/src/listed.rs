//! Which nodes of a thousand have a line of their own.

use std::collections::BTreeSet;

use crate::{NodeLine, Standing, Status, Verdict};

/// The nodes of a status that are worth a line each: all controllers, and of many compute nodes those that
/// are not well.
#[derive(Debug)]
pub struct Listed<'a> {
    pub lines: Vec<&'a NodeLine>,
    /// Compute nodes that have no line; 0: every node has one.
    pub hidden: usize,
    pub computes: usize,
    /// Compute nodes that live, whatever else is the matter with them.
    pub alive: usize,
}

impl Listed<'_> {
    /// Up to so many compute nodes each have a line; of more so many of those that are not well, the worst.
    pub const MOST: usize = 20;

    /// `997 of 1000 compute nodes alive, 980 not listed`; none where every node has a line.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        let Self { hidden, computes, alive, .. } = self;
        let text = || format!("{alive} of {computes} compute nodes alive, {hidden} not listed");
        (*hidden > 0).then(text)
    }
}

impl Status {
    /// What a page has room for; `all`: every node.
    #[must_use]
    pub fn listed(&self, all: bool) -> Listed<'_> {
        self.listed_of(if all { usize::MAX } else { Listed::MOST })
    }

    /// Up to `most` compute nodes all of them, of more the `most` that are worst off and this node itself, in the
    /// order of the file. What is planned comes after what is not.
    #[must_use]
    pub fn listed_of(&self, most: usize) -> Listed<'_> {
        let of_computes = || self.nodes.iter().enumerate().filter(|(_, line)| line.compute);
        let computes = of_computes().count();
        let is_alive = |line: &NodeLine| line.state.standing == Standing::Alive;
        let alive = of_computes().filter(|(_, line)| is_alive(line)).count();
        let is_own = |line: &NodeLine| line.state.node == self.node;
        let mut chosen: Vec<usize> = of_computes().map(|(at, _)| at).collect();
        if computes > most {
            let worth = |(_, line): &(usize, &NodeLine)| !line.is_well() && !is_own(line);
            let mut ill: Vec<_> = of_computes().filter(worth).collect();
            // Stable, so that equally bad ones stay where they were.
            let planned: BTreeSet<&str> = self.planned_nodes().collect();
            ill.sort_by_cached_key(|(_, line)| {
                (planned.contains(line.state.node.as_str()), line.ailing())
            });
            chosen = ill.into_iter().take(most).map(|(at, _)| at).collect();
            chosen.sort_unstable();
        }
        let has_line = |(at, line): &(usize, &NodeLine)| {
            !line.compute || is_own(line) || chosen.binary_search(at).is_ok()
        };
        let lines = self.nodes.iter().enumerate().filter(has_line);
        let lines: Vec<_> = lines.map(|(_, line)| line).collect();
        Listed { hidden: self.nodes.len() - lines.len(), lines, computes, alive }
    }
}

impl NodeLine {
    /// Alive, on duty, and up on each of its networks.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let state = &self.state;
        state.opinion.verdict == Verdict::Alive
            && state.standing == Standing::Alive
            && state.duty.is_on()
            && state.cells.iter().all(|cell| cell.alive)
    }

    /// How soon it deserves a line where there is not one for each: 0 is the worst.
    fn ailing(&self) -> u8 {
        match (self.state.opinion.verdict, self.state.standing) {
            (Verdict::ProvenDead | Verdict::Unreachable, _) => 0,
            (Verdict::Suspect, _) => 1,
            (Verdict::CutOff, _) => 2,
            (Verdict::Alive, Standing::Suspect) => 3,
            (Verdict::Alive, _) => 4,
            (Verdict::Leaving, _) => 5,
            // A cluster that starts has never heard anybody.
            (Verdict::Unknown, _) => 6,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{BalancerState, Duty, Mode, NodeState, Opinion, RefusedPackets};

    use super::*;

    fn line(name: &str, compute: bool, verdict: Verdict) -> NodeLine {
        let is_alive = verdict == Verdict::Alive;
        NodeLine {
            state: NodeState {
                node: name.to_owned(),
                standing: if is_alive { Standing::Alive } else { Standing::Suspect },
                cells: vec![],
                why: String::new(),
                opinion: Opinion { verdict, ..Opinion::default() },
                duty: Duty::On,
            },
            holds: vec![],
            load: None,
            compute,
            just_started: false,
        }
    }

    #[test]
    fn of_a_thousand_compute_nodes_those_that_are_not_well_have_a_line() {
        let many = |count: usize, verdict| {
            (0..count).map(move |number| line(&number.to_string(), true, verdict))
        };
        let mut status = Status {
            at_ms: 0,
            version: String::new(),
            node: String::new(),
            cluster: None,
            mode: Mode::Adaptive,
            generation: 1,
            limits: vec![],
            processes: vec![],
            networks: vec![],
            nodes: vec![line("ctl", false, Verdict::Alive)],
            vips: vec![],
            balancer: BalancerState::Absent,
            proxies: vec![],
            servers: vec![],
            choices: vec![],
            dashboard: vec![],
            refused: RefusedPackets::default(),
            vip_refused: RefusedPackets::default(),
            adverts_refused: vec![],
            vip_process: None,
            turned_away: crate::TurnedAway::default(),
            duty: Duty::On,
            store: None,
            planned: vec![],
            own_doubts: vec![],
            reference: vec![],
            coordinator: None,
            voters_wait: None,
            notify: None,
        };
        status.nodes.extend(many(20, Verdict::Alive));
        assert_eq!((status.listed(false).lines.len(), status.listed(false).words()), (21, None));
        status.nodes.extend(many(978, Verdict::Alive).chain(many(2, Verdict::Unreachable)));
        let listed = status.listed(false);
        assert_eq!(listed.lines.len(), 3, "the controller and two");
        let words = "998 of 1000 compute nodes alive, 998 not listed";
        assert_eq!(listed.words().as_deref(), Some(words));
        assert_eq!(status.listed(true).lines.len(), 1001);
        status.nodes.extend(many(500, Verdict::Suspect));
        assert_eq!(status.listed(false).lines.len(), 1 + Listed::MOST);
        let shown = |status: &Status| -> Vec<(String, Verdict)> {
            let lines = status.listed(false).lines;
            let told = |line: &NodeLine| (line.state.node.clone(), line.state.opinion.verdict);
            lines.into_iter().map(told).collect()
        };
        // Those that are worst off keep their lines, wherever they stand.
        status.nodes.push(line("last", true, Verdict::ProvenDead));
        let lines = shown(&status);
        let unreachable = lines.iter().filter(|(_, verdict)| *verdict == Verdict::Unreachable);
        assert_eq!(unreachable.count(), 2);
        assert_eq!(lines.last().unwrap().0, "last");
        let nodes = vec!["last".to_owned()];
        status.planned.push(crate::maintenance::Planned { nodes, ..Default::default() });
        assert!(
            shown(&status).iter().all(|(name, _)| name != "last"),
            "what is planned comes last"
        );
        assert_eq!(shown(&status).len(), 1 + Listed::MOST);
        status.nodes.push(line("own", true, Verdict::Alive));
        status.node = "own".to_owned();
        assert_eq!(shown(&status).last().unwrap().0, "own");
        assert_eq!(status.listed_of(100).lines.len() - status.listed(false).lines.len(), 80);
    }
}
