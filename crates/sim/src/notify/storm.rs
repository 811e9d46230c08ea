//! What happens to nodes, networks, receivers and the store.

use super::Mark;
use super::node::Said;
use super::receive::RECEIVERS;
use super::world::World;

/// Milliseconds between two faults, at most.
const BETWEEN: u64 = 6_000;

impl World {
    pub(super) fn storm(&mut self) {
        if self.now_ms < self.strikes_ms {
            return;
        }
        self.strikes_ms = self.now_ms + self.chance.below(BETWEEN);
        let node = self.some_node();
        let receiver = usize::from(self.chance.one_in(2)) % RECEIVERS;
        match self.chance.below(14) {
            0 | 1 => self.switch_off(node),
            2 => self.switch_on(node),
            3 | 4 => self.kill(node, "its agent dies"),
            5 => {
                let long = self.chance.choose(&[300, 2_000, 15_000, 60_000]);
                self.nodes[node].paused_until = self.now_ms + self.chance.below(long);
                self.trouble(node, "stands still");
            }
            6 => {
                self.nodes[node].side = 1;
                self.trouble(node, "is cut off");
            }
            7 => self.heal(),
            8 => self.down[receiver] = self.now_ms + self.chance.below(60_000),
            9 => self.greylists = self.now_ms + self.chance.below(30_000),
            10 => self.mute[receiver] = 1 + self.chance.below(2),
            11 => self.nobody_until = self.now_ms + self.chance.below(90_000),
            12 => {
                let address = self.some_address();
                let holder = self.addresses[address].holder;
                if let Some(holder) = holder {
                    self.switch_off(holder);
                }
            }
            _ => {
                // Moves by command, many at once.
                for _ in 0..self.chance.below(8) {
                    let (address, to) = (self.some_address(), self.some_node());
                    self.takes(address, to);
                }
            }
        }
    }

    pub(super) fn some_node(&mut self) -> usize {
        let all: Vec<usize> = (0..self.nodes.len()).collect();
        self.chance.choose(&all)
    }

    fn some_address(&mut self) -> usize {
        let all: Vec<usize> = (0..self.addresses.len()).collect();
        self.chance.choose(&all)
    }

    fn switch_off(&mut self, node: usize) {
        self.kill(node, "loses power");
        self.nodes[node].powered = false;
    }

    fn switch_on(&mut self, node: usize) {
        self.nodes[node].powered = true;
        self.nodes[node].starts_ms = self.now_ms + 500;
    }

    pub(super) fn kill(&mut self, node: usize, how: &str) {
        self.trouble(node, how);
        // The next process of this node would have another token.
        self.seat.0 = self.seat.0.filter(|holder| *holder != node);
        let Some(agent) = self.nodes[node].agent.take() else { return };
        self.nodes[node].starts_ms = self.now_ms + self.chance.below(8_000);
        // What was on its way may be done, and what was told may have arrived.
        for asked in agent.asked {
            if self.chance.one_in(2) && self.reaches_shelf(node) {
                let _nobody_hears = self.shelf(node).write(&asked.write);
            }
        }
        for delivery in agent.deliveries.iter().filter(|one| one.answers.is_none()) {
            if self.chance.one_in(3) {
                let _nobody_hears = self.receive(node, &delivery.batch);
            }
        }
    }

    pub(super) fn trouble(&mut self, node: usize, what: &str) {
        self.nodes[node].troubles.push(self.now_ms);
        self.tell(node, what);
    }

    fn heal(&mut self) {
        self.nodes.iter_mut().for_each(|node| node.side = 0);
        self.healed_ms = self.now_ms;
    }

    /// Everything is mended.
    pub(super) fn calm(&mut self) {
        self.is_calm = true;
        self.heal();
        for node in 0..self.nodes.len() {
            self.nodes[node].paused_until = self.now_ms;
            if !self.nodes[node].powered {
                self.switch_on(node);
            }
        }
        (self.greylists, self.nobody_until) = (0, 0);
        self.down = [0; RECEIVERS];
        self.mute = [0; RECEIVERS];
    }

    /// A node has an address.
    pub(super) fn takes(&mut self, address: usize, to: usize) {
        if !self.nodes[to].runs(self.now_ms) || self.addresses[address].holder == Some(to) {
            return;
        }
        let letter = Box::new(self.next_letter(address, to));
        let awaits = self.chance.one_in(3);
        self.tell(to, &format!("takes {}", letter.object));
        self.end_of_absence(address);
        self.addresses[address].holder = Some(to);
        self.nodes[to].log.push(Said::Took { letter, awaits });
        self.outcome.moves += 1;
        if !self.is_shared {
            self.outcome.marks.reach(Mark::Alone);
        }
    }
}
