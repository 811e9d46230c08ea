//! What an agent does at a glance.

use std::time::Duration;

use engine::notify::{Input, Outcome as Answer, Word};

use super::node::{Agent, Delivery, NAMES, Said, time};
use super::receive::receivers;
use super::world::{UNHEARD, World};
use super::{BOUNDS, Mark};

/// Of one delivery (ms).
const TIMEOUT: u64 = 10_000;
/// Of a vigil.
const LONG: Duration = Duration::from_secs(5);
/// Who reaches no majority ceases to coordinate after this (ms).
const SEAT: u64 = 4_000;
/// A machine that wants to be woken more often at one moment is woken without end.
const MOST_STEPS: u32 = 200;

impl World {
    /// One glance of an agent.
    pub(super) fn act(&mut self, node: usize) {
        if !self.nodes[node].runs(self.now_ms) {
            return;
        }
        if self.nodes[node].agent.is_none() {
            if self.now_ms < self.nodes[node].starts_ms {
                return;
            }
            self.lives += 1;
            let agent = Agent::new(node, self.nodes.len(), receivers(), self.is_shared);
            self.nodes[node].agent = Some(agent);
        }
        self.hear(node);
        self.step(node, Input::Wall(self.wall(node)));
        self.watch_shelf(node);
        self.take_office(node);
        self.read_logs(node);
        self.keep_vigil(node);
        // What follows from an answer needs no time of its own where all is quiet.
        let rounds = if self.is_calm { 8 } else { 1 };
        for _ in 0..rounds {
            self.answer_writes(node);
            self.bring(node);
        }
        let mut steps = 0;
        while self.is_due(node) {
            self.step(node, Input::Timeout);
            steps += 1;
            if steps > MOST_STEPS {
                let what = format!("{} is woken without end", NAMES[node]);
                return self.break_off(BOUNDS, what);
            }
        }
        self.step(node, Input::Timeout);
    }

    fn is_due(&self, node: usize) -> bool {
        let agent = self.nodes[node].agent.as_ref();
        agent.is_some_and(|agent| agent.outbox.deadline() <= time(self.now_ms))
    }

    /// What it hears of others, and who hears it.
    fn hear(&mut self, node: usize) {
        for other in 0..self.nodes.len() {
            let is_heard = other == node
                || (self.nodes[other].acts(self.now_ms)
                    && self.nodes[other].side == self.nodes[node].side);
            if is_heard {
                self.nodes[node].heard_ms[other] = self.now_ms;
            }
        }
        if self.reaches_shelf(node) {
            self.nodes[node].reached_ms = self.now_ms;
        }
    }

    fn step(&mut self, node: usize, input: Input) {
        let now_ms = self.now_ms;
        let Some(agent) = &mut self.nodes[node].agent else { return };
        let (words, is_lost) = agent.step(now_ms, input);
        if is_lost {
            self.break_off(BOUNDS, format!("{} orders more than fits", NAMES[node]));
        }
        for word in words {
            self.note(node, word);
        }
    }

    fn note(&mut self, node: usize, word: Word) {
        let marks = &mut self.outcome.marks;
        match word {
            Word::Told { receiver, batch, letters, tries } => {
                marks.reach(if tries > 0 { Mark::Retried } else { Mark::Told });
                if letters > 1 {
                    marks.reach(Mark::Summary);
                }
                self.tell(node, &format!("told {receiver} {batch}"));
                self.nodes[node].log.push(Said::Settled { receiver, batch });
            }
            Word::GivenUp { receiver, id, why } => {
                self.tell(node, &format!("gives up {id} for {receiver}: {why}"));
                self.given_up.insert((receiver.clone(), id.clone()));
                self.nodes[node].log.push(Said::Settled { receiver, batch: id });
            }
            Word::Dropped { letters } => {
                self.break_off(BOUNDS, format!("{letters} were dropped of some dozens"));
            }
            Word::Overtaken { .. } | Word::Failing { .. } | Word::Refused { .. } => {}
        }
    }

    fn watch_shelf(&mut self, node: usize) {
        let reaches = self.reaches_shelf(node);
        let Some(agent) = &self.nodes[node].agent else { return };
        let (news, seen) = match (agent.watched, self.is_shared) {
            (Some(_), false) => return,
            (None, false) => (vec![self.nodes[node].shelf.all()], 0),
            (_, true) if !reaches => return,
            (None, true) => (vec![self.shared.all()], self.shared.after(usize::MAX).1),
            (Some(seen), true) => self.shared.after(seen),
        };
        if let Some(agent) = &mut self.nodes[node].agent {
            agent.watched = Some(seen);
        }
        for input in news {
            self.step(node, input);
        }
    }

