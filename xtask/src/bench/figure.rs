//! One measured number beside its peer and its bound: the same JSON for every bench.

use serde::Serialize;

/// What `--json` prints, one object per figure.
///
/// `max` bounds `ratio` where the name ends with [`RATIO`], and `ours` otherwise.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Figure {
    pub name: String,
    pub unit: &'static str,
    /// The peer's number of the same run; null where it has none.
    pub peer: Option<f64>,
    pub ours: Option<f64>,
    /// `ours / peer`.
    pub ratio: Option<f64>,
    pub max: Option<f64>,
    pub runs: u32,
    /// Measured again because the first measurement was beyond the bound.
    pub repeated: bool,
    /// The bench fails when this one is not kept.
    pub must: bool,
    pub kept: Option<bool>,
}

/// Ends the names of figures that are bounded relative to the peer.
pub(super) const RATIO: &str = " / peer";

/// What a figure is held to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Bound {
    /// Of `ours / peer`.
    Ratio(f64),
    /// Of `ours`.
    Absolute(f64),
    None,
}

impl Figure {
    pub(super) fn new(name: &str, unit: &'static str, bound: Bound) -> Self {
        let (name, max) = match bound {
            Bound::Ratio(max) => (format!("{name}{RATIO}"), Some(max)),
            Bound::Absolute(max) => (name.to_owned(), Some(max)),
            Bound::None => (name.to_owned(), None),
        };
        Self {
            name,
            unit,
            peer: None,
            ours: None,
            ratio: None,
            max,
            runs: 0,
            repeated: false,
            must: false,
            kept: None,
        }
    }

    pub(super) fn must(mut self) -> Self {
        self.must = true;
        self
    }

    /// Fills in what was measured in `runs` runs.
    pub(super) fn measured(mut self, peer: Option<f64>, ours: Option<f64>, runs: u32) -> Self {
        let ratio = peer.zip(ours).filter(|(peer, _)| *peer > 0.0).map(|(peer, ours)| ours / peer);
        (self.peer, self.ours, self.ratio, self.runs) = (peer, ours, ratio, runs);
        self.judge()
    }

    /// With a ratio of its own: the median of the rounds' ratios says more than that of medians.
    pub(super) fn with_ratio(mut self, ratio: Option<f64>) -> Self {
        self.ratio = ratio;
        self.judge()
    }

    fn judge(mut self) -> Self {
        let judged = if self.name.ends_with(RATIO) { self.ratio } else { self.ours };
        self.kept = judged.zip(self.max).map(|(value, max)| value <= max);
        self
    }
}

/// One object per line.
pub(super) fn json(figures: &[Figure]) -> String {
    let line = |figure| serde_json::to_string(figure).expect("numbers and words are JSON");
    figures.iter().map(line).fold(String::new(), |text, line| text + &line + "\n")
}

/// As a person reads them.
pub(super) fn table(figures: &[Figure], peer: &str) -> String {
    let mut text = format!(
        "| figure | unit | {peer} | ours | ratio | bound | must | kept | runs |\n|---|---|---|---|---|---|---|---|---|\n"
    );
    for figure in figures {
        let (name, bound) = match figure.name.strip_suffix(RATIO) {
            Some(name) => (name, figure.max.map(|max| format!("ratio <= {}", short(max)))),
            None => (figure.name.as_str(), figure.max.map(|max| format!("<= {}", short(max)))),
        };
        let show = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), short);
        text += &format!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} | {}{} |\n",
            figure.unit,
            show(figure.peer),
            show(figure.ours),
            figure.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
            bound.unwrap_or_else(|| "-".to_owned()),
            if figure.must { "yes" } else { "" },
            figure.kept.map_or("-", |kept| if kept { "yes" } else { "NO" }),
            figure.runs,
            if figure.repeated { " (repeated)" } else { "" },
        );
    }
    text
}

/// Two digits that matter.
fn short(number: f64) -> String {
    match number {
        n if n.fract() == 0.0 || n >= 100.0 => format!("{n:.0}"),
        n if n >= 10.0 => format!("{n:.1}"),
        n => format!("{n:.2}"),
    }
}

/// Names of figures that had to be kept and were not, with their numbers.
pub(super) fn broken(figures: &[Figure]) -> Vec<String> {
    let broken = figures.iter().filter(|figure| figure.must && figure.kept != Some(true));
    broken.map(describe).collect()
}

fn describe(figure: &Figure) -> String {
    let number = if figure.name.ends_with(RATIO) { figure.ratio } else { figure.ours };
    let number = number.map_or_else(|| "not measured".to_owned(), |number| format!("{number:.2}"));
    let max = figure.max.map_or_else(String::new, |max| format!(" (promised: <= {max})"));
    format!("{}: {number}{max}", figure.name)
}

/// None for nothing.
pub(super) fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    let upper = *numbers.get(middle)?;
    let even = numbers.len().is_multiple_of(2);
    Some(if even { f64::midpoint(numbers[middle - 1], upper) } else { upper })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_exactly_the_ten_names() {
        let cpu = Figure::new("cpu", "us", Bound::Ratio(1.0)).must();
        let cpu = cpu.measured(Some(20.0), Some(13.0), 2);
        assert_eq!(
            json(&[cpu]),
            "{\"name\":\"cpu / peer\",\"unit\":\"us\",\"peer\":20.0,\"ours\":13.0,\"ratio\":0.65,\
             \"max\":1.0,\"runs\":2,\"repeated\":false,\"must\":true,\"kept\":true}\n"
        );
    }

    #[test]
    fn what_has_no_peer_is_null() {
        let size = Figure::new("size", "MB", Bound::None).measured(None, Some(9.0), 1);
        assert!(json(&[size]).contains("\"peer\":null,\"ours\":9.0,\"ratio\":null,\"max\":null"));
    }

    #[test]
    fn a_bound_is_of_the_ratio_or_of_our_number() {
        let slower = Figure::new("cpu", "us", Bound::Ratio(1.0)).measured(Some(1.0), Some(1.1), 1);
        let small = Figure::new("idle", "bytes", Bound::Absolute(2048.0));
        let small = small.must().measured(Some(1.0), Some(300.0), 1);
        assert_eq!((slower.kept, small.kept), (Some(false), Some(true)));
        assert!(broken(&[slower.clone(), small]).is_empty());
        assert_eq!(broken(&[slower.must()]), ["cpu / peer: 1.10 (promised: <= 1)"]);
    }

    #[test]
    fn what_must_be_measured_and_was_not_is_broken() {
        let absent = Figure::new("idle", "bytes", Bound::Absolute(2048.0)).must();
        assert_eq!(broken(&[absent]), ["idle: not measured (promised: <= 2048)"]);
    }

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
        assert_eq!(median(vec![]), None);
    }
}
