//! The picture: a pure function of what is known, what is chosen and the moment.

use std::time::Duration;

use api::{Event, Status};
use base::Time;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph, Widget, Wrap};

use super::known::{Known, STALE};
use super::rows::{self, Row, Table, Tone};
use super::view::{Over, Theme, View};
use crate::{events, why, words};

/// A terminal smaller than this shows only that it is too small.
const LEAST: (u16, u16) = (24, 5);
/// Lines for events at the bottom, at most.
const MOST_EVENTS: u16 = 12;
/// A terminal with fewer lines has no room for events.
const LINES_FOR_EVENTS: u16 = 12;
/// Blanks between two columns.
const GAP: usize = 2;
/// A column other than the last is cut at this width.
const WIDEST: usize = 32;

impl Theme {
    fn style(self, tone: Tone) -> Style {
        let style = Style::new();
        match (tone, self.colour) {
            (Tone::Plain, _) | (Tone::Good, false) => style,
            (Tone::Strong, _) | (Tone::Watch | Tone::Bad, false) => {
                style.add_modifier(Modifier::BOLD)
            }
            (Tone::Good, true) => style.fg(Color::Green),
            (Tone::Watch, true) => style.fg(Color::Yellow).add_modifier(Modifier::BOLD),
            (Tone::Bad, true) => style.fg(Color::Red).add_modifier(Modifier::BOLD),
            (Tone::Dim, _) => style.add_modifier(Modifier::DIM),
        }
    }

    /// The sign before a line: who sees no colour sees it.
    fn sign(self, tone: Tone) -> &'static str {
        match (tone, self.unicode) {
            (Tone::Good, true) => "●",
            (Tone::Good, false) => "*",
            (Tone::Watch, true) => "▲",
            (Tone::Watch, false) => "!",
            (Tone::Bad, true) => "✖",
            (Tone::Bad, false) => "X",
            (Tone::Dim, true) => "○",
            (Tone::Dim, false) => "o",
            (Tone::Plain | Tone::Strong, _) => " ",
        }
    }

    const fn pointer(self) -> &'static str {
        if self.unicode { "▸" } else { ">" }
    }

    const fn cut(self) -> char {
        if self.unicode { '…' } else { '~' }
    }
}

/// Draws everything into `area`.
pub fn draw(known: &Known, view: &View, now: Time, area: Rect, buffer: &mut Buffer) {
    Clear.render(area, buffer);
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!("too small: {} x {} at least", LEAST.0, LEAST.1);
        Paragraph::new(text).wrap(Wrap { trim: true }).render(area, buffer);
        return;
    }
    let (known, now) = match &view.paused {
        Some((then, at)) => (&**then, *at),
        None => (known, now),
    };
    let age = known.age(now).unwrap_or_default();
    let (head, rest) = split(area, head(known, view, age, area.width).len());
    paint(&self::head(known, view, age, area.width), head, buffer);
    let (rest, foot) = split(rest, usize::from(rest.height.saturating_sub(1)));
    paint(&[last_line(view, area.width)], foot, buffer);
    let events_height = match area.height {
        LINES_FOR_EVENTS.. => (rest.height / 3).min(MOST_EVENTS),
        _ => 0,
    };
    let (body, bottom) = split(rest, usize::from(rest.height - events_height));
    if let Some(status) = &known.status {
        body_lines(status, view, age, body, buffer);
    }
    if events_height > 1 {
        let lines = events_lines(known, view, bottom);
        paint(&lines, bottom, buffer);
    }
    over(known, view, rest, buffer);
}

/// The first lines of an area, and the others.
fn split(area: Rect, height: usize) -> (Rect, Rect) {
    let height = u16::try_from(height).unwrap_or(u16::MAX).min(area.height);
    let first = Rect { height, ..area };
    (first, Rect { y: area.y + height, height: area.height - height, ..area })
}

