//! What can be done to the world, as words of a script.
//!
//! ```text
//! power-off ctl2                    one-way ctl1 ctl2 mgmt            weather mgmt 100 20 80
//! ```

use std::fmt;

use super::net::MAX_NETWORKS;

/// One verb with what it needs; what it does not need is 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fault {
    pub verb: Verb,
    pub host: u16,
    pub other: u16,
    /// One bit per host.
    pub side: u64,
    pub network: u8,
    pub amounts: [i64; 3],
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Verb {
    PowerOff,
    PowerOn,
    /// The whole machine stands still, its supervisor too.
    Pause,
    Resume,
    /// Everything takes so many milliseconds longer.
    Slow,
    KillVip,
    FreezeVip,
    ThawVip,
    KillAgent,
    FreezeAgent,
    ThawAgent,
    /// Every process ends at once, the supervisor too; the kernel lives on and refuses what comes.
    KillNode,
    /// The program ends in order.
    Stop,
    Start,
    LinkDown,
    LinkUp,
    /// The switch forgets the host; its carrier stays.
    Cut,
    /// The first is no longer heard by the second.
    OneWay,
    /// The two do not hear each other.
    Part,
    /// The network falls into these and all others.
    Split,
    /// All cuts are mended.
    Join,
    /// The reference point of the network answers nobody.
    ReferenceDown,
    ReferenceUp,
    /// Packets lost and doubled (of a thousand), and late by up to so many milliseconds.
    Weather,
    BalancerFails,
    BalancerIsReplaced,
    BalancerServes,
    /// Its clock gains so many nanoseconds in a millisecond.
    Drift,
    /// Its wall clock is set by so many milliseconds.
    SetClock,
    /// What it kept on its disk is gone, and its clock is an hour behind.
    LoseDisk,
    /// Somebody sends it again what he recorded.
    Replay,
    /// Somebody sends it what he made up.
    Forge,
    /// Somebody wants something done on these two, in so many steps; less than 0: the last one fails; 11 to
    /// 19: the last one of 1 to 9 is of the next version; more than 100: so many intents at once.
    Ask,
    /// The store has no leader for a while.
    DeposeStore,
    /// Proposals refused and committed without an answer (of a thousand), and late by so many milliseconds.
    StoreWeather,
    /// Somebody has the store hold that the host is dead, whatever is true.
    Prove,
    TakeBack,
    /// An operator puts a controller at rest, and back on duty.
    Rest,
    Duty,
    /// An operator wants the address there.
    Move,
    /// What its disk says is written is gone with the power, until this is said with 0.
    DiskLies,
    /// And a part of it is there; 0 ends it.
    DiskTears,
    /// It takes nothing more; 0 ends it.
    DiskFull,
    /// Each write takes so many milliseconds.
    SlowDisk,
    /// A bit turns in what it keeps: of its steps (1), of their copy (2), of its numbers (3), of both copies (else).
    FlipDisk,
    /// The power of its management controller: 0: off.
    BmcPower,
    /// And its network: 0: cut.
    BmcLink,
    /// It says `ok` and does nothing (1), and says that the host is off (2), until this is said with 0.
    BmcLies,
    /// Its answers take so many milliseconds.
    BmcLate,
    /// An operator switches the host off by it, looks, and confirms that it is off (0), or off and on again (1).
    Fence,
    /// An operator looks and confirms that it is off (0), or does not look (1).
    ConfirmOff,
    /// Its processes are started again, of the former version (0), of this one (1), of the next (2).
    Version,
    /// An operator begins a maintenance window for the host, for so many milliseconds; 0 ends it.
    Window,
    /// Its kernel keeps every address that is taken off; 0: no more, and what stayed is removed by hand.
    KernelKeeps,
    /// Everything is mended, and started again.
    Mend,
}

impl Verb {
    /// Whether it makes hosts deaf, or their clocks late.
    pub(super) const fn shakes(self) -> bool {
        match self {
            Self::Pause
            | Self::Resume
            | Self::Slow
            | Self::Cut
            | Self::OneWay
            | Self::Part
            | Self::Split
            | Self::Join
            | Self::Weather
            | Self::Drift
            | Self::SetClock
            | Self::LoseDisk
            | Self::Mend => true,
            Self::PowerOff
            | Self::PowerOn
            | Self::KillVip
            | Self::FreezeVip
            | Self::ThawVip
            | Self::KillAgent
            | Self::FreezeAgent
            | Self::ThawAgent
            | Self::KillNode
            | Self::Stop
            | Self::Start
            | Self::LinkDown
            | Self::LinkUp
            | Self::ReferenceDown
            | Self::ReferenceUp
            | Self::BalancerFails
            | Self::BalancerIsReplaced
            | Self::BalancerServes
            | Self::Replay
            | Self::Forge
            | Self::Ask
            | Self::DeposeStore
            | Self::StoreWeather
            | Self::Prove
            | Self::TakeBack
            | Self::DiskLies
            | Self::DiskTears
            | Self::DiskFull
            | Self::SlowDisk
            | Self::FlipDisk
            | Self::BmcPower
            | Self::BmcLink
            | Self::BmcLies
            | Self::BmcLate
            | Self::Fence
            | Self::ConfirmOff
            | Self::Version
            | Self::Window
            | Self::KernelKeeps
            | Self::Rest
            | Self::Duty
            | Self::Move => false,
        }
    }
}

