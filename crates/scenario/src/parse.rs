//! Text, one statement a line. What is not known is refused, with its line and what there is.

use std::time::Duration;

use crate::deed::{Deed, Strike};
use crate::expect::{Cell, Degree, Expectation, Never, Who, Word};
use crate::{Line, MAX_NETWORKS, MAX_NODES, Mistake, Scenario, Statement};

/// Nothing in a file lasts longer: a test is minutes at most.
const LONGEST: Duration = Duration::from_secs(600);

type Read<T> = Result<T, String>;

pub(crate) fn parse(text: &str) -> Result<Scenario, Vec<Mistake>> {
    let mut reader = Reader::default();
    let mut mistakes = vec![];
    for (number, line) in (1..).zip(text.lines()) {
        if let Err(what) = reader.line(number, line.trim()) {
            mistakes.push(Mistake { line: number, what });
        }
    }
    let mut whole = |what: &str| mistakes.push(Mistake { line: 0, what: what.to_owned() });
    if reader.nodes.len() < 2 {
        whole("no `nodes` line with at least two of them");
    }
    if reader.networks.is_empty() {
        whole("no `networks` line");
    }
    let expects = |line: &Line| !matches!(line.statement, Statement::At(..));
    if !reader.lines.iter().any(expects) {
        whole("nothing is expected: no `by` and no `never` line");
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let Reader { title, nodes, computes, networks, store, detect, lines, .. } = reader;
    let detect = detect.unwrap_or(Duration::from_secs(1));
    let title = title.unwrap_or_default();
    Ok(Scenario { title, nodes, computes, networks, store, detect, lines })
}

#[derive(Debug, Default)]
struct Reader {
    title: Option<String>,
    nodes: Vec<String>,
    /// So many of the last nodes are compute nodes.
    computes: usize,
    networks: Vec<String>,
    store: Vec<usize>,
    detect: Option<Duration>,
    lines: Vec<Line>,
    /// Of the last deed.
    at: Option<Duration>,
}

/// The words of a line that are not read yet.
struct Words<'a> {
    left: std::str::SplitWhitespace<'a>,
}

