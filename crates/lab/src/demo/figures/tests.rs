use std::time::Duration;

use super::*;
use crate::client::Write;

const BOTH: &[Port] = &[Port::Api, Port::Database];

fn at(ms: u64) -> Time {
    Time::ZERO + Duration::from_millis(ms)
}

fn sample(port: Port, scheduled: u64, ended: u64, outcome: Result<&str, &str>) -> Sample {
    let outcome = match outcome {
        Ok(server) => Outcome::Answered(server.into()),
        Err(why) => Outcome::Failed(why.into()),
    };
    Sample { port, scheduled: at(scheduled), ended: at(ended), outcome }
}

fn run(samples: Vec<Sample>, writes: Vec<Write>) -> Run {
    Run { samples, writes, interval: Duration::from_millis(5) }
}

fn figures(run: &Run, judged: &'static [Port]) -> Figures {
    let span = Span { fault: at(100), end: at(200), judged };
    Figures::new(run, &Watched::default(), span, 0.0)
}

#[test]
fn the_outage_is_the_longest_gap_less_the_schedule() {
    let good = [90, 95, 100, 140, 145, 199];
    let samples = good.map(|t| sample(Port::Api, t - 1, t, Ok("node01"))).to_vec();
    let seen = figures(&run(samples, vec![]), &[Port::Api]);
    assert_eq!((seen.outage_ms, seen.back_at_ms, seen.first_answer_ms), (49.0, 99.0, 40.0));
}

#[test]
fn what_never_comes_back_is_out_until_the_end() {
    let samples = vec![
        sample(Port::Api, 94, 95, Ok("node01")),
        sample(Port::Api, 100, 101, Err("reset")),
        sample(Port::Api, 105, 106, Err("reset")),
    ];
    let seen = figures(&run(samples, vec![]), &[Port::Api]);
    assert_eq!((seen.outage_ms, seen.failed), (100.0, 2));
    assert_eq!(seen.failures["reset"], 2);
}

#[test]
fn the_worse_port_counts() {
    let mut samples: Vec<Sample> =
        (18..40).map(|n| sample(Port::Api, n * 5, n * 5 + 1, Ok("node01"))).collect();
    samples.extend([90, 150, 199].map(|t| sample(Port::Database, t, t, Ok("node01"))));
    let seen = figures(&run(samples, vec![]), BOTH);
    assert_eq!(seen.outage_ms, 55.0);
    assert!(seen.ports["api"].outage_ms < 1.0);
}

#[test]
fn a_late_answer_is_slow_and_not_failed() {
    let samples = vec![sample(Port::Api, 100, 1300, Ok("node01"))];
    let seen = figures(&run(samples, vec![]), &[Port::Api]);
    assert_eq!((seen.slow, seen.failed, seen.longest_ms), (1, 0, 1200.0));
}

#[test]
fn an_answer_of_another_server_during_a_session_means_two_writers() {
    let write = |session, ms, server: &str| Write { session, at: at(ms), server: server.into() };
    let one = vec![write(1, 100, "node01"), write(1, 120, "node01"), write(2, 130, "node02")];
    assert_eq!(figures(&run(vec![], one), BOTH).two_writers, 0);
    let two = vec![write(1, 100, "node01"), write(2, 110, "node02"), write(1, 120, "node01")];
    assert_eq!(figures(&run(vec![], two), BOTH).two_writers, 1);
}

#[test]
fn a_database_that_comes_back_into_use_has_moved_twice() {
    let servers = ["node01", "node01", "node02", "node01"];
    let samples =
        (0..).zip(servers).map(|(n, server)| sample(Port::Database, 100 + n, 101 + n, Ok(server)));
    assert_eq!(figures(&run(samples.collect(), vec![]), BOTH).database_moves, 2);
}