    /// It may believe for a while what is no longer so.
    fn take_office(&mut self, node: usize) {
        let is_late = self.chance.one_in(2);
        let (holder, token, _) = self.seat;
        let has_majority = self.now_ms - self.nodes[node].reached_ms < SEAT;
        let Some(agent) = &self.nodes[node].agent else { return };
        let office = match (self.is_shared, has_majority) {
            (false, _) => agent.office.or(Some(self.lives)),
            (true, true) if is_late => agent.office,
            (true, true) => (holder == Some(node)).then_some(token),
            (true, false) => None,
        };
        if office == agent.office || !agent.outbox.is_read() {
            return;
        }
        if agent.office.is_some() {
            self.trouble(node, "is not in office any more");
        }
        if let Some(agent) = &mut self.nodes[node].agent {
            agent.office = office;
            agent.vigil.forget();
            agent.read.fill(0);
        }
        self.step(node, Input::Office(office));
    }

    fn read_logs(&mut self, node: usize) {
        for of in 0..self.nodes.len() {
            let is_heard = self.nodes[node].heard_ms[of] == self.now_ms;
            let now = time(self.now_ms);
            let Some(agent) = &mut self.nodes[node].agent else { return };
            if agent.office.is_none() || !is_heard || self.chance.one_in(2) {
                continue;
            }
            let from = agent.read[of];
            let new: Vec<Said> = self.nodes[of].log[from..].iter().take(16).cloned().collect();
            let Some(agent) = &mut self.nodes[node].agent else { return };
            agent.read[of] += new.len();
            for said in new {
                let input = match said {
                    Said::Took { letter, awaits } => {
                        if let Some(agent) = &mut self.nodes[node].agent {
                            agent.vigil.moved(now, &letter.object);
                        }
                        Input::Happened { letter, awaits }
                    }
                    Said::Settled { .. } if of == node => continue,
                    Said::Settled { receiver, batch } => Input::Settled { receiver, batch },
                };
                self.step(node, input);
            }
        }
    }

    fn keep_vigil(&mut self, node: usize) {
        let (now_ms, wall) = (self.now_ms, self.wall(node));
        let heard: Vec<usize> = (0..self.nodes.len())
            .filter(|other| now_ms - self.nodes[node].heard_ms[*other] < UNHEARD)
            .collect();
        let Some(agent) = &mut self.nodes[node].agent else { return };
        if agent.office.is_none() || now_ms < agent.looked_ms + 1_000 {
            return;
        }
        agent.looked_ms = now_ms;
        let mut inputs = vec![];
        if !self.is_shared {
            let names = heard.iter().map(|other| NAMES[*other].to_owned()).collect();
            inputs.push(Input::Seen(names));
        }
        for of in &self.addresses {
            let is_held = of.holder.is_some_and(|holder| heard.contains(&holder));
            if agent.vigil.look(time(now_ms), &of.object, is_held, LONG) {
                let at_ms = wall - 5_000;
                let (object, cause) = (of.object.clone(), "nobody holds it".to_owned());
                inputs.push(Input::Unheld { object, at_ms, cause });
            }
        }
        for input in inputs {
            self.step(node, input);
        }
    }

    fn answer_writes(&mut self, node: usize) {
        let reaches = self.reaches_shelf(node);
        let (now_ms, is_calm) = (self.now_ms, self.is_calm);
        let Some(agent) = &mut self.nodes[node].agent else { return };
        for asked in std::mem::take(&mut agent.asked) {
            if !reaches && now_ms < asked.at_ms + 500 {
                if let Some(agent) = &mut self.nodes[node].agent {
                    agent.asked.push(asked);
                }
                continue;
            }
            let fate = if is_calm { 99 } else { self.chance.below(100) };
            let mut outcome = Err(false);
            if reaches && fate > 1 {
                outcome = self.shelf(node).write(&asked.write);
            }
            if fate < 4 && outcome.is_ok() {
                self.outcome.marks.reach(Mark::Unanswered);
                outcome = Err(false);
                // A file is read when its process starts, and by nobody after that.
                if !self.is_shared {
                    self.kill(node, "does not know what it wrote");
                    return;
                }
            }
            self.step(node, Input::Written { number: asked.number, outcome });
        }
    }

    /// Deliveries arrive, and are answered.
    fn bring(&mut self, node: usize) {
        let now_ms = self.now_ms;
        let Some(agent) = &mut self.nodes[node].agent else { return };
        for delivery in std::mem::take(&mut agent.deliveries) {
            let Delivery { batch, began_ms, answers } = delivery;
            let answers = match answers {
                Some(answers) => Some(answers),
                None if now_ms > began_ms + TIMEOUT => {
                    Some((now_ms, Answer::failed("it is too late".to_owned())))
                }
                None if !self.is_calm && !self.chance.one_in(3) => None,
                None => {
                    let outcome = self.receive(node, &batch);
                    let takes = if self.is_calm { 0 } else { self.chance.below(2_000) };
                    Some((now_ms + takes, outcome))
                }
            };
            match answers {
                Some((at_ms, outcome)) if now_ms >= at_ms => {
                    let (batch, receiver) = (batch.id, batch.receiver);
                    self.step(node, Input::Delivered { batch, receiver, outcome });
                }
                answers => {
                    if let Some(agent) = &mut self.nodes[node].agent {
                        agent.deliveries.push(Delivery { batch, began_ms, answers });
                    }
                }
            }
        }
    }
}