/// What a verb needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Need {
    Host,
    Other,
    Side,
    Network,
    Amount,
}

use Need::{Amount, Host, Network, Other, Side};

const VERBS: [(Verb, &str, &[Need]); 55] = [
    (Verb::PowerOff, "power-off", &[Host]),
    (Verb::PowerOn, "power-on", &[Host]),
    (Verb::Pause, "pause", &[Host]),
    (Verb::Resume, "resume", &[Host]),
    (Verb::Slow, "slow", &[Host, Amount]),
    (Verb::KillVip, "kill-vip", &[Host]),
    (Verb::FreezeVip, "freeze-vip", &[Host]),
    (Verb::ThawVip, "thaw-vip", &[Host]),
    (Verb::KillAgent, "kill-agent", &[Host]),
    (Verb::FreezeAgent, "freeze-agent", &[Host]),
    (Verb::ThawAgent, "thaw-agent", &[Host]),
    (Verb::KillNode, "kill-node", &[Host]),
    (Verb::Stop, "stop", &[Host]),
    (Verb::Start, "start", &[Host]),
    (Verb::LinkDown, "link-down", &[Host, Network]),
    (Verb::LinkUp, "link-up", &[Host, Network]),
    (Verb::Cut, "cut", &[Host, Network]),
    (Verb::OneWay, "one-way", &[Host, Other, Network]),
    (Verb::Part, "part", &[Host, Other, Network]),
    (Verb::Split, "split", &[Side, Network]),
    (Verb::Join, "join", &[]),
    (Verb::ReferenceDown, "reference-down", &[Network]),
    (Verb::ReferenceUp, "reference-up", &[Network]),
    (Verb::Weather, "weather", &[Network, Amount, Amount, Amount]),
    (Verb::BalancerFails, "balancer-fails", &[Host]),
    (Verb::BalancerIsReplaced, "balancer-is-replaced", &[Host]),
    (Verb::BalancerServes, "balancer-serves", &[Host]),
    (Verb::Drift, "drift", &[Host, Amount]),
    (Verb::SetClock, "set-clock", &[Host, Amount]),
    (Verb::LoseDisk, "lose-disk", &[Host]),
    (Verb::Replay, "replay", &[Host, Network]),
    (Verb::Forge, "forge", &[Host, Network]),
    (Verb::Ask, "ask", &[Host, Other, Amount]),
    (Verb::DeposeStore, "depose-store", &[]),
    (Verb::StoreWeather, "store-weather", &[Amount, Amount, Amount]),
    (Verb::Prove, "prove", &[Host]),
    (Verb::TakeBack, "take-back", &[Host]),
    (Verb::Rest, "standby", &[Host]),
    (Verb::Duty, "duty", &[Host]),
    (Verb::Move, "move", &[Host]),
    (Verb::DiskLies, "disk-lies", &[Host, Amount]),
    (Verb::DiskTears, "disk-tears", &[Host, Amount]),
    (Verb::DiskFull, "disk-full", &[Host, Amount]),
    (Verb::SlowDisk, "slow-disk", &[Host, Amount]),
    (Verb::FlipDisk, "flip-disk", &[Host, Amount]),
    (Verb::BmcPower, "bmc-power", &[Host, Amount]),
    (Verb::BmcLink, "bmc-link", &[Host, Amount]),
    (Verb::BmcLies, "bmc-lies", &[Host, Amount]),
    (Verb::BmcLate, "bmc-late", &[Host, Amount]),
    (Verb::Fence, "fence", &[Host, Amount]),
    (Verb::ConfirmOff, "confirm-off", &[Host, Amount]),
    (Verb::Version, "version", &[Host, Amount]),
    (Verb::Window, "window", &[Host, Amount]),
    (Verb::KernelKeeps, "kernel-keeps", &[Host, Amount]),
    (Verb::Mend, "mend", &[]),
];

/// Names of hosts and networks, by number.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Names {
    pub hosts: Vec<String>,
    pub networks: Vec<String>,
}

impl Names {
    /// `ctl1`…, then `cmp01`….
    #[must_use]
    pub fn new(controllers: u16, computes: u16, networks: Vec<String>) -> Self {
        let hosts = (1..=controllers).map(|n| format!("ctl{n}"));
        let hosts = hosts.chain((1..=computes).map(|n| format!("cmp{n:02}"))).collect();
        Self { hosts, networks }
    }

    fn host(&self, word: &str) -> Result<u16, String> {
        let found = self.hosts.iter().position(|name| name == word);
        let number = found.and_then(|found| u16::try_from(found).ok());
        number.ok_or_else(|| format!("no host `{word}`; there are {}", self.hosts.join(", ")))
    }