fn paint(lines: &[Line<'_>], area: Rect, buffer: &mut Buffer) {
    for (line, y) in lines.iter().zip(area.y..area.bottom()) {
        buffer.set_line(area.x, y, line, area.width);
    }
}

/// Who speaks, and how old it is.
fn head(known: &Known, view: &View, age: Duration, width: u16) -> Vec<Line<'static>> {
    let Theme { unicode, .. } = view.theme;
    let dot = if unicode { " · " } else { " | " };
    let mut left = vec![format!(" {}", view.title)];
    if let Some(status) = &known.status {
        let of = status.cluster.as_ref().map_or_else(String::new, |name| format!(" of {name}"));
        left.push(format!("seen by {}{of}", status.node));
        left.push(words::mode(status.mode).to_owned());
        left.push(format!("configuration {}", status.generation));
    }
    let stale = known.answered.is_some() && age > STALE;
    let (right, tone) = match (&known.answered, &view.paused) {
        (None, _) => ("no answer yet ".to_owned(), Tone::Watch),
        (_, Some(_)) => ("PAUSED, p goes on ".to_owned(), Tone::Watch),
        (Some(_), None) if stale => (format!("STALE, {} old ", words::age(age)), Tone::Bad),
        (Some(_), None) => (format!("answered {} ago ", words::age(age)), Tone::Plain),
    };
    let width = usize::from(width);
    // What does not fit beside the age is left out, from the right.
    while left.len() > 1 && left.join(dot).chars().count() + right.chars().count() + 1 > width {
        left.pop();
    }
    let left = left.join(dot);
    let room = width.saturating_sub(left.chars().count() + right.chars().count());
    let reversed = Style::new().add_modifier(Modifier::REVERSED);
    let mut lines = vec![Line::from(vec![
        Span::styled(format!("{left}{:room$}", ""), reversed),
        Span::styled(right, view.theme.style(tone).add_modifier(Modifier::REVERSED)),
    ])];
    let trouble = known.trouble.as_ref().filter(|_| stale || known.answered.is_none());
    if let Some(trouble) = trouble {
        let text = cut(&format!(" {trouble}"), width, view.theme);
        lines.push(Line::styled(text, view.theme.style(Tone::Bad)));
    }
    lines
}

fn last_line(view: &View, width: u16) -> Line<'static> {
    if view.editing {
        return Line::styled(
            format!(" show only: {}_   (Enter keeps it, Esc shows all)", view.filter),
            view.theme.style(Tone::Strong),
        );
    }
    let mut spans = vec![];
    if !view.filter.is_empty() {
        let text = format!(" only \"{}\" (Esc: all) ", view.filter);
        spans.push(Span::styled(text, view.theme.style(Tone::Watch)));
    }
    let hints = view.hints.iter().chain(View::HINTS.iter().filter(|_| view.hints.is_empty()));
    // The page of help has all; what fits is shown.
    let help = ("?", "help");
    let quit = ("q", "quit");
    let used: usize = spans.iter().map(|span: &Span<'_>| span.content.chars().count()).sum();
    let mut room = usize::from(width).saturating_sub(used + 20);
    let mut shown = vec![];
    for (key, what) in hints.filter(|(key, _)| !matches!(*key, "?" | "q")) {
        let length = key.chars().count() + what.chars().count() + 4;
        if length > room {
            break;
        }
        room -= length;
        shown.push((*key, *what));
    }
    for (key, what) in shown.into_iter().chain([help, quit]) {
        spans.push(Span::styled(format!(" {key}"), view.theme.style(Tone::Strong)));
        spans.push(Span::styled(format!(" {what} "), view.theme.style(Tone::Dim)));
    }
    Line::from(spans)
}

