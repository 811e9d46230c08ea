//! Virtual IPs that are held together: what one is told concerns all of them.

use base::Time;
use engine::Buffer;
use engine::vip::{Action, Input, Stance, together};

use super::Driver;
use super::perform::Done;

/// More than any group needs to agree: each member is told of the others, and lets go or takes.
const TELLINGS_EACH: usize = 8;

impl Driver<'_> {
    /// After an instance was told something: its group agrees, then what all of them ordered is done. What is let go comes
    /// first, so that who is named for one of them finds all of them free.
    pub(super) fn settle(&mut self, number: usize, now: Time) {
        let members = self.members(number);
        let mut ordered = vec![(number, std::mem::take(&mut self.actions))];
        for _ in 0..members.len() * TELLINGS_EACH {
            let stance = |member: &usize| self.instances[*member].machine.stance(now);
            let stances: Vec<Stance> = members.iter().map(stance).collect();
            let Some((at, told)) = together::next(&stances) else { break };
            self.feed(members[at], now, Input::Together(told));
            ordered.push((members[at], std::mem::take(&mut self.actions)));
        }
        let told: Vec<usize> = members
            .into_iter()
            .filter(|member| ordered.iter().any(|(of, _)| of == member))
            .collect();
        let mut all: Vec<(usize, Done)> =
            told.into_iter().map(|member| (member, self.done(member, now))).collect();
        for releases in [true, false] {
            for (member, actions) in &ordered {
                if let Some((_, done)) = all.iter_mut().find(|(of, _)| of == member) {
                    self.obey_all(*member, actions, releases, done);
                }
            }
        }
        for (member, done) in &all {
            self.conclude(*member, done);
        }
    }

    /// Neighbours hear once more where the others of its group are.
    pub(super) fn tell_of_others(&mut self, number: usize, of_all: bool) {
        let others = if of_all { self.members(number) } else { vec![] };
        for other in others.into_iter().filter(|other| *other != number) {
            if self.instances[other].held {
                self.instances[other].announce();
            }
        }
    }

    fn obey_all(
        &mut self,
        member: usize,
        actions: &Buffer<Action>,
        releases: bool,
        done: &mut Done,
    ) {
        let now = actions.iter().filter(|action| (**action == Action::Release) == releases);
        now.for_each(|action| self.obey(member, *action, done));
    }

    /// Those of its group, and itself.
    fn members(&self, number: usize) -> Vec<usize> {
        let group = &self.instances[number].vip.sync_group;
        let all = self.instances.iter().enumerate();
        let of_group =
            all.filter(|(_, other)| other.seat.is_none() && other.vip.sync_group == *group);
        of_group.map(|(at, _)| at).collect()
    }
}