impl<'a> Words<'a> {
    fn next(&mut self, what: &str) -> Read<&'a str> {
        self.left.next().ok_or_else(|| format!("lacks {what} at its end"))
    }

    /// Whether that is the next word, which is read then.
    fn skip_over(&mut self, word: &str) -> bool {
        let mut after = self.left.clone();
        let is_it = after.next() == Some(word);
        if is_it {
            self.left = after;
        }
        is_it
    }

    fn word(&mut self, expected: &str) -> Read<()> {
        let word = self.next(&format!("`{expected}`"))?;
        if word == expected { Ok(()) } else { Err(format!("`{word}` where `{expected}` belongs")) }
    }

    fn end(mut self) -> Read<()> {
        self.left.next().map_or(Ok(()), |word| Err(format!("says `{word}` too much")))
    }
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) -> Read<()> {
        if let Some(comment) = line.strip_prefix('#') {
            self.title.get_or_insert_with(|| comment.trim().to_owned());
            return Ok(());
        }
        let mut words = Words { left: line.split_whitespace() };
        let Some(first) = words.left.next() else { return Ok(()) };
        let statement = match first {
            "nodes" => return self.names(words, true),
            "computes" => return self.computes(words),
            "networks" => return self.names(words, false),
            "store" => return self.members(words),
            "detect" => return self.detection(words),
            "at" => self.deed_at(&mut words)?,
            "by" => self.by(&mut words)?,
            "never" => Statement::Never(self.never(&mut words)?),
            _ => {
                return Err(format!(
                    "no `{first}`; there are nodes, computes, networks, store, detect, at, by, never"
                ));
            }
        };
        words.end()?;
        self.lines.push(Line { number, text: line.to_owned(), statement });
        Ok(())
    }

    /// They come after the controllers.
    fn computes(&mut self, words: Words<'_>) -> Read<()> {
        let controllers = std::mem::take(&mut self.nodes);
        let (is_early, is_twice) = (controllers.is_empty(), self.computes > 0);
        let outcome = self.names(words, true);
        self.computes = self.nodes.len();
        let known = self.nodes.iter().find(|name| controllers.contains(name)).cloned();
        self.nodes.splice(..0, controllers);
        outcome?;
        match known {
            _ if is_early => {
                Err("a `nodes` line, which names the controllers, comes first".to_owned())
            }
            _ if is_twice => Err("they are named already".to_owned()),
            _ if self.nodes.len() > MAX_NODES => Err(format!("more than {MAX_NODES} nodes")),
            Some(name) => Err(format!("`{name}` is named twice")),
            None => Ok(()),
        }
    }

    fn names(&mut self, words: Words<'_>, nodes: bool) -> Read<()> {
        let (list, most) =
            if nodes { (&mut self.nodes, MAX_NODES) } else { (&mut self.networks, MAX_NETWORKS) };
        if !list.is_empty() {
            return Err("they are named already".to_owned());
        }
        let names: Vec<String> = words.left.map(str::to_owned).collect();
        if names.len() > most {
            return Err(format!("more than {most}"));
        }
        let is_name = |name: &String| {
            let of_a_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
            name != LEADER && name.len() <= 8 && name.chars().all(of_a_name)
        };
        if let Some(name) = names.iter().find(|name| !is_name(name)) {
            return Err(format!("`{name}` is no name of at most 8 letters, digits and `-`"));
        }
        let twice = |name: &&String| names.iter().filter(|other| other == name).count() > 1;
        if let Some(name) = names.iter().find(twice) {
            return Err(format!("`{name}` is named twice"));
        }
        *list = names;
        Ok(())
    }

    /// Who has the store.
    fn members(&mut self, words: Words<'_>) -> Read<()> {
        if self.computes > 0 {
            return Err("there is no store in a file with a `computes` line".to_owned());
        }
        if !self.store.is_empty() {
            return Err("they are named already".to_owned());
        }
        let mut members = words.left.map(|word| self.node(word)).collect::<Read<Vec<_>>>()?;
        members.sort_unstable();
        members.dedup();
        if members.len() < 3 {
            return Err("a store that outlives a member has three different ones".to_owned());
        }
        self.store = members;
        Ok(())
    }

    fn needs_store(&self) -> Read<()> {
        let missing = || "a `store` line comes before it".to_owned();
        if self.store.is_empty() { Err(missing()) } else { Ok(()) }
    }

    /// A deed that is done to whoever leads the store then.
    fn strike(&self, verb: &str, words: &mut Words<'_>) -> Read<Deed> {
        self.needs_store()?;
        Ok(Deed::Leader(match verb {
            "power-off" => Strike::PowerOff,
            "kill-node" => Strike::KillNode,
            "pause" => Strike::Pause,
            "stop" => Strike::Stop,
            "cut" => Strike::Cut(self.list(words)?),
            _ => return Err(format!("`{verb}` is not for the leader; {STRIKES} are")),
        }))
    }

    fn detection(&mut self, mut words: Words<'_>) -> Read<()> {
        let span = span(words.next("a time")?)?;
        let known = Duration::from_millis(300)..=Duration::from_secs(30);
        if !known.contains(&span) {
            return Err("a detection time is between 300ms and 30s".to_owned());
        }
        if self.detect.replace(span).is_some() {
            return Err("it is said already".to_owned());
        }
        words.end()
    }

    fn deed_at(&mut self, words: &mut Words<'_>) -> Read<Statement> {
        let word = words.next("a time")?;
        let at = match word.strip_prefix('+') {
            Some(after) => self.at.unwrap_or_default() + span(after)?,
            None => span(word)?,
        };
        if let Some(before) = self.at.filter(|before| *before > at) {
            return Err(format!("{at:?} is before {before:?} of the deed above"));
        }
        let deed = self.deed(words)?;
        let controllers = self.nodes.len() - self.computes;
        let harmed = deed.hurts(self.nodes.len()).into_iter().find(|node| *node < controllers);
        if let (true, Some(node)) = (self.computes > 0, harmed) {
            let name = &self.nodes[node];
            return Err(format!("{name}: with a `computes` line nothing is done to controllers"));
        }
        if self.computes > 0 && matches!(deed, Deed::OneWay(..) | Deed::Part(..)) {
            return Err("no two compute nodes are parted: they do not judge each other".to_owned());
        }
        self.at = Some(at);
        Ok(Statement::At(at, deed))
    }

    fn deed(&self, words: &mut Words<'_>) -> Read<Deed> {
        let verb = words.next("a deed")?;
        if words.skip_over(LEADER) {
            return self.strike(verb, words);
        }
        let mut node = || self.node(words.next("a node")?);
        Ok(match verb {
            "power-off" => Deed::PowerOff(node()?),
            "power-on" => Deed::PowerOn(node()?),
            "kill-node" => Deed::KillNode(node()?),
            "kill-supervisor" => Deed::KillSupervisor(node()?),
            "kill-agent" => Deed::KillAgent(node()?),
            "pause" => Deed::Pause(node()?),
            "resume" => Deed::Resume(node()?),
            "stop" => Deed::Stop(node()?),
            "start" => Deed::Start(node()?),
            "link-down" => Deed::LinkDown(node()?, self.list(words)?),
            "link-up" => Deed::LinkUp(node()?, self.list(words)?),
            "cut" => Deed::Cut(node()?, self.list(words)?),
            "one-way" => {
                let (from, to) = (node()?, node()?);
                Deed::OneWay(from, other(from, to)?, self.list(words)?)
            }
            "part" => {
                let (one, two) = (node()?, node()?);
                Deed::Part(one, other(one, two)?, self.list(words)?)
            }
            "split" => Deed::Split(self.several(words.next("nodes")?)?, self.list(words)?),
            "join" => Deed::Join,
            "mend" => Deed::Mend,
            _ => return Err(format!("no deed `{verb}`; there are {DEEDS}")),
        })
    }

    fn by(&self, words: &mut Words<'_>) -> Read<Statement> {
        let at = self.at.ok_or("nothing was done yet: a `by` line follows an `at` line")?;
        let word = words.next("a time")?;
        let within = match word.strip_prefix('+') {
            Some(after) => span(after)?,
            None => span(word)?
                .checked_sub(at)
                .ok_or_else(|| format!("{word} is before {at:?} of the deed above"))?,
        };
        let mut first = words.next("an expectation")?;
        let mut hold = Duration::ZERO;
        if first == "for" {
            hold = span(words.next("a time")?)?;
            first = words.next("an expectation")?;
        }
        let what = self.expectation(first, words)?;
        if what == Expectation::OneView && hold.is_zero() {
            return Err("`one view` needs a `for`: at once after a deed all still think the same"
                .to_owned());
        }
        Ok(Statement::By { within, hold, what })
    }

    fn expectation(&self, first: &str, words: &mut Words<'_>) -> Read<Expectation> {
        match first {
            "all" => {
                words.word("well")?;
                return Ok(Expectation::Well);
            }
            "one" => {
                return match words.next("`view`, `holds` or `coordinates`")? {
                    "view" => Ok(Expectation::OneView),
                    "holds" => Ok(Expectation::OneHolds),
                    "coordinates" => self.needs_store().map(|()| Expectation::OneCoordinates),
                    word => Err(format!("`{word}` where `view`, `holds` or `coordinates` belongs")),
                };
            }
            "store" => {
                words.word("led")?;
                return self.needs_store().map(|()| Expectation::StoreLed);
            }
            "writes" => {
                words.word("go")?;
                words.word("on")?;
                return self.needs_store().map(|()| Expectation::WritesGoOn);
            }
            "nothing" => {
                words.word("lost")?;
                return self.needs_store().map(|()| Expectation::NothingLost);
            }
            "only" => {
                let cells = self.cells(words.next("cells, or `nothing`")?)?;
                words.word("down")?;
                return Ok(Expectation::Down(cells));
            }
            _ => {}
        }
        let who = match first {
            "others" => Who::Others,
            _ => Who::These(
                self.several(first)
                    .map_err(|what| format!("{what}; an expectation begins with {EXPECTATIONS}"))?,
            ),
        };
        match (words.next("`call` or `holds`")?, &who) {
            ("call" | "calls", _) => {
                let node = self.node(words.next("a node")?)?;
                if matches!(&who, Who::These(these) if these.contains(&node)) {
                    return Err(format!("{} does not judge itself", self.nodes[node]));
                }
                Ok(Expectation::Call { who, node, verdict: self.verdict(words)? })
            }
            ("holds", Who::These(these)) if these.len() == 1 => Ok(Expectation::Holds(these[0])),
            (word, _) => Err(format!("`{word}` where `call` belongs")),
        }
    }

    fn verdict(&self, words: &mut Words<'_>) -> Read<Word> {
        Ok(match words.next("a verdict")? {
            "alive" => Word::Alive,
            "suspect" => Word::Suspect,
            "unreachable" => Word::Unreachable,
            "leaving" => Word::Leaving,
            "doubted" => Word::Doubted,
            "cut-off" => Word::CutOff(self.list(words)?),
            word => {
                return Err(format!(
                    "no verdict `{word}`; there are alive, suspect, unreachable, leaving, doubted, cut-off"
                ));
            }
        })
    }

    fn never(&self, words: &mut Words<'_>) -> Read<Never> {
        let first = words.next("what")?;
        if first == "two" {
            words.word("hold")?;
            return Ok(Never::TwoHold);
        }
        let who = self.anybody(first)?;
        let how = match words.next("`doubts` or `accuses`")? {
            "doubts" => Degree::Doubts,
            "accuses" => Degree::Accuses,
            word => return Err(format!("`{word}` where `doubts` or `accuses` belongs")),
        };
        let whom = self.anybody(words.next("whom")?)?;
        Ok(Never::Says { who, whom, how })
    }

    fn anybody(&self, word: &str) -> Read<Option<Vec<usize>>> {
        if word == "anybody" { Ok(None) } else { self.several(word).map(Some) }
    }

    fn node(&self, word: &str) -> Read<usize> {
        let found = self.nodes.iter().position(|name| name == word);
        found.ok_or_else(|| format!("no node `{word}`; there are {}", self.nodes.join(", ")))
    }

    fn several(&self, word: &str) -> Read<Vec<usize>> {
        word.split(',').map(|name| self.node(name)).collect()
    }

    /// Networks with commas, in ascending order; `*` is all of them.
    fn list(&self, words: &mut Words<'_>) -> Read<Vec<usize>> {
        self.networks_of(words.next("a network")?)
    }

    fn networks_of(&self, word: &str) -> Read<Vec<usize>> {
        if word == "*" {
            return Ok((0..self.networks.len()).collect());
        }
        let network = |word: &str| {
            let found = self.networks.iter().position(|name| name == word);
            let known = || self.networks.join(", ");
            found.ok_or_else(|| format!("no network `{word}`; there are {}", known()))
        };
        let mut networks = word.split(',').map(network).collect::<Read<Vec<_>>>()?;
        networks.sort_unstable();
        networks.dedup();
        Ok(networks)
    }

    /// `nothing`, `NODE/NETWORK` (nobody hears it, it hears nobody) or `FROM>TO/NETWORK`, joined by `+`.
    fn cells(&self, word: &str) -> Read<Vec<Cell>> {
        if word == "nothing" {
            return Ok(vec![]);
        }
        let mut cells = vec![];
        for part in word.split('+') {
            let (whose, networks) = part
                .split_once('/')
                .ok_or_else(|| format!("`{part}` is no NODE/NETWORK and no FROM>TO/NETWORK"))?;
            let ways: Vec<(usize, usize)> = match whose.split_once('>') {
                Some((from, to)) => {
                    let from = self.node(from)?;
                    vec![(from, other(from, self.node(to)?)?)]
                }
                None => {
                    let node = self.node(whose)?;
                    let others = (0..self.nodes.len()).filter(|other| *other != node);
                    others.flat_map(|other| [(node, other), (other, node)]).collect()
                }
            };
            for network in self.networks_of(networks)? {
                cells.extend(ways.iter().map(|(from, to)| Cell { from: *from, to: *to, network }));
            }
        }
        cells.sort_unstable();
        cells.dedup();
        Ok(cells)
    }
}

