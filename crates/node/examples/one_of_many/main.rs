//! What one real node costs that is one of very many; `cargo xtask bench gossip` runs it, built for speed.
//!
//! ```text
//! outlast run  <--- UDP on lo --->  this process: the real machine of the gossip, once for each other node
//! ```
//! In namespaces of its own. `compute`: one real compute node, five controllers are played. `controller`: three real
//! controllers with a store, dashboards and metrics; all compute nodes are played. Who is played talks to the others
//! of this process without sockets and seals; what goes to a real node is sealed and sent from its own address, what
//! comes from one is opened. Prints a JSON object per number.

#![expect(clippy::print_stdout, reason = "a command line tool talks on its standard output")]

mod cost;
mod crowd;
mod real;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use api::{Role, Standing, Status};
use cost::{resident, used};
use crowd::Crowd;
use real::{Plan, Real};
use sys::netns::{Isolated, isolate};
use sys::process::Exit;

/// All know each other, and answers to newcomers have ended.
const SETTLED: Duration = Duration::from_secs(75);
/// Until the real nodes answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two questions of a Prometheus, while processor time is counted: 15 s is its own default, this is more.
const SCRAPE: Duration = Duration::from_secs(10);
/// So many compute nodes lose their power at once, and so long it takes until all is said about them.
const LOST: u16 = 100;
const TOLD: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [members, seconds, program, role] = &words[..] else {
        return complain("MEMBERS SECONDS PROGRAM compute|controller");
    };
    let (Ok(members), Ok(seconds)) = (members.parse::<u16>(), seconds.parse::<u32>()) else {
        return complain("MEMBERS and SECONDS are numbers");
    };
    if members < 2 * LOST || seconds == 0 {
        return complain("200 members at least, and a second");
    }
    let plan = match role.as_str() {
        "compute" => Plan::of_a_compute_node(members, PathBuf::from(program)),
        "controller" => Plan::of_controllers(members, PathBuf::from(program)),
        _ => return complain("either compute or controller"),
    };
    match isolate("outlast-many") {
        Ok(Isolated::Ended(Exit::Code(0))) => ExitCode::SUCCESS,
        Ok(Isolated::Ended(_)) => ExitCode::FAILURE,
        Ok(Isolated::Inside { .. }) => match run(&plan, seconds) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(&error.to_string()),
        },
        Err(error) => complain(&format!("cannot make namespaces: {error}")),
    }
}

fn complain(text: &str) -> ExitCode {
    // Nobody is left to be told where stderr is closed.
    drop(writeln!(io::stderr(), "one_of_many: {text}"));
    ExitCode::FAILURE
}

fn tell(name: &str, value: f64) {
    println!("{{\"name\":\"{name}\",\"value\":{value}}}");
}

/// Counts here are far below what a double counts exactly.
fn float(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

fn run(plan: &Plan, seconds: u32) -> io::Result<()> {
    let mut crowd = Crowd::new(plan)?;
    let real = Real::start(plan)?;
    // Played nodes that wait for a processor would be ill, and so would be what is measured: a thousand of them want
    // half of one. Real nodes are ordinary processes. Without that right the machine has to be quiet.
    let _ = sys::schedule::realtime_round_robin(1);
    let end = sys::clock::now() + PATIENCE;
    while real.nodes().any(|node| real.status(node).is_err()) && sys::clock::now() < end {
        crowd.run(Duration::from_millis(100))?;
    }
    crowd.run(SETTLED)?;
    quiet(plan, &real, &mut crowd, seconds)?;
    if plan.has_dashboards() {
        look(plan, &real, &mut crowd, "")?;
        crowd.lose(LOST);
        crowd.run(TOLD)?;
        look(plan, &real, &mut crowd, ", 100 lost")?;
    }
    Ok(())
}

fn pids(status: &Status, role: Role) -> impl Iterator<Item = i32> + '_ {
    let of_it = move |process: &&api::ProcessState| process.role == role && process.running;
    status.processes.iter().filter(of_it).map(|process| process.pid)
}

