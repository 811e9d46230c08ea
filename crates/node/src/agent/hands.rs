//! What threads do for operators, of this node and of others.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use api::{Command, Errand, Standing, Start, Status, Under, Why};

use super::command::{self, Voice};
use super::core::Core;
use super::errands::Desk;
use super::names::Names;
use super::story::Story;
use super::why::{self, Ground, Unknown};
use super::{lock, under};

pub(crate) type Commander = Box<dyn Fn(&Command) -> Result<Status, String> + Send + Sync>;
pub(crate) type Explainer = Box<dyn Fn(&str) -> Result<Why, Unknown> + Send + Sync>;
pub(crate) type Counter = Box<dyn Fn(&str) -> Result<Vec<Under>, String> + Send + Sync>;

/// What this node itself can do and tell.
pub(crate) struct Hands {
    core: Arc<Mutex<Core>>,
    run_dir: PathBuf,
    state_dir: PathBuf,
    voice: Voice,
}

impl Hands {
    pub(crate) fn new(start: &Start, core: &Arc<Mutex<Core>>, voice: Voice) -> Arc<Self> {
        let (run_dir, state_dir) = (start.run_dir.clone().into(), start.state_dir.clone().into());
        Arc::new(Self { core: Arc::clone(core), run_dir, state_dir, voice })
    }

    fn looks(&self) -> (Status, Arc<Names>) {
        let core = lock(&self.core);
        (core.status(sys::clock::now()), Arc::clone(&core.picture.files))
    }

    /// Does what another node asks; never asks a third one.
    pub(crate) fn errand(&self, text: &[u8]) -> Result<Vec<u8>, String> {
        let errand =
            api::decode::<Errand>(text).map_err(|error| base::Chain(&error).to_string())?;
        let (status, names) = self.looks();
        match errand {
            Errand::Command(command) => {
                command::obey(&command, &status, &names, &self.state_dir, &self.voice)?;
                Ok(vec![])
            }
            Errand::Under { node } => {
                let mut text = vec![];
                api::encode(&self.count(&status, &names, &node)?, &mut text);
                Ok(text)
            }
        }
    }

    fn count(&self, status: &Status, names: &Names, node: &str) -> Result<Under, String> {
        let position = position(status, node)?;
        Ok(under::count(&status.node, &self.run_dir, names, position))
    }
}

/// Does what an operator wants, here or where it has to be done, if nothing speaks against it.
pub(crate) fn commander(hands: Arc<Hands>, desk: Desk) -> Commander {
    Box::new(move |wanted| {
        let (status, names) = hands.looks();
        match command::place(wanted, &status, &names)? {
            None => command::obey(wanted, &status, &names, &hands.state_dir, &hands.voice)?,
            Some(_) if is_compute(&status) => {
                return Err(format!(
                    "{} is a compute node and commands no other: ask a controller",
                    status.node
                ));
            }
            Some(to) => {
                let name = status.nodes.get(usize::from(to)).map(|line| line.state.node.as_str());
                let text = put(&Errand::Command(wanted.clone()));
                desk.ask(to, name.unwrap_or_default(), text).kept()?;
            }
        }
        Ok(status)
    })
}

/// Asks every living node what its balancer has under way with the servers of one.
pub(crate) fn counter(hands: Arc<Hands>, desk: Desk) -> Counter {
    Box::new(move |node| {
        let (status, names) = hands.looks();
        let mut found = vec![hands.count(&status, &names, node)?];
        let mut promises = vec![];
        for (to, line) in (0_u16..).zip(&status.nodes) {
            let name = &line.state.node;
            // Compute nodes have no balancer.
            if *name != status.node && line.state.standing == Standing::Alive && !line.compute {
                let text = put(&Errand::Under { node: node.to_owned() });
                promises.push((name.clone(), desk.ask(to, name, text)));
            }
        }
        for (balancer, promise) in promises {
            let answer = promise.kept().and_then(|text| {
                api::decode::<Under>(&text).map_err(|error| base::Chain(&error).to_string())
            });
            let unknown = |why| Under { balancer, unknown: Some(why), ..Under::default() };
            found.push(answer.unwrap_or_else(unknown));
        }
        found.sort_by(|one, other| one.balancer.cmp(&other.balancer));
        Ok(found)
    })
}

/// Answers "why?" by what is known at the moment of the question. The lock that beats need is held for
/// the status alone, never while events are looked through.
pub(crate) fn explainer(core: Arc<Mutex<Core>>, story: Arc<Story>) -> Explainer {
    Box::new(move |object| {
        let (status, files, times) = {
            let core = lock(&core);
            (core.status(sys::clock::now()), Arc::clone(&core.picture.files), core.times())
        };
        let seen = |name: &str| lock(&core).seen(name, sys::clock::now());
        let turns = |name: &str| lock(&core).turns(name);
        let told = |object: &str| lock(&core).picture.told_at(object);
        let about = |object: &str| {
            story.about(|event| why::is_about(event, object, &status.node), Why::EVENTS)
        };
        let ground = Ground {
            status: &status,
            files: &files,
            told: &told,
            about: &about,
            seen: &seen,
            turns: &turns,
            times,
        };
        why::why(&ground, object)
    })
}

fn is_compute(status: &Status) -> bool {
    status.nodes.iter().any(|line| line.compute && line.state.node == status.node)
}

fn put(errand: &Errand) -> Vec<u8> {
    let mut text = vec![];
    api::encode(errand, &mut text);
    text
}

fn position(status: &Status, node: &str) -> Result<usize, String> {
    let is_it = |line: &api::NodeLine| line.state.node == node;
    status.nodes.iter().position(is_it).ok_or_else(|| format!("there is no node {node} here"))
}
