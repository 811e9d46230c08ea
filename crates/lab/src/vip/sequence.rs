//! Random faults in quick succession, then a heal: whatever comes of it, no two nodes answer.

use std::io::{self, Write};
use std::time::Duration;

use sys::process::SIGSTOP;

use super::case::Case;
use super::fault::{Fault, Target, isolate, mend};
use super::stage::{Stage, sleep_until};

/// Between two faults, and before the heal, in milliseconds.
const GAP: (u64, u64) = (50, 500);
const MOST: u64 = 3;

/// What may happen to any node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Deed {
    Fault(Fault),
    /// SIGSTOP of its vip process.
    FreezeVip,
    /// The other network is silent.
    StorageSilent,
}

const DEEDS: [Deed; 11] = [
    Deed::Fault(Fault::KillVip),
    Deed::Fault(Fault::KillParent),
    Deed::Fault(Fault::KillAll),
    Deed::Fault(Fault::ProxyKilled),
    Deed::Fault(Fault::Stop),
    Deed::Fault(Fault::LinkDown),
    Deed::Fault(Fault::Silent),
    Deed::Fault(Fault::Apart),
    Deed::Fault(Fault::Split),
    Deed::FreezeVip,
    Deed::StorageSilent,
];

/// A fault, and how long after it nothing happens.
type Step = (Deed, usize, Duration);

/// So many sequences from this seed on; each has a seed of its own, so that one alone comes out the same.
pub(super) fn run(
    stage: &mut Stage,
    (first, count): (u64, u64),
    say: &mut impl FnMut(&Case) -> io::Result<()>,
) -> io::Result<()> {
    for seed in first..first + count {
        stage.settle()?;
        let steps = steps(seed, stage.cloud.nodes.len());
        let begin = stage.begin();
        for (deed, node, gap) in &steps {
            let next = sys::clock::now() + *gap;
            // What an earlier fault took away cannot be hit again.
            if let Err(error) = perform(stage, *deed, *node) {
                writeln!(io::stderr(), "seed {seed}: {}: {error}", told(*deed, *node))?;
            }
            sleep_until(next);
        }
        mend(&mut stage.cloud)?;
        let settled = stage.settle();
        let (mut case, _) = stage.end(begin);
        case.fault = "sequence".to_owned();
        case.program = stage.program().to_owned();
        case.run = u32::try_from(seed).unwrap_or(u32::MAX);
        say(&case)?;
        if case.doubles > 0 || settled.is_err() {
            let steps = steps.iter().map(|(deed, node, gap)| {
                format!("{}, then {} ms", told(*deed, *node), gap.as_millis())
            });
            let steps = steps.collect::<Vec<_>>().join("; ");
            let doubles = case.doubles;
            writeln!(
                io::stderr(),
                "two answered {doubles} times: {steps}\n  again: outlast lab vip --sequences 1 --seed {seed}"
            )?;
        }
        settled?;
    }
    Ok(())
}

fn perform(stage: &mut Stage, deed: Deed, node: usize) -> io::Result<()> {
    match deed {
        // Ports that are in no switch are isolated already.
        Deed::Fault(Fault::Split) => isolate(&stage.cloud, true),
        Deed::Fault(fault) => {
            let target = Target::find(&mut stage.cloud, fault, node)?;
            fault.strike(&mut stage.cloud, &target)
        }
        Deed::FreezeVip => {
            Target::find(&mut stage.cloud, Fault::KillVip, node)?.signal(SIGSTOP);
            Ok(())
        }
        Deed::StorageSilent => {
            let host = stage.cloud.nodes[node].host();
            host.map_or(Ok(()), |host| host.set_joined(1, false))
        }
    }
}

fn told(deed: Deed, node: usize) -> String {
    let name = match deed {
        Deed::Fault(fault) => fault.name(),
        Deed::FreezeVip => "freeze-vip",
        Deed::StorageSilent => "storage-silent",
    };
    format!("{name} node0{}", node + 1)
}

fn steps(seed: u64, nodes: usize) -> Vec<Step> {
    let mut random = Random(seed);
    let count = 1 + random.below(MOST);
    let step = |_| {
        let deed = DEEDS[random.index(DEEDS.len())];
        let node = random.index(nodes);
        let gap = GAP.0 + random.below(GAP.1 - GAP.0 + 1);
        (deed, node, Duration::from_millis(gap))
    };
    (0..count).map(step).collect()
}

/// `SplitMix64`.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn index(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap_or(1);
        usize::try_from(self.below(limit)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_one_sequence_of_one_to_three_faults_with_their_gaps() {
        let mut lengths = [0; 4];
        for seed in 0..1000 {
            let all = steps(seed, 3);
            assert_eq!(all, steps(seed, 3));
            lengths[all.len()] += 1;
            for (_, node, gap) in all {
                assert!(node < 3);
                assert!((50..=500).contains(&gap.as_millis()), "{gap:?}");
            }
        }
        assert_eq!(lengths[0], 0);
        assert!(lengths[1..].iter().all(|count| *count > 200), "{lengths:?}");
    }

    #[test]
    fn every_deed_comes() {
        let seen = |wanted: &Deed| {
            (0..200).flat_map(|seed| steps(seed, 3)).any(|(deed, ..)| deed == *wanted)
        };
        assert!(DEEDS.iter().all(seen));
    }
}
