//! What our own nodes tell each other in sealed messages, and what follows.

use base::Time;

use super::{
    Action, Arrival, Cause, HELLO_LIFE, HandOver, Hello, MOVE_PAUSE, Named, Obeyed, Planned, Rank,
    Role, State, Vip,
};
use crate::Buffer;

impl Vip {
    pub(super) fn hello(
        &mut self,
        now: Time,
        network: u8,
        hello: &Hello,
        out: &mut Buffer<Action>,
    ) {
        let near = self.config.network.is_none_or(|own| own == network);
        let ours = hello.group == self.group;
        let arrival = if ours { self.peers.heard(now, near, hello) } else { Arrival::Stranger };
        match arrival {
            Arrival::Stranger => {
                self.counters.strangers += 1;
                return;
            }
            // It may have held while we did not hear it, and let go before we did: clients that
            // believed it are told where the address is.
            Arrival::Return => {
                self.planned = Planned::Possible;
                self.announce(now, out);
            }
            Arrival::Usual => {}
        }
        self.note_unheard(now, network, hello);
        // A hello from before a hand-over does not speak for the present holder.
        let current = hello.term >= self.term;
        self.term = self.term.max(hello.term);
        let rank = Rank { priority: hello.priority, address: hello.source };
        if hello.role == Role::Master && current && self.config.network == Some(network) {
            // As good as an advert, and it survives a switch that loses multicast. But it comes four
            // times as often, and routers of others hear adverts only: a wait that counts from it is
            // shorter by the time between two adverts, or a weaker one of theirs would be sooner.
            let before = self.take_over_at();
            self.hear(now, rank, None, out);
            self.count_from_adverts(now, before);
        } else if hello.role != Role::Master && current {
            self.obeyed.forget(hello.source);
        }
        let could = hello.role == Role::Backup
            && hello.eligible
            && !self.peers.is_dead(hello.node)
            && self.config.vip.preempt
            && rank > self.rank();
        if !could {
            self.delay.forget(hello.source);
            self.stronger.take_if(|node| *node == hello.node);
        } else if near && matches!(self.state, State::Master { .. }) {
            // A peer heard on another network only may be cut off here: it would not be seen to hold.
            self.weigh_move(now, hello, out);
        }
    }

    /// A stronger node that has said for `preempt_delay`, without a gap, that it could take the address gets it.
    fn weigh_move(&mut self, now: Time, hello: &Hello, out: &mut Buffer<Action>) {
        let delay = self.config.vip.preempt_delay;
        if self.delay.is_over_for(now, hello.source, delay) {
            self.stronger = Some(hello.node);
            if self.is_bound() {
                return; // it is moved with the others of its group, if it is stronger for all of them
            }
            let named = match delay.is_zero() {
                true => self.peers.successor(now),
                false => self.peers.could_hold(now, hello.node),
            };
            self.move_to_stronger(now, named, out);
        }
    }

    /// It holds, and its adverts do not come where its hellos do: something on the way drops them, most often a switch
    /// or a filter that lets no multicast through.
    fn note_unheard(&mut self, now: Time, network: u8, hello: &Hello) {
        let three = self.interval.max(self.config.vip.advert_interval) * 3;
        let unheard = hello.role == Role::Master
            && self.config.network == Some(network)
            && self.awake(now)
            && self.peers.is_unheard(now, hello.node, three.max(HELLO_LIFE));
        self.counters.unheard += u64::from(unheard);
    }

    fn take_over_at(&self) -> Option<Time> {
        match self.state {
            State::Backup { take_over_at, .. } => Some(take_over_at),
            State::Master { .. } | State::Fault | State::Stopped => None,
        }
    }

    /// After a hello that was obeyed as a backup, whose wait had ended `before`.
    fn count_from_adverts(&mut self, now: Time, before: Option<Time>) {
        let whole = now + self.master_down();
        let fewer = whole.since(now).saturating_sub(self.interval);
        if let (State::Backup { take_over_at, .. }, Some(before)) = (&mut self.state, before)
            && *take_over_at == whole
        {
            *take_over_at = before.max(now + fewer);
        }
    }

    /// `preempt` between our own nodes: a planned move instead of two masters for a moment. Not
    /// while a peer holds in another part of a broken network: the stronger one may obey that.
    fn move_to_stronger(&mut self, now: Time, to: Option<Named>, out: &mut Buffer<Action>) {
        if let State::Master { since, .. } = self.state
            && now.since(since) >= MOVE_PAUSE
            && !self.peers.hold(now)
            && self.planned == Planned::Possible
        {
            self.planned = Planned::Asked;
            self.yield_to(to, out);
            self.wait_for_named(now);
            self.cause = Some(Cause::Stronger);
        }
    }

    pub(super) fn handed_over(&mut self, now: Time, message: HandOver, out: &mut Buffer<Action>) {
        if message.group != self.group || !self.peers.knows(message.from) {
            self.counters.strangers += 1;
            return;
        }
        // A process that was just started knows no term and has seen no packet: a recorded message would
        // be news to it. But it names a process that is no more.
        let HandOver { to, to_life, .. } = message;
        let named = to == self.config.node;
        let lives = if named { to_life == self.config.life } else { self.peers.lives(to, to_life) };
        if !lives {
            self.counters.outlived += 1;
            return;
        }
        if message.term <= self.term {
            return; // the same message by another network, or one that was overtaken
        }
        self.term = message.term;
        let mut holders = self.obeyed.within(now, self.interval * 2);
        if holders.any(|other| !self.peers.owns(message.from, other)) {
            return; // cut off from our network, it does not know who holds here
        }
        self.obeyed = Obeyed::default();
        match self.state {
            State::Backup { .. } if named && self.awake(now) && self.is_bound() => {
                self.want(now, Cause::Named, Some(message.from));
            }
            State::Backup { .. } if named && self.awake(now) => {
                self.hold(now, Cause::Named, Some(message.from), out);
            }
            State::Backup { .. } => self.wait_for_named(now),
            State::Master { .. } | State::Fault | State::Stopped => {}
        }
    }
}
