//! What is told of a virtual IP while it moves, in texts that are written again and again: nothing here asks for memory
//! once it was made, unless a text is longer than any before.

use std::fmt::{self, Write as _};

use api::{Event, LeaseState, Moved, Report, VipState};
use base::Time;
use engine::vip::Cause;

use super::instance::Instance;
use super::tell;

/// Of each text at first (bytes).
const ROOM: usize = 256;

pub(super) struct Words {
    state: Report,
    event: Report,
    /// Not in the event now.
    moved: Option<Box<Moved>>,
    from: Option<String>,
    /// Not in the state now.
    voted: Option<LeaseState>,
}

impl Words {
    pub(super) fn new() -> Self {
        let text = || String::with_capacity(ROOM);
        let event = Event {
            node: text(),
            what: text(),
            object: text(),
            evidence: text(),
            decision: text(),
            action: text(),
            not_done: text(),
            ..Event::default()
        };
        let took = api::Took::default();
        let moved = Moved { from: None, to: text(), cause: None, term: 0, took };
        let voted = LeaseState::default();
        Self {
            state: Report::Vip(VipState { interface: Some(text()), ..tell::unknown() }),
            event: Report::Event(event),
            moved: Some(Box::new(moved)),
            from: Some(text()),
            voted: Some(voted),
        }
    }

    /// How it is.
    pub(super) fn state(&mut self, instance: &Instance) -> &Report {
        if let Report::Vip(state) = &mut self.state {
            let former = state.vip_lease.take();
            let voted = self.voted.take().or(former);
            let told = tell::state(instance, state.interface.take(), voted);
            *state = told;
        }
        &self.state
    }

    /// The addresses came or went.
    pub(super) fn moved(
        &mut self,
        instance: &Instance,
        (node, nodes): (&str, &[String]),
        began: Time,
    ) -> &Report {
        self.begin(instance, node);
        let moved = self.with_moved(instance, (node, nodes));
        if let Report::Event(event) = &mut self.event {
            tell::event(event, instance, nodes, began);
            event.moved = moved;
        }
        &self.event
    }

    /// This node cannot hold it, or (none) could again.
    pub(super) fn fault(
        &mut self,
        instance: &Instance,
        node: &str,
        cause: Option<Cause>,
    ) -> &Report {
        self.begin(instance, node);
        if let Report::Event(event) = &mut self.event {
            tell::fault(event, instance, cause);
        }
        &self.event
    }

    /// Clients have it again; none: it is not here any more.
    pub(super) fn answers(
        &mut self,
        instance: &Instance,
        (node, nodes): (&str, &[String]),
    ) -> Option<&Report> {
        self.begin(instance, node);
        let moved = self.with_moved(instance, (node, nodes))?;
        if let Report::Event(event) = &mut self.event {
            let before = moved.from.as_deref().unwrap_or("nobody that is known here");
            set(&mut event.what, format_args!("vip-answers"));
            set(
                &mut event.evidence,
                format_args!("the first packet left from the address; held before by {before}"),
            );
            set(&mut event.action, format_args!("{}", moved.took));
            event.took_us = moved.took.total_us();
            event.moved = Some(moved);
        }
        Some(&self.event)
    }

    /// Nothing is said yet, but of what.
    fn begin(&mut self, instance: &Instance, name: &str) {
        let Report::Event(event) = &mut self.event else { return };
        if let Some(moved) = event.moved.take() {
            self.moved = Some(moved);
        }
        let Event { node, what, object, evidence, decision, action, not_done, .. } = &mut *event;
        for text in [what, evidence, decision, action, not_done] {
            text.clear();
        }
        set(node, format_args!("{name}"));
        set(object, format_args!("vip/{}", instance.vip.name));
        event.at_ms = sys::clock::wall_ms();
        event.took_us = 0;
    }

    /// How it came here; none: it is not here.
    fn with_moved(
        &mut self,
        instance: &Instance,
        (node, nodes): (&str, &[String]),
    ) -> Option<Box<Moved>> {
        let taking = instance.taking.as_ref().filter(|_| instance.held)?;
        let mut moved = self.moved.take()?;
        if let Some(from) = moved.from.take() {
            self.from = Some(from);
        }
        let before = taking.from.and_then(|from| nodes.get(usize::from(from)));
        if let Some(before) = before {
            let mut from = self.from.take().unwrap_or_default();
            from.clone_from(before);
            moved.from = Some(from);
        }
        set(&mut moved.to, format_args!("{node}"));
        (moved.cause, moved.term) = tell::cause_and_term(instance);
        moved.took = taking.took();
        Some(moved)
    }
}

/// Another text in its place.
pub(super) fn set(text: &mut String, words: fmt::Arguments<'_>) {
    text.clear();
    // A String takes every text.
    let _ = text.write_fmt(words);
}
