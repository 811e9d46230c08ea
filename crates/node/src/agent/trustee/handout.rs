//! Gives a machine that has just joined its files in the newest generation, at the desk where it joined: so it needs
//! nothing but a token. Only where this node is a member of the store.

use std::path::PathBuf;

use ::store::{Local, Store};
use engine::generation as keys;
use trust::{Configuration, Configurations, Member, Role};

use crate::agent::books::ring::Ring;
use crate::agent::carry::{files_of, number};

/// A connection to the store is made for each question: one comes with each new machine.
#[derive(Clone, Debug)]
pub(super) struct Handout {
    pub(super) run_dir: PathBuf,
    pub(super) ring: Ring,
}

impl Configurations for Handout {
    fn of(&self, member: &Member) -> Result<Configuration, String> {
        let local = Local::new(&self.run_dir)
            .map_err(|_| "this node holds no store: ask one that does".to_owned())?;
        let newest = local.wait(local.client().get(keys::NEWEST));
        let newest = newest.map_err(|error| format!("the store does not answer: {error}"))?;
        let number = newest.and_then(|item| number(&item.value)).ok_or_else(|| {
            "no generation was committed: `outlast config apply` on a running node".to_owned()
        })?;
        let read = self.ring.read(&local, number);
        let read = read.map_err(|error| format!("the store does not answer: {error}"))?;
        let (_, content) = read.ok_or_else(|| {
            format!(
                "this node cannot open generation {number}: ask another one that holds the store"
            )
        })?;
        let files = files_of(&content, &member.name, member.role == Role::Compute);
        let files = files.ok_or_else(|| {
            let node = &member.name;
            format!("generation {number} has no files for {node}: is it in the cluster file?")
        })?;
        Ok(Configuration { generation: number, files })
    }
}
