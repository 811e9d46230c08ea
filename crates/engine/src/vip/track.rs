//! Facts about this node that decide whether it may hold, and with which priority.

use base::Time;
use config::vip::Script;

use super::{Balancer, Cause};
use crate::keep::{kept, kept_variants};

/// Everything that is tracked. What was never told is unknown: it keeps a node from standing for
/// the address, but takes it from nobody.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// The instance's own interface, then the tracked ones.
    links: Vec<Link>,
    /// What weighs as a script does comes after the scripts.
    scripts: Vec<Count>,
    /// Outer none: not tracked.
    balancer: Option<Option<bool>>,
    refused_until: Time,
    standby: bool,
    /// The cluster has committed that this node executes nothing any more.
    dead: bool,
    /// Somebody who is no router of the group has the address.
    taken_until: Time,
    /// What becomes of the own interface means nothing.
    ignores_own: bool,
    /// In a group that is held together: whether the others may be held here.
    others: Option<bool>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Link {
    Unknown,
    Up,
    NoCarrier,
    NoDevice,
    /// Which one it is, is not known yet.
    NoNetwork,
}

impl Link {
    fn is_good(self) -> Option<bool> {
        match self {
            Self::Unknown => None,
            Self::Up => Some(true),
            Self::NoCarrier | Self::NoDevice | Self::NoNetwork => Some(false),
        }
    }
}

/// The results of one script, counted as keepalived counts: the first result decides at once.
#[derive(Clone, Debug)]
struct Count {
    fall: u32,
    rise: u32,
    weight: i16,
    up: Option<bool>,
    /// Results in a row that contradict `up`.
    against: u32,
}

kept!(Facts {
    links,
    scripts,
    balancer,
    refused_until,
    standby,
    dead,
    taken_until,
    ignores_own,
    others
});
kept_variants!(Link { Unknown = 0, Up = 1, NoCarrier = 2, NoDevice = 3, NoNetwork = 4 });
kept!(Count { fall, rise, weight, up, against });

impl Facts {
    pub(super) fn new(vip: &config::vip::Vip) -> Self {
        let own = if vip.interface.is_empty() { Link::NoNetwork } else { Link::Unknown };
        let tracked = vip.track_interfaces.iter().map(|_| Link::Unknown);
        let scripts = vip.track_scripts.iter().map(Count::new);
        let weighed = vip.weighed_interfaces.iter().map(|it| Count::at_once(it.weight));
        let processes = vip
            .track_processes
            .iter()
            .map(|it| Count::at_once(if it.reversed { -it.weight } else { it.weight }));
        // Nothing until it was read; what a file says takes the place of the weight.
        let files = vip.track_files.iter().map(|_| Count::at_once(0));
        let ways = vip
            .track_bfds
            .iter()
            .map(|it| Count::at_once(if it.reversed { -it.weight } else { it.weight }));
        Self {
            links: std::iter::once(own).chain(tracked).collect(),
            scripts: scripts.chain(weighed).chain(processes).chain(files).chain(ways).collect(),
            balancer: vip.track_balancer.then_some(None),
            refused_until: Time::ZERO,
            standby: false,
            dead: false,
            taken_until: Time::ZERO,
            ignores_own: vip.ignores_interface,
            others: vip.sync_group.is_none().then_some(true),
        }
    }

    /// Of a virtual IP that is held together with this one: its interfaces and checks come behind those that are known, and what keeps it from
    /// being held keeps all.
    pub(super) fn join(&mut self, vip: &config::vip::Vip) {
        let Self { links, scripts, balancer, .. } = Self::new(vip);
        self.links.extend(links);
        self.scripts.extend(scripts);
        self.balancer = self.balancer.or(balancer);
    }

    /// How many interfaces and checks of it are tracked.
    pub(super) fn extent(vip: &config::vip::Vip) -> (usize, usize) {
        let Self { links, scripts, .. } = Self::new(vip);
        (links.len(), scripts.len())
    }

    /// There is no source for adverts yet.
    pub(super) fn no_source(&mut self) {
        self.link(0, Link::NoNetwork);
    }

    pub(super) fn standby(&mut self, on: bool) {
        self.standby = on;
    }

    pub(super) fn proven(&mut self, dead: bool) {
        self.dead = dead;
    }

    pub(super) fn carrier(&mut self, interface: usize, up: bool) {
        self.link(interface, if up { Link::Up } else { Link::NoCarrier });
    }

    pub(super) fn no_device(&mut self, interface: usize) {
        self.link(interface, Link::NoDevice);
    }

    /// An own interface, and the source there, are known from now on; false: it was before.
    pub(super) fn network(&mut self, interface: usize) -> bool {
        let own = self.links.get_mut(interface).filter(|link| **link == Link::NoNetwork);
        own.map(|link| *link = Link::Unknown).is_some()
    }

    fn link(&mut self, interface: usize, told: Link) {
        let is_bad = matches!(told, Link::NoCarrier | Link::NoDevice);
        let told = if is_bad && interface == 0 && self.ignores_own { Link::Up } else { told };
        // Its carrier is told again when it is known.
        let link = self.links.get_mut(interface).filter(|link| **link != Link::NoNetwork);
        if let Some(link) = link {
            *link = told;
        }
    }

