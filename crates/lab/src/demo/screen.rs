//! The demo on a terminal: the operator's own screen, above it what a client measures, and keys
//! that hurt the cloud.

mod draw;
mod keys;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use base::Time;
use cli::top::{self, Known, Source, Theme, View, Wish};
use sys::signal::Signals;

use self::keys::{Chosen, Meaning};
use super::door::{Doors, Networks};
use super::stage::{Order, Shared, Stage};
use crate::cloud::Cloud;

/// An eye that was not answered for so long looks from another node.
const BLIND: Duration = Duration::from_secs(3);

/// Runs until q or a signal.
///
/// # Errors
/// When the terminal or a thread fails.
pub(super) fn run(
    cloud: Cloud,
    doors: Option<Doors>,
    realtime: bool,
    signals: &Signals,
) -> io::Result<()> {
    let stage = Stage::start(cloud, realtime)?;
    let dashboards = doors.as_ref().map(Doors::addresses).unwrap_or_default();
    if let Some(doors) = doors {
        let shared = Arc::clone(&stage.shared);
        let networks: Networks = Arc::new(move |node| shared.network(node));
        doors.attend(&networks)?;
    }
    let mut screen = Screen::new(stage, dashboards)?;
    let outcome = top::on_screen(|terminal| {
        loop {
            screen.look_elsewhere_if_blind()?;
            screen.eye.source.keep_up(&screen.view)?;
            terminal.draw(|frame| screen.draw(frame.area(), frame.buffer_mut()))?;
            if signals.read().is_some() {
                return Ok(());
            }
            if let Some(key) = top::next_key(top::PICTURE_EVERY)?
                && screen.key(key)?
            {
                return Ok(());
            }
        }
    });
    let said = screen.summary();
    outcome?;
    io::stdout().write_all(said.as_bytes())
}

struct Screen {
    stage: Stage,
    dashboards: Vec<String>,
    view: View,
    chosen: Chosen,
    eye: Eye,
}

/// The node whose agent is asked.
struct Eye {
    node: usize,
    source: Source,
    since: Time,
}

impl Eye {
    fn open(shared: &Shared, node: usize) -> io::Result<Self> {
        let socket = shared.scene().actors.get(node).map(|actor| actor.socket.clone());
        let source = Source::start(&socket.unwrap_or_default().into())?;
        Ok(Self { node, source, since: sys::clock::now() })
    }
}

impl Screen {
    fn new(stage: Stage, dashboards: Vec<String>) -> io::Result<Self> {
        // Not the holder: it is what will be hurt first.
        let (holder, nodes) = {
            let scene = stage.shared.scene();
            (scene.holder, scene.actors.len().max(1))
        };
        let eye = Eye::open(&stage.shared, holder.map_or(0, |holder| (holder + 1) % nodes))?;
        let mut view = View::new("outlast top", Theme::from_environment());
        view.hints = keys::HINTS.to_vec();
        Ok(Self { stage, dashboards, view, chosen: Chosen::default(), eye })
    }

    fn draw(&self, area: ratatui::layout::Rect, buffer: &mut ratatui::buffer::Buffer) {
        let known = self.eye.source.known();
        let now = sys::clock::now();
        let scene = self.stage.shared.scene().clone();
        let picture = draw::Picture {
            scene: &scene,
            live: &self.stage.shared.live(),
            chosen: &self.chosen,
            dashboards: &self.dashboards,
            theme: self.view.theme,
            now,
        };
        let rest = picture.draw(area, buffer);
        if !picture.tour(rest, buffer) {
            top::draw(&known, &self.view, now, rest, buffer);
        }
    }

    /// True: quit.
    fn key(&mut self, key: ratatui::crossterm::event::KeyEvent) -> io::Result<bool> {
        let known = self.eye.source.known();
        if !self.view.is_editing() {
            match keys::meaning(key, &mut self.chosen) {
                Meaning::Order(order) => {
                    self.order(order);
                    return Ok(false);
                }
                Meaning::Eye => {
                    self.look_from_next()?;
                    return Ok(false);
                }
                Meaning::Done => return Ok(false),
                Meaning::Back if self.close_tour() => return Ok(false),
                Meaning::Back | Meaning::Other => {}
            }
        }
        match self.view.key(key, &known, sys::clock::now()) {
            Wish::Nothing => Ok(false),
            Wish::Quit => Ok(true),
            Wish::Why(object) => self.eye.source.ask_why(&object).map(|()| false),
        }
    }

    fn order(&self, order: Order) {
        let mut scene = self.stage.shared.scene();
        // A second key while the first is being obeyed would come as a surprise later.
        if let Some(doing) = &scene.doing {
            scene.trouble = Some(format!("wait: {doing}"));
            return;
        }
        scene.doing = Some("...".to_owned());
        drop(scene);
        // Without the thread there is nothing to be done; the screen then shows no more changes.
        let _ended = self.stage.orders.send(order);
    }

    /// Closes a tour that is over; false if there is none.
    fn close_tour(&self) -> bool {
        let mut scene = self.stage.shared.scene();
        scene.doing.is_none() && scene.tour.take().is_some()
    }

    fn look_from_next(&mut self) -> io::Result<()> {
        let nodes = self.stage.shared.scene().actors.len().max(1);
        self.eye = Eye::open(&self.stage.shared, (self.eye.node + 1) % nodes)?;
        Ok(())
    }

    fn look_elsewhere_if_blind(&mut self) -> io::Result<()> {
        let now = sys::clock::now();
        let known: Known = self.eye.source.known();
        let last = known.answered.unwrap_or(self.eye.since).max(self.eye.since);
        if now.since(last) > BLIND { self.look_from_next() } else { Ok(()) }
    }

    /// What stays on the terminal when the screen is gone.
    fn summary(&self) -> String {
        let scene = self.stage.shared.scene();
        let live = self.stage.shared.live();
        let mut text = String::new();
        for effect in &scene.effects {
            text.push_str(&draw::effect(effect, &scene, &live, sys::clock::now()));
            text.push('\n');
        }
        text
    }
}
