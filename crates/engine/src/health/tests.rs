use proptest::prelude::*;

use super::*;

fn check(rise: u32, fall: u32) -> Check {
    Check {
        interval: ms(2000),
        fast_interval: Some(ms(500)),
        down_interval: Some(ms(5000)),
        rise,
        fall,
        address: None,
        port: None,
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn at(millis: u64) -> Time {
    Time::ZERO + ms(millis)
}

/// `+` passed, `-` failed; what came of each: `U`p, `D`own, nothing.
fn run(health: &mut Health, answers: &str) -> String {
    answers
        .chars()
        .map(|answer| match health.record(Time::ZERO, answer == '+') {
            Some(Change::Up) => 'U',
            Some(Change::Down) => 'D',
            None => '.',
        })
        .collect()
}

#[test]
fn rise_and_fall_are_counted_as_haproxy_counts() {
    for (rise, fall, answers, expected) in [
        // A start: up, but on trial.
        (2, 5, "-", "D"),
        (2, 5, "+----", "....."),
        (2, 5, "+-----", ".....D"),
        (2, 5, "+----+-----", "..........D"),
        // Back: rise successes in a row.
        (2, 5, "-+", "D."),
        (2, 5, "-++", "D.U"),
        (2, 5, "-+-+-++", "D.....U"),
        (2, 5, "-++-----", "D.U....D"),
        (3, 1, "-+++-", "D..UD"),
        (1, 1, "-+-+", "DUDU"),
    ] {
        let mut health = Health::new(&check(rise, fall), Time::ZERO);
        assert_eq!(run(&mut health, answers), expected, "rise {rise} fall {fall} {answers}");
    }
}

#[test]
fn progress_is_shown_as_in_haproxys_log() {
    let mut health = Health::new(&check(2, 3), Time::ZERO);
    let mut seen = Vec::new();
    for answer in ["+", "-", "-", "-", "+", "+"] {
        run(&mut health, answer);
        seen.push((health.progress(), health.is_up()));
    }
    // "status: 3/3 UP", "2/3 UP", "1/3 UP", "0/2 DOWN", "1/2 DOWN", "3/3 UP"
    let expected = [
        ((3, 3), true),
        ((2, 3), true),
        ((1, 3), true),
        ((0, 2), false),
        ((1, 2), false),
        ((3, 3), true),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn the_interval_is_fast_only_while_something_changes() {
    let mut health = Health::new(&check(2, 2), at(0));
    let mut intervals = Vec::new();
    for passed in [true, false, false, true, true] {
        health.record(at(1000), passed);
        intervals.push(health.next_check_at() - at(1000));
    }
    assert_eq!(intervals, [ms(2000), ms(500), ms(5000), ms(500), ms(2000)]);
}

#[test]
fn intervals_that_are_not_given_are_the_plain_one() {
    let plain = Check { fast_interval: None, down_interval: None, ..check(2, 2) };
    let mut health = Health::new(&plain, at(7));
    assert_eq!(health.next_check_at(), at(7));
    for passed in [true, false, false, true] {
        health.record(at(1000), passed);
        assert_eq!(health.next_check_at(), at(3000));
    }
}

#[test]
fn first_checks_are_spread_over_one_interval() {
    let due = |n| first_check_at(at(100), n, 4, ms(2000));
    assert_eq!([due(0), due(1), due(2), due(3)], [at(100), at(600), at(1100), at(1600)]);
}

#[test]
fn a_check_has_one_interval_unless_timeout_check_is_set() {
    let health = Health::new(&check(2, 2), Time::ZERO);
    let limits = |check: Option<u64>, connect: Option<u64>| {
        let timeouts =
            Timeouts { check: check.map(ms), connect: connect.map(ms), ..Timeouts::default() };
        let Limits { connect, answer, apart } = health.limits(&timeouts);
        (connect.as_millis(), answer.as_millis(), apart)
    };
    assert_eq!(limits(None, Some(100)), (2000, 2000, false));
    assert_eq!(limits(Some(10_000), Some(300)), (300, 10_000, true));
    assert_eq!(limits(Some(700), Some(10_000)), (2000, 700, true));
}

#[test]
fn the_operators_word_counts_at_once() {
    let mut health = Health::new(&check(2, 3), Time::ZERO);
    health.force(false);
    assert_eq!((health.is_up(), run(&mut health, "++").as_str()), (false, ".U"));
    health.force(false);
    health.force(true);
    assert_eq!(run(&mut health, "---"), "..D");
}

proptest! {
    /// A reload loses no answer: the next process changes its mind at the same moment.
    #[test]
    fn the_next_generation_goes_on_counting(
        rise in 1_u32..6, fall in 1_u32..6,
        before in "[+-]{0,20}", after in "[+-]{0,20}",
    ) {
        let mut old = Health::new(&check(rise, fall), Time::ZERO);
        run(&mut old, &before);
        let mut new = Health::new(&check(rise, fall), Time::ZERO);
        new.restore(old.is_up(), old.count());
        prop_assert_eq!(run(&mut old, &after), run(&mut new, &after));
    }
}

#[test]
fn a_count_from_a_file_with_longer_rise_and_fall_changes_nothing_by_itself() {
    let mut health = Health::new(&check(2, 2), Time::ZERO);
    health.restore(true, 99);
    assert!(health.is_up());
    health.restore(false, 99);
    assert!(!health.is_up());
    assert_eq!(run(&mut health, "+"), "U");
}

fn seen(evidence: &[(u64, Evidence)]) -> Suspicion {
    let mut suspicion = Suspicion::new(true);
    for (when, evidence) in evidence {
        suspicion.step(at(*when), *evidence);
    }
    suspicion
}

const fn pending(since: u64, other: Option<u64>) -> Evidence {
    let other = match other {
        Some(millis) => Some(Time::from_nanos(millis * 1_000_000)),
        None => None,
    };
    let since = Time::from_nanos(since * 1_000_000);
    Evidence::ConnectPending { since, patience: Duration::from_millis(200), other }
}

fn unanswered(since: u64, other: Option<u64>) -> Evidence {
    Evidence::Unanswered { since: at(since), other: other.map(at) }
}

fn passed(started: u64, answered: bool) -> Evidence {
    Evidence::CheckPassed { started: at(started), answered }
}

/// Every kind of evidence, just enough of it and just not; what refutes it and what does not.
#[test]
fn evidence_speaks_against_a_server_until_it_is_refuted() {
    use Evidence::{Answered, Connected, Node, Proven, Refused, Silence, Timeout};
    const SILENT: Evidence = Silence { until: Some(Time::from_nanos(1_500_000_000)) };
    for (story, expected) in [
        (vec![(0, Node(Standing::Unknown)), (1, Node(Standing::Alive))], false),
        (vec![(0, Node(Standing::Suspect))], true),
        (vec![(0, Node(Standing::Left))], true),
        (vec![(0, Node(Standing::Suspect)), (9, Node(Standing::Alive))], false),
        (vec![(0, Node(Standing::Suspect)), (9, Connected), (9, passed(8, true))], true),
        (vec![(0, Proven(true)), (9, Connected), (9, passed(8, true))], true),
        (vec![(0, Proven(true)), (1, Node(Standing::Alive)), (9, Proven(false))], false),
        (vec![(100, SILENT)], true),
        (vec![(100, SILENT), (101, Silence { until: None })], false),
        (vec![(100, SILENT), (150, Connected)], false),
        (vec![(100, SILENT), (150, Answered)], false),
        (vec![(100, SILENT), (150, passed(99, true))], true),
        (vec![(100, SILENT), (150, passed(100, false))], false),
        (vec![(100, SILENT), (150, Node(Standing::Alive))], true),
        (vec![(100, SILENT), (1499, Timeout)], true),
        (vec![(100, SILENT), (1500, Timeout)], false),
        (vec![(100, SILENT), (900, Node(Standing::Suspect)), (1500, Timeout)], true),
        (vec![(100, Refused)], true),
        (vec![(100, Refused), (150, passed(99, true))], true),
        (vec![(100, Refused), (150, passed(100, false))], false),
        (vec![(100, Refused), (150, Connected)], false),
        (vec![(100, Refused), (150, Answered)], false),
        (vec![(300, pending(100, Some(101)))], true),
        (vec![(299, pending(100, Some(101)))], false),
        (vec![(300, pending(100, Some(100)))], false),
        (vec![(300, pending(100, None))], false),
        (vec![(300, pending(100, Some(200))), (400, passed(299, true))], true),
        (vec![(300, pending(100, Some(200))), (400, passed(301, false))], false),
        (vec![(300, pending(100, Some(200))), (400, Connected)], false),
        (vec![(1101, unanswered(100, Some(500)))], true),
        (vec![(1100, unanswered(100, Some(500)))], false),
        (vec![(1101, unanswered(100, Some(100)))], false),
        (vec![(1101, unanswered(100, None))], false),
        // The kernel of a frozen process accepts.
        (vec![(1101, unanswered(100, Some(500))), (1200, Connected)], true),
        (vec![(1101, unanswered(100, Some(500))), (1200, passed(1150, false))], true),
        (vec![(1101, unanswered(100, Some(500))), (1200, passed(1150, true))], false),
        (vec![(1101, unanswered(100, Some(500))), (1200, Answered)], false),
        // Slow, not silent: it answered others since.
        (vec![(600, Answered), (1101, unanswered(100, Some(500)))], false),
        (vec![(1101, unanswered(100, Some(500))), (6101, Timeout)], false),
        (vec![(1101, unanswered(100, Some(500))), (6100, Timeout)], true),
        // The same two old requests do not count twice.
        (
            vec![
                (1101, unanswered(100, Some(500))),
                (6101, Timeout),
                (6102, unanswered(100, Some(6000))),
            ],
            false,
        ),
        (
            vec![
                (1101, unanswered(100, Some(500))),
                (6101, Timeout),
                (7200, unanswered(6150, Some(7000))),
            ],
            true,
        ),
    ] {
        assert_eq!(seen(&story).is_suspect(), expected, "{story:?}");
    }
}

#[test]
fn what_no_check_can_refute_expires() {
    let mut unchecked = Suspicion::new(false);
    assert!(unchecked.step(at(100), Evidence::Refused));
    assert_eq!(unchecked.deadline(), at(5100));
    assert!(!unchecked.step(at(5099), Evidence::Timeout));
    assert!(unchecked.step(at(5100), Evidence::Timeout));
    assert_eq!((unchecked.is_suspect(), unchecked.deadline()), (false, Time::NEVER));

    let mut checked = Suspicion::new(true);
    checked.step(at(100), Evidence::Refused);
    assert_eq!(checked.deadline(), Time::NEVER);
    checked.step(at(100), Evidence::Silence { until: Some(at(700)) });
    assert_eq!(checked.deadline(), at(700));
    assert!(checked.why().contains("silent in vip beats"), "{}", checked.why());
    checked.step(at(60_000), Evidence::Timeout);
    assert!(checked.is_suspect(), "its checks decide");
}

#[test]
fn a_change_is_reported_once() {
    let mut suspicion = Suspicion::new(true);
    assert!(suspicion.step(at(0), Evidence::Refused));
    assert!(!suspicion.step(at(1), Evidence::Node(Standing::Left)));
    assert!(!suspicion.step(at(2), Evidence::Connected), "the node still speaks against it");
    assert!(suspicion.step(at(3), Evidence::Node(Standing::Alive)));
}

#[test]
fn all_evidence_is_named_with_its_age() {
    let suspicion = seen(&[
        (0, Evidence::Node(Standing::Suspect)),
        (500, Evidence::Refused),
        (1500, pending(1000, Some(1200))),
        (2000, unanswered(900, Some(1200))),
    ]);
    assert_eq!(
        suspicion.why(),
        "its node is silent on every network; it refused a connection; \
         a connect was silent while another server answered; \
         requests were unanswered for 1 s while another server answered"
    );
    assert_eq!(seen(&[]).why(), "");
}
