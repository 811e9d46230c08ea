//! The part of the picture that only the demo has.

use std::time::Duration;

use base::Time;
use cli::top::Theme;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Widget};

use super::keys::Chosen;
use crate::client::{Live, Port, Slot};
use crate::demo::stage::{Effect, Scene};

/// A silence from here on is shown while it goes on.
const SILENT: Duration = Duration::from_millis(100);
/// Deeds that are shown with their cost, at most.
const MOST_EFFECTS: u16 = 6;
/// With fewer lines only the newest deed is shown.
const LINES_FOR_EFFECTS: u16 = 30;

/// All that the upper part shows.
pub(super) struct Picture<'a> {
    pub(super) scene: &'a Scene,
    pub(super) live: &'a Live,
    pub(super) chosen: &'a Chosen,
    pub(super) dashboards: &'a [String],
    pub(super) theme: Theme,
    pub(super) now: Time,
}

impl Picture<'_> {
    /// Draws the upper part; what is left for the other.
    pub(super) fn draw(&self, area: Rect, buffer: &mut Buffer) -> Rect {
        let mut lines = vec![self.title(area.width)];
        lines.extend([Port::Api, Port::Database].map(|port| self.port(port, area.width)));
        lines.push(self.machines());
        lines.push(self.choice());
        let effects = match area.height {
            LINES_FOR_EFFECTS.. => (area.height / 7).min(MOST_EFFECTS),
            _ => 1,
        };
        lines.extend(self.effects(usize::from(effects)));
        let height = u16::try_from(lines.len()).unwrap_or(u16::MAX).min(area.height);
        Clear.render(Rect { height, ..area }, buffer);
        for (line, y) in lines.iter().zip(area.y..area.y + height) {
            buffer.set_line(area.x, y, line, area.width);
        }
        Rect { y: area.y + height, height: area.height - height, ..area }
    }

    /// The table of a tour over the lower part; false if there is none.
    pub(super) fn tour(&self, area: Rect, buffer: &mut Buffer) -> bool {
        let Some(tour) = &self.scene.tour else { return false };
        Clear.render(area, buffer);
        let rule = Line::styled(" a tour: every scenario with its promise", self.strong());
        buffer.set_line(area.x, area.y, &rule, area.width);
        let last = match self.scene.doing {
            Some(_) => " goes on, under three minutes; q quits",
            None => " over; Esc: back",
        };
        let room = usize::from(area.height.saturating_sub(2));
        // The heading stays when lines scroll away.
        let (heading, rows) = tour.split_at(tour.len().min(1));
        let skipped = (rows.len() + heading.len()).saturating_sub(room);
        let shown = heading.iter().chain(&rows[skipped.min(rows.len())..]);
        for (line, y) in shown.zip(area.y + 1..area.bottom().saturating_sub(1)) {
            let style = match line {
                broken if broken.contains("BROKEN") || broken.contains("broken:") => self.bad(),
                _ => Style::new(),
            };
            buffer.set_line(area.x, y, &Line::styled(format!(" {line}"), style), area.width);
        }
        if area.height > 1 {
            let y = area.bottom() - 1;
            buffer.set_line(area.x, y, &Line::styled(last, self.strong()), area.width);
        }
        true
    }

    fn strong(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    fn bad(&self) -> Style {
        if self.theme.colour { self.strong().fg(Color::Red) } else { self.strong() }
    }

    fn good(&self) -> Style {
        if self.theme.colour { Style::new().fg(Color::Green) } else { Style::new() }
    }

    fn title(&self, width: u16) -> Line<'static> {
        let width = usize::from(width);
        let names = self.scene.actors.iter().map(|actor| actor.name.as_str());
        let whole = names.zip(self.dashboards).map(|(name, url)| format!("{name} {url}"));
        let short = self.dashboards.iter().enumerate().map(|(number, url)| match number {
            0 => url.trim_end_matches('/').to_owned(),
            _ => url.trim_end_matches('/').trim_start_matches("http://127.0.0.1").to_owned(),
        });
        let title = |addresses: Vec<String>| match addresses.is_empty() {
            true => " outlast demo".to_owned(),
            false => format!(" outlast demo   dashboards: {}", addresses.join("  ")),
        };
        let mut text = title(whole.collect());
        if text.chars().count() > width {
            text = title(short.collect());
        }
        Line::styled(format!("{text:<width$}"), Style::new().add_modifier(Modifier::REVERSED))
    }

    /// What the client gets of one port, since the last deed, and the last half minute.
    fn port(&self, port: Port, width: u16) -> Line<'static> {
        let Some(mark) = self.live.marks().next_back() else { return Line::default() };
        let name = match port {
            Port::Api => " client: api      ",
            Port::Database => " client: database ",
        };
        if self.scene.tour.is_some() && self.scene.doing.is_some() {
            return Line::styled(format!("{name}measures for the tour"), self.strong());
        }
        let tally = mark.tallies[port as usize];
        let gap = self.live.gap(mark, port, self.now);
        let silent = self.live.silent(port, self.now);
        let ill = tally.failed > 0 || silent > SILENT;
        let style = if ill { self.bad() } else { self.good() };
        let now = if silent > SILENT {
            format!("NO ANSWER for {}", span(silent))
        } else {
            "answers".to_owned()
        };
        let mut spans = vec![
            Span::styled(name, self.strong()),
            Span::styled(format!("{now:<22}"), style),
            Span::raw(format!(
                "longest gap {:<7} failed {:<4} slow {:<4} ",
                span(gap),
                tally.failed,
                tally.slow
            )),
        ];
        let used = |spans: &[Span<'_>]| -> usize {
            spans.iter().map(|span| span.content.chars().count()).sum()
        };
        let slots = self.live.slots(port, self.now);
        let answered = format!("answered {:<7} ", tally.answered);
        if used(&spans) + answered.len() + slots.len() < usize::from(width) {
            spans.push(Span::raw(answered));
        }
        let room = usize::from(width).saturating_sub(used(&spans) + 1).min(slots.len());
        for slot in &slots[slots.len() - room..] {
            let (letter, style) = self.letter(*slot);
            spans.push(Span::styled(letter, style));
        }
        Line::from(spans)
    }

    /// Half a second as one letter.
    fn letter(&self, slot: Slot) -> (&'static str, Style) {
        match slot {
            Slot { failed: 1.., .. } => ("x", self.bad()),
            Slot { slow: 1.., .. } => ("o", self.bad()),
            Slot { answered: 0, .. } => ("!", self.bad()),
            Slot { .. } => (".", self.good()),
        }
    }

    fn machines(&self) -> Line<'static> {
        let mut spans = vec![Span::styled(" machines ".to_owned(), self.strong())];
        for (number, actor) in self.scene.actors.iter().enumerate() {
            let holds = self.scene.holder == Some(number);
            let state = match (holds, actor.marks.is_empty()) {
                (true, true) => "HOLDS THE ADDRESS".to_owned(),
                (true, false) => format!("HOLDS THE ADDRESS, {}", actor.marks.join(", ")),
                (false, false) => actor.marks.join(", "),
                (false, true) if actor.on => "on".to_owned(),
                (false, true) => "OFF".to_owned(),
            };
            let style = match (holds, actor.marks.is_empty()) {
                (_, false) => self.bad(),
                (true, true) => self.good().add_modifier(Modifier::BOLD),
                (false, true) => Style::new(),
            };
            spans.push(Span::raw(format!("  {} ", number + 1)));
            spans.push(Span::styled(format!("{}: {state} ", actor.name), style));
        }
        if self.scene.holder.is_none() {
            spans.push(Span::styled("  nobody alone answers for the address", self.bad()));
        }
        if self.scene.double > 0 {
            let text = format!("  TWO HOLDERS in {} probes", self.scene.double);
            spans.push(Span::styled(text, self.bad()));
        }
        Line::from(spans)
    }

    fn choice(&self) -> Line<'static> {
        let node = match self.chosen.node {
            None => "whoever holds the address".to_owned(),
            Some(node) => {
                self.scene.actors.get(node).map_or_else(String::new, |actor| actor.name.clone())
            }
        };
        let mut spans = vec![
            Span::styled(" keys mean ".to_owned(), self.strong()),
            Span::raw(format!(" {node}, its {}   ", self.chosen.target().name())),
        ];
        match (&self.scene.doing, &self.scene.trouble) {
            (_, Some(trouble)) => spans.push(Span::styled(trouble.clone(), self.bad())),
            (Some(doing), None) => spans.push(Span::styled(format!("now: {doing}"), self.strong())),
            (None, None) => {}
        }
        Line::from(spans)
    }

    /// The newest deeds with what they cost.
    fn effects(&self, most: usize) -> Vec<Line<'static>> {
        let effects = &self.scene.effects;
        if effects.is_empty() {
            let text =
                " nothing was done yet: k kills the balancer of the holder, ? shows all keys";
            return vec![Line::raw(text)];
        }
        let newest = effects.iter().skip(effects.len().saturating_sub(most));
        newest
            .enumerate()
            .map(|(number, one)| {
                let text = format!(" {}", effect(one, self.scene, self.live, self.now));
                let last = number + 1 == effects.len().min(most);
                if last { Line::styled(text, self.strong()) } else { Line::raw(text) }
            })
            .collect()
    }
}

