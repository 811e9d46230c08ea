//! A machine with more to do than it can: four processes that want two processors, and nothing done to the nodes.

use std::io;
use std::time::Duration;

use api::Role;

use super::case::Case;
use super::stage::{Stage, sleep_until};
use crate::client::Client;
use crate::cloud::node::Software;
use crate::cluster::measure::{end_of, rivals};

/// As many as the documents' bench has.
const BUSY: usize = 4;
/// Requests through the balancer.
const EVERY: Duration = Duration::from_millis(10);
/// Until a machine is as busy as it will be.
const BEFORE: Duration = Duration::from_millis(500);

/// With real-time vip processes, then, of our program, with ordinary ones.
pub(super) fn run(
    stage: &mut Stage,
    seconds: u64,
    say: &mut impl FnMut(&Case) -> io::Result<()>,
) -> io::Result<()> {
    let span = Duration::from_secs(seconds);
    stage.settle()?;
    say(&busy(stage, "busy", span)?)?;
    if stage.cloud.software == Software::Stock {
        return Ok(());
    }
    stage.settle()?;
    for node in 0..stage.cloud.nodes.len() {
        sys::schedule::ordinary(stage.cloud.pid(node, Role::Vip)?)?;
    }
    say(&busy(stage, "busy-ordinary", span)?)
}

fn busy(stage: &Stage, name: &str, span: Duration) -> io::Result<Case> {
    let client = Client::start(stage.cloud.client().netns(), stage.plan(EVERY))?;
    let busy = rivals(BUSY)?;
    sleep_until(sys::clock::now() + BEFORE);
    let begin = stage.begin();
    sleep_until(begin + span);
    let (mut case, window) = stage.end(begin);
    end_of(busy)?;
    case.count(&client.finish()?, window);
    (case.fault, case.program) = (name.to_owned(), stage.program().to_owned());
    Ok(case)
}
