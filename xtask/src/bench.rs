//! `cargo xtask bench`: what is promised, measured; where there is a peer, beside it in the same run.

mod balance;
mod cluster;
mod figure;
mod forged;
mod gossip;
mod page;
mod routers;
mod scenarios;
mod shared;
mod sizes;
mod store;
mod sweep;
mod table;
mod vip;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::demo;
use crate::shell::{self, Failure, Outcome};
use figure::Figure;

#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    field: Option<Field>,
    /// Measure Debian's keepalived and haproxy in the scenarios as well
    #[arg(long)]
    against_stock: bool,
    /// Write what was measured to docs/benchmarks.md
    #[arg(long, global = true)]
    write: bool,
    /// One JSON object per figure, nothing else, on standard output
    #[arg(long, global = true)]
    json: bool,
    /// Measure this executable instead of building one
    #[arg(long, global = true, value_name = "FILE")]
    program: Option<PathBuf>,
    /// One scenario instead of all
    #[arg(long, default_value = "all")]
    scenario: String,
}

/// Fields of their own; those with a peer are measured by the scripts of the shared folder. REPS=N sets
/// the rounds
#[derive(Clone, Debug, Subcommand)]
enum Field {
    /// Processor time per request and memory per connection, beside haproxy
    Balance,
    /// Committed writes of the store and the time to a new leader: three nodes on one disk, mutual TLS
    Store,
    /// What faults of a virtual IP cost a client: three controllers, vip leases, samples each millisecond
    Vip(VipArgs),
    /// Time until all nodes know of a crash; memory and processor time of an agent
    Cluster {
        /// Count wrong verdicts for so long at load 20 as well
        #[arg(long, default_value_t = 0)]
        seconds: u32,
    },
    /// A flood of forged datagrams: what one costs an agent, and that it accuses nobody because of them
    Forged {
        /// How long each flood is
        #[arg(long, default_value_t = 10)]
        seconds: u32,
    },
    /// Gossip of 1,000 nodes on virtual time: crashes, goodbyes, traffic, false verdicts at a tenth lost. Then real
    /// nodes among as many that are played: a compute node, and three controllers with store, pages and metrics
    Gossip {
        /// How long a tenth of all packets is lost, in virtual time
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(200..=1300))]
        members: u16,
    },
    /// Routers of neutron on one host, beside keepalived and a monitor for each: memory, processes, processor time, and what
    /// it takes until all of them moved
    Routers {
        #[arg(long, default_value_t = 500)]
        routers: u32,
        /// Over which processor time is taken
        #[arg(long, default_value_t = 20)]
        seconds: u32,
    },
    /// The simulator on one core: processor time of an event, a fault, an hour; violations of new seeds
    Sweep {
        /// How long, in seconds of one core
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
}

#[derive(Args, Clone, Debug)]
struct VipArgs {
    /// Rounds of each fault
    #[arg(long, default_value_t = vip::RUNS)]
    runs: u32,
    /// Debian's keepalived and haproxy in the same rounds; so many of them, if not all
    #[arg(long, value_name = "RUNS", num_args = 0..=1, default_missing_value = "20")]
    against_stock: Option<u32>,
    /// These faults instead of all, separated by commas
    #[arg(long)]
    faults: Option<String>,
    /// Addresses held by VRRP instead of by votes; nothing is judged
    #[arg(long)]
    vrrp: bool,
    /// Beats of so many milliseconds in place of 10, on an idle machine: where a vip process is late too often for them, nothing is measured
    #[arg(long, conflicts_with = "vrrp", value_parser = clap::value_parser!(u8).range(2..=9))]
    beat_ms: Option<u8>,
    /// Four busy loops for so many seconds, with real-time vip processes and with ordinary ones (60 after all faults)
    #[arg(long, value_name = "SECONDS")]
    busy: Option<u32>,
    /// Sequences of one to three random faults
    #[arg(long, default_value_t = 0)]
    sequences: u32,
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// Add to what was measured before, for a measurement in pieces; with `--runs 0` only the table is printed
    #[arg(long)]
    add: bool,
    /// The script of the shared folder, by which earlier releases were measured
    #[arg(long)]
    documents: bool,
}

