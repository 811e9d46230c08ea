//! `outlast demo`: a cloud of three controllers that is hurt in eighteen ways, with a client that
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
mod around;
mod door;
mod figures;
mod measure;
mod order;
mod promise;
mod recorded;
mod scenario;
mod screen;
mod show;
mod stage;
mod table;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use base::Chain;
use sys::netns::{Isolated, isolate};
use sys::process::Exit;

use self::around::{Outside, invitation};
use self::door::Doors;
use self::measure::Measure;
use self::recorded::Stock;
use self::scenario::{SCENARIOS, Scenario, named};
use self::show::{Show, Talk};
use crate::cloud::files::{Files, FilesError, Given, NODES};
use crate::cloud::node::{Software, is_installed};
use crate::cloud::{Cloud, Foreign};
use crate::watch::Idle;

/// Where everything is written; a file system of the demo's own.
const FOLDER: &str = "/run/demo";
/// For the client's requests under way; what the system allows, if that is less.
const OPEN_FILES: u64 = 32 * 1024;
/// Programs of Debian's packages that `--stock` runs.
const STOCK: [&str; 3] = ["keepalived", "haproxy", "socat"];
/// Three controllers in namespaces: kill things and see what a client notices
///
/// On a terminal it stays and takes keys: kill, freeze, power off, cut, heal, over the screen of
/// `outlast top` with what a client measures. Otherwise, and with --tour, all scenarios are run and
/// a table is printed: as root the promises are judged; a plain user's run (user namespaces, no
/// real-time scheduling) prints the same table without a judgement.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One scenario, or all
    #[arg(long, value_name = "NAME", value_parser = parse_scenario)]
    scenario: Option<String>,
    /// All scenarios and their table also on a terminal; the same as --scenario all
    #[arg(long, conflicts_with = "scenario")]
    tour: bool,
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
    /// Leave the cloud up afterwards (without --scenario: at once), without a screen of keys; says
    /// how to look around in it
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
    #[error("{0}; the demo does not begin")]
    Broken(String),
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
    #[error("the screen ended")]
    Screen(#[source] io::Error),
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

impl Args {
    /// Whether there is somebody at the keyboard who wants nothing in particular.
    fn is_screen(&self) -> bool {
        let asked = self.scenario.is_some() || self.tour || self.json || self.stay || self.stock;
        let tested = self.foreign.is_some() || !self.r#break.is_empty() || self.judge;
        // A terminal of a machine that builds and tests has nobody before it.
        let automatic = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
        !asked && !tested && self.repeat == 1 && !automatic && cli::top::is_terminal()
    }

    fn scenarios(&self) -> Vec<&'static Scenario> {
        match self.scenario.as_deref() {
            None if self.stay && !self.tour => Vec::new(),
            None | Some("all") => SCENARIOS.iter().collect(),
            Some(name) => named(name).into_iter().collect(),
        }
    }
}

/// What only the machine's own namespaces have.
#[derive(Debug)]
struct Brought {
    doors: Option<Doors>,
    outside: Outside,
    plain: bool,
}

/// Everything that needs the files and sockets of the machine, then into the namespaces.
fn outside(args: &Args) -> Result<ExitCode, DemoError> {
    let plain = !sys::rights::is_root();
    let given = match &args.haproxy {
        None => Given::example(),
        Some(haproxy) => own_files(haproxy, args.keepalived.as_deref())?,
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
    let looked_at = (args.stay || args.is_screen()) && !args.stock;
    let doors = looked_at.then(|| Doors::open(NODES));
    let brought = Brought { doors, outside: Outside::remember(), plain };
    match isolate("outlast-demo").map_err(DemoError::Namespaces)? {
        Isolated::Ended(Exit::Code(code)) => {
            Ok(ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)))
        }
        Isolated::Ended(Exit::Signal(_)) => Ok(ExitCode::from(2)),
        Isolated::Inside { fresh_proc: false } => Err(DemoError::Proc),
        Isolated::Inside { fresh_proc: true } => inside(args, files, software, brought),
    }
}

/// The user's files, if a node would run them: a cloud that cannot come up is not waited for.
fn own_files(haproxy: &Path, keepalived: Option<&Path>) -> Result<Given, DemoError> {
    let source = |path: &Path| -> Result<config::Source, DemoError> {
        let text = read(path)?;
        Ok(config::Source { path: path.display().to_string(), text })
    };
    let mut sources = vec![source(haproxy)?];
    sources.extend(keepalived.map(source).transpose()?);
    let texts: Vec<String> = sources.iter().map(|source| source.text.clone()).collect();
    let loaded = config::load(sources);
    if let Some(refused) = config::refused(&loaded) {
        return Err(DemoError::Broken(refused.shown));
    }
    let mut texts = texts.into_iter();
    Ok(Given::own(texts.next().unwrap_or_default(), texts.next()))
}

