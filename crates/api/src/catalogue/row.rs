//! One row of the table.

/// A kind of event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EventKind {
    /// As in [`Event::what`](crate::Event::what).
    pub name: &'static str,
    /// What the event is about: the kind of its `object`.
    pub about: &'static str,
    pub meaning: &'static str,
    /// What a human has to do; none: nothing, it is only told.
    pub act: Option<&'static str>,
}

pub(super) const fn told(
    name: &'static str,
    about: &'static str,
    meaning: &'static str,
) -> EventKind {
    EventKind { name, about, meaning, act: None }
}

pub(super) const fn act(
    name: &'static str,
    about: &'static str,
    meaning: &'static str,
    act: &'static str,
) -> EventKind {
    EventKind { name, about, meaning, act: Some(act) }
}