/// The tables, moved so that the selected line is in sight.
fn body_lines(status: &Status, view: &View, age: Duration, area: Rect, buffer: &mut Buffer) {
    let mut lines = vec![];
    let mut selected = None;
    for table in rows::tables(status, &view.filter, age) {
        let layout = Columns::fit(&table, usize::from(area.width));
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.push(layout.heading(&table, view.theme));
        for row in &table.rows {
            let is_selected = view.selected.as_ref() == Some(&row.object);
            if is_selected {
                selected = Some(lines.len());
            }
            lines.push(layout.row(row, view.theme, is_selected, age > STALE));
        }
    }
    if lines.is_empty() {
        lines.push(Line::raw(" nothing with this text"));
    }
    let height = usize::from(area.height);
    // One line more than the selected one is shown, so that one sees that there is more.
    let first = selected.map_or(0, |at| (at + 2).saturating_sub(height));
    let first = first.min(lines.len().saturating_sub(height));
    paint(&lines[first..], area, buffer);
    let below = lines.len().saturating_sub(first + height);
    if below > 0 && area.height > 0 {
        let text = format!(" {} more below ", below + 1);
        let line = Line::styled(text, view.theme.style(Tone::Dim));
        let last = Rect { y: area.bottom() - 1, height: 1, ..area };
        Clear.render(last, buffer);
        paint(&[line], last, buffer);
    }
}

/// Which columns fit, and how wide they are.
struct Columns {
    /// Width by column; 0: left out.
    widths: Vec<usize>,
}

/// Pointer and sign before each line.
const BEFORE: usize = 3;

impl Columns {
    fn fit(table: &Table, width: usize) -> Self {
        let natural = |number: usize| {
            let cells = table.rows.iter().filter_map(|row| row.cells.get(number));
            let cells = cells.map(|cell| cell.text.chars().count());
            cells.chain([table.columns[number].title.chars().count()]).max().unwrap_or(0)
        };
        let last = table.columns.len() - 1;
        let mut widths: Vec<usize> = (0..=last)
            .map(
                |number| if number == last { natural(number) } else { natural(number).min(WIDEST) },
            )
            .collect();
        // A last column of text may be cut down to a few words.
        let needed = |widths: &[usize]| -> usize {
            let least = |(number, width): (usize, &usize)| match *width {
                0 => 0,
                width if number == last => width.min(12) + GAP,
                width => width + GAP,
            };
            BEFORE + widths.iter().enumerate().map(least).sum::<usize>()
        };
        while needed(&widths) > width + GAP {
            let droppable = (0..=last).filter(|n| widths[*n] > 0 && table.columns[*n].drop > 0);
            // Networks are as good as each other; the rightmost goes first.
            let Some(number) = droppable.max_by_key(|n| (table.columns[*n].drop, *n)) else {
                break;
            };
            widths[number] = 0;
        }
        let others: usize = widths[..last].iter().filter(|w| **w > 0).map(|w| w + GAP).sum();
        widths[last] = widths[last].min(width.saturating_sub(BEFORE + others));
        Self { widths }
    }

    fn heading(&self, table: &Table, theme: Theme) -> Line<'static> {
        let mut text = " ".repeat(BEFORE);
        for (column, width) in table.columns.iter().zip(&self.widths).filter(|(_, w)| **w > 0) {
            text.push_str(&format!("{:<width$}  ", cut(&column.title, *width, theme)));
        }
        Line::styled(text, theme.style(Tone::Dim).add_modifier(Modifier::UNDERLINED))
    }

    fn row(&self, row: &Row, theme: Theme, selected: bool, stale: bool) -> Line<'static> {
        let pointer = if selected { theme.pointer() } else { " " };
        let style = |tone: Tone| {
            let style = theme.style(if stale { Tone::Dim } else { tone });
            if selected { style.add_modifier(Modifier::REVERSED) } else { style }
        };
        let mut spans = vec![
            Span::raw(pointer),
            // Nobody knows whether it still is so.
            Span::styled(if stale { "?" } else { theme.sign(row.tone) }, style(row.tone)),
            Span::raw(" "),
        ];
        for (cell, width) in row.cells.iter().zip(&self.widths).filter(|(_, width)| **width > 0) {
            let text = cut(&cell.text, *width, theme);
            spans.push(Span::styled(format!("{text:<width$}"), style(cell.tone)));
            spans.push(Span::raw("  "));
        }
        Line::from(spans)
    }
}

/// At most `width` letters; what was cut off is marked.
fn cut(text: &str, width: usize, theme: Theme) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut text: String = text.chars().take(width.saturating_sub(1)).collect();
    text.push(theme.cut());
    text
}

