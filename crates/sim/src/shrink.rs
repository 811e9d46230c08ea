//! A failing script made short: delta debugging over its steps.
//!
//! Dice of the run fall otherwise when a step is missing, so a shorter script may fail later, or only
//! as often as it failed before: what counts is that the same property breaks.

use std::time::Duration;

use crate::world::Script;

/// Runs of one search; a short script of a few steps needs a hundred.
const MAX_RUNS: u32 = 600;

/// The shortest script found that still `fails`; the moment of its violation ends it.
pub fn shrink(script: &Script, mut fails: impl FnMut(&Script) -> Option<Duration>) -> Script {
    let mut best = script.clone();
    let mut runs = 0;
    let mut try_one = |script: &Script| {
        runs += 1;
        if runs > MAX_RUNS { None } else { fails(script) }
    };
    if let Some(at) = try_one(&best) {
        end_at(&mut best, at);
    }
    let mut chunk = best.steps.len().div_ceil(2);
    while chunk > 0 {
        let mut first = 0;
        while first < best.steps.len() {
            let mut shorter = best.clone();
            shorter.steps.drain(first..(first + chunk).min(best.steps.len()));
            if let Some(at) = try_one(&shorter) {
                best = shorter;
                end_at(&mut best, at);
            } else {
                first += chunk;
            }
        }
        chunk /= 2;
    }
    for computes in [0, 2] {
        let named = best.steps.iter().map(|(_, fault)| fault.highest()).max().unwrap_or(0);
        let fewer = Script { computes, ..best.clone() };
        if computes < best.computes
            && named < best.controllers + computes
            && let Some(at) = try_one(&fewer)
        {
            best = fewer;
            end_at(&mut best, at);
        }
    }
    best
}

/// What is after the violation has no part in it.
fn end_at(script: &mut Script, at: Duration) {
    script.steps.retain(|(step, _)| *step <= at);
    // A little later, so that it fails while it runs.
    script.length = at + Duration::from_millis(100);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{Shape, Verb};

    #[test]
    fn two_steps_that_matter_are_what_is_left() {
        let script = Script::roll(3, Shape::Mixed);
        let wanted = [Verb::PowerOff, Verb::Mend];
        let fails = |script: &Script| {
            let off = script.steps.iter().position(|(_, fault)| fault.verb == wanted[0])?;
            let later = script.steps[off..].iter().find(|(_, fault)| fault.verb == wanted[1])?;
            Some(later.0)
        };
        assert!(fails(&script).is_some() && script.steps.len() > 40, "{}", script.steps.len());
        let short = shrink(&script, fails);
        let verbs: Vec<_> = short.steps.iter().map(|(_, fault)| fault.verb).collect();
        assert_eq!(verbs, wanted);
        assert!(short.length < script.length && short.computes == 0);
    }
}
