//! A script: what the cloud looks like and what is done to it, when. Written by hand or rolled from
//! a seed; read and printed as TOML.

use std::fmt::Write as _;
use std::time::Duration;

use super::fault::{Fault, Names, Verb};
use super::net::MAX_HOSTS;
use super::version::pick as number;
use crate::Chance;

/// What a run is made of: with the same script it is the same run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Script {
    /// Of everything random that the steps do not say: which packet is lost, how far clocks differ.
    pub seed: u64,
    pub controllers: u16,
    pub computes: u16,
    pub networks: Vec<String>,
    /// A stronger node takes the address back.
    pub preempt: bool,
    /// The detection time of the cluster file: a tenth of it is between two beats, at most 1 s.
    pub detect: Duration,
    /// Beats are sealed and opened as in a daemon. Otherwise they are handed over opened: who spoke, to
    /// whom and when is certain, and a run is twice as fast.
    pub sealed: bool,
    /// There is a reference point on each network, which agents ask.
    pub references: bool,
    pub steps: Vec<(Duration, Fault)>,
    pub length: Duration,
}

/// How large rolled clouds are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    /// So many controllers and compute nodes, on three networks.
    Fixed { controllers: u16, computes: u16 },
    /// From two nodes to 5 + 20, on one to three networks: a swarm.
    Mixed,
}

/// The detection time with the longest interval between beats, 1 s (ms).
const SLOWEST: u64 = 10_000;
/// Detection times of the swarm (ms): with longer ones, nothing is found out before the next storm.
const DETECT: [u64; 4] = [1000, 1000, 3000, 5000];
/// One request of so many is this one: more intents at once than may be under way.
const FLOODS: u64 = 150;
const FLOOD: i64 = 175;
/// Until the first faults: everything is up.
const BOOT: Duration = Duration::from_secs(6);
/// Storms of one script.
const STORMS: u64 = 6;
/// Long enough for every property to be asked after each storm.
pub(super) const PEACE: Duration = Duration::from_millis(11_000);

impl Script {
    #[must_use]
    pub fn names(&self) -> Names {
        Names::new(self.controllers, self.computes, self.networks.clone())
    }

    /// Rolls a script. A seed has its own mix of faults: some kinds often, some not at all.
    #[must_use]
    pub fn roll(seed: u64, shape: Shape) -> Self {
        // Not the seed itself: the run has dice of its own.
        let mut chance = Chance::new(seed ^ 0x5c81_7715_c81b_77aa);
        let (controllers, computes, networks) = match shape {
            Shape::Fixed { controllers, computes } => (controllers, computes, 3),
            Shape::Mixed => (
                chance.choose(&[2, 3, 3, 5]),
                chance.choose(&[0, 0, 2, 20]),
                chance.choose(&[1, 2, 3]),
            ),
        };
        let detect = match shape {
            Shape::Fixed { .. } => SLOWEST,
            Shape::Mixed => chance.choose(&DETECT),
        };
        let names = ["mgmt", "storage", "tenant"].into_iter().take(networks);
        let mut script = Self {
            seed,
            controllers,
            computes,
            networks: names.map(str::to_owned).collect(),
            preempt: chance.one_in(3),
            detect: Duration::from_millis(detect),
            sealed: seed % 8 == 7,
            references: seed % 2 == 1,
            steps: vec![],
            length: BOOT,
        };
        let mix = Mix::roll(&mut chance);
        // Dice of its own: what is asked of the store changes nothing else of a seed.
        let own = |salt: u64| Chance::new(seed ^ salt);
        let (mut dice, mut grit) = (own(0x5707_e570_7e57), own(0xd15c_0d15_cd15));
        let (mut hands, mut orders) = (own(0x0b3c_00b3_c0b3), own(0x09e2_a709_e2a7));
        let (mut pings, mut works) = (own(0x9a7e_3a75), own(0x7e25_1075));
        for _ in 0..STORMS {
            let begin = script.length;
            script.storm(&mix, &mut chance);
            script.requests(begin, &mut dice);
            script.gateways(begin, &mut pings);
            script.disks(begin, &mut grit);
            script.controllers_of_power(begin, &mut hands);
            script.operators(begin, &mut orders);
            script.works(begin, &mut works);
        }
        // What is found out within three detection times is judged at the end at least.
        script.length += script.detect * 3 + PEACE;
        script.steps.sort_by_key(|(at, _)| *at);
        script
    }

