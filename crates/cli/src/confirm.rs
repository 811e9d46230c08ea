//! `outlast node confirm-off`: an operator's word that a machine is off, as a committed fact.

use std::io::Write;

use api::books::{BookAnswer, BookAsk};
use api::proof::Proof;
use api::{Status, Verdict, VipLine};

use crate::config::who;
use crate::duty::DutyError;
use crate::reach::{self, Instance};

/// Say that a node's machine is off, as a fact that all nodes know
///
/// Silence proves no death: a machine that nobody hears may run on. Type this only after you have seen that it
/// is off, or cut from power and storage: from then on its work may be started elsewhere. All nodes call it
/// proven dead, whatever they hear, until you take it back with `--undo`, before the machine is started again, or a new machine joins under its name.
/// One that runs all the same holds no address until then. Refused while the node is heard, and without a majority of the store. For admins, in the audit log.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The node's name, as `outlast status` shows it
    node: String,
    /// You know that its machine is off
    #[arg(long, required_unless_present = "undo")]
    i_know_it_is_off: bool,
    /// How you know, for whoever reads it later
    #[arg(long, value_name = "TEXT", required_unless_present = "undo")]
    reason: Option<String>,
    /// Take it back: the machine may be started again
    #[arg(long, conflicts_with_all = ["i_know_it_is_off", "reason"])]
    undo: bool,
    #[command(flatten)]
    pub(crate) instance: Instance,
}

/// Runs the subcommand.
///
/// # Errors
/// When the node is unknown or heard, who asks may not, or the store has no majority.
pub(crate) fn run(args: &Args, out: &mut impl Write) -> Result<(), DutyError> {
    let socket = args.instance.socket()?;
    let status = reach::status(&socket)?;
    let node = crate::duty::known_node(&args.node, &status)?;
    if args.undo {
        let ask = BookAsk::TakeBack { node: node.clone() };
        if !matches!(reach::book(&socket, ask, &[])?, BookAnswer::Done(true)) {
            return Err(DutyError::Refused(format!("nobody confirmed that {node} is off")));
        }
        return crate::duty::say(out, &format!("{node} is judged by what is heard again"));
    }
    let proof = Proof {
        node: node.clone(),
        who: who(),
        why: args.reason.clone().unwrap_or_default(),
        at_ms: sys::clock::wall_ms(),
        by: String::new(),
        joined_ms: 0,
        entry: 0,
    };
    reach::book(&socket, BookAsk::Prove(proof), &[])?;
    crate::duty::say(out, &format!("{node} is proven dead, by your word"))?;
    for vip in left_to_nobody(&status, &node) {
        let text = format!(
            "vip/{vip}: all nodes that may hold it are confirmed off, so nobody takes it, also when they are up again, \
             until `outlast node confirm-off NODE --undo` for one of them"
        );
        crate::duty::say(out, &text)?;
    }
    Ok(())
}

/// Virtual IPs that nobody may hold once that node is proven dead, too.
fn left_to_nobody<'a>(status: &'a Status, node: &str) -> Vec<&'a str> {
    let is_dead = |name: &String| {
        let line = status.nodes.iter().find(|line| line.state.node == *name);
        name == node || line.is_some_and(|line| line.state.opinion.verdict == Verdict::ProvenDead)
    };
    let is_left =
        |vip: &&VipLine| vip.order.iter().any(|name| name == node) && vip.order.iter().all(is_dead);
    status.vips.iter().filter(is_left).map(|vip| vip.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_left_to_nobody_is_named_by_the_last_word_only() {
        let mut status = crate::example::status();
        let proven = |status: &mut Status, at: usize| {
            status.nodes[at].state.opinion.verdict = Verdict::ProvenDead;
        };
        assert_eq!(left_to_nobody(&status, "node03"), [""; 0]);
        proven(&mut status, 0);
        assert_eq!(left_to_nobody(&status, "node03"), [""; 0], "node02 may hold it");
        assert_eq!(left_to_nobody(&status, "node02"), [""; 0], "node03 may");
        proven(&mut status, 1);
        assert_eq!(left_to_nobody(&status, "node03"), ["internal"]);
        // A node that may not hold it changes nothing.
        status.vips[0].order.pop();
        assert_eq!(left_to_nobody(&status, "node03"), [""; 0]);
        assert_eq!(left_to_nobody(&status, "node02"), ["internal"]);
    }
}
