//! `outlast demo`: a cloud of three controllers that is hurt in sixteen ways, with a client that
//! measures what each of them costs.
//!
//! ```text
//! outlast demo (waits) ─ init of new namespaces ─ the demo: switches, client, watcher
//!                                                  ├ outlast run --node node01 ─ vip, agent, ...
//!                                                  ├ outlast lab web node01, ... database node01
//!                                                  └ the same for node02 and node03
//! ```
//! Whichever of the first three ends, however it ends, the kernel ends everything to its right.

mod act;
mod figures;
mod measure;
mod promise;
mod recorded;
mod scenario;
mod table;

use std::cell::Cell;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base::Chain;
use sys::netns::{Isolated, isolate};
use sys::process::Exit;

use self::figures::{Figures, ms};
use self::measure::{Measure, STALL};
use self::recorded::Stock;
use self::scenario::{SCENARIOS, Scenario, named};
use self::table::Outcome;
use crate::cloud::files::{Files, FilesError, Given};
use crate::cloud::node::{Software, is_installed};
use crate::cloud::{Cloud, Foreign, management};
use crate::watch::Idle;

/// Where everything is written; a file system of the demo's own.
const FOLDER: &str = "/run/demo";
/// For the client's requests under way; what the system allows, if that is less.
const OPEN_FILES: u64 = 32 * 1024;
/// Programs of Debian's packages that `--stock` runs.
const STOCK: [&str; 3] = ["keepalived", "haproxy", "socat"];
/// One in so many runs may be repeated because the machine stood still.
const REPEATS: usize = 10;

