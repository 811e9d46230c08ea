//! What is done to the world: rolled from a seed, or a list.

use std::time::Duration;

use engine::vip::lease::{BEAT, Rule};

use super::placed::PLACED;
use crate::Chance;

/// For idle machines.
const SHORT: Duration = Duration::from_millis(2);

/// One thing that happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The process dies. After `after` its supervisor starts another one, having shut the gates or not.
    Kill {
        host: usize,
        after: Duration,
        closes: bool,
    },
    /// The power fails, for so long.
    Power {
        host: usize,
        back: Duration,
    },
    /// The process stands still.
    Pause {
        host: usize,
        takes: Duration,
    },
    /// Nothing goes from one to the other, on one network or all.
    Cut {
        from: usize,
        to: usize,
        network: Option<usize>,
    },
    /// Nobody hears it, and it hears nobody.
    Isolate {
        host: usize,
    },
    /// All ways are whole.
    Heal,
    /// Of a thousand packets; each way is late by up to this.
    Weather {
        lost: u64,
        doubled: u64,
        late: Duration,
    },
    /// The clock runs at this rate, in millionths.
    Slew {
        host: usize,
        rate: u64,
    },
    Fit {
        host: usize,
        fit: bool,
    },
    Standby {
        host: usize,
        on: bool,
    },
    /// A gateway answers the host, or does not.
    Gateway {
        host: usize,
        answers: bool,
    },
    /// Its process finds that it is late by that much once in a thousand times.
    Late {
        host: usize,
        usual: Duration,
    },
    Move {
        vip: usize,
        to: usize,
    },
    /// The process ends in order, and another one begins.
    Stop {
        host: usize,
    },
    /// Another process goes on in the place of this one, if it is between two deeds of which the first is done.
    Replace {
        host: usize,
    },
    /// A beat that was recorded comes again, at another node's socket too late.
    Replay {
        host: usize,
    },
    /// The store is asked for another list of voters, maybe with another controller.
    Voters,
    /// The store is put back.
    Restore,
    /// The power fails, and after that another machine has the place.
    Machine {
        host: usize,
        back: Duration,
    },
    /// A host without power is proven dead, until it boots.
    Confirm {
        host: usize,
    },
    /// The host coordinates, or does not.
    Coordinates {
        host: usize,
        on: bool,
    },
    /// The host hears of no list of voters for so long.
    StoreAway {
        host: usize,
        takes: Duration,
    },
}

/// A whole run.
#[derive(Clone, Debug)]
pub struct Script {
    pub seed: u64,
    pub hosts: usize,
    pub vips: usize,
    /// Whether there is a store, so that lists of voters have numbers.
    pub numbered: bool,
    /// What the file says.
    pub beat: Duration,
    /// An address leaves a host only when that is proven dead, or said that it let go.
    pub proof: bool,
    /// The last host votes, and never holds.
    pub voter: bool,
    /// Who hears nobody for a while may hold without a majority.
    pub last_man: bool,
    /// By address: where it should be beside the others; empty: none has a place.
    pub rules: Vec<Rule>,
    /// The store is put back now and then.
    pub restores: bool,
    /// After each storm comes a second and a half of calm.
    pub storms: Vec<Storm>,
}

#[derive(Clone, Debug)]
pub struct Storm {
    pub lasts: Duration,
    pub faults: Vec<(Duration, Fault)>,
}

impl Script {
    /// The script of a seed: two storms of up to a second with 4 to 14 faults each, some of three seconds with
    /// as many lists of voters as may be. From [`PLACED`] on: with addresses that have places beside each other.
    #[must_use]
    pub fn roll(seed: u64) -> Self {
        if seed >= PLACED {
            return Self::roll_placed(seed);
        }
        let mut chance = Chance::new(seed ^ 0x005e_a7ed);
        let hosts = [3, 3, 3, 2, 4, 5][index(chance.below(6))];
        let vips = 1 + index(chance.below(2));
        let numbered = chance.one_in(2);
        let storms = (0..2).map(|_| match numbered && chance.one_in(5) {
            true => lists(&mut chance, hosts, vips),
            false => storm(&mut chance, hosts, vips),
        });
        let mut storms: Vec<Storm> = storms.collect();
        let beat = if chance.one_in(3) { SHORT } else { BEAT };
        let (proof, voter) = (chance.one_in(4), hosts > 2 && chance.one_in(4));
        if proof {
            storms.iter_mut().for_each(confirm);
        }
        let last_man = !proof && chance.one_in(5);
        let rules = vec![];
        let restores = numbered && chance.one_in(3);
        if restores {
            for storm in &mut storms {
                storm.faults.push((chance.span(storm.lasts), Fault::Restore));
            }
        }
        Self { seed, hosts, vips, numbered, beat, proof, voter, last_man, rules, restores, storms }
    }
}

