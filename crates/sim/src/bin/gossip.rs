//! `cargo xtask bench gossip` runs this, built for speed. Prints one JSON object per measured number.
#![expect(clippy::print_stdout, reason = "a command line tool talks on its standard output")]

use std::process::ExitCode;
use std::time::Duration;

use engine::verdict::Verdict;
use outlast_sim::Chance;
use outlast_sim::gossip::{Crowd, Setup};

const CONTROLLERS: u16 = 5;
/// All know each other, and answers to newcomers have ended.
const SETTLED: Duration = Duration::from_secs(90);
const QUIET: u64 = 20;
/// Between two crashes.
const BREATH: Duration = Duration::from_secs(2);
const LIMIT: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let (Some(Ok(members)), Some(Ok(crashes)), Some(Ok(lossy)), None) =
        (numbers.next(), numbers.next(), numbers.next(), numbers.next())
    else {
        eprintln!("gossip MEMBERS CRASHES SECONDS-AT-A-TENTH-LOST");
        return ExitCode::from(2);
    };
    let Some(computes) = u16::try_from(members).ok().and_then(|all| all.checked_sub(CONTROLLERS))
    else {
        eprintln!("gossip: at least {CONTROLLERS} members");
        return ExitCode::from(2);
    };
    let detect = Duration::from_secs(1);
    let setup = Setup { controllers: CONTROLLERS, computes, networks: 2, detect, loss: 0, seed: 1 };
    if crashes > 0 {
        calm(setup, crashes);
    }
    if lossy > 0 {
        storm(Setup { loss: 100, ..setup }, lossy);
    }
    ExitCode::SUCCESS
}

fn tell(name: &str, value: f64) {
    println!("{{\"name\":\"{name}\",\"value\":{value}}}");
}

/// What compute nodes sent on one network (bytes per second): the busiest of them, and all in the mean. The busiest of
/// more nodes is busier by chance alone, so that only means of two sizes compare.
fn tell_bytes(crowd: &mut Crowd, seconds: u64, when: &str) {
    let sent = crowd.take_sent();
    let of_computes = || sent.iter().skip(usize::from(CONTROLLERS));
    let float = |number: u64| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    let most = of_computes().map(|sent| sent[0].max(sent[1])).max().unwrap_or(u64::MAX);
    tell(&format!("bytes{when}"), float(most / seconds));
    let (all, nodes) = (of_computes().map(|sent| sent[0] + sent[1]).sum::<u64>(), of_computes());
    let nodes = u64::try_from(nodes.count()).unwrap_or(u64::MAX);
    tell(&format!("mean bytes{when}"), float(all / (2 * nodes.max(1) * seconds)));
}

/// Nothing is lost: what it costs, how fast crashes and goodbyes are known.
fn calm(setup: Setup, crashes: u64) {
    let mut crowd = Crowd::new(setup);
    crowd.run(SETTLED);
    crowd.take_sent();
    crowd.run(Duration::from_secs(QUIET));
    tell_bytes(&mut crowd, QUIET, "");
    let all = CONTROLLERS + setup.computes;
    let mut chance = Chance::new(setup.seed);
    let mut somebody =
        || CONTROLLERS + u16::try_from(chance.below(u64::from(setup.computes))).unwrap_or(0);
    for _ in 0..crashes {
        let node = somebody();
        if crowd.machine(node).is_none() {
            continue;
        }
        let from = crowd.now;
        crowd.crash(node);
        crowd.run_until(from + LIMIT, |crowd| crowd.all_say(node, Verdict::Unreachable));
        tell("crash", (crowd.now - from).as_secs_f64() * 1e3);
        let is_doubt = |crowd: &Crowd, by: u16| crowd.says(by, node, Verdict::Suspect);
        crowd.run_until(from + LIMIT, |crowd| {
            crowd.all_say(node, Verdict::Unreachable)
                && (CONTROLLERS..all).all(|by| is_doubt(crowd, by))
        });
        tell("crash everywhere", (crowd.now - from).as_secs_f64() * 1e3);
        crowd.run(BREATH);
    }
    for _ in 0..crashes {
        let node = somebody();
        if crowd.machine(node).is_none() {
            continue;
        }
        let from = crowd.now;
        crowd.kill(node);
        crowd.run_until(from + LIMIT, |crowd| crowd.all_say(node, Verdict::Suspect));
        tell("processes killed", (crowd.now - from).as_secs_f64() * 1e3);
        crowd.run_until(from + LIMIT, |crowd| {
            (CONTROLLERS..all).all(|by| crowd.says(by, node, Verdict::Suspect))
        });
        tell("processes killed everywhere", (crowd.now - from).as_secs_f64() * 1e3);
        crowd.run(BREATH);
    }
    for _ in 0..crashes {
        let node = somebody();
        if crowd.machine(node).is_none() {
            continue;
        }
        let from = crowd.now;
        crowd.leave(node);
        crowd.run_until(from + LIMIT, |crowd| {
            (0..all).all(|by| crowd.says(by, node, Verdict::Leaving))
        });
        tell("leave", (crowd.now - from).as_secs_f64() * 1e3);
        crowd.run(BREATH);
    }
}

/// A tenth of all packets is lost: who is wrongly thought ill of, by anybody.
fn storm(setup: Setup, seconds: u64) {
    let mut crowd = Crowd::new(setup);
    crowd.run(SETTLED);
    crowd.take_sent();
    crowd.judged.clear();
    crowd.run(Duration::from_secs(seconds));
    tell_bytes(&mut crowd, seconds, " at loss");
    let is_wrong = |by_controller: bool| {
        let judged = crowd.judged.iter().filter(|judged| {
            let is_ill = !matches!(judged.verdict, Verdict::Alive | Verdict::Unknown);
            is_ill && (judged.by < CONTROLLERS) == by_controller
        });
        f64::from(u32::try_from(judged.count()).unwrap_or(u32::MAX))
    };
    tell("false verdicts", is_wrong(true));
    tell("false doubts", is_wrong(false));
}