/// `3.2 s ago: kill the balancer of node01: longest gap 15 ms, 0 failed, 0 slow; stock: 4351 ms, 1493 failed`
pub(super) fn effect(effect: &Effect, scene: &Scene, live: &Live, now: Time) -> String {
    let ago = span(now.since(effect.at));
    let mut text = format!("{ago:>7} ago  {}", effect.text);
    let Some(mark) = live.marks().find(|mark| mark.at == effect.at) else { return text };
    let judged = || effect.judged.iter().copied();
    if effect.judged.is_empty() {
        return text;
    }
    let gap = judged().map(|port| live.gap(mark, port, now)).max().unwrap_or_default();
    let failed: u64 = judged().map(|port| mark.tallies[port as usize].failed).sum();
    let slow: u64 = judged().map(|port| mark.tallies[port as usize].slow).sum();
    text.push_str(&format!(": longest gap {}, {failed} failed, {slow} slow", span(gap)));
    if effect.moves > 0 {
        let name = |node: Option<usize>| {
            let actor = node.and_then(|node| scene.actors.get(node));
            actor.map_or("nobody", |actor| actor.name.as_str()).to_owned()
        };
        text.push_str(&format!(", the address left {}", name(effect.holder)));
    }
    text.push_str(&format!("  ({})", effect.stock));
    text
}

fn span(span: Duration) -> String {
    let ms = span.as_millis();
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..100_000 => format!("{}.{} s", ms / 1000, ms / 100 % 10),
        _ => format!("{} min", ms / 60_000),
    }
}

#[cfg(test)]
mod tests;
