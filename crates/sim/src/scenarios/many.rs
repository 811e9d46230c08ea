//! Files with compute nodes: the machine of the gossip on all of them. Controllers are not harmed in these files,
//! so what they think of each other is not simulated.

use std::time::Duration;

use base::Time;
use engine::gossip::Input;
use scenario::{Cloud, Deed, Failure, Look, Record, Scenario, Sight, Told, View};

use super::{LOOK_EVERY, small, told};
use crate::gossip::{Crowd, Setup};

/// Until all know each other: of eight nodes each has been asked often.
const BOOT: Duration = Duration::from_secs(20);

pub(super) fn run(scenario: &Scenario, seed: u64) -> Result<Record, Failure> {
    let all = scenario.nodes.len();
    let networks = u8::try_from(scenario.networks.len()).unwrap_or(u8::MAX);
    let controllers = small(all - scenario.computes);
    let computes = small(scenario.computes);
    let setup = Setup { controllers, computes, networks, detect: scenario.detect, loss: 0, seed };
    let mut cloud = Many {
        crowd: Crowd::new(setup),
        controllers,
        all: small(all),
        networks,
        cut: vec![vec![false; usize::from(networks)]; all],
        paused: vec![false; all],
    };
    cloud.crowd.run(BOOT);
    cloud.crowd.judged.clear();
    scenario::run(scenario, &mut cloud, Duration::ZERO)
}

struct Many {
    crowd: Crowd,
    controllers: u16,
    all: u16,
    networks: u8,
    /// By node and network.
    cut: Vec<Vec<bool>>,
    paused: Vec<bool>,
}

impl Many {
    fn cut(&mut self, node: usize, networks: &[usize], is_cut: bool) {
        for network in networks {
            self.cut[node][*network] = is_cut;
            self.crowd.cut(small(node), u8::try_from(*network).unwrap_or(0), is_cut);
        }
    }

    fn carrier(&mut self, node: usize, networks: &[usize], up: bool) {
        self.cut(node, networks, !up);
        for network in networks.iter().filter_map(|network| u8::try_from(*network).ok()) {
            self.crowd.tell(small(node), Input::Carrier { network, up });
        }
    }

    fn start(&mut self, node: usize) {
        if self.crowd.machine(small(node)).is_none() {
            self.crowd.start(small(node));
        }
        self.paused[node] = false;
    }

    fn join(&mut self) {
        let networks: Vec<usize> = (0..usize::from(self.networks)).collect();
        for node in 0..usize::from(self.all) {
            if self.cut[node].contains(&true) {
                self.carrier(node, &networks, true);
            }
        }
    }

    fn view(&self, node: u16) -> Option<View> {
        let machine = self.crowd.machine(node).filter(|_| !self.paused[usize::from(node)])?;
        let well = || Sight {
            verdict: scenario::Verdict::Alive,
            cells: vec![true; usize::from(self.networks)],
        };
        let sight = |of: u16| {
            if !machine.watches(of) {
                return well();
            }
            let cells = machine.cells(of, self.crowd.now);
            let cells = cells.map(|cell| cell.is_some_and(|cell| cell.alive)).collect();
            Sight { verdict: told(machine.opinion(of).verdict), cells }
        };
        Some((0..self.all).map(sight).collect())
    }
}

impl Cloud for Many {
    fn now(&self) -> Duration {
        self.crowd.now.since(Time::ZERO)
    }

    fn pass(&mut self, at_most: Duration) -> Result<(), String> {
        // Who stands still does so until it is told to go on.
        for node in (0..self.all).filter(|node| self.paused[usize::from(*node)]) {
            self.crowd.pause(node, LOOK_EVERY * 2);
        }
        self.crowd.run(at_most.min(LOOK_EVERY));
        Ok(())
    }

    fn act(&mut self, deed: &Deed) -> Result<(), String> {
        match deed {
            Deed::PowerOff(node) => self.crowd.crash(small(*node)),
            Deed::KillNode(node) => self.crowd.kill(small(*node)),
            Deed::PowerOn(node) | Deed::Start(node) => self.start(*node),
            Deed::KillAgent(node) => self.crowd.start(small(*node)),
            Deed::Stop(node) | Deed::KillSupervisor(node) => self.crowd.leave(small(*node)),
            Deed::Pause(node) => self.paused[*node] = true,
            Deed::Resume(node) => self.paused[*node] = false,
            Deed::Cut(node, networks) => self.cut(*node, networks, true),
            Deed::LinkDown(node, networks) => self.carrier(*node, networks, false),
            Deed::LinkUp(node, networks) => self.carrier(*node, networks, true),
            Deed::Join => self.join(),
            Deed::Mend => {
                self.join();
                (usize::from(self.controllers)..usize::from(self.all))
                    .for_each(|node| self.start(node));
            }
            Deed::OneWay(..) | Deed::Part(..) | Deed::Split(..) | Deed::Leader(_) => {
                return Err("is not done to compute nodes".to_owned());
            }
        }
        Ok(())
    }

    fn look(&mut self) -> Look {
        let views = (0..self.all).map(|node| self.view(node)).collect();
        Look { views, holds: vec![false; usize::from(self.all)] }
    }

    fn told(&mut self) -> Vec<Told> {
        let judged = std::mem::take(&mut self.crowd.judged).into_iter();
        let one = |judged: crate::gossip::Judged| Told {
            who: usize::from(judged.by),
            of: usize::from(judged.node),
            verdict: told(judged.verdict),
        };
        judged.map(one).collect()
    }
}