/// Three controllers in namespaces: kill things and see what a client notices
///
/// As root the promises are judged; a plain user's run (user namespaces, no real-time scheduling)
/// prints the same table without a judgement. Exit code 0 only if every promise held.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One scenario, or all
    #[arg(long, value_name = "NAME", value_parser = parse_scenario)]
    scenario: Option<String>,
    /// Show the scenarios and their promises
    #[arg(long)]
    list: bool,
    /// One JSON object per scenario
    #[arg(long)]
    json: bool,
    /// Run with this balancer file; its addresses are mapped to the demo's network
    #[arg(long, value_name = "FILE")]
    haproxy: Option<PathBuf>,
    /// Run with these virtual IPs, in keepalived's language
    #[arg(long, value_name = "FILE", requires = "haproxy")]
    keepalived: Option<PathBuf>,
    /// The same client and faults against Debian's keepalived and haproxy
    #[arg(long)]
    stock: bool,
    /// Leave the cloud up afterwards (without --scenario: at once)
    #[arg(long)]
    stay: bool,
    /// Break one thing on purpose, so that a test can see that it is noticed
    #[arg(long, hide = true, value_name = "NAME")]
    r#break: Vec<String>,
    /// Judge a plain user's run too
    #[arg(long, hide = true)]
    judge: bool,
    /// Debian's keepalived and haproxy on node03, with this VRRP priority (ours: 200 and 150)
    #[arg(long, hide = true, value_name = "PRIORITY")]
    foreign: Option<u8>,
    /// Run every scenario so many times
    #[arg(long, hide = true, default_value_t = 1)]
    repeat: u32,
}

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("cannot read {0}")]
    Read(String, #[source] io::Error),
    #[error("the files do not fit the demo")]
    Files(#[from] FilesError),
    #[error("{0} is not installed; as root: apt-get install keepalived haproxy socat")]
    NotInstalled(&'static str),
    #[error(
        "cannot make namespaces; run as root, or allow user namespaces \
         (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces)"
    )]
    Namespaces(#[source] io::Error),
    #[error("cannot mount /proc inside the namespaces; this container forbids it")]
    Proc,
    #[error("the cloud does not come up")]
    Cloud(#[source] io::Error),
    #[error("cannot write")]
    Write(#[source] io::Error),
}

fn parse_scenario(word: &str) -> Result<String, String> {
    if word == "all" || named(word).is_some() {
        return Ok(word.to_owned());
    }
    let names: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
    Err(format!("there is all, {}", names.join(", ")))
}

/// Runs the demo; must be called before the first thread is started.
#[must_use]
pub fn main(args: &Args) -> ExitCode {
    if args.list {
        return match table::list(&mut io::stdout(), args.json) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) | Err(_) => ExitCode::FAILURE,
        };
    }
    match outside(args) {
        Ok(code) => code,
        Err(error) => {
            // Nobody is left to be told where stderr is closed.
            drop(writeln!(io::stderr(), "outlast demo: {}", Chain(&error)));
            ExitCode::from(2)
        }
    }
}

/// Everything that needs the files of the machine, then into the namespaces.
fn outside(args: &Args) -> Result<ExitCode, DemoError> {
    let plain = !sys::rights::is_root();
    let given = match &args.haproxy {
        None => Given::example(),
        Some(haproxy) => {
            Given::own(read(haproxy)?, args.keepalived.as_deref().map(read).transpose()?)
        }
    };
    let given = match args.foreign {
        Some(_) => Files::without_cluster_file(given),
        None => given,
    };
    let files = Files::new(&given, plain)?;
    let foreign = args.stock || args.foreign.is_some();
    let missing = STOCK.into_iter().find(|name| foreign && !is_installed(name));
    if let Some(missing) = missing {
        return Err(DemoError::NotInstalled(missing));
    }
    let software = if args.stock {
        Software::Stock
    } else {
        Software::Outlast { breaks: args.r#break.clone() }
    };
    match isolate("outlast-demo").map_err(DemoError::Namespaces)? {
        Isolated::Ended(Exit::Code(code)) => {
            Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
        }
        Isolated::Ended(Exit::Signal(_)) => Ok(ExitCode::from(2)),
        Isolated::Inside { fresh_proc: false } => Err(DemoError::Proc),
        Isolated::Inside { fresh_proc: true } => inside(args, files, software, plain),
    }
}

fn read(path: impl AsRef<Path>) -> Result<String, DemoError> {
    let path = path.as_ref();
    std::fs::read_to_string(path)
        .map_err(|error| DemoError::Read(path.display().to_string(), error))
}

/// Builds the cloud and goes through the scenarios.
fn inside(
    args: &Args,
    files: Files,
    software: Software,
    plain: bool,
) -> Result<ExitCode, DemoError> {
    let realtime = !plain && may_be_realtime();
    // Fewer open files only limit how many requests can hang at once.
    drop(sys::rights::raise_open_files(OPEN_FILES));
    let idle = Idle::start(realtime).map_err(DemoError::Cloud)?;
    let mut talk = Talk { json: args.json };
    talk.say(&introduction(&files, &software, plain, realtime))?;
    let begin = sys::clock::now();
    let foreign = args.foreign.map(|priority| Foreign { priority });
    let mut cloud = Cloud::lay_out(Path::new(FOLDER), files, software, foreign, realtime)
        .and_then(|mut cloud| cloud.revive().map(|()| cloud))
        .and_then(|cloud| cloud.wait_until_healthy().map(|()| cloud))
        .map_err(DemoError::Cloud)?;
    let holder = cloud.holder().map_or("nobody", |node| cloud.nodes[node].name.as_str());
    let took = sys::clock::now().since(begin).as_secs_f64();
    talk.say(&format!("up after {took:.1} s; the virtual IP is on {holder}\n"))?;
    let chosen: Vec<&Scenario> = match args.scenario.as_deref() {
        None if args.stay => Vec::new(),
        None | Some("all") => SCENARIOS.iter().collect(),
        Some(name) => named(name).into_iter().collect(),
    };
    let repeat = usize::try_from(args.repeat).unwrap_or(1).max(1);
    let runs = chosen.len() * repeat;
    let mut show = Show {
        measure: Measure { idle, realtime, balancer_lost: Cell::default() },
        judged: realtime || args.judge,
        // Nobody holds the stock pair, or a broken one, to anything; a foreign router's tests say
        // who held before, which a second run would change.
        repeats_left: if args.stock || args.foreign.is_some() || !args.r#break.is_empty() {
            0
        } else {
            runs.div_ceil(REPEATS)
        },
        repeated: 0,
        broken: 0,
    };
    if !chosen.is_empty() {
        let source = if args.stock { "measured now".into() } else { recorded_source() };
        talk.show(|out| table::head(out, &source))?;
    }
    for number in 0..runs {
        let scenario = chosen[number / repeat];
        let last = number + 1 == runs && !args.stay;
        show.one(&mut cloud, scenario, last, &mut talk)?;
    }
    if !chosen.is_empty() {
        talk.say(&show.conclusion(runs))?;
    }
    if args.stay {
        talk.say(&invitation(&cloud))?;
        loop {
            std::thread::park();
        }
    }
    Ok(if show.broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One run through the table.
struct Show {
    measure: Measure,
    judged: bool,
    repeats_left: usize,
    repeated: u32,
    broken: u32,
}

impl Show {
    /// Measures one scenario, again if the machine stood still, and shows its line.
    fn one(
        &mut self,
        cloud: &mut Cloud,
        scenario: &Scenario,
        last: bool,
        talk: &mut Talk,
    ) -> Result<(), DemoError> {
        let mut repeated = 0;
        let (seen, mut misses) = loop {
            let (seen, misses) =
                match self.measure.run(cloud, scenario, last && self.repeats_left == 0) {
                    Ok(Some(seen)) => {
                        let misses = scenario.promise.misses(&seen);
                        (seen, misses)
                    }
                    Ok(None) => {
                        let name = scenario.name;
                        return talk.say(&format!("{name:21} the stock pair has no such part"));
                    }
                    Err(error) => (Figures::default(), vec![format!("it did not run: {error}")]),
                };
            // A stall can only make figures worse: a run that kept its promise stands.
            if misses.is_empty() || seen.stalled_ms <= ms(STALL) || self.repeats_left == 0 {
                break (seen, misses);
            }
            let stalled = seen.stalled_ms;
            talk.say(&format!(
                "{:21} again: this machine stood still for {stalled:.0} ms",
                scenario.name
            ))?;
            self.repeats_left -= 1;
            repeated += 1;
        };
        self.repeated += repeated;
        let ran = seen.requests > 0;
        if !misses.is_empty() && seen.stalled_ms > ms(STALL) {
            misses.push(format!("(this machine stood still for {:.0} ms)", seen.stalled_ms));
        }
        let stock = match cloud.software {
            Software::Stock => Some(Stock::measured(&seen)),
            Software::Outlast { .. } => Stock::recorded(scenario.name),
        };
        // What did not run is broken for everybody.
        let misses = (self.judged || !ran).then_some(misses);
        self.broken += u32::from(misses.as_ref().is_some_and(|misses| !misses.is_empty()));
        let outcome = Outcome { scenario, seen, stock, misses, repeated };
        talk.outcome(&outcome)
    }

    fn conclusion(&self, runs: usize) -> String {
        let repeated = match self.repeated {
            0 => String::new(),
            n => format!("; {n} repeated because this machine stood still"),
        };
        if !self.judged {
            return format!("{runs} runs, not judged{repeated}");
        }
        match self.broken {
            0 => format!("{runs} runs, every promise held{repeated}"),
            n => format!("{runs} runs, {n} promises broken{repeated}"),
        }
    }
}

/// Where the demo speaks: figures to stdout; with `--json` all else to stderr.
struct Talk {
    json: bool,
}

impl Talk {
    fn say(&mut self, text: &str) -> Result<(), DemoError> {
        if self.json {
            return writeln!(io::stderr(), "{text}").map_err(DemoError::Write);
        }
        self.show(|out| writeln!(out, "{text}"))
    }

    fn show(
        &mut self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), DemoError> {
        if self.json {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        write(&mut out).and_then(|()| out.flush()).map_err(DemoError::Write)
    }

    fn outcome(&mut self, outcome: &Outcome<'_>) -> Result<(), DemoError> {
        if self.json {
            let line = outcome.json().map_err(DemoError::Write)?;
            let mut out = io::stdout().lock();
            return writeln!(out, "{line}").and_then(|()| out.flush()).map_err(DemoError::Write);
        }
        self.show(|out| outcome.write(out))
    }
}

/// Some containers give root without the right to real-time scheduling.
fn may_be_realtime() -> bool {
    let try_it = || sys::schedule::realtime(1).is_ok();
    std::thread::spawn(try_it).join().unwrap_or(false)
}

fn recorded_source() -> String {
    SCENARIOS
        .iter()
        .find_map(|scenario| Stock::recorded(scenario.name))
        .map_or_else(|| "not recorded".to_owned(), |stock| stock.source)
}

fn introduction(files: &Files, software: &Software, plain: bool, realtime: bool) -> String {
    let what = match software {
        Software::Outlast { .. } => "outlast",
        Software::Stock => "Debian's keepalived and haproxy",
    };
    let mut text = format!("three controllers with {what}, a client, two switches");
    for note in &files.notes {
        text.push_str(&format!("\n  in your files: {note}"));
    }
    if plain {
        text.push_str(
            "\n  as a plain user: no real-time scheduling; `user`, `group` and `chroot` of the \
             balancer file are not applied; nothing is judged",
        );
    } else if !realtime {
        text.push_str("\n  no right to real-time scheduling: nothing is judged");
    }
    text
}

/// How to look around in a cloud that stays.
fn invitation(cloud: &Cloud) -> String {
    use std::os::fd::AsRawFd;
    let pid = std::process::id();
    let mut text = String::from(
        "the cloud stays up until Ctrl-C; from another terminal, as the same user:\n  \
         DEMO=$(pgrep -n -f 'outlast demo')   # then\n",
    );
    // For the stock pair there is nobody to answer `status`.
    let mut line = |name: &str, fd: i32, what: &str| {
        text.push_str(&format!(
            "  nsenter -t $DEMO -a nsenter --net=/proc/{pid}/fd/{fd} {what}   # on {name}\n"
        ));
    };
    let client = cloud.client().netns().as_raw_fd();
    line("the client", client, &format!("curl http://{}/", cloud.api()));
    for (number, node) in cloud.nodes.iter().enumerate() {
        if let Some(host) = node.host() {
            let folder = node.folder.join("run");
            let name = format!("{} ({})", node.name, management(number));
            let status = format!("/proc/{pid}/exe status --run-dir {}", folder.display());
            line(&name, host.netns().as_raw_fd(), &status);
        }
    }
    text
}
