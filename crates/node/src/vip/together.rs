//! Virtual IPs that are held together: what one is told concerns all of them.

use base::Time;
use config::vip::Vip;
use engine::Buffer;
use engine::vip::{Action, Input, Stance, together};

use super::Driver;
use super::perform::Done;

/// More than any group needs to agree: each member is told of the others, and lets go or takes.
const TELLINGS_EACH: usize = 8;
/// So many of these there is memory for at once.
const USUAL_EACH: usize = 3;

/// What is known while a group agrees; each time in the same memory.
#[derive(Default)]
pub(super) struct Together {
    members: Vec<usize>,
    stances: Vec<Stance>,
    /// By whom, in their order.
    ordered: Vec<(usize, Buffer<Action>)>,
    done: Vec<(usize, Done)>,
}

impl Together {
    /// Room for the largest group.
    pub(super) fn new(vips: &[Vip]) -> Self {
        let same = |vip: &Vip| vips.iter().filter(|it| it.sync_group == vip.sync_group).count();
        let grouped = vips.iter().filter(|vip| vip.sync_group.is_some() && !vip.has_lease);
        let most = grouped.map(same).max().unwrap_or(0);
        Self {
            members: Vec::with_capacity(most),
            stances: Vec::with_capacity(most),
            ordered: Vec::with_capacity(most * USUAL_EACH),
            done: Vec::with_capacity(most),
        }
    }
}

impl Driver<'_> {
    /// After an instance was told something: its group agrees, then what all of them ordered is done. What is let go comes
    /// first, so that who is named for one of them finds all of them free.
    pub(super) fn settle(&mut self, number: usize, now: Time) {
        let mut all = std::mem::take(&mut self.together);
        let Together { members, stances, ordered, done } = &mut all;
        self.list_members(number, members);
        ordered.push((number, std::mem::take(&mut self.actions)));
        for _ in 0..members.len() * TELLINGS_EACH {
            let stance = |member: &usize| self.instances[*member].machine.stance(now);
            stances.clear();
            stances.extend(members.iter().map(stance));
            let Some((at, told)) = together::next(stances) else { break };
            self.feed(members[at], now, Input::Together(told));
            ordered.push((members[at], std::mem::take(&mut self.actions)));
        }
        let told = members.iter().filter(|member| ordered.iter().any(|(of, _)| of == *member));
        done.extend(told.map(|member| (*member, self.done(*member, now))));
        for releases in [true, false] {
            for (member, actions) in &*ordered {
                if let Some((_, done)) = done.iter_mut().find(|(of, _)| of == member) {
                    self.obey_all(*member, actions, releases, done);
                }
            }
        }
        ordered.clear();
        let mut done = std::mem::take(done);
        self.together = all;
        for (member, done) in done.drain(..) {
            self.conclude(member, &done);
        }
        // Whoever was refused an address settled once more meanwhile.
        self.together.done = done;
    }

    /// Neighbours hear once more where the others of its group are.
    pub(super) fn tell_of_others(&mut self, number: usize, of_all: bool) {
        for other in (0..self.instances.len()).filter(|other| of_all && *other != number) {
            if self.is_beside(number, other) && self.instances[other].held {
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
    fn list_members(&self, number: usize, members: &mut Vec<usize>) {
        members.clear();
        members.extend((0..self.instances.len()).filter(|other| self.is_beside(number, *other)));
    }

    fn is_beside(&self, number: usize, other: usize) -> bool {
        let (one, other) = (&self.instances[number], &self.instances[other]);
        other.seat.is_none() && other.vip.sync_group == one.vip.sync_group
    }
}
