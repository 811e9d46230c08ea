//! `outlast events`: what happened, why, and what was done.

use std::io::Write;

use api::{Answer, Ask, Event};

use crate::reach::{self, Instance, ReachError};

/// Show what happened on this node: evidence, decision, action, how long, what was left out
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Go on and show each event as it happens
    #[arg(long, short)]
    follow: bool,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
    /// Only events after this number
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    after: u64,
    #[command(flatten)]
    instance: Instance,
}

/// Runs the subcommand.
///
/// # Errors
/// When no instance answers; a closed output ends it quietly.
pub fn run(args: &Args, out: &mut impl Write) -> Result<(), ReachError> {
    let question = Ask::Events { after: args.after, follow: args.follow };
    let mut closed = false;
    let asked = reach::ask(&args.instance.socket()?, &question, |answer| {
        let Answer::Event(event) = answer else { return Ok(()) };
        let text = if args.json { json(&event) } else { line(&event) };
        // A reader that closed the pipe (head) has seen enough.
        closed = out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err();
        if closed { Err(ReachError::Broken(std::io::ErrorKind::BrokenPipe.into())) } else { Ok(()) }
    });
    if closed { Ok(()) } else { asked }
}

fn json(event: &Event) -> String {
    let mut text = serde_json::to_string(event).unwrap_or_default();
    text.push('\n');
    text
}

/// `#12 2026-11-24 14:03:05.120 vip/internal vip-claimed: EVIDENCE; DECISION; ACTION (0.4 ms); not done: ...`
fn line(event: &Event) -> String {
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
    text.push('\n');
    text
}

/// Date and time of day, UTC.
fn clock(at_ms: u64) -> String {
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
fn date(days: u64) -> (u64, u64, u64) {
    let leap = |year: u64| {
        (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400)
    };
    let (mut year, mut left) = (1970, days);
    while left >= 365 + u64::from(leap(year)) {
        left -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in months {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    (year, month, left + 1)
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
        ];
        for (days, expected) in rows {
            assert_eq!(date(days), expected, "after {days} days");
        }
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
        };
        assert_eq!(
            line(&event),
            "#12 1970-01-01 14:03:05.120 vip/internal vip-claimed: node01 named this node as its successor; \
             take the address without waiting; 10.79.0.40 added, announced (0.4 ms); not done: no \
             skew was waited: the holder has released\n"
        );
    }
}