/// Stands for whoever leads the store when a deed is done.
const LEADER: &str = "leader";
const STRIKES: &str = "power-off, kill-node, pause, stop, cut";
const EXPECTATIONS: &str = "all, one, only, others, store, writes, nothing or nodes";
const DEEDS: &str = "power-off, power-on, kill-node, kill-supervisor, kill-agent, pause, resume, stop, \
                     start, link-down, link-up, cut, one-way, part, split, join, mend";

fn other(one: usize, two: usize) -> Read<usize> {
    if one == two { Err("needs two different nodes".to_owned()) } else { Ok(two) }
}

/// `1.5s`, `300ms`.
fn span(word: &str) -> Read<Duration> {
    let no_time = || format!("`{word}` is no time like 1.5s or 300ms");
    let (number, scale) = match word.strip_suffix("ms") {
        Some(number) => (number, 0.001),
        None => (word.strip_suffix('s').ok_or_else(no_time)?, 1.0),
    };
    let is_plain = number.chars().all(|c| c.is_ascii_digit() || c == '.');
    let number: f64 = number.parse().ok().filter(|_| is_plain).ok_or_else(no_time)?;
    let span = Duration::try_from_secs_f64(number * scale).map_err(|_| no_time())?;
    if span > LONGEST { Err(format!("{word} is longer than {LONGEST:?}")) } else { Ok(span) }
}