    /// Some seconds of faults, the weather clears, and peace; what is broken may stay broken.
    fn storm(&mut self, mix: &Mix, chance: &mut Chance) {
        let mut at = self.length;
        let faults = 6 + chance.below(18);
        if chance.permille(mix.weather) {
            let networks = self.networks.len() as u64;
            for network in (0..networks).filter_map(|n| u8::try_from(n).ok()) {
                let amounts = [chance.below(300), chance.below(200), chance.below(150)];
                let amounts = amounts.map(|amount| i64::try_from(amount).unwrap_or(0));
                self.steps.push((at, Fault { network, amounts, ..Fault::of(Verb::Weather) }));
            }
        }
        for _ in 0..faults {
            let fault = self.fault(mix, chance);
            self.steps.push((at, fault));
            let pause = [0, 20, 200, 2000][usize::try_from(chance.below(4)).unwrap_or(0)];
            at += Duration::from_millis(chance.below(pause));
        }
        self.clear(at, chance);
        self.length = at + PEACE;
    }

    /// What is asked of the store while the storm since `begin` lasts, and what is wrong with it.
    fn requests(&mut self, begin: Duration, dice: &mut Chance) {
        let end = self.length.saturating_sub(PEACE);
        if dice.one_in(2) {
            let amounts = [dice.below(200), dice.below(200), dice.below(400)];
            let amounts = amounts.map(|amount| i64::try_from(amount).unwrap_or(0));
            let weather = Fault { amounts, ..Fault::of(Verb::StoreWeather) };
            self.steps.push((begin, weather));
            self.steps.push((end, Fault::of(Verb::StoreWeather)));
        }
        // In whole milliseconds, as they are printed.
        let storm = u64::try_from(end.saturating_sub(begin).as_millis()).unwrap_or(0);
        let moment = |dice: &mut Chance| begin + Duration::from_millis(dice.below(storm));
        for _ in 0..dice.below(3) {
            self.steps.push((moment(dice), Fault::of(Verb::DeposeStore)));
        }
        let all = self.controllers + self.computes;
        for _ in 0..dice.below(10) {
            let amount = dice.choose(&[1, 2, 2, 3, 3, 4, -1, -2, -3]);
            let amount = if dice.one_in(FLOODS) { FLOOD } else { amount };
            // Few objects, so that two ask about one.
            let (host, other) = (number(dice, all.min(4)), number(dice, all));
            let ask = Fault { host, other, amounts: [amount, 0, 0], ..Fault::of(Verb::Ask) };
            self.steps.push((moment(dice), ask));
        }
        if dice.one_in(4) {
            let (host, from) = (number(dice, all), moment(dice));
            self.steps.push((from, Fault::at(Verb::Prove, host)));
            self.steps.push((end.max(from), Fault::at(Verb::TakeBack, host)));
        }
    }

    /// What operators order while the storm lasts; a controller at rest may stay so for the storms after it.
    fn operators(&mut self, begin: Duration, hands: &mut Chance) {
        if !hands.one_in(3) {
            return;
        }
        let end = self.length.saturating_sub(PEACE);
        let storm = u64::try_from(end.saturating_sub(begin).as_millis()).unwrap_or(0);
        for _ in 0..=hands.below(5) {
            let verb = hands.choose(&[Verb::Move, Verb::Move, Verb::Rest, Verb::Duty]);
            let at = begin + Duration::from_millis(hands.below(storm + 1));
            self.steps.push((at, Fault::at(verb, number(hands, self.controllers))));
        }
    }

