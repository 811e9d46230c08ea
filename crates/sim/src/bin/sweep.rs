//! `cargo xtask sweep` runs this, built for speed. Times are of the processor, so that other work on
//! the machine does not count: everything here is one thread without any I/O.
#![expect(clippy::print_stdout, reason = "a command line tool talks on its standard output")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use outlast_sim::sweep::{Tally, run, scripted, shortest};
use outlast_sim::world::{Script, Shape, World};

/// What the words of the command line mean.
#[derive(Debug)]
struct Args {
    seconds: f64,
    /// At most so many seeds.
    seeds: u64,
    first: u64,
    shape: Shape,
    /// The detection time of all scripts.
    detect: Option<Duration>,
    json: bool,
    /// Ends at the first violation.
    hunt: bool,
    seed: Option<u64>,
    /// A script to tell the story of.
    script: Option<PathBuf>,
    /// Where short scripts of violations go.
    out: Option<PathBuf>,
    /// What they are called; the property and the seed otherwise.
    name: Option<String>,
}

/// So many seeds reach every mark; a sweep that does not has lost a part of the world.
const ENOUGH: u64 = 500;
/// Violations that are made short; the others look like them.
const SHORTENED: usize = 3;

fn main() -> ExitCode {
    let args = match args() {
        Ok(args) => args,
        Err(what) => {
            eprintln!("sweep: {what}");
            return ExitCode::from(2);
        }
    };
    if let Some(seed) = args.seed {
        return tell(&scripted(seed, args.shape, args.detect));
    }
    if let Some(file) = &args.script {
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string());
        return match text.and_then(|text| Script::parse(&text)) {
            Ok(script) => tell(&script),
            Err(what) => {
                eprintln!("sweep: {}: {what}", file.display());
                ExitCode::from(2)
            }
        };
    }
    let before = cpu();
    let mut tally = Tally { detect: args.detect, ..Tally::default() };
    while tally.seeds < args.seeds && (cpu() - before).as_secs_f64() < args.seconds {
        tally.add(args.first + tally.seeds, args.shape);
        if args.hunt && is_bad(&tally, args.shape) {
            break;
        }
    }
    report(&args, &tally, cpu() - before);
    if let Some(out) = &args.out {
        keep(&tally, &args, out);
    }
    ExitCode::from(u8::from(is_bad(&tally, args.shape)))
}

fn is_bad(tally: &Tally, shape: Shape) -> bool {
    let lacks = tally.seeds >= ENOUGH && tally.marks.missing(shape).next().is_some();
    !tally.broken.is_empty() || lacks
}

/// Writes short scripts of the first violations.
fn keep(tally: &Tally, args: &Args, out: &Path) {
    for (seed, broken) in tally.broken.iter().take(SHORTENED) {
        let short = shortest(&scripted(*seed, args.shape, args.detect), broken.property);
        let words = broken.property.to_lowercase().replace(' ', "-");
        let name = args.name.clone().unwrap_or_else(|| format!("{words}-seed-{seed}"));
        let file = out.join(format!("{name}.toml"));
        let text = format!("# {}: {}\n{}", broken.property, broken.what, short.print());
        match std::fs::write(&file, text) {
            Ok(()) => eprintln!("{} steps are left in {}", short.steps.len(), file.display()),
            Err(error) => eprintln!("cannot write {}: {error}", file.display()),
        }
    }
}

fn args() -> Result<Args, String> {
    let mut args = Args {
        seconds: 10.0,
        seeds: u64::MAX,
        first: 0,
        shape: Shape::Fixed { controllers: 5, computes: 20 },
        detect: None,
        json: false,
        hunt: false,
        seed: None,
        script: None,
        out: None,
        name: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        if word == "--out" {
            args.out = words.next().map(PathBuf::from);
            continue;
        }
        if word == "--script" {
            args.script = words.next().map(PathBuf::from);
            continue;
        }
        if word == "--name" {
            args.name = words.next();
            continue;
        }
        let mut number = || {
            let value = words.next().ok_or_else(|| format!("{word} needs a number"))?;
            value.parse::<f64>().map_err(|_| format!("`{value}` is no number"))
        };
        match word.as_str() {
            "--seconds" => args.seconds = number()?,
            "--seeds" => args.seeds = whole(number()?),
            "--first" => args.first = whole(number()?),
            "--seed" => args.seed = Some(whole(number()?)),
            "--detect-ms" => args.detect = Some(Duration::from_millis(whole(number()?))),
            "--mixed" => args.shape = Shape::Mixed,
            "--json" => args.json = true,
            "--hunt" => args.hunt = true,
            _ => return Err(format!("`{word}` is not known")),
        }
    }
    Ok(args)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seeds on a command line are small"
)]
const fn whole(number: f64) -> u64 {
    number as u64
}

fn tell(script: &Script) -> ExitCode {
    let seed = script.seed;
    println!("{}", script.print());
    let outcome = World::new(script).telling().run();
    println!("{}", outcome.story);
    match outcome.violation {
        None => println!("seed {seed}: no violation, hash {:016x}", outcome.hash),
        Some(broken) => {
            println!("seed {seed}: {} at {}: {}", broken.property, broken.at, broken.what);
            return ExitCode::FAILURE;
        }
    }
    let again = run(script).hash;
    assert_eq!(again, outcome.hash, "the same script, another run");
    ExitCode::SUCCESS
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn report(args: &Args, tally: &Tally, cpu: Duration) {
    let seconds = cpu.as_secs_f64().max(1e-9);
    let (events, faults) = (tally.events as f64 / seconds, tally.faults as f64 / seconds);
    let speed = tally.simulated.as_secs_f64() / seconds;
    let hours = tally.simulated.as_secs_f64() / 3600.0;
    let enough = tally.seeds >= ENOUGH;
    let missing = tally.marks.missing(args.shape).filter(|_| enough);
    let missing: Vec<_> = missing.map(|mark| format!("{mark:?}")).collect();
    if args.json {
        let broken = tally.broken.iter().map(|(seed, broken)| {
            let (property, at) = (broken.property, broken.at.as_nanos() / 1_000_000);
            format!(
                "{{\"seed\":{seed},\"property\":\"{property}\",\"at_ms\":{at},\"what\":{:?}}}",
                broken.what
            )
        });
        println!(
            "{{\"events_per_second\":{events:.0},\"faults_per_second\":{faults:.0},\"speed\":{speed:.0},\
             \"hours\":{hours:.2},\"seeds\":{},\"trace\":\"{:016x}\",\"cpu_s\":{seconds:.1},\"never\":[{}],\"violations\":[{}]}}",
            tally.seeds,
            tally.trace,
            missing.iter().map(|mark| format!("\"{mark}\"")).collect::<Vec<_>>().join(","),
            broken.collect::<Vec<_>>().join(","),
        );
        return;
    }
    println!("{events:.0} events/s, {faults:.0} faults/s, {speed:.0} x real time");
    println!(
        "{hours:.2} hours of {} seeds in {seconds:.1} s of one core, trace {:016x}",
        tally.seeds, tally.trace
    );
    if !missing.is_empty() {
        println!("never reached: {}", missing.join(", "));
    }
    println!("{} violations", tally.broken.len());
    for (seed, broken) in &tally.broken {
        println!("  seed {seed}: {} at {}: {}", broken.property, broken.at, broken.what);
    }
}

/// Time of the processor that this process has had.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanos = text.split_whitespace().next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}