fn events_lines(known: &Known, view: &View, area: Rect) -> Vec<Line<'static>> {
    let theme = view.theme;
    let width = usize::from(area.width);
    let filter = view.filter.to_lowercase();
    let matches = |event: &&Event| {
        let Event { node, object, what, evidence, .. } = event;
        let texts = [node, object, what, evidence];
        texts.into_iter().any(|text| text.to_lowercase().contains(&filter))
    };
    let room = usize::from(area.height).saturating_sub(1);
    let newest: Vec<&Event> = known.events.iter().rev().filter(matches).take(room).collect();
    let heading = theme.style(Tone::Dim).add_modifier(Modifier::UNDERLINED);
    let mut lines = vec![Line::styled(format!("   EVENTS{:GAP$}", ""), heading)];
    lines.extend(newest.into_iter().rev().map(|event| {
        let said = [&event.evidence, &event.decision, &event.action];
        let said: Vec<&str> =
            said.into_iter().filter(|text| !text.is_empty()).map(String::as_str).collect();
        let when = format!("   {} ", events::time_of_day(event.at_ms));
        let who = format!("{} {} ", event.node, event.object);
        let what = format!("{}: ", event.what);
        let used = when.chars().count() + who.chars().count() + what.chars().count();
        Line::from(vec![
            Span::styled(when, theme.style(Tone::Dim)),
            Span::raw(who),
            Span::styled(what, theme.style(Tone::Strong)),
            Span::raw(cut(&said.join("; "), width.saturating_sub(used), theme)),
        ])
    }));
    lines
}

/// Help, or an explanation, over the tables.
fn over(known: &Known, view: &View, area: Rect, buffer: &mut Buffer) {
    let (title, text, first) = match &view.over {
        Over::Nothing => return,
        Over::Help => ("keys".to_owned(), help(view), 0),
        Over::Why(object, first) => {
            let text = match &known.why {
                Some((asked, Ok(why))) if asked == object => why::lines(why, false),
                Some((asked, Err(trouble))) if asked == object => vec![trouble.clone()],
                _ => vec!["asking...".to_owned()],
            };
            (format!("why {object}"), text, *first)
        }
    };
    let inner = area.width.saturating_sub(8).clamp(16, 110).min(area.width);
    let lines: Vec<Line<'_>> = text
        .iter()
        .map(|line| {
            let tone = if line.starts_with(' ') { Tone::Plain } else { Tone::Strong };
            Line::styled(line.clone(), view.theme.style(tone))
        })
        .collect();
    let wanted: usize = text.iter().map(|line| 1 + line.chars().count() / usize::from(inner)).sum();
    let most = area.height.saturating_sub(2).max(1);
    let height = u16::try_from(wanted).unwrap_or(u16::MAX).clamp(1, most);
    let frame = Rect {
        x: area.x + (area.width - inner) / 2,
        y: area.y + area.height.saturating_sub(height + 2) / 2,
        width: inner,
        height: (height + 2).min(area.height),
    };
    Clear.render(frame, buffer);
    let rule = if view.theme.unicode { "─" } else { "-" };
    let side = usize::from(inner);
    let top = format!("{rule}{rule} {title} ");
    let top = format!("{top}{}", rule.repeat(side.saturating_sub(top.chars().count())));
    let bottom = format!("{rule}{rule} Esc: back ");
    let bottom = format!("{bottom}{}", rule.repeat(side.saturating_sub(bottom.chars().count())));
    let strong = view.theme.style(Tone::Strong);
    buffer.set_stringn(frame.x, frame.y, cut(&top, side, view.theme), side, strong);
    buffer.set_stringn(frame.x, frame.bottom() - 1, cut(&bottom, side, view.theme), side, strong);
    let text = Rect {
        x: frame.x + 1,
        y: frame.y + 1,
        width: frame.width.saturating_sub(2),
        height: frame.height.saturating_sub(2),
    };
    Paragraph::new(lines).wrap(Wrap { trim: false }).scroll((first, 0)).render(text, buffer);
}

fn help(view: &View) -> Vec<String> {
    let hints = view.hints.iter().chain(&View::HINTS);
    hints.map(|(key, what)| format!(" {key:<12} {what}")).collect()
}