    /// What is wrong with the disk of one host that much is asked of: it fails while it works, or with its power.
    fn disks(&mut self, begin: Duration, grit: &mut Chance) {
        if !grit.one_in(3) {
            return;
        }
        let end = self.length.saturating_sub(PEACE);
        let storm = u64::try_from(end.saturating_sub(begin).as_millis()).unwrap_or(0);
        let host = number(grit, (self.controllers + self.computes).min(4));
        let mut at = begin;
        let mut does = |at: Duration, verb: Verb, amount: i64| {
            let fault = Fault { amounts: [amount, 0, 0], ..Fault::at(verb, host) };
            self.steps.push((at, fault));
        };
        let harm = grit.below(4);
        match harm {
            0 => does(at, Verb::SlowDisk, grit.choose(&[5, 80, 600])),
            1 => does(at, Verb::DiskFull, 1),
            _ => does(at, Verb::DiskLies, 1),
        }
        if harm == 3 {
            does(at, Verb::DiskTears, 1);
        }
        for _ in 0..=grit.below(3) {
            at += Duration::from_millis(grit.below(storm / 2 + 1));
            if grit.one_in(2) {
                does(at, Verb::FlipDisk, grit.choose(&[1, 1, 2, 2, 3, 4]));
            }
            // As short as work takes, so that it is told of its steps again.
            let (down, up) = if harm > 1 || grit.one_in(2) {
                (Verb::PowerOff, Verb::PowerOn)
            } else {
                (Verb::KillAgent, Verb::KillAgent)
            };
            does(at, down, 0);
            at += Duration::from_millis(grit.below(1000));
            does(at, up, 0);
        }
        for verb in [Verb::DiskLies, Verb::DiskTears, Verb::DiskFull, Verb::SlowDisk] {
            does(end.max(at), verb, 0);
        }
        self.length = self.length.max(at + PEACE);
    }

    /// What an operator does with a host by its management controller, which may be as broken as its host.
    fn controllers_of_power(&mut self, begin: Duration, dice: &mut Chance) {
        if !dice.one_in(3) {
            return;
        }
        let end = self.length.saturating_sub(PEACE);
        let storm = u64::try_from(end.saturating_sub(begin).as_millis()).unwrap_or(0);
        let host = number(dice, self.controllers + self.computes);
        let at = begin + Duration::from_millis(dice.below(storm));
        let mut does = |at: Duration, verb: Verb, amount: i64| {
            let fault = Fault { amounts: [amount, 0, 0], ..Fault::at(verb, host) };
            self.steps.push((at, fault));
        };
        does(at, Verb::BmcLate, dice.choose(&[0, 0, 50, 1500]));
        let hinders: &[(Verb, i64)] = &[
            // It may be one that is heard by nobody.
            (dice.choose(&[Verb::Pause, Verb::Resume]), 0),
            (Verb::PowerOff, 0),
            // The same power for both.
            (Verb::BmcPower, 0),
            (Verb::BmcLink, 0),
            (Verb::BmcLies, 1),
            (Verb::BmcLies, 2),
        ];
        for hinder in
            dice.choose(&[&[][..], &[0], &[1], &[1, 2], &[0, 3], &[4], &[0, 4], &[0, 5], &[0, 5]])
        {
            let (verb, amount) = hinders[*hinder];
            does(at, verb, amount);
        }
        let act = [
            (Verb::Fence, 0),
            (Verb::Fence, 0),
            (Verb::Fence, 1),
            (Verb::ConfirmOff, 0),
            (Verb::ConfirmOff, 1),
        ];
        let (verb, amount) = dice.choose(&act);
        does(at, verb, amount);
        // He has typed what he saw by then, or is about to.
        let again = end.max(at) + Duration::from_millis(dice.below(9_000));
        let ends = [
            (Verb::TakeBack, 0),
            (Verb::BmcPower, 1),
            (Verb::BmcLink, 1),
            (Verb::BmcLies, 0),
            (Verb::BmcLate, 0),
        ];
        for (verb, amount) in ends {
            does(again, verb, amount);
        }
        if dice.one_in(2) {
            does(again, dice.choose(&[Verb::PowerOn, Verb::Resume]), 0);
        }
        self.length = self.length.max(again + PEACE);
    }

    /// Reference points that are down for a while, one by one or all of them.
    fn gateways(&mut self, begin: Duration, dice: &mut Chance) {
        let networks = u8::try_from(self.networks.len()).unwrap_or(1);
        let end = self.length.saturating_sub(PEACE);
        let storm = u64::try_from(end.saturating_sub(begin).as_millis()).unwrap_or(0);
        for network in (0..networks).filter(|_| self.references) {
            if dice.one_in(3) {
                let at = begin + Duration::from_millis(dice.below(storm));
                self.steps.push((at, Fault { network, ..Fault::of(Verb::ReferenceDown) }));
                self.steps.push((end.max(at), Fault { network, ..Fault::of(Verb::ReferenceUp) }));
            }
        }
    }

