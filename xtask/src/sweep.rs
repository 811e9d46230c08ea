//! `cargo xtask sweep`: the simulator, built for speed, runs seed after seed and says what broke.

use std::path::PathBuf;

use crate::shell::{self, Outcome};

/// Of the simulator: scripts that once failed.
const REGRESSIONS: &str = "crates/sim/regressions";
const PROFILE: &str = "sweep";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long, in seconds of one core
    #[arg(long, default_value_t = 60.0, conflicts_with = "hours")]
    seconds: f64,
    /// How long, in hours of one core
    #[arg(long)]
    hours: Option<f64>,
    /// At most so many seeds
    #[arg(long)]
    seeds: Option<u64>,
    /// Begin with this seed
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Clouds of 2 to 25 nodes instead of 5 controllers and 20 compute nodes
    #[arg(long)]
    mixed: bool,
    /// The world of vip processes that vote instead, 1,000 seeds unless told
    #[arg(long, conflicts_with_all = ["mixed", "detect_ms", "script", "json", "hours"])]
    vip_lease: bool,
    /// The world of nodes that tell people of moves instead, 1,000 seeds unless told
    #[arg(long, conflicts_with_all = ["mixed", "vip_lease", "detect_ms", "script", "json", "hours"])]
    notify: bool,
    /// The detection time of all clouds (ms); a tenth of it, at most 1 s, is between two beats
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(300..=60_000))]
    detect_ms: Option<u32>,
    /// Tell the story of one seed
    #[arg(long)]
    seed: Option<u64>,
    /// Tell the story of a script, as those in `crates/sim/regressions`
    #[arg(long, value_name = "FILE", conflicts_with = "seed")]
    script: Option<PathBuf>,
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Outcome {
    if args.vip_lease || args.notify {
        let world = if args.notify { NOTIFY } else { VIP_LEASE };
        return match args.seed {
            Some(seed) => small_world(world, &[seed]),
            None => small_world(world, &[args.first, args.seeds.unwrap_or(1000)]),
        };
    }
    let seconds = args.hours.map_or(args.seconds, |hours| hours * 3600.0);
    let mut command = std::process::Command::new(build()?);
    command.args(["--seconds", &seconds.to_string(), "--first", &args.first.to_string()]);
    if let Some(seeds) = args.seeds {
        command.args(["--seeds", &seeds.to_string()]);
    }
    if let Some(detect) = args.detect_ms {
        command.args(["--detect-ms", &detect.to_string()]);
    }
    if let Some(seed) = args.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    if let Some(script) = &args.script {
        command.arg("--script").arg(script);
    }
    // Short scripts of violations are kept where a test replays them.
    command.arg("--out").arg(shell::root().join(REGRESSIONS));
    let options = [(args.mixed, "--mixed"), (args.json, "--json")];
    command.args(options.into_iter().filter(|(wanted, _)| *wanted).map(|(_, option)| option));
    shell::run(&mut command)
}

/// Programs of worlds beside the cloud.
const VIP_LEASE: &str = "outlast-vip-lease";
const NOTIFY: &str = "outlast-notify";

fn small_world(program: &str, numbers: &[u64]) -> Outcome {
    let package = ["run", "--quiet", "--package", "outlast-sim", "--bin", program];
    let mut command = shell::cargo(package);
    command.args(["--profile", PROFILE, "--"]);
    command.args(numbers.iter().map(u64::to_string));
    shell::run(&mut command)
}

/// Seeds of a minute with the cloud of the figures, and with all sizes: what a test run judges does
/// not depend on how fast its machine is. New seeds are for a sweep by hand, which takes hours.
const MINUTE: [(bool, u64); 2] = [(false, 1000), (true, 1000)];

/// Of the world of vip processes: enough for every mark.
const VIP_LEASES: u64 = 300;
/// Of the world of nodes that tell people: the same.
const NOTIFIES: u64 = 200;

/// Part of every test run: about a minute, half of it with the cloud of the figures, half with all sizes, and seconds of
/// vip processes that vote and of nodes that tell people.
pub(crate) fn minute() -> Outcome {
    for (mixed, seeds) in MINUTE {
        let nodes = if mixed { "2 to 25 nodes" } else { "25 nodes" };
        eprintln!("sweep: {seeds} seeds, {nodes}");
        let seeds = Some(seeds);
        // The seeds end it, on a machine that is ten times slower, too.
        let seconds = 300.0;
        run(&Args {
            seconds,
            hours: None,
            seeds,
            first: 0,
            mixed,
            vip_lease: false,
            notify: false,
            detect_ms: None,
            seed: None,
            script: None,
            json: false,
        })?;
    }
    eprintln!("sweep: {VIP_LEASES} seeds of vip processes that vote");
    small_world(VIP_LEASE, &[0, VIP_LEASES])?;
    eprintln!("sweep: {NOTIFIES} seeds of nodes that tell people of moves");
    small_world(NOTIFY, &[0, NOTIFIES])
}

/// Builds the program that sweeps, and says where it is.
pub(crate) fn build() -> Outcome<PathBuf> {
    let package = ["build", "--quiet", "--package", "outlast-sim", "--bin", "outlast-sweep"];
    shell::run(shell::cargo(package).args(["--profile", PROFILE]))?;
    Ok(shell::target().join(PROFILE).join("outlast-sweep"))
}