    pub(super) fn script(&mut self, index: usize, passed: bool) {
        if let Some(script) = self.scripts.get_mut(index) {
            script.record(passed);
        }
    }

    /// A weight as [`super::crew::weighed`] makes it.
    pub(super) fn measure(&mut self, index: usize, weight: i16) {
        const LEAST: i16 = -253;
        if let Some(file) = self.scripts.get_mut(index) {
            let is_fatal = weight < LEAST;
            file.weight = if is_fatal { 0 } else { weight };
            file.up = Some(!is_fatal && weight >= 0);
        }
    }

    pub(super) fn balancer(&mut self, told: Balancer) {
        if let Some(known) = &mut self.balancer {
            match told {
                Balancer::Serving => *known = Some(true),
                Balancer::Replacing => {}
                Balancer::Failed => *known = Some(false),
            }
        }
    }

    pub(super) fn refused_until(&mut self, time: Time) {
        self.refused_until = time;
    }

    pub(super) fn taken_until(&mut self, time: Time) {
        self.taken_until = time;
    }

    pub(super) fn is_taken(&self) -> bool {
        self.taken_until > Time::ZERO
    }

    pub(super) fn learn_others(&mut self, fit: Option<bool>) {
        self.others = fit;
    }

    pub(super) fn others(&self) -> Option<bool> {
        self.others
    }

    /// Forgets what time alone has made better.
    pub(super) fn age(&mut self, now: Time) {
        if now >= self.taken_until {
            self.taken_until = Time::ZERO;
        }
        if now >= self.refused_until {
            self.refused_until = Time::ZERO;
        }
    }

    /// When [`Facts::age`] will next change something.
    pub(super) fn changes_at(&self) -> Time {
        let waits = [self.refused_until, self.taken_until].into_iter();
        waits.filter(|until| *until > Time::ZERO).min().unwrap_or(Time::NEVER)
    }

    /// Why a holder must let go.
    pub(super) fn objection(&self, now: Time) -> Option<Cause> {
        let others = (self.others == Some(false)).then_some(Cause::Together);
        self.own_objection(now).or(others)
    }

    /// Why this node may not stand for the address.
    pub(super) fn fault(&self, now: Time) -> Option<Cause> {
        let others = (self.others != Some(true)).then_some(Cause::Together);
        self.own_fault(now).or(others)
    }

    /// The same, but for the others of its group.
    pub(super) fn own_objection(&self, now: Time) -> Option<Cause> {
        self.first(now, |fact| fact == Some(false))
    }

    /// The same, but for the others of its group.
    pub(super) fn own_fault(&self, now: Time) -> Option<Cause> {
        self.first(now, |fact| fact != Some(true))
    }

    /// Which of the scripts, and of what comes after them, have no weight and are not good as far as was told: one bit each,
    /// of the first 64.
    pub(super) fn failed(&self) -> u64 {
        let all = self.scripts.iter().take(64).enumerate();
        let bad = all.filter(|(_, script)| script.weight == 0 && script.up == Some(false));
        bad.fold(0, |bits, (at, _)| bits | 1 << at)
    }

    fn first(&self, now: Time, bad: impl Fn(Option<bool>) -> bool) -> Option<Cause> {
        let mut fatal = self.scripts.iter().filter(|script| script.weight == 0);
        if self.dead {
            Some(Cause::ProvenDead)
        } else if self.standby {
            Some(Cause::Standby)
        } else if let Some(link) = self.links.iter().find(|link| bad(link.is_good())) {
            Some(match link {
                Link::NoDevice => Cause::NoDevice,
                Link::NoNetwork => Cause::NoNetwork,
                Link::Unknown | Link::Up | Link::NoCarrier => Cause::Carrier,
            })
        } else if self.balancer.is_some_and(&bad) {
            Some(Cause::Balancer)
        } else if fatal.any(|script| bad(script.up)) {
            Some(Cause::Script)
        } else {
            let refused = (now < self.refused_until).then_some(Cause::Refused);
            refused.or_else(|| (now < self.taken_until).then_some(Cause::InUse))
        }
    }

    /// Positive weights count while their script is up, negative ones while it is down.
    pub(super) fn weigh(&self, base: u8) -> u8 {
        let sum: i32 = self
            .scripts
            .iter()
            .filter(|script| script.up == Some(script.weight > 0))
            .map(|script| i32::from(script.weight))
            .sum();
        let weighed = (i32::from(base) + sum).clamp(1, 254);
        u8::try_from(weighed).expect("clamped to 1-254")
    }
}

impl Count {
    fn new(script: &Script) -> Self {
        let up = script.starts_failed.then_some(false);
        Self { fall: script.fall, rise: script.rise, weight: script.weight, up, against: 0 }
    }

    /// Each result is believed.
    const fn at_once(weight: i16) -> Self {
        Self { fall: 1, rise: 1, weight, up: None, against: 0 }
    }