/// What the most costly of the real nodes costs while nothing happens.
fn quiet(plan: &Plan, real: &Real, crowd: &mut Crowd, seconds: u32) -> io::Result<()> {
    let all = real.nodes().map(|node| real.status(node)).collect::<io::Result<Vec<_>>>()?;
    let roles = [(Role::Agent, "agent"), (Role::Store, "store"), (Role::Services, "services")];
    let mut watched = vec![];
    for (role, name) in roles {
        for pid in all.iter().flat_map(|status| pids(status, role)) {
            watched.push((name, pid, used(pid)?));
        }
    }
    if !watched.iter().any(|(name, ..)| *name == "agent") {
        return Err(io::Error::other("there is no agent"));
    }
    (crowd.from_real, crowd.to_real, crowd.worst_lag) = (vec![0; 4], 0, Duration::ZERO);
    let (begin, sent) = (sys::clock::now(), cost::sent_on_loopback()?);
    let span = Duration::from_secs(seconds.into());
    let mut asked_at = begin;
    while sys::clock::now().since(begin) < span {
        if plan.has_dashboards() && sys::clock::now() >= asked_at {
            asked_at = sys::clock::now() + SCRAPE;
            let ways: Vec<_> = real.nodes().map(|node| real.dashboard(node)).collect();
            let scrape =
                move || ways.into_iter().try_for_each(|at| real::get(at, "/metrics").map(drop));
            meanwhile(crowd, scrape)?;
        }
        crowd.run(Duration::from_millis(100))?;
    }
    let span = sys::clock::now().since(begin).as_secs_f64();
    for (name, ..) in roles.map(|(_, name)| (name, ())) {
        let mut most = (0.0_f64, 0.0_f64);
        for (_, pid, before) in watched.iter().filter(|(of, ..)| *of == name) {
            most.0 = most.0.max((used(*pid)? - before) / span * 100.0);
            most.1 = most.1.max(resident(*pid)?);
        }
        if most.1 > 0.0 {
            tell(&format!("{} {name} cpu", plan.word), most.0);
            tell(&format!("{} {name} memory", plan.word), most.1);
        }
    }
    let networks = f64::from(plan.networks);
    let said = crowd.from_real.iter().copied().max().unwrap_or(0);
    tell(&format!("{} bytes", plan.word), float(said) / span / networks);
    let others = cost::sent_on_loopback()?.saturating_sub(sent).saturating_sub(crowd.to_real);
    let real_nodes = f64::from(u16::try_from(real.nodes().len()).unwrap_or(u16::MAX));
    tell(&format!("{} all bytes", plan.word), float(others) / span / real_nodes);
    let unheard = |status: &Status| {
        let alive = status.nodes.iter().filter(|line| line.state.standing == Standing::Alive);
        usize::from(plan.members).saturating_sub(alive.count())
    };
    let missing = all.iter().map(unheard).max().unwrap_or(usize::MAX);
    tell(&format!("{} missing", plan.word), float(u64::try_from(missing).unwrap_or(u64::MAX)));
    tell(&format!("{} deaf controllers", plan.word), crowd.deaf_to_the_last().into());
    tell(&format!("{} worst lag of the others", plan.word), crowd.worst_lag.as_secs_f64() * 1e3);
    Ok(())
}

/// What is asked, by another thread: those that are played go on.
fn meanwhile<T: Send + 'static>(
    crowd: &mut Crowd,
    ask: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let asks = std::thread::spawn(ask);
    while !asks.is_finished() {
        crowd.run(Duration::from_millis(2))?;
    }
    asks.join().map_err(|_| io::Error::other("who asks panicked"))?
}

/// How long and how large what an operator or a program looks at is: the slowest and largest of some.
fn look(plan: &Plan, real: &Real, crowd: &mut Crowd, when: &str) -> io::Result<()> {
    let node = plan.real.start;
    let (at, run_dir, program) = (real.dashboard(node), real.run_dir(node), plan.program.clone());
    let seen = meanwhile(crowd, move || real::looks(at, &run_dir, &program))?;
    for (name, value) in seen {
        tell(&format!("{name}{when}"), value);
    }
    Ok(())
}
