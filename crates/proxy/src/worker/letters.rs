//! What other threads tell a worker.

use engine::health::Evidence;

use super::Worker;
use crate::queue::Ticket;
use crate::session::Phase;
use crate::shared::{Chosen, Letter, Note};
use crate::slab::Key;

impl Worker {
    pub(super) fn read_letters(&mut self) {
        for letter in self.core.shared.workers[self.core.index].take() {
            self.read(letter);
        }
    }

    fn read(&mut self, letter: Letter) {
        match letter {
            Letter::Activate => {
                self.start_listening();
                self.done();
            }
            Letter::Ping => self.done(),
            Letter::Drain => self.drain(),
            Letter::Stop => self.is_stopped = true,
            Letter::Condition { proxy, server, condition } => {
                self.core.backends[proxy].pool.set(server, condition);
                if !condition.up || condition.suspect || condition.resting {
                    self.core.purge(proxy, server);
                }
                self.drive_waiting(proxy);
            }
            Letter::Abandon { proxy, server, sent } => self.abandon(proxy, server, sent),
            Letter::Choose { proxy, choice } => self.choose(proxy, choice),
            Letter::Turn(ticket) => self.turn(ticket),
            Letter::Accept => self.accept_again(),
            Letter::Sessions(number) => {
                let lines = self.sessions.iter().map(|(_, s)| s.line(&self.core)).collect();
                self.core.view.sessions.answer(number, lines);
            }
        }
    }

    fn done(&self) {
        self.core.shared.control.post(Note::Done { worker: self.core.index });
    }

    /// A place in the queue was popped for this session. If it does not wait any more, it has called
    /// the next one when it left.
    pub(super) fn turn(&mut self, ticket: Ticket) {
        let Some(session) = self.sessions.get_mut(ticket.session) else { return };
        if session.is_called(ticket) {
            self.drive(ticket.session);
        }
    }

    /// Conditions changed: whoever waits looks again.
    fn drive_waiting(&mut self, proxy: usize) {
        for key in self.waiting(proxy) {
            self.drive(key);
        }
    }

    fn waiting(&self, proxy: usize) -> Vec<Key> {
        let waits = |phase: &Phase| matches!(phase, Phase::Queued { .. } | Phase::Pause { .. });
        let sessions = self.sessions.iter();
        sessions
            .filter(|(_, s)| waits(&s.phase) && s.back() == Some(proxy))
            .map(|(k, _)| k)
            .collect()
    }

    fn drain(&mut self) {
        self.close_listeners();
        for key in self.sessions.keys() {
            if let Some(session) = self.sessions.get_mut(key)
                && session.is_idle()
            {
                session.phase = Phase::Dead;
                self.remove(key);
            }
        }
    }

    /// Requests without any answer yet that may be repeated go elsewhere.
    fn abandon(&mut self, proxy: usize, server: usize, sent: bool) {
        for key in self.sessions.keys() {
            let Some(session) = self.sessions.get_mut(key) else { continue };
            if session.wants(proxy, server) && session.abandon(&mut self.core, sent) {
                self.drive(key);
            }
        }
    }

    /// Sessions with any other server end before the answer is given: this is what makes the control
    /// thread's second step safe.
    fn choose(&mut self, proxy: usize, choice: Chosen) {
        self.core.backends[proxy].chosen = choice;
        let mut count = 0;
        for key in self.sessions.keys() {
            let Some(session) = self.sessions.get_mut(key) else { continue };
            let foreign = match choice {
                Chosen::Free => false,
                Chosen::Changing => session.is_at_any(proxy),
                Chosen::Only(server) => session.is_at_any(proxy) && !session.uses(proxy, server),
            };
            if foreign {
                session.kill(&mut self.core, *b"DD");
                self.remove(key);
                count += 1;
            }
        }
        if count > 0 {
            self.core.shared.control.post(Note::Closed { proxy, count });
        }
        self.done();
        self.drive_waiting(proxy);
    }

    /// Requests that wait long for an answer while other servers do answer speak against a server:
    /// of those to one server, the second oldest counts (one alone may just be slow).
    pub(super) fn report_silence(&self) {
        if !self.core.view.adaptive() {
            return;
        }
        let mut waits: Vec<_> = self.sessions.iter().filter_map(|(_, s)| s.waits_since()).collect();
        waits.sort_unstable();
        for pair in waits.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let [_, (proxy, server, since), ..] = pair else { continue };
            let other = self.core.backends[*proxy].other_answered(*server);
            let evidence = Evidence::Unanswered { since: *since, other };
            self.core.witness(*proxy, *server, evidence);
        }
    }
}