    /// The end of a storm.
    fn clear(&mut self, at: Duration, chance: &mut Chance) {
        if chance.one_in(2) {
            self.steps.push((at, Fault::of(Verb::Mend)));
            return;
        }
        let networks = self.networks.len() as u64;
        for network in (0..networks).filter_map(|n| u8::try_from(n).ok()) {
            self.steps.push((at, Fault { network, ..Fault::of(Verb::Weather) }));
        }
        for host in 0..self.controllers + self.computes {
            let slow =
                self.steps.iter().any(|(_, fault)| fault.verb == Verb::Slow && fault.host == host);
            if slow {
                self.steps.push((at, Fault::at(Verb::Slow, host)));
            }
        }
    }

    fn fault(&self, mix: &Mix, chance: &mut Chance) -> Fault {
        let verb = mix.choose(chance);
        // Controllers three times of four: they have more to lose.
        let controllers = self.computes == 0 || !chance.one_in(4);
        let (first, count) =
            if controllers { (0, self.controllers) } else { (self.controllers, self.computes) };
        let host = first + number(chance, count);
        let mut other = number(chance, self.controllers);
        if other == host {
            other = (other + 1) % self.controllers;
        }
        let networks = u16::try_from(self.networks.len()).unwrap_or(1);
        let network = u8::try_from(number(chance, networks)).unwrap_or(0);
        let side = 1 << host | if chance.one_in(2) { 1 << other } else { 0 };
        let amounts = AMOUNTS.iter().find(|(kind, _)| *kind == verb).map_or(&[0][..], |row| row.1);
        let amount = chance.choose(amounts);
        Fault { verb, host, other, side, network, amounts: [amount, 0, 0] }
    }

    /// Reads a script.
    ///
    /// # Errors
    /// In words, with the step.
    pub fn parse(text: &str) -> Result<Self, String> {
        let table: toml::Table = text.parse().map_err(|error| format!("no TOML: {error}"))?;
        let number = |key: &str| {
            let value = table.get(key).and_then(toml::Value::as_integer);
            value
                .and_then(|value| u64::try_from(value).ok())
                .ok_or_else(|| format!("lacks `{key}`"))
        };
        let list = |key: &str| {
            let words = table.get(key).and_then(toml::Value::as_array);
            let words = words.ok_or_else(|| format!("lacks `{key}`"))?;
            let words = words.iter().map(|word| word.as_str().map(str::to_owned));
            words.collect::<Option<Vec<_>>>().ok_or_else(|| format!("`{key}` has no words"))
        };
        let hosts = |key: &str| {
            number(key)?
                .try_into()
                .ok()
                .filter(|n: &u16| usize::from(*n) < MAX_HOSTS)
                .ok_or_else(|| format!("`{key}` is larger than {MAX_HOSTS}"))
        };
        let mut script = Self {
            seed: number("seed")?,
            controllers: hosts("controllers")?,
            computes: hosts("computes")?,
            networks: list("networks")?,
            preempt: table.get("preempt").and_then(toml::Value::as_bool).unwrap_or(false),
            detect: Duration::from_millis(number("detect_ms").unwrap_or(1000)),
            sealed: table.get("sealed").and_then(toml::Value::as_bool).unwrap_or(true),
            references: table.get("references").and_then(toml::Value::as_bool).unwrap_or(false),
            steps: vec![],
            length: Duration::from_millis(number("length_ms")?),
        };
        let names = script.names();
        for line in list("steps")? {
            let (at, words) = line.trim().split_once(' ').ok_or_else(|| format!("`{line}`?"))?;
            let at: f64 =
                at.parse().map_err(|_| format!("`{line}` does not begin with seconds"))?;
            let at =
                Duration::try_from_secs_f64(at).map_err(|error| format!("`{line}`: {error}"))?;
            script.steps.push((at, Fault::parse(words, &names)?));
        }
        script.steps.sort_by_key(|(at, _)| *at);
        Ok(script)
    }

