//! `outlast top`: the cloud as one node sees it, on a terminal, all the time.
//!
//! ```text
//! known (threads that ask) ─> view (keys: what is chosen) ─> draw (a buffer) ─> terminal
//! ```

mod draw;
mod known;
mod rows;
mod view;

use std::io::{self, IsTerminal};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use sys::signal::{SIGHUP, SIGINT, SIGTERM, Signals};

pub use draw::draw;
pub use known::{Known, STALE, Source};
pub use view::{Hint, Theme, View, Wish};

use crate::reach::{Instance, ReachError};

/// Between two pictures while no key comes: ages move, and a change is seen at once.
pub const PICTURE_EVERY: Duration = Duration::from_millis(100);

/// Watch nodes, addresses, pools and events on the terminal
///
/// Keys: arrows or j and k select, Enter explains the selected line, / filters, p pauses, ? helps,
/// q quits. NO_COLOR is respected; colour is never the only sign.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    instance: Instance,
}

/// Why there is no screen.
#[derive(Debug, thiserror::Error)]
pub enum TopError {
    #[error("this is no terminal; `outlast status` prints the same once, `--json` for programs")]
    NoTerminal,
    #[error(transparent)]
    Reach(#[from] ReachError),
    #[error("cannot use the terminal")]
    Terminal(#[source] io::Error),
}

/// Runs the subcommand until q, Ctrl-C or a signal.
///
/// # Errors
/// Without a terminal or a running instance.
pub fn run(args: &Args) -> Result<(), TopError> {
    if !is_terminal() {
        return Err(TopError::NoTerminal);
    }
    let socket = args.instance.socket()?;
    let signals = end_signals().map_err(TopError::Terminal)?;
    let source = Source::start(&socket).map_err(TopError::Terminal)?;
    let mut view = View::new("outlast top", Theme::from_environment());
    on_screen(|terminal| {
        loop {
            let known = source.known();
            source.keep_up(&view)?;
            picture(terminal, &known, &view)?;
            if signals.read().is_some() {
                return Ok(());
            }
            let Some(key) = next_key(PICTURE_EVERY)? else { continue };
            match view.key(key, &known, sys::clock::now()) {
                Wish::Nothing => {}
                Wish::Quit => return Ok(()),
                Wish::Why(object) => source.ask_why(&object)?,
            }
        }
    })
    .map_err(TopError::Terminal)
}

fn picture(terminal: &mut DefaultTerminal, known: &Known, view: &View) -> io::Result<()> {
    let now = sys::clock::now();
    terminal.draw(|frame| draw(known, view, now, frame.area(), frame.buffer_mut())).map(drop)
}

/// Whether there is somebody to look and to press keys.
#[must_use]
pub fn is_terminal() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|name| name == "dumb" || name.is_empty());
    io::stdin().is_terminal() && io::stdout().is_terminal() && !dumb
}

/// Signals after which the terminal has to be put right; call it before the first thread.
///
/// # Errors
/// When no descriptor is left.
pub fn end_signals() -> io::Result<Signals> {
    Signals::new(&[SIGTERM, SIGHUP, SIGINT])
}

/// Runs `work` on a screen of its own, and gives the terminal back as it was, also after a panic.
///
/// # Errors
/// When the terminal does not obey, or `work` fails.
pub fn on_screen<T>(work: impl FnOnce(&mut DefaultTerminal) -> io::Result<T>) -> io::Result<T> {
    let mut terminal = ratatui::try_init()?;
    let outcome = work(&mut terminal);
    let restored = ratatui::try_restore();
    let outcome = outcome?;
    restored.map(|()| outcome)
}

/// The next key that is pressed within `patience`; none also when the terminal changed its size.
///
/// # Errors
/// When the terminal is gone.
pub fn next_key(patience: Duration) -> io::Result<Option<KeyEvent>> {
    if !event::poll(patience)? {
        return Ok(None);
    }
    match event::read()? {
        Event::Key(key) if key.kind != KeyEventKind::Release => Ok(Some(key)),
        Event::Key(_)
        | Event::Resize(..)
        | Event::FocusGained
        | Event::FocusLost
        | Event::Mouse(_)
        | Event::Paste(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests;
