//! What a key does to the cloud; all other keys belong to the screen of `outlast top`.

use cli::top::Hint;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::demo::order::{Deed, Target};
use crate::demo::stage::Order;

/// The node and the part that a key means.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Chosen {
    /// None: whoever holds the address.
    pub(super) node: Option<usize>,
    part: usize,
}

impl Chosen {
    pub(super) fn target(self) -> Target {
        Target::ALL[self.part % Target::ALL.len()]
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Meaning {
    Order(Order),
    /// See with another node's eyes.
    Eye,
    /// The choice has changed.
    Done,
    Back,
    /// Not one of ours.
    Other,
}

pub(super) const HINTS: [Hint; 12] = [
    ("k", "kill"),
    ("f", "freeze"),
    ("Tab", "the part"),
    ("0-3", "holder or node"),
    ("o", "power off"),
    ("c", "pull cable"),
    ("x", "cut off silently"),
    ("s", "stop in order"),
    ("r", "return"),
    ("h", "heal all"),
    ("t", "tour: all scenarios"),
    ("e", "seen by the next node"),
];

#[expect(clippy::wildcard_enum_match_arm, reason = "most keys of a keyboard mean nothing here")]
pub(super) fn meaning(key: KeyEvent, chosen: &mut Chosen) -> Meaning {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return Meaning::Other;
    }
    let parts = Target::ALL.len();
    let node = chosen.node;
    let deed = |deed| Meaning::Order(Order::Do(deed, node));
    match key.code {
        KeyCode::Char('0') => chosen.node = None,
        KeyCode::Char(digit @ '1'..='3') => {
            chosen.node = digit.to_digit(10).and_then(|digit| usize::try_from(digit - 1).ok());
        }
        KeyCode::Tab | KeyCode::Right => chosen.part = (chosen.part + 1) % parts,
        KeyCode::BackTab | KeyCode::Left => chosen.part = (chosen.part + parts - 1) % parts,
        KeyCode::Char('k') => return deed(Deed::Kill(chosen.target())),
        KeyCode::Char('f') => return deed(Deed::Freeze(chosen.target())),
        KeyCode::Char('o') => return deed(Deed::PowerOff),
        KeyCode::Char('c') => return deed(Deed::Carrier),
        KeyCode::Char('x') => return deed(Deed::Silent),
        KeyCode::Char('s') => return deed(Deed::Stop),
        KeyCode::Char('r') => return deed(Deed::Return),
        KeyCode::Char('h') => return Meaning::Order(Order::Heal),
        KeyCode::Char('t') => return Meaning::Order(Order::Tour),
        KeyCode::Char('e') => return Meaning::Eye,
        KeyCode::Esc => return Meaning::Back,
        _ => return Meaning::Other,
    }
    Meaning::Done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(code: KeyCode, chosen: &mut Chosen) -> Meaning {
        meaning(KeyEvent::new(code, KeyModifiers::NONE), chosen)
    }

    #[test]
    fn a_digit_chooses_the_node_and_tab_the_part() {
        let mut chosen = Chosen::default();
        let kill = |target, node| Meaning::Order(Order::Do(Deed::Kill(target), node));
        assert_eq!(press(KeyCode::Char('k'), &mut chosen), kill(Target::Balancer, None));
        assert_eq!(press(KeyCode::Char('3'), &mut chosen), Meaning::Done);
        assert_eq!(press(KeyCode::Tab, &mut chosen), Meaning::Done);
        assert_eq!(press(KeyCode::Char('k'), &mut chosen), kill(Target::Vip, Some(2)));
        press(KeyCode::BackTab, &mut chosen);
        press(KeyCode::BackTab, &mut chosen);
        press(KeyCode::Char('0'), &mut chosen);
        assert_eq!(press(KeyCode::Char('k'), &mut chosen), kill(Target::Database, None));
    }

    #[test]
    fn keys_of_the_screen_below_are_left_to_it() {
        let mut chosen = Chosen::default();
        for code in [KeyCode::Char('q'), KeyCode::Char('?'), KeyCode::Up, KeyCode::Enter] {
            assert_eq!(press(code, &mut chosen), Meaning::Other);
        }
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(meaning(control_c, &mut chosen), Meaning::Other);
    }
}