    fn record(&mut self, passed: bool) {
        let Some(up) = self.up else {
            self.up = Some(passed);
            return;
        };
        self.against = if passed == up { 0 } else { self.against.saturating_add(1) };
        let needed = if up { self.fall } else { self.rise };
        if self.against > 0 && self.against >= needed {
            self.up = Some(passed);
            self.against = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn rise_3_fall_2() {
        let rows = [
            ("", false, None),
            ("+", false, Some(true)),
            ("-", false, Some(false)),
            ("+-", false, Some(true)),
            ("+--", false, Some(false)),
            ("+-+-", false, Some(true)),
            ("-++", false, Some(false)),
            ("-+++", false, Some(true)),
            ("-++-++", false, Some(false)),
            ("", true, Some(false)),
            ("++", true, Some(false)),
            ("+++", true, Some(true)),
        ];
        for (results, starts_failed, up) in rows {
            let mut count = Count::new(&Script { starts_failed, ..script(0) });
            results.chars().for_each(|result| count.record(result == '+'));
            assert_eq!(count.up, up, "after {results:?}, init_fail {starts_failed}");
        }
    }

    /// An interface with a weight is up, down, not there; a script with a weight passes, fails, was not run.
    #[test]
    fn what_weighs_the_other_way_takes_where_it_added_and_adds_where_it_took() {
        let rows = [
            (20, false, [120, 100, 100]),
            (-20, false, [100, 80, 80]),
            (20, true, [80, 100, 100]),
            (-20, true, [100, 120, 120]),
        ];
        for (weight, reversed, expected) in rows {
            let weighed = config::vip::Weighed {
                name: "eth1".to_owned(),
                weight: if reversed { -weight } else { weight },
                reversed,
            };
            let script = if reversed { script(weight).reverse() } else { script(weight) };
            let mut vip = crate::vip::tests::vip(7);
            (vip.weighed_interfaces, vip.track_scripts) = (vec![weighed], vec![]);
            let mut of_interface = Facts::new(&vip);
            (vip.weighed_interfaces, vip.track_scripts) = (vec![], vec![script]);
            let mut of_script = Facts::new(&vip);
            for (good, expected) in [true, false, false].into_iter().zip(expected) {
                // What a driver says of one that is good.
                let passed = good != reversed;
                of_interface.script(0, passed);
                of_script.script(0, passed);
                of_script.script(0, passed);
                of_script.script(0, passed);
                assert_eq!(of_interface.weigh(100), expected, "interface {weight} {reversed}");
                assert_eq!(of_script.weigh(100), expected, "script {weight} {reversed}");
            }
        }
    }

    #[test]
    fn a_number_of_a_file_is_the_weight_and_one_that_is_too_small_takes_the_address() {
        use config::vip::{TrackedFile, Vip};
        let file =
            TrackedFile { name: "f".to_owned(), path: "/f".to_owned(), weight: 1, reversed: false };
        let vip = Vip { track_files: vec![file], ..Vip::plain("v", "eth0", 1, vec![]) };
        let mut facts = Facts::new(&vip);
        facts.carrier(0, true);
        assert_eq!(facts.fault(Time::ZERO), Some(Cause::Script), "it was not read yet");
        assert_eq!(facts.objection(Time::ZERO), None);
        let rows =
            [(7, 107, None), (0, 100, None), (-7, 93, None), (-253, 1, None), (253, 254, None)];
        for (weight, priority, fault) in rows {
            facts.measure(0, weight);
            assert_eq!((facts.weigh(100), facts.fault(Time::ZERO)), (priority, fault), "{weight}");
        }
        assert_eq!(facts.failed(), 0);
        facts.measure(0, -254);
        assert_eq!((facts.weigh(100), facts.objection(Time::ZERO)), (100, Some(Cause::Script)));
        assert_eq!(facts.failed(), 1);
        facts.measure(0, 1);
        assert_eq!((facts.weigh(100), facts.objection(Time::ZERO)), (101, None));
        facts.measure(9, 1);
    }

    #[test]
    fn weights_move_the_priority_within_1_to_254() {
        let rows = [
            (100, 20, "+", 120),
            (100, 20, "-", 100),
            (100, 20, "", 100),
            (100, -20, "+", 100),
            (100, -20, "-", 80),
            (10, -20, "-", 1),
            (250, 20, "+", 254),
        ];
        for (base, weight, results, expected) in rows {
            let mut count = Count::new(&script(weight));
            results.chars().for_each(|result| count.record(result == '+'));
            let facts = Facts {
                links: vec![],
                scripts: vec![count],
                balancer: None,
                refused_until: Time::ZERO,
                standby: false,
                dead: false,
                taken_until: Time::ZERO,
                ignores_own: false,
                others: Some(true),
            };
            assert_eq!(facts.weigh(base), expected, "{base} with {weight} after {results:?}");
        }
    }

    fn script(weight: i16) -> Script {
        Script {
            name: "check_alive".to_owned(),
            command: vec!["true".to_owned()],
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(2),
            fall: 2,
            rise: 3,
            weight,
            starts_failed: false,
            reversed: false,
            user: None,
            group: None,
            secure: false,
        }
    }
}