/// Whoever loses its power is proven dead soon after.
pub(super) fn confirm(storm: &mut Storm) {
    let soon = Duration::from_millis(60);
    let of = |(at, fault): &(Duration, Fault)| {
        let Fault::Power { host, .. } = fault else { return None };
        Some((*at + soon, Fault::Confirm { host: *host }))
    };
    let confirmed: Vec<_> = storm.faults.iter().filter_map(of).collect();
    storm.faults.extend(confirmed);
}

pub(super) fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(0)
}

pub(super) fn storm(chance: &mut Chance, hosts: usize, vips: usize) -> Storm {
    let lasts = Duration::from_millis(200 + chance.below(800));
    let count = 4 + chance.below(11);
    let mut faults: Vec<_> =
        (0..count).map(|_| (chance.span(lasts), fault(chance, hosts, vips))).collect();
    faults.sort_by_key(|(at, _)| *at);
    Storm { lasts, faults }
}

/// The store tries to offer a list ten times a second, and is away from some hosts: they miss lists.
fn lists(chance: &mut Chance, hosts: usize, vips: usize) -> Storm {
    let ms = Duration::from_millis;
    let lasts = ms(3000);
    let mut faults: Vec<_> = (1..30).map(|tenth| (ms(100 * tenth), Fault::Voters)).collect();
    for _ in 0..1 + chance.below(3) {
        let host = index(chance.below(hosts as u64));
        let takes = ms(500) + chance.span(ms(2500));
        faults.push((chance.span(ms(500)), Fault::StoreAway { host, takes }));
    }
    if chance.one_in(2) {
        let host = index(chance.below(hosts as u64));
        let back = ms(50) + chance.span(ms(500));
        faults.push((ms(1200) + chance.span(ms(1500)), Fault::Machine { host, back }));
    }
    // Of fewer no list without the dead can lose more.
    for _ in 0..hosts.saturating_sub(3) {
        let (host, at) = (index(chance.below(hosts as u64)), ms(1600) + chance.span(ms(600)));
        faults.push((at, Fault::Power { host, back: ms(1200) }));
        faults.push((at + ms(60), Fault::Confirm { host }));
    }
    let others = 2 + chance.below(8);
    faults.extend((0..others).map(|_| (chance.span(lasts), fault(chance, hosts, vips))));
    faults.sort_by_key(|(at, _)| *at);
    Storm { lasts, faults }
}

fn fault(chance: &mut Chance, hosts: usize, vips: usize) -> Fault {
    let ms = Duration::from_millis;
    let host = index(chance.below(hosts as u64));
    let other = (host + 1 + index(chance.below(hosts as u64 - 1))) % hosts;
    match chance.below(35) {
        0..4 => Fault::Kill { host, after: chance.span(ms(60)), closes: chance.one_in(2) },
        4..6 => Fault::Power { host, back: ms(50) + chance.span(ms(500)) },
        6..11 => Fault::Pause { host, takes: chance.span(ms(150)) },
        11..15 => Fault::Cut {
            from: host,
            to: other,
            network: chance.one_in(2).then(|| index(chance.below(2))),
        },
        15..17 => Fault::Isolate { host },
        17..19 => Fault::Heal,
        19..22 => Fault::Weather {
            lost: chance.choose(&[0, 50, 300, 600]),
            doubled: chance.choose(&[0, 100, 500]),
            late: chance.choose(&[ms(0), ms(3), ms(30), ms(120)]),
        },
        22..24 => Fault::Slew { host, rate: chance.choose(&[899_500, 1_100_500, 1_000_000]) },
        24 => Fault::Fit { host, fit: chance.one_in(2) },
        25 => Fault::Standby { host, on: chance.one_in(2) },
        26 => Fault::Move { vip: index(chance.below(vips as u64)), to: host },
        27 => Fault::Stop { host },
        28 => Fault::Replay { host },
        29 => Fault::Gateway { host, answers: chance.one_in(2) },
        30..32 => Fault::Late { host, usual: ms(1) / chance.choose(&[1, 2, 5, 10]) * 2 },
        32..34 => Fault::Replace { host },
        _ => Fault::Voters,
    }
}
