//! Commands of an operator: checked here, kept on disk, carried out by supervisor and vip process.

use std::path::Path;
use std::sync::Arc;

use api::{Command, Report, Standing, Status};
use base::Chain;
use engine::duty::{self, Duty, Todo, View};
use sys::channel::Channel;

use super::names::Names;
use crate::duty as kept;

/// Gives orders to the loop of the agent, from the thread that answers.
#[derive(Clone, Debug)]
pub(crate) struct Voice(Arc<Channel>);

impl Voice {
    pub(crate) fn new(channel: Channel) -> Self {
        Self(Arc::new(channel))
    }

    fn say(&self, report: &Report) -> Result<(), String> {
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

fn asked(command: &Command) -> duty::Command<'_> {
    match command {
        Command::Standby { node } => duty::Command::Standby { node },
        Command::Drain { node } => duty::Command::Drain { node },
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
