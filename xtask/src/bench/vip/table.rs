//! Figures of the cases: what was promised, what was measured, and what keepalived costs.

use super::{Case, Way};
use crate::bench::figure::{Bound, Figure, median};

/// A case on a machine that stood still for longer says nothing but whether two held.
const STALL_MS: f64 = 5.0;
/// Of all cases, such ones are at most so many percent.
const MOST_STALLED: f64 = 10.0;

type Number = fn(&Case) -> f64;

/// A figure of one or several faults.
#[derive(Clone, Copy, Debug)]
struct Row {
    name: &'static str,
    unit: &'static str,
    faults: &'static [&'static str],
    number: Number,
    /// Of the research: keepalived 2.2.7 with the file of the seed, medians.
    published: &'static str,
    /// Of the maximum.
    must: f64,
    /// Of the median.
    aim: Option<f64>,
}

impl Row {
    /// What is promised, and what is aimed at. A node that is gone is followed the sooner the shorter beats are.
    fn bound(&self, way: Way) -> (f64, Option<f64>) {
        match way {
            Way::Beats(2) if self.faults.contains(&"gone") && self.faults.contains(&"apart") => {
                (20.0, Some(8.0))
            }
            Way::Votes | Way::Beats(_) | Way::Vrrp => (self.must, self.aim),
        }
    }
}

const ROWS: [Row; 18] = [
    outage("daemon killed: vip process", &["kill-vip"], "3,520", (5.0, 3.0)),
    outage("daemon killed: supervisor", &["kill-parent"], "1,021", (5.0, 3.0)),
    // Its kernel answers for the rest of the vip lease, but no process does.
    requests("daemon killed: all processes at once", &["kill-all"], "kept", (60.0, 40.0)),
    requests("proxy killed", &["proxy-killed"], "3,923", (15.0, 5.0)),
    requests("proxy frozen", &["proxy-frozen"], "28,000-50,000", (300.0, 150.0)),
    outage("graceful stop", &["stop"], "1,030", (5.0, 2.0)),
    outage("client network of the holder down: link", &["link-down"], "3,510", (30.0, 15.0)),
    outage("client network of the holder silent", &["silent"], "3,220", (30.0, 15.0)),
    outage("node gone on all networks", &["gone", "apart"], "3,220", (60.0, 40.0)),
    row(
        "requests through the balancer after a node's death: the last bad one",
        ("ms", "18,600-19,600"),
        &["gone"],
        |case| case.impaired_until_ms.unwrap_or(0.0),
        (150.0, Some(80.0)),
    ),
    failed("node returns: failed requests", &["return-first", "return-last"]),
    longest("node returns: longest request", &["return-first", "return-last"]),
    failed("heal: failed requests", &["heal-first", "heal-last"]),
    longest("heal: longest request", &["heal-first", "heal-last"]),
    doubles("controllers cut from each other: two holders", &["split", "split-heal"], "3 holders"),
    row(
        "60 s of 4 busy loops, real-time: false moves",
        ("", "0 (real-time), 12-29"),
        &["busy"],
        |case| f64::from(case.moves),
        (1.0, Some(0.0)),
    ),
    doubles("60 s of 4 busy loops, real-time: two holders", &["busy"], "0"),
    doubles("60 s of 4 busy loops, ordinary: two holders", &["busy-ordinary"], "some"),
];

const fn row(
    name: &'static str,
    (unit, published): (&'static str, &'static str),
    faults: &'static [&'static str],
    number: Number,
    (must, aim): (f64, Option<f64>),
) -> Row {
    Row { name, unit, faults, number, published, must, aim }
}

/// How long no node answered: the longer of by ARP and by TCP.
const fn outage(
    name: &'static str,
    faults: &'static [&'static str],
    published: &'static str,
    (must, aim): (f64, f64),
) -> Row {
    row(name, ("ms", published), faults, |case| case.arp_ms.max(case.tcp_ms), (must, Some(aim)))
}

/// No answer to a client at all.
const fn requests(
    name: &'static str,
    faults: &'static [&'static str],
    published: &'static str,
    (must, aim): (f64, f64),
) -> Row {
    row(name, ("ms", published), faults, |case| case.answer_ms, (must, Some(aim)))
}