fn read(path: &Path) -> Result<String, DemoError> {
    std::fs::read_to_string(path)
        .map_err(|error| DemoError::Read(path.display().to_string(), error))
}

/// Builds the cloud, then goes through the scenarios or gives it to who is at the keyboard.
fn inside(
    args: &Args,
    files: Files,
    software: Software,
    brought: Brought,
) -> Result<ExitCode, DemoError> {
    let plain = brought.plain;
    let is_screen = args.is_screen();
    // Before the first thread: all of them leave these signals to the screen.
    let signals = is_screen.then(cli::top::end_signals).transpose().map_err(DemoError::Cloud)?;
    let realtime = !plain && may_be_realtime();
    // Fewer open files only limit how many requests can hang at once.
    drop(sys::rights::raise_open_files(OPEN_FILES));
    let mut talk = if args.json { Talk::Json } else { Talk::Text };
    talk.say(&introduction(&files, &software, plain, realtime))?;
    let begin = sys::clock::now();
    let foreign = args.foreign.map(|priority| Foreign { priority });
    let mut cloud = Cloud::lay_out(Path::new(FOLDER), files, software, foreign, realtime)
        .and_then(|mut cloud| cloud.revive().map(|()| cloud))
        .and_then(|cloud| cloud.wait_until_healthy().map(|()| cloud))
        .map_err(DemoError::Cloud)?;
    let holder = cloud.holder().map_or("nobody", |node| cloud.nodes[node].name.as_str());
    let took = sys::clock::now().since(begin).as_secs_f64();
    talk.say(&format!("up after {took:.1} s; the virtual IP is on {holder}"))?;
    if let Some(signals) = signals {
        let ended = screen::run(cloud, brought.doors, realtime, &signals);
        return ended.map(|()| ExitCode::SUCCESS).map_err(DemoError::Screen);
    }
    let broken = tour(args, &mut cloud, realtime, &mut talk)?;
    if args.stay {
        stay(&cloud, brought, &mut talk)?;
    }
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The chosen scenarios with their table; how many promises were broken.
fn tour(args: &Args, cloud: &mut Cloud, realtime: bool, talk: &mut Talk) -> Result<u32, DemoError> {
    let chosen = args.scenarios();
    if chosen.is_empty() {
        return Ok(0);
    }
    let idle = Idle::start(realtime).map_err(DemoError::Cloud)?;
    let repeat = usize::try_from(args.repeat).unwrap_or(1).max(1);
    let runs = chosen.len() * repeat;
    let mut show = Show::new(Measure::new(idle, realtime), realtime || args.judge, runs);
    // Nobody holds the stock pair, or a broken one, to anything; a foreign router's tests say who
    // held before, which a second run would change.
    if args.stock || args.foreign.is_some() || !args.r#break.is_empty() {
        show = show.without_repeats();
    }
    talk.say("")?;
    talk.head(&if args.stock { "measured now".into() } else { recorded_source() })?;
    for number in 0..runs {
        let last = number + 1 == runs && !args.stay;
        show.one(cloud, chosen[number / repeat], last, talk)?;
    }
    talk.say(&show.conclusion(runs))?;
    Ok(show.broken)
}

/// Until a signal ends it.
fn stay(cloud: &Cloud, brought: Brought, talk: &mut Talk) -> Result<(), DemoError> {
    if let Some(doors) = brought.doors {
        for (node, address) in cloud.nodes.iter().zip(doors.addresses()) {
            talk.say(&format!("dashboard of {}: {address}", node.name))?;
        }
        let network = |node: &crate::cloud::node::Node| {
            node.host().and_then(|host| host.netns().try_clone_to_owned().ok())
        };
        let networks: Vec<_> = cloud.nodes.iter().map(network).collect();
        let network: door::Networks =
            Arc::new(move |node| networks.get(node)?.as_ref()?.try_clone().ok());
        doors.attend(&network).map_err(DemoError::Cloud)?;
    }
    talk.say(&invitation(cloud, &brought.outside, brought.plain))?;
    loop {
        std::thread::park();
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