    /// As [`Script::parse`] reads it.
    #[must_use]
    pub fn print(&self) -> String {
        let names = self.names();
        let networks: Vec<_> = self.networks.iter().map(|name| format!("\"{name}\"")).collect();
        let mut text = format!(
            "seed = {}\ncontrollers = {}\ncomputes = {}\nnetworks = [{}]\npreempt = {}\ndetect_ms = {}\nsealed = {}\nreferences = {}\nlength_ms = {}\nsteps = [\n",
            self.seed,
            self.controllers,
            self.computes,
            networks.join(", "),
            self.preempt,
            self.detect.as_millis(),
            self.sealed,
            self.references,
            self.length.as_millis(),
        );
        for (at, fault) in &self.steps {
            let _infallible =
                writeln!(text, "  \"{:.3} {}\",", at.as_secs_f64(), fault.tell(&names));
        }
        text += "]\n";
        text
    }
}

/// How often each kind of fault comes in one script.
#[derive(Debug)]
struct Mix {
    verbs: Vec<Verb>,
    /// Of a thousand storms.
    weather: u64,
}

/// What a number of a fault may be: milliseconds, or nanoseconds in a millisecond.
const AMOUNTS: [(Verb, &[i64]); 3] = [
    (Verb::Slow, &[1, 20, 150, 300, 700, 1500]),
    (Verb::Drift, &[-500, -50, 0, 50, 500]),
    (Verb::SetClock, &[-3_600_000, -5_000, 5_000, 3_600_000]),
];

/// Each with its opposite, so that few things stay broken for ever.
const KINDS: [&[Verb]; 14] = [
    &[Verb::PowerOff, Verb::PowerOn, Verb::PowerOn],
    &[Verb::Pause, Verb::Resume],
    &[Verb::Slow],
    &[Verb::KillVip],
    &[Verb::FreezeVip, Verb::ThawVip],
    &[Verb::KillAgent],
    &[Verb::FreezeAgent, Verb::ThawAgent],
    &[Verb::Stop, Verb::Start],
    &[Verb::LinkDown, Verb::LinkUp],
    &[Verb::Cut, Verb::Cut, Verb::Join],
    &[Verb::OneWay, Verb::Part, Verb::Split, Verb::Join],
    &[Verb::BalancerFails, Verb::BalancerIsReplaced, Verb::BalancerServes],
    &[Verb::Drift, Verb::SetClock, Verb::LoseDisk],
    &[Verb::Replay, Verb::Forge],
];

impl Mix {
    fn roll(chance: &mut Chance) -> Self {
        let mut verbs = vec![];
        for kind in KINDS {
            for _ in 0..chance.choose(&[0, 0, 1, 1, 4]) {
                verbs.extend_from_slice(kind);
            }
        }
        if verbs.is_empty() {
            verbs.extend_from_slice(KINDS[0]);
        }
        Self { verbs, weather: chance.choose(&[0, 300, 700]) }
    }

    fn choose(&self, chance: &mut Chance) -> Verb {
        chance.choose(&self.verbs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rolled_script_is_read_as_it_is_printed() {
        for seed in 0..20 {
            let script = Script::roll(seed, Shape::Mixed);
            let again = Script::parse(&script.print()).unwrap();
            assert_eq!(again.print(), script.print());
            assert_eq!(again.steps.len(), script.steps.len());
        }
    }

    #[test]
    fn a_script_that_cannot_be_is_told() {
        let good = Script::roll(1, Shape::Fixed { controllers: 2, computes: 1 }).print();
        assert!(Script::parse(&good).is_ok());
        let rows = [
            ("seed = 1", "sead = 1", "lacks `seed`"),
            ("controllers = 2", "controllers = 200", "`controllers` is larger than 64"),
            (
                "steps = [",
                "steps = [\"soon power-off ctl1\",",
                "`soon power-off ctl1` does not begin with seconds",
            ),
            (
                "steps = [",
                "steps = [\"1.5 power-off ctl7\",",
                "no host `ctl7`; there are ctl1, ctl2, cmp01",
            ),
        ];
        for (from, to, expected) in rows {
            assert_eq!(Script::parse(&good.replace(from, to)).unwrap_err(), expected);
        }
    }
}