const fn failed(name: &'static str, faults: &'static [&'static str]) -> Row {
    row(name, ("", "-"), faults, |case| f64::from(case.failed), (0.0, None))
}

const fn longest(name: &'static str, faults: &'static [&'static str]) -> Row {
    row(name, ("ms", "up to 31,900"), faults, |case| case.longest_ms, (100.0, None))
}

const fn doubles(
    name: &'static str,
    faults: &'static [&'static str],
    published: &'static str,
) -> Row {
    row(name, ("", published), faults, two_holders, (0.0, None))
}

fn two_holders(case: &Case) -> f64 {
    f64::from(case.doubles) + f64::from(case.doubles_between)
}

/// Of one program.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Measured {
    median: Option<f64>,
    max: Option<f64>,
    runs: u32,
}

impl Measured {
    fn of(numbers: Vec<f64>) -> Self {
        let runs = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        let max = numbers.iter().copied().reduce(f64::max);
        Self { median: median(numbers), max, runs }
    }
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(in crate::bench) struct Line {
    name: String,
    unit: &'static str,
    published: &'static str,
    must: f64,
    aim: Option<f64>,
    ours: Measured,
    peer: Measured,
}

/// Lines of what was measured, of one program of ours.
pub(in crate::bench) fn lines(cases: &[Case], way: Way) -> Vec<Line> {
    let program = way.program();
    let ours = program.as_str();
    let of = |program: &str, row: &Row| {
        let cases = cases.iter().filter(|case| case.program == program);
        let cases = cases.filter(|case| row.faults.contains(&case.fault.as_str()));
        let cases = cases.filter(|case| !is_stalled(case));
        Measured::of(cases.map(row.number).collect())
    };
    let lines = ROWS.iter().map(|row| Line {
        name: row.name.to_owned(),
        unit: row.unit,
        published: row.published,
        must: row.bound(way).0,
        aim: row.bound(way).1,
        ours: of(ours, row),
        peer: of("keepalived", row),
    });
    let own: Vec<&Case> = cases.iter().filter(|case| case.program == ours).collect();
    let mut lines: Vec<Line> = lines.filter(|line| line.ours.runs + line.peer.runs > 0).collect();
    lines.extend(of_all(&own, cases));
    lines
}

/// What is held in every case, whatever the machine did.
fn of_all(own: &[&Case], all: &[Case]) -> Vec<Line> {
    let line = |name: &str, unit, must, numbers: Vec<f64>, peer: Vec<f64>| Line {
        name: name.to_owned(),
        unit,
        published: "-",
        must,
        aim: None,
        ours: Measured::of(numbers),
        peer: Measured::of(peer),
    };
    let of = |fault: Option<&str>, number: Number| -> Vec<f64> {
        let chosen = own.iter().filter(|case| fault.is_none_or(|fault| fault == case.fault));
        chosen.map(|case| number(case)).collect()
    };
    let mut lines = vec![];
    let sequences = of(Some("sequence"), two_holders);
    if !sequences.is_empty() {
        lines.push(line("random fault sequences: two holders", "", 0.0, sequences, vec![]));
    }
    let peer = all.iter().filter(|case| case.program == "keepalived");
    let peer = peer.map(two_holders).collect();
    lines.push(line("two holders in any case", "", 0.0, of(None, two_holders), peer));
    let unhealthy = f64::from(count(own.iter().filter(|case| case.fault == "unhealthy")));
    lines.push(line("clouds that did not come back to health", "", 0.0, vec![unhealthy], vec![]));
    let judged = own.iter().filter(|case| case.fault != "sequence" && !is_busy(case));
    let (stalled, calm): (Vec<&&Case>, Vec<&&Case>) = judged.partition(|case| is_stalled(case));
    let all = stalled.len() + calm.len();
    if all > 0 {
        let share = f64::from(count(stalled.iter())) * 100.0 / f64::from(count(0..all));
        let name = "cases left out and repeated, as the machine stood still for over 5 ms";
        lines.push(line(name, "%", MOST_STALLED, vec![share], vec![]));
    }
    lines
}

/// A machine that is to have too much to do.
fn is_busy(case: &Case) -> bool {
    case.fault.starts_with("busy")
}

fn is_stalled(case: &Case) -> bool {
    // What takes seconds takes them on such a machine, too.
    case.stalled_ms > STALL_MS && !is_busy(case) && case.program != "keepalived"
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

impl Line {
    /// Both as figures of every bench: the maximum with what is promised, the median with its aim.
    pub(in crate::bench) fn figures(&self, judged: bool) -> Vec<Figure> {
        let Self { name, unit, must, aim, ours, peer, .. } = self;
        let maximum = Figure::new(&format!("{name}, maximum"), unit, Bound::Absolute(*must));
        let maximum = if judged { maximum.must() } else { maximum };
        let bound = aim.map_or(Bound::None, Bound::Absolute);
        let middle = Figure::new(&format!("{name}, median"), unit, bound);
        vec![
            maximum.measured(peer.max, ours.max, ours.runs),
            middle.measured(peer.median, ours.median, ours.runs),
        ]
    }

    fn row(&self) -> String {
        let kept = |number: Option<f64>, bound: Option<f64>| match number.zip(bound) {
            Some((number, bound)) if number <= bound => "yes",
            Some(_) => "NO",
            None => "-",
        };
        let beside = match self.peer.runs {
            0 => "-".to_owned(),
            runs => format!("{} / {} ({runs})", short(self.peer.median), short(self.peer.max)),
        };
        format!(
            "| {} | {} | {} | {beside} | {} | {} | {} | {} | {} | {} | {} |\n",
            self.name,
            self.unit,
            self.published,
            short(self.ours.median),
            short(self.ours.max),
            short(Some(self.must)),
            kept(self.ours.max, Some(self.must)),
            short(self.aim),
            kept(self.ours.median, self.aim),
            self.ours.runs,
        )
    }
}

/// As a person reads them.
pub(in crate::bench) fn page(lines: &[Line]) -> String {
    let mut text = "| fault | unit | keepalived, published | keepalived here, median / maximum (runs) | ours, median | ours, maximum \
                    | must, of the maximum | kept | aim, of the median | reached | runs |\n\
                    |---|---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    lines.iter().for_each(|line| text += &line.row());
    text
}

fn short(number: Option<f64>) -> String {
    match number {
        None => "-".to_owned(),
        Some(number) if number.fract() == 0.0 || number >= 100.0 => format!("{number:.0}"),
        Some(number) => format!("{number:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figure::broken;

    fn case(program: &str, fault: &str, outage: f64) -> Case {
        Case {
            program: program.to_owned(),
            fault: fault.to_owned(),
            arp_ms: outage - 1.0,
            tcp_ms: outage,
            answer_ms: outage / 2.0,
            ..Case::default()
        }
    }

    fn find<'a>(lines: &'a [Line], name: &str) -> &'a Line {
        lines.iter().find(|line| line.name.starts_with(name)).unwrap()
    }

    #[test]
    fn maxima_are_held_to_what_is_promised_and_medians_to_aims() {
        let mut cases = [2.0, 2.5, 6.0].map(|ms| case("outlast", "stop", ms)).to_vec();
        cases.push(case("keepalived", "stop", 1030.0));
        let lines = lines(&cases, Way::Votes);
        let stop = find(&lines, "graceful stop");
        assert_eq!(
            stop.row(),
            "| graceful stop | ms | 1,030 | 1030 / 1030 (1) | 2.5 | 6 | 5 | NO | 2 | NO | 3 |\n"
        );
        let figures: Vec<Figure> = stop.figures(true);
        assert_eq!(broken(&figures), ["graceful stop, maximum: 6.00 (promised: <= 5)"]);
        assert!(broken(&stop.figures(false)).is_empty());
    }

    #[test]
    fn a_case_on_a_machine_that_stood_still_counts_for_two_holders_alone() {
        let mut cases = vec![case("outlast", "stop", 2.0); 9];
        cases.push(Case { stalled_ms: 7.0, doubles: 1, ..case("outlast", "stop", 90.0) });
        let lines = lines(&cases, Way::Votes);
        assert_eq!(find(&lines, "graceful stop").ours.max, Some(2.0));
        assert_eq!(find(&lines, "two holders in any").ours.max, Some(1.0));
        let left_out = find(&lines, "cases left out");
        assert_eq!((left_out.ours.max, left_out.must), (Some(10.0), 10.0));
    }

    #[test]
    fn heals_are_one_figure_whichever_node_was_away() {
        let heal = |fault, failed| Case { failed, ..case("outlast", fault, 0.0) };
        let lines = lines(&[heal("heal-first", 0), heal("heal-last", 2)], Way::Votes);
        let failed = find(&lines, "heal: failed");
        assert_eq!((failed.ours.max, failed.ours.runs), (Some(2.0), 2));
    }

    #[test]
    fn what_was_not_measured_has_no_line() {
        let lines = lines(&[case("outlast", "gone", 41.0)], Way::Votes);
        let names: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
        assert!(names[0].starts_with("node gone") && names[1].starts_with("requests through"));
        assert_eq!(names.len(), 5, "{names:?}");
    }
}
