//! What a compute node says of itself to the controllers: at once when it changes, and with every answer.

use base::Time;

use super::wire::Part;
use super::{Action, Gossip};
use crate::duty::Duty;
use crate::evidence::Ailments;
use crate::member::Load;

/// Bytes: flags, ailments, duty, and the four numbers of the load.
const LENGTH: usize = 7;
/// The load was measured.
const LOAD: u8 = 1;

/// What a node says of itself.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Said {
    /// What it has to say against itself.
    pub ailments: Ailments,
    /// Whether it takes on work.
    pub duty: Duty,
    /// How busy its machine is.
    pub load: Option<Load>,
}

impl Said {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let flags = if self.load.is_some() { LOAD } else { 0 };
        out.extend_from_slice(&[flags, self.ailments.byte(), self.duty.byte()]);
        out.extend_from_slice(&self.load.map_or([0; 4], |load| {
            [load.cpu_percent, load.memory_percent, load.fibre_online, load.fibre_ports]
        }));
    }

    /// None: it ends too early. What follows is for later versions.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let &[flags, ailments, duty, ref load @ ..] = bytes.first_chunk::<LENGTH>()?;
        Some(Self {
            ailments: Ailments::from_byte(ailments),
            duty: Duty::from_byte(duty),
            load: (flags & LOAD != 0).then(|| Load::read(*load)),
        })
    }
}

/// What a controller knows by a node's own word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    pub(super) said: Said,
    pub(super) at: Time,
    pub(super) ailing_since: Time,
}

impl Gossip {
    /// Controllers hear of it at once if it is more than another load. The first word of a process says that
    /// it is there: else each controller would learn that when it asks, or is asked by it, at last.
    pub(super) fn say(&mut self, said: Said, out: &mut Vec<Action>) {
        let is_first = !std::mem::replace(&mut self.has_said, true);
        let is_news = (said.ailments, said.duty) != (self.said.ailments, self.said.duty);
        self.said = said;
        if (is_news || is_first) && self.confirm.is_none() {
            for to in 0..self.roster.controllers {
                self.shared(to)
                    .for_each(|network| out.push(Action::part((to, network), &Part::Said(said))));
            }
        }
    }

    /// A compute node said this of itself.
    pub(super) fn told(&mut self, now: Time, node: u16, said: Said, out: &mut Vec<Action>) {
        let Some(confirm) = &mut self.confirm else { return };
        let Some(word) = confirm.word(now, node) else { return };
        let before = std::mem::replace(&mut word.said, said);
        word.at = now;
        if before.ailments.is_empty() != said.ailments.is_empty() {
            word.ailing_since = if said.ailments.is_empty() { Time::NEVER } else { now };
        }
        if before.ailments != said.ailments {
            self.due.insert(node, now);
        }
        if before.duty != said.duty {
            out.push(Action::Duty { node });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Ailment;

    #[test]
    fn what_a_node_says_of_itself_travels_whole() {
        let mut said = Said { duty: Duty::Draining, ..Said::default() };
        said.ailments.set(Ailment::Mount, true);
        let load = Load { cpu_percent: 7, memory_percent: 100, fibre_online: 1, fibre_ports: 2 };
        for load in [None, Some(load)] {
            let said = Said { load, ..said };
            let mut bytes = vec![];
            said.encode(&mut bytes);
            assert_eq!(Said::decode(&bytes), Some(said));
            assert_eq!(Said::decode(&bytes[..LENGTH - 1]), None);
        }
    }
}