    fn network(&self, word: &str) -> Result<u8, String> {
        let found = self.networks.iter().position(|name| name == word);
        let number = found.filter(|found| *found < MAX_NETWORKS);
        let number = number.and_then(|found| u8::try_from(found).ok());
        number.ok_or_else(|| format!("no network `{word}`; there are {}", self.networks.join(", ")))
    }
}

impl Fault {
    #[must_use]
    pub const fn of(verb: Verb) -> Self {
        Self { verb, host: 0, other: 0, side: 0, network: 0, amounts: [0; 3] }
    }

    #[must_use]
    pub const fn at(verb: Verb, host: u16) -> Self {
        Self { host, ..Self::of(verb) }
    }

    /// The highest host that it names.
    pub(crate) fn highest(&self) -> u16 {
        let side = u16::try_from(63 - (self.side | 1).leading_zeros()).unwrap_or(0);
        let row = VERBS.iter().find(|(verb, _, _)| *verb == self.verb);
        let needs = row.map_or(&[][..], |(_, _, needs)| *needs);
        let named = needs.iter().map(|need| match need {
            Host => self.host,
            Other => self.other,
            Side => side,
            Network | Amount => 0,
        });
        named.max().unwrap_or(0)
    }

    /// Reads one line of a script.
    ///
    /// # Errors
    /// In words, when a verb or name is unknown, or something is missing.
    pub fn parse(text: &str, names: &Names) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let first = words.next().ok_or("a step without a verb")?;
        let row = VERBS.iter().find(|(_, name, _)| *name == first);
        let (verb, _, needs) = row.ok_or_else(|| format!("no verb `{first}`"))?;
        let mut fault = Self::of(*verb);
        let mut amounts = 0;
        for need in *needs {
            let word = words.next().ok_or_else(|| format!("`{text}` lacks a {need:?}"))?;
            match need {
                Host => fault.host = names.host(word)?,
                Other => fault.other = names.host(word)?,
                Side => {
                    for name in word.split(',') {
                        fault.side |= 1 << names.host(name)?;
                    }
                }
                Network => fault.network = names.network(word)?,
                Amount => {
                    let number = word.parse().map_err(|_| format!("`{word}` is no number"))?;
                    fault.amounts[amounts] = number;
                    amounts += 1;
                }
            }
        }
        match words.next() {
            None => Ok(fault),
            Some(word) => Err(format!("`{text}` says `{word}` too much")),
        }
    }

    /// As [`Fault::parse`] reads it.
    #[must_use]
    pub fn tell<'a>(&'a self, names: &'a Names) -> impl fmt::Display + 'a {
        Told { fault: self, names }
    }
}

struct Told<'a> {
    fault: &'a Fault,
    names: &'a Names,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, names } = self;
        let host = |number: u16| names.hosts.get(usize::from(number)).map_or("?", String::as_str);
        let row = VERBS.iter().find(|(verb, _, _)| *verb == fault.verb);
        let (_, name, needs) = row.expect("every verb has a row, a test says so");
        f.write_str(name)?;
        let mut amounts = fault.amounts.iter();
        for need in *needs {
            match need {
                Host => write!(f, " {}", host(fault.host))?,
                Other => write!(f, " {}", host(fault.other))?,
                Side => {
                    let side = (0..64).filter(|bit| fault.side & (1 << bit) != 0).map(host);
                    write!(f, " {}", side.collect::<Vec<_>>().join(","))?;
                }
                Network => {
                    let network = names.networks.get(usize::from(fault.network));
                    write!(f, " {}", network.map_or("?", String::as_str))?;
                }
                Amount => write!(f, " {}", amounts.next().unwrap_or(&0))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::new(3, 2, vec!["mgmt".to_owned(), "storage".to_owned()])
    }

    #[test]
    fn every_verb_is_read_as_it_is_told() {
        for (verb, name, _) in VERBS {
            let fault =
                Fault { verb, host: 1, other: 4, side: 0b10101, network: 1, amounts: [5, -7, 300] };
            let text = fault.tell(&names()).to_string();
            assert!(text.starts_with(name), "{text}");
            let again = Fault::parse(&text, &names()).unwrap();
            assert_eq!(again.tell(&names()).to_string(), text);
            assert_eq!(again.verb, verb);
        }
        let rows =
            VERBS.iter().map(|(verb, _, _)| *verb).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(rows.len(), Verb::Mend as usize + 1, "a verb without a row");
    }

    #[test]
    fn mistakes_are_told_with_what_there_is() {
        let rows = [
            ("", "a step without a verb"),
            ("explode ctl1", "no verb `explode`"),
            ("power-off ctl9", "no host `ctl9`; there are ctl1, ctl2, ctl3, cmp01, cmp02"),
            ("cut ctl1", "`cut ctl1` lacks a Network"),
            ("cut ctl1 wan", "no network `wan`; there are mgmt, storage"),
            ("slow ctl1 much", "`much` is no number"),
            ("mend all", "`mend all` says `all` too much"),
        ];
        for (text, expected) in rows {
            assert_eq!(Fault::parse(text, &names()).unwrap_err(), expected);
        }
    }
}
