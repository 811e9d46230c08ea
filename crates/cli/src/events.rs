//! `outlast events`: what happened, why, and what was done.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{ErrorKind, Write};

use api::{Answer, Ask, Event};

use crate::object::{self, ObjectError};
use crate::reach::{self, Instance, ReachError, Socket};

/// Show what happened on this node: evidence, decision, action, how long, what was left out
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only events of this object: node02, vip/internal, pool/keystone_internal,
    /// server/keystone_internal/node02, process/proxy; `outlast status --all` shows what there is
    object: Option<String>,
    /// Go on and show each event as it happens
    #[arg(long, short)]
    follow: bool,
    /// Events of all nodes, as far as they are known here, in the order of their time
    #[arg(long)]
    cluster: bool,
    /// Only the newest ones, so many [default with --cluster: 1000]
    #[arg(long, value_name = "NUMBER")]
    last: Option<u32>,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
    /// Only events after this number
    #[arg(long, default_value_t = 0, value_name = "NUMBER", conflicts_with = "cluster")]
    after: u64,
    #[command(flatten)]
    instance: Instance,
}

/// Of all nodes together, unless told otherwise: as much as anybody scrolls back.
const LAST_OF_CLUSTER: u32 = 1000;

/// Runs the subcommand.
///
/// # Errors
/// When no instance answers or nothing has that name; a closed output ends it quietly.
pub fn run(args: &Args, out: &mut impl Write) -> Result<(), ObjectError> {
    let socket = args.instance.socket()?;
    if let Some(word) = &args.object {
        known(word, args.cluster, &socket)?;
    }
    let mut show = Show { args, out, closed: false };
    let asked = if args.cluster {
        // With a filter the newest so many of it are meant, so all are asked for.
        let last = args.last.filter(|_| args.object.is_none()).unwrap_or(LAST_OF_CLUSTER);
        show.ask(&socket, &Ask::Timeline { last, follow: args.follow }, args.last).map(drop)
    } else {
        show.of_this_node(&socket)
    };
    if show.closed { Ok(()) } else { asked.map_err(ObjectError::from) }
}

/// Of what is gone from the configuration there may still be events: that is known too.
fn known(word: &str, of_cluster: bool, socket: &Socket) -> Result<(), ObjectError> {
    let Err(unknown) = object::resolve(word, &*reach::status(socket)?) else { return Ok(()) };
    let question = match of_cluster {
        true => Ask::Timeline { last: LAST_OF_CLUSTER, follow: false },
        false => Ask::Events { after: 0, follow: false },
    };
    let mut is_known = false;
    reach::ask(socket, &question, |answer| {
        is_known |= matches!(&answer, Answer::Event(event) if concerns(event, word));
        Ok(())
    })?;
    if is_known { Ok(()) } else { Err(unknown.into()) }
}

struct Show<'a, W> {
    args: &'a Args,
    out: &'a mut W,
    closed: bool,
}

impl<W: Write> Show<'_, W> {
    /// The agent has the whole log: what is new can only be told from what was by asking twice.
    fn of_this_node(&mut self, socket: &Socket) -> Result<(), ReachError> {
        let (mut after, args) = (self.args.after, self.args);
        if args.last.is_some() {
            let question = Ask::Events { after, follow: false };
            let newest = self.ask(socket, &question, args.last);
            match newest {
                Ok(seq) if args.follow => after = after.max(seq),
                other => return other.map(drop),
            }
        }
        self.ask(socket, &Ask::Events { after, follow: args.follow }, None).map(drop)
    }

    /// Shows the answers, with `last` only so many of them and at the end; the highest number of any.
    fn ask(
        &mut self,
        socket: &Socket,
        question: &Ask,
        last: Option<u32>,
    ) -> Result<u64, ReachError> {
        let follows = matches!(question, Ask::Timeline { follow: true, .. });
        let most = last.map_or(usize::MAX, |last| usize::try_from(last).unwrap_or(usize::MAX));
        let (mut kept, mut newest) = (VecDeque::new(), 0);
        reach::ask(socket, question, |answer| {
            let Answer::Event(event) = answer else { return Ok(()) };
            newest = newest.max(event.seq);
            if !self.args.object.as_ref().is_none_or(|word| concerns(&event, word)) {
                return Ok(());
            }
            if last.is_none() || follows {
                return self.show(&event);
            }
            if kept.len() >= most {
                kept.pop_front();
            }
            if most > 0 {
                kept.push_back(event);
            }
            Ok(())
        })?;
        kept.iter().try_for_each(|event| self.show(event))?;
        Ok(newest)
    }

    fn show(&mut self, event: &Event) -> Result<(), ReachError> {
        let text = match (self.args.json, self.args.cluster) {
            (true, _) => json(event),
            (false, true) => line_of_node(event),
            (false, false) => line(event),
        };
        let written = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        // A reader that closed the pipe (head) has seen enough.
        self.closed = written.as_ref().is_err_and(|error| error.kind() == ErrorKind::BrokenPipe);
        written.map_err(ReachError::Output)
    }
}

/// Whether an event is about what an operator calls so; a pool's servers belong to it.
fn concerns(event: &Event, word: &str) -> bool {
    let of_pool = || {
        let pool = word.strip_prefix("pool/")?;
        event.object.strip_prefix("server/")?.strip_prefix(pool)?.strip_prefix('/')
    };
    event.object == word || event.object.strip_prefix("node/") == Some(word) || of_pool().is_some()
}

