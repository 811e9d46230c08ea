//! After the last calm: the network of the clients is silent at one holder, then everywhere; then a gateway there answers all but
//! one holder, then nobody.

use std::time::Duration;

use super::fault::Fault;
use super::host::Told;
use super::run::{Event, World};
use super::{GATEWAY, Mark, UNHEARD};

/// Where the addresses are.
pub(super) const CLIENTS: u8 = 0;
/// Long enough to be missed by slow clocks, and to be followed.
const NOTICED: Duration = Duration::from_millis(150);
/// In which all notice that a gateway is gone, on the slowest clock too.
pub(super) const SETTLE: Duration = Duration::from_millis(100);
const ALL_NOTICE: Duration = Duration::from_millis(80);
/// More than it takes to be sure, and to be followed.
const SURE: Duration = Duration::from_millis(220);
/// All of it.
pub(super) const TAKES: Duration = Duration::from_millis(1100);

#[derive(Clone, Debug)]
pub(super) enum Quiet {
    Begins,
    /// Of that host they heard nothing since.
    At(usize),
    /// Nobody heard anybody there; these held before.
    Everywhere(Vec<Option<usize>>),
    /// All are heard again.
    Gateway,
    /// The gateway does not answer this host since.
    Unreached(usize),
    /// It answers nobody; these held before.
    Down(Vec<Option<usize>>),
}

impl World<'_> {
    pub(super) fn quiet(&mut self, what: Quiet) {
        let clients = usize::from(CLIENTS);
        match what {
            Quiet::Begins => {
                let Some(host) = self.holder(0).filter(|_| self.hosts.len() > 2) else { return };
                // Nothing from it, nothing to it, or neither.
                let (from, to) = self.chance.choose(&[(true, false), (false, true), (true, true)]);
                for other in (0..self.hosts.len()).filter(|other| *other != host) {
                    self.cut[clients][host][other] = from;
                    self.cut[clients][other][host] = to;
                }
                self.tell(|| format!("host {host} is silent to clients: from {from}, to {to}"));
                self.after(NOTICED, Event::Quiet(Quiet::At(host)));
            }
            Quiet::At(host) => {
                if self.holders().iter().any(|held| held.is_none_or(|held| held == host)) {
                    let what =
                        format!("host {host} is silent to clients, and {:?}", self.holders());
                    return self.break_off(UNHEARD, what);
                }
                self.outcome.marks.reach(Mark::Unheard);
                for row in &mut self.cut[clients] {
                    row.fill(true);
                }
                let held = self.holders();
                self.after(NOTICED, Event::Quiet(Quiet::Everywhere(held)));
            }
            Quiet::Everywhere(held) => {
                if self.holders() != held {
                    let what = format!("{held:?} became {:?}", self.holders());
                    return self.break_off(UNHEARD, what);
                }
                for row in &mut self.cut[clients] {
                    row.fill(false);
                }
                self.after(NOTICED, Event::Quiet(Quiet::Gateway));
            }
            Quiet::Gateway => {
                let Some(host) = self.holder(0) else { return };
                self.refer(host, false);
                self.after(SURE, Event::Quiet(Quiet::Unreached(host)));
            }
            Quiet::Unreached(host) => {
                if self.holders().iter().any(|held| held.is_none_or(|held| held == host)) {
                    let what = format!("no gateway answers host {host}, and {:?}", self.holders());
                    return self.break_off(GATEWAY, what);
                }
                self.outcome.marks.reach(Mark::Unreached);
                for other in (0..self.hosts.len()).filter(|other| *other != host) {
                    let delay = self.chance.span(ALL_NOTICE);
                    self.after(delay, Event::Fault(Fault::Gateway { host: other, answers: false }));
                }
                let held = self.holders();
                self.after(ALL_NOTICE + SURE, Event::Quiet(Quiet::Down(held)));
            }
            Quiet::Down(held) => {
                if self.holders() != held {
                    let what = format!("{held:?} became {:?}", self.holders());
                    return self.break_off(GATEWAY, what);
                }
                (0..self.hosts.len()).for_each(|host| self.refer(host, true));
            }
        }
    }

    pub(super) fn refer(&mut self, host: usize, answers: bool) {
        self.hosts[host].gateway = answers;
        self.order(host, Told::Reference(Some(answers)));
    }

    pub(super) fn holders(&self) -> Vec<Option<usize>> {
        (0..self.script.vips).map(|vip| self.holder(vip)).collect()
    }

    /// Who answers for an address.
    fn holder(&self, vip: usize) -> Option<usize> {
        (0..self.hosts.len()).find(|host| self.hosts[*host].answers(vip, self.now))
    }
}
