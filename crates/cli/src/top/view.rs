//! What the person at the keyboard has chosen to see.

use base::Time;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::known::Known;
use super::rows;

/// No filter is longer: it has to fit a line.
const MOST_FILTER: usize = 40;

/// How to draw.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Theme {
    pub colour: bool,
    /// Whether the terminal shows more than ASCII.
    pub unicode: bool,
}

impl Theme {
    /// As the environment asks: `NO_COLOR` (<https://no-color.org>), a locale without UTF-8.
    #[must_use]
    pub fn from_environment() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        let locale = locale.unwrap_or_default().to_string_lossy().to_lowercase();
        let unicode = locale.contains("utf-8") || locale.contains("utf8");
        Self { colour: set("NO_COLOR").is_none(), unicode }
    }
}

/// What a key asks for that the view cannot do itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Wish {
    Nothing,
    Quit,
    /// An explanation of this object.
    Why(String),
}

/// A key and what it does, for the last line and the page of help.
pub type Hint = (&'static str, &'static str);

/// Selection, filter, pause, and what lies over the tables.
#[derive(Clone, Debug)]
pub struct View {
    pub theme: Theme,
    /// First word of the heading.
    pub title: String,
    /// Keys of a screen around this one; they come first.
    pub hints: Vec<Hint>,
    pub(super) selected: Option<String>,
    pub(super) filter: String,
    pub(super) editing: bool,
    /// What was known when the picture was stopped, and when that was.
    pub(super) paused: Option<(Box<Known>, Time)>,
    pub(super) over: Over,
}

/// What lies over the tables.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) enum Over {
    #[default]
    Nothing,
    Help,
    /// The explanation of an object, from this line on.
    Why(String, u16),
}

impl View {
    pub const HINTS: [Hint; 7] = [
        ("up, down", "select (also k, j)"),
        ("Enter", "why is it so"),
        ("/", "show only lines with this text"),
        ("p", "pause, go on"),
        ("Esc", "back"),
        ("?", "this help"),
        ("q", "quit"),
    ];

    #[must_use]
    pub fn new(title: &str, theme: Theme) -> Self {
        Self {
            theme,
            title: title.to_owned(),
            hints: vec![],
            selected: None,
            filter: String::new(),
            editing: false,
            paused: None,
            over: Over::Nothing,
        }
    }

    /// Whether keys are letters of the filter now.
    #[must_use]
    pub fn is_editing(&self) -> bool {
        self.editing
    }

    /// The object whose explanation lies over the tables.
    #[must_use]
    pub fn explained(&self) -> Option<&str> {
        match &self.over {
            Over::Why(object, _) => Some(object),
            Over::Nothing | Over::Help => None,
        }
    }

    #[must_use]
    pub fn selected(&self) -> Option<&str> {
        self.selected.as_deref()
    }

    /// Takes a key.
    #[expect(clippy::wildcard_enum_match_arm, reason = "most keys of a keyboard mean nothing here")]
    pub fn key(&mut self, key: KeyEvent, known: &Known, now: Time) -> Wish {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return if key.code == KeyCode::Char('c') { Wish::Quit } else { Wish::Nothing };
        }
        if self.editing {
            self.edit(key.code);
            return Wish::Nothing;
        }
        match key.code {
            KeyCode::Char('q') => return Wish::Quit,
            KeyCode::Char('?') => {
                self.over = if self.over == Over::Help { Over::Nothing } else { Over::Help };
            }
            KeyCode::Char('/') => {
                self.editing = true;
                self.filter.clear();
                self.over = Over::Nothing;
            }
            KeyCode::Char('p') => {
                self.paused = match self.paused {
                    Some(_) => None,
                    None => Some((Box::new(known.clone()), now)),
                };
            }
            KeyCode::Esc => self.back(),
            KeyCode::Up | KeyCode::Char('k') => self.step(known, -1),
            KeyCode::Down | KeyCode::Char('j') => self.step(known, 1),
            KeyCode::PageUp => self.step(known, -10),
            KeyCode::PageDown => self.step(known, 10),
            KeyCode::Home => self.step(known, isize::MIN / 2),
            KeyCode::End => self.step(known, isize::MAX / 2),
            KeyCode::Enter => {
                if let Over::Why(..) = self.over {
                    self.over = Over::Nothing;
                } else if let Some(object) = self.selected.clone() {
                    self.over = Over::Why(object.clone(), 0);
                    return Wish::Why(object);
                }
            }
            _ => {}
        }
        Wish::Nothing
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "most keys of a keyboard mean nothing here")]
    fn edit(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.editing = false,
            KeyCode::Esc => {
                self.editing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(letter) if self.filter.chars().count() < MOST_FILTER => {
                self.filter.push(letter);
            }
            _ => {}
        }
    }

    /// Out of the topmost thing.
    fn back(&mut self) {
        if self.over != Over::Nothing {
            self.over = Over::Nothing;
        } else if !self.filter.is_empty() {
            self.filter.clear();
        } else {
            self.selected = None;
        }
    }

    fn step(&mut self, known: &Known, by: isize) {
        if let Over::Why(_, line) = &mut self.over {
            let by = i16::try_from(by.clamp(-1000, 1000)).unwrap_or(0);
            *line = line.saturating_add_signed(by);
            return;
        }
        let known = self.paused.as_ref().map_or(known, |(known, _)| known);
        let Some(status) = &known.status else { return };
        let objects = rows::objects(status, &self.filter);
        let at = self.selected.as_ref().and_then(|own| objects.iter().position(|one| one == own));
        let last = objects.len().saturating_sub(1);
        let to = match at {
            // The first step down goes to the first one.
            None if by > 0 => by.unsigned_abs() - 1,
            None => 0,
            Some(at) => at.saturating_add_signed(by),
        };
        self.selected = objects.get(to.min(last)).cloned();
    }
}