fn json(event: &Event) -> String {
    let mut text = serde_json::to_string(event).unwrap_or_default();
    text.push('\n');
    text
}

/// The same with the node it happened on: numbers are those of each node.
pub(crate) fn line_of_node(event: &Event) -> String {
    format!("{} {}", event.node, line(event))
}

/// `#12 2026-11-24 14:03:05.120 vip/internal vip-claimed: EVIDENCE; DECISION; ACTION (0.4 ms); not done: ...`
pub(crate) fn line(event: &Event) -> String {
    let mut text =
        format!("#{} {} {} {}:", event.seq, clock(event.at_ms), event.object, event.what);
    let parts = [&event.evidence, &event.decision, &event.action];
    let said: Vec<&str> =
        parts.into_iter().filter(|part| !part.is_empty()).map(String::as_str).collect();
    text.push_str(&format!(" {}", said.join("; ")));
    if event.took_us > 0 {
        text.push_str(&format!(" ({}.{} ms)", event.took_us / 1000, event.took_us / 100 % 10));
    }
    if !event.not_done.is_empty() {
        text.push_str(&format!("; not done: {}", event.not_done));
    }
    // Texts repeat what servers answered: none of it gets at the terminal.
    let mut text = on_one_line(&text).replace(char::is_control, "\u{fffd}");
    text.push('\n');
    text
}

/// Texts of several lines, such as findings with their excerpt of a file, on one.
fn on_one_line(text: &str) -> Cow<'_, str> {
    if !text.contains('\n') {
        return Cow::Borrowed(text);
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Cow::Owned(lines.collect::<Vec<_>>().join(" | "))
}

/// Time of day, UTC.
pub(crate) fn time_of_day(at_ms: u64) -> String {
    clock(at_ms).rsplit(' ').next().unwrap_or_default().to_owned()
}

/// Date and time of day, UTC.
pub(crate) fn clock(at_ms: u64) -> String {
    let seconds = at_ms / 1000;
    let (year, month, day) = date(seconds / 86_400);
    format!(
        "{year}-{month:02}-{day:02} {:02}:{:02}:{:02}.{:03}",
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60,
        at_ms % 1000
    )
}

/// The day of the Gregorian calendar so many days after 1970-01-01.
///
/// Counts from the first of March of the year 0: leap days are then the last of a year, and 400 years
/// always have [`ERA`] days.
fn date(days: u64) -> (u64, u64, u64) {
    const ERA: u64 = 146_097;
    const FROM_YEAR_0: u64 = 719_468;
    let days = days + FROM_YEAR_0;
    let of_era = days % ERA;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / (ERA - 1)) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    // Months from March on have 31, 30, 31, 30, 31 days, again and again.
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (days / ERA * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        let rows = [
            (0, (1970, 1, 1)),
            (59, (1970, 3, 1)),
            (19_782, (2024, 2, 29)),
            (20_781, (2026, 11, 24)),
            (11_016, (2000, 2, 29)),
            (11_322, (2000, 12, 31)),
            (u64::MAX / 86_400_000, (584_556_019, 4, 3)),
        ];
        for (days, expected) in rows {
            assert_eq!(date(days), expected, "after {days} days");
        }
    }

    #[test]
    fn a_pool_includes_its_servers() {
        let event = |object: &str| Event { object: object.into(), ..Event::default() };
        let rows = [
            ("node/node02", "node02", true),
            ("server/keystone/node02", "pool/keystone", true),
            ("server/keystone_admin/node02", "pool/keystone", false),
            ("server/keystone/node02", "node02", false),
            ("vip/internal", "vip/internal", true),
        ];
        for (object, word, expected) in rows {
            assert_eq!(concerns(&event(object), word), expected, "{object} {word}");
        }
    }

    #[test]
    fn a_servers_answer_does_not_get_at_the_terminal() {
        let event = Event {
            at_ms: u64::MAX,
            evidence: "\u{1b}[2J\u{9b}31m\r\nfine".into(),
            ..Event::default()
        };
        let shown = line(&event);
        assert!(shown.ends_with("\u{fffd}[2J\u{fffd}31m | fine\n"), "{shown:?}");
    }

    #[test]
    fn a_text_of_several_lines_is_shown_on_one() {
        let event = Event {
            evidence: "error[unknown-keyword]: `maxcon` is no keyword\n --> lb.cfg:2:2\n\n1 error"
                .into(),
            ..Event::default()
        };
        let shown = line(&event);
        assert!(shown.contains("is no keyword | --> lb.cfg:2:2 | 1 error\n"), "{shown:?}");
        assert!(!shown.contains('\u{fffd}'), "{shown:?}");
    }

    #[test]
    fn a_line_says_what_why_and_what_was_left_out() {
        let event = Event {
            seq: 12,
            at_ms: 50_585_120,
            node: "node02".into(),
            what: "vip-claimed".into(),
            object: "vip/internal".into(),
            evidence: "node01 named this node as its successor".into(),
            decision: "take the address without waiting".into(),
            action: "10.79.0.40 added, announced".into(),
            took_us: 412,
            not_done: "no skew was waited: the holder has released".into(),
            moved: None,
        };
        assert_eq!(
            line(&event),
            "#12 1970-01-01 14:03:05.120 vip/internal vip-claimed: node01 named this node as its successor; \
             take the address without waiting; 10.79.0.40 added, announced (0.4 ms); not done: no \
             skew was waited: the holder has released\n"
        );
    }
}