pub(crate) fn run(bench: &Bench) -> Outcome {
    if let Some(Field::Sweep { seconds }) = &bench.field {
        let field = format!("sweep --seconds {seconds}");
        return told(bench, "Sweep", &field, &sweep::measure(*seconds)?, "peer");
    }
    let outlast = match &bench.program {
        Some(program) => program.clone(),
        None => demo::build()?,
    };
    match &bench.field {
        None | Some(Field::Sweep { .. }) => scenarios(bench, &outlast),
        Some(Field::Gossip { seconds, members }) => {
            let field = format!("gossip --seconds {seconds} --members {members}");
            let figures = gossip::measure(&outlast, *members, *seconds)?;
            told(bench, "Gossip", &field, &figures, "100 members")
        }
        Some(Field::Store) => told(bench, "Store", "store", &store::measure(&outlast)?, "peer"),
        Some(Field::Balance) => {
            let figures = balance::measure(&outlast)?;
            told(bench, "Balancer", "balance", &figures, "haproxy")
        }
        Some(Field::Vip(words)) if words.documents => {
            let figures = vip::documents::measure(&outlast)?;
            told(
                bench,
                "Virtual IP by the documents' script",
                "vip --documents",
                &figures,
                "keepalived",
            )
        }
        Some(Field::Vip(words)) => faults_of_vips(bench, words, &outlast),
        Some(Field::Forged { seconds }) => {
            let figures = forged::measure(&outlast, *seconds)?;
            told(bench, "Forged", &format!("forged --seconds {seconds}"), &figures, "peer")
        }
        Some(Field::Routers { routers, seconds }) => {
            let figures = routers::measure(&outlast, *routers, *seconds)?;
            let field = format!("routers --routers {routers} --seconds {seconds}");
            told(bench, "Routers", &field, &figures, "keepalived")
        }
        Some(Field::Cluster { seconds }) => {
            let figures = cluster::measure(&outlast, *seconds)?;
            let field = match seconds {
                0 => "cluster".to_owned(),
                seconds => format!("cluster --seconds {seconds}"),
            };
            told(bench, "Cluster", &field, &figures, "corosync")
        }
    }
}

fn faults_of_vips(bench: &Bench, words: &VipArgs, outlast: &Path) -> Outcome {
    let is_whole = words.faults.is_none() && words.runs > 0 && !words.add;
    let way = match (words.vrrp, words.beat_ms) {
        (true, _) => vip::Way::Vrrp,
        (false, Some(beat)) => vip::Way::Beats(beat),
        (false, None) => vip::Way::Votes,
    };
    let order = vip::Order {
        runs: words.runs,
        stock_runs: words.against_stock.unwrap_or(0),
        faults: words.faults.clone(),
        way,
        stress: words.busy.unwrap_or(if is_whole { 60 } else { 0 }),
        sequences: words.sequences,
        seed: words.seed,
        add: words.add,
    };
    let lines = vip::lines(&vip::measure(outlast, &order)?, way);
    let figures: Vec<Figure> = lines.iter().flat_map(|line| line.figures(!words.vrrp)).collect();
    let table = vip::page(&lines);
    if bench.json {
        print!("{}", figure::json(&figures));
    } else {
        print!("{table}");
    }
    if bench.write {
        page::write(&way.section(), "cargo xtask bench vip --write", &table)?;
    }
    judge(&figures)
}

/// Prints and writes what a field's bench measured, and judges it.
fn told(bench: &Bench, section: &str, field: &str, figures: &[Figure], peer: &str) -> Outcome {
    let table = figure::table(figures, peer);
    if bench.json {
        print!("{}", figure::json(figures));
    } else {
        print!("{table}");
    }
    if bench.write {
        let rounds = std::env::var("REPS").map(|reps| format!("REPS={reps} ")).unwrap_or_default();
        page::write(section, &format!("{rounds}cargo xtask bench {field} --write"), &table)?;
    }
    judge(figures)
}

fn scenarios(bench: &Bench, outlast: &Path) -> Outcome {
    let measured = scenarios::measure(outlast, &bench.scenario, bench.against_stock)?;
    let figures = measured.figures();
    let (sizes, rows) = (figure::table(&measured.sizes, "peer"), table::print(&measured.rows));
    if bench.json {
        print!("{}", figure::json(&figures));
    } else {
        print!("{sizes}\n{rows}");
    }
    if bench.write {
        let command = "cargo xtask bench --write";
        page::write("Sizes", command, &sizes)?;
        page::write("Scenarios", command, &rows)?;
    }
    if shell::is_root() {
        return judge(&figures);
    }
    eprintln!("not judged: promises bind runs as root, with real-time scheduling");
    Ok(())
}

fn judge(figures: &[Figure]) -> Outcome {
    let broken = figure::broken(figures);
    if broken.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("{} promises broken:\n{}", broken.len(), broken.join("\n"))))
}
