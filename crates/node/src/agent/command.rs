//! Commands of an operator: checked here, kept on disk, carried out by supervisor and vip process.

use std::path::Path;
use std::sync::Arc;

use api::{Command, Report, Standing, Status};
use base::Chain;
use engine::duty::{self, Duty, Place, Todo, View};
use sys::channel::Channel;

use super::names::Names;
use crate::duty as kept;

/// No report: look for letters.
pub(super) const KNOCK: &[u8] = b"!";

/// Gives orders to the loop of the agent, from the thread that answers.
#[derive(Clone, Debug)]
pub(crate) struct Voice(Arc<Channel>);

impl Voice {
    pub(crate) fn new(channel: Channel) -> Self {
        Self(Arc::new(channel))
    }

    /// There is a letter for the loop ([`super::errands`]).
    pub(super) fn knock(&self) {
        // A full channel is being read; a closed one has no reader.
        let _ = self.0.send(KNOCK, &[]);
    }

    pub(crate) fn say(&self, report: &Report) -> Result<(), String> {
        let mut bytes = vec![];
        api::encode(report, &mut bytes);
        self.0.send(&bytes, &[]).map_err(|error| format!("the agent is too busy: {error}"))
    }
}

/// Checks a command and sets about it.
///
/// # Errors
/// In words, when something speaks against it; nothing was done then.
pub(crate) fn obey(
    command: &Command,
    status: &Status,
    names: &Names,
    state_dir: &Path,
    voice: &Voice,
) -> Result<(), String> {
    let todo = duty::check(&view(status, names), asked(command)).map_err(|why| why.to_string())?;
    match todo {
        Todo::Be(duty) => {
            let duty = shown(duty);
            // First the disk: a node that forgets it at its next start would take addresses again.
            kept::keep(state_dir, duty).map_err(|error| {
                let folder = state_dir.display();
                format!("cannot keep that in {folder}, so nothing is done: {}", Chain(&error))
            })?;
            voice.say(&Report::Duty(duty))
        }
        Todo::HandOver { instance, to } => {
            let (instance, to) = (u16::try_from(instance), u16::try_from(to));
            let (Ok(instance), Ok(to)) = (instance, to) else {
                return Err("there are more nodes or addresses than numbers".to_owned());
            };
            voice.say(&Report::Move { instance, to })
        }
    }
}

/// Who has to do it: none is this node, else the position of another.
///
/// # Errors
/// In words, when nobody can be told.
pub(crate) fn place(
    command: &Command,
    status: &Status,
    names: &Names,
) -> Result<Option<u16>, String> {
    match duty::place(&view(status, names), asked(command)).map_err(|why| why.to_string())? {
        Place::Here => Ok(None),
        Place::There(at) => u16::try_from(at).map(Some).map_err(|_| "too many nodes".to_owned()),
    }
}

/// What speaks against a command on the node that has to do it, and is known on every node: files and who is
/// alive. Whether a node rests, and who could follow a holder, is heard from beats, and so may be old here: that
/// is checked where it is done.
pub(crate) fn objection(
    command: &Command,
    status: &Status,
    names: &Names,
    node: &str,
) -> Option<String> {
    let mut view = view(status, names);
    let wanted = asked(command);
    view.me = node;
    view.duty = match wanted {
        duty::Command::Resume { .. } => Duty::Standby,
        duty::Command::Standby { .. }
        | duty::Command::Drain { .. }
        | duty::Command::Move { .. } => Duty::On,
    };
    view.nodes.iter_mut().for_each(|known| known.duty = Duty::On);
    view.vips.iter_mut().for_each(|vip| vip.successor = vip.successor.or(Some("")));
    duty::check(&view, wanted).err().map(|why| why.to_string())
}

fn asked(command: &Command) -> duty::Command<'_> {
    match command {
        Command::Standby { node } => duty::Command::Standby { node },
        Command::Drain { node, .. } => duty::Command::Drain { node },
        Command::Resume { node } => duty::Command::Resume { node },
        Command::Move { vip, to } => duty::Command::Move { vip, to },
    }
}

pub(super) const fn shown(duty: Duty) -> api::Duty {
    match duty {
        Duty::On => api::Duty::On,
        Duty::Standby => api::Duty::Standby,
        Duty::Draining => api::Duty::Draining,
    }
}

pub(super) const fn meant(duty: api::Duty) -> Duty {
    match duty {
        api::Duty::On => Duty::On,
        api::Duty::Standby => Duty::Standby,
        api::Duty::Draining => Duty::Draining,
    }
}

fn view<'a>(status: &'a Status, names: &'a Names) -> View<'a> {
    let node = |line: &'a api::NodeLine| duty::Node {
        name: &line.state.node,
        is_alive: line.state.standing == Standing::Alive,
        duty: meant(line.state.duty),
    };
    let vip = |line: &'a api::VipLine| duty::Vip {
        name: &line.name,
        holders: &line.holders,
        order: &line.order,
        successor: line.successor.as_deref(),
        preempts: names.vip(&line.name).is_some_and(|vip| vip.preempt),
    };
    View {
        me: &status.node,
        duty: meant(status.duty),
        nodes: status.nodes.iter().map(node).collect(),
        vips: status.vips.iter().map(vip).collect(),
    }
}
