use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::evidence::Ailment;

fn at(millis: u64) -> Time {
    Time::ZERO + Duration::from_millis(millis)
}

const NOW: u64 = 100_000;

/// A node that beats, seen by one that has nothing against itself.
fn case() -> Case {
    Case {
        now: at(NOW),
        times: Times::default(),
        before: Verdict::Alive,
        proof: None,
        own: Own { judge_from: Time::ZERO, linked: true, quorum: true, reference: true },
        other: Other {
            goodbye: false,
            known: true,
            silent_at: at(NOW + 900),
            heard: true,
            cut: Networks::NONE,
            cut_since: Time::NEVER,
            cut_everywhere: false,
            refused: None,
            ailments: Ailments::NONE,
            ailing_since: Time::NEVER,
            failing_since: None,
            quarantined_until: Time::ZERO,
            asked: Asked::Answered,
        },
    }
}

fn storage() -> Networks {
    Networks::from_iter([1])
}

fn proof() -> Proof {
    Proof::committed(NonZeroU64::new(812).unwrap(), Death::Fenced)
}

fn check(change: impl FnOnce(&mut Case), verdict: Verdict, rule: &str) {
    let mut case = case();
    change(&mut case);
    let judgement = judge(&case);
    assert_eq!((judgement.verdict, judgement.rule.name), (verdict, rule), "{case:?}");
}

const SILENT: fn(&mut Case) = |case| {
    case.other.silent_at = at(NOW);
    case.other.heard = false;
};

#[test]
fn each_rule_has_a_case_in_which_it_decides() {
    let mut decided = BTreeSet::new();
    let mut is = |rule: &'static str, verdict, change: &dyn Fn(&mut Case)| {
        check(change, verdict, rule);
        decided.insert(rule);
    };
    is("alive", Verdict::Alive, &|_| {});
    is("proven-dead", Verdict::ProvenDead(proof()), &|case| case.proof = Some(proof()));
    is("goodbye", Verdict::Leaving, &|case| {
        SILENT(case);
        case.other.goodbye = true;
    });
    is("own-timers", Verdict::Alive, &|case| {
        SILENT(case);
        case.own.judge_from = at(NOW + 1);
    });
    is("own-links", Verdict::Alive, &|case| {
        SILENT(case);
        case.own.linked = false;
    });
    is("own-quorum", Verdict::Suspect, &|case| {
        SILENT(case);
        case.own.quorum = false;
    });
    is("own-reference", Verdict::Alive, &|case| {
        SILENT(case);
        (case.own.quorum, case.own.reference) = (false, false);
    });
    is("never-heard", Verdict::Unknown, &|case| {
        case.other = Other { known: false, silent_at: Time::NEVER, heard: false, ..case.other };
    });
    is("silent-everywhere", Verdict::Unreachable, &|case| SILENT(case));
    is("unanswered", Verdict::Unreachable, &|case| case.other.asked = Asked::Unanswered);
    is("declared", Verdict::Suspect, &|case| case.other.asked = Asked::Declared);
    is("silent-here", Verdict::Suspect, &|case| case.other.silent_at = at(NOW - 199));
    is("heard-elsewhere", Verdict::Alive, &|case| case.other.silent_at = at(NOW - 200));
    is("quarantine", Verdict::Suspect, &|case| case.other.quarantined_until = at(NOW + 1));
    is("cut-off", Verdict::CutOff { networks: storage() }, &|case| {
        (case.other.cut, case.other.cut_since) = (storage(), at(NOW - 200));
    });
    is("heard-outside", Verdict::Suspect, &|case| {
        (case.other.cut, case.other.cut_since) = (storage(), at(NOW - 200));
        case.other.cut_everywhere = true;
    });
    is("agent-gone", Verdict::Suspect, &|case| {
        case.other.refused = Some((at(NOW - 50), at(NOW)));
    });
    is("ailing", Verdict::Suspect, &|case| {
        case.other.ailments.set(Ailment::Mount, true);
        case.other.ailing_since = at(NOW - 2000);
    });
    is("not-serving", Verdict::Suspect, &|case| case.other.failing_since = Some(at(NOW - 2000)));
    let all: BTreeSet<_> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(decided, all);
}

#[test]
fn a_moment_earlier_no_rule_decides_yet() {
    for change in [
        (|case| case.other.silent_at = at(NOW + 1)) as fn(&mut Case),
        |case| (case.other.cut, case.other.cut_since) = (storage(), at(NOW - 199)),
        |case| case.other.refused = Some((at(NOW - 49), at(NOW))),
        |case| case.other.refused = Some((at(NOW - 2100), at(NOW - 2000))),
        |case| {
            case.other.ailments.set(Ailment::Disk, true);
            case.other.ailing_since = at(NOW - 1999);
        },
        |case| case.other.failing_since = Some(at(NOW - 1999)),
        |case| case.other.quarantined_until = at(NOW),
        |case| case.own.judge_from = at(NOW + 1),
    ] {
        check(change, Verdict::Alive, "alive");
    }
}

#[test]
fn what_this_node_has_against_itself_comes_before_all_that_accuses() {
    let position = |name: &str| RULES.iter().position(|rule| rule.name == name).unwrap();
    let own = ["own-timers", "own-links", "own-quorum"].map(position);
    let accusing =
        ["unanswered", "declared", "silent-everywhere", "silent-here", "cut-off", "agent-gone"]
            .map(position);
    assert!(own.iter().max() < accusing.iter().min());
}

/// It was cut off on one network, or outside on all, or came and went: that nothing listens there now says more.
#[test]
fn refusals_outweigh_what_was_wrong_with_a_node_before_and_silence_outweighs_them() {
    let gone = |case: &mut Case| case.other.refused = Some((at(NOW - 50), at(NOW)));
    let cut = |case: &mut Case| {
        (case.other.cut, case.other.cut_since) = (storage(), at(NOW - 5000));
        gone(case);
    };
    check(cut, Verdict::Suspect, "agent-gone");
    let outside = |case: &mut Case| {
        cut(case);
        case.other.cut_everywhere = true;
    };
    check(outside, Verdict::Suspect, "agent-gone");
    let quarantined = |case: &mut Case| {
        gone(case);
        case.other.quarantined_until = at(NOW + 1);
    };
    check(quarantined, Verdict::Suspect, "agent-gone");
    let silent = |case: &mut Case| {
        cut(case);
        SILENT(case);
    };
    check(silent, Verdict::Unreachable, "silent-everywhere");
    let silent_here = |case: &mut Case| {
        gone(case);
        case.other.silent_at = at(NOW - 200);
    };
    check(silent_here, Verdict::Alive, "heard-elsewhere");
    let stale = |case: &mut Case| {
        cut(case);
        case.other.refused = Some((at(NOW - 2050), at(NOW - 2000)));
    };
    check(stale, Verdict::CutOff { networks: storage() }, "cut-off");
}

#[test]
fn without_a_majority_of_the_controllers_no_question_makes_a_node_unreachable() {
    let change = |case: &mut Case| {
        (case.other.asked, case.own.quorum) = (Asked::Unanswered, false);
        case.other.silent_at = at(NOW);
    };
    check(change, Verdict::Suspect, "own-quorum");
}

#[test]
fn who_never_heard_a_node_believes_those_who_lost_it() {
    check(
        |case| (case.other.silent_at, case.other.heard) = (Time::NEVER, false),
        Verdict::Unreachable,
        "silent-everywhere",
    );
}

#[test]
fn times_follow_from_the_setting() {
    let told = |millis| {
        let times = Times::new(Duration::from_millis(millis));
        format!("{:?} {:?} {:?}", times.detect(), times.beat_every(), times.confirm())
    };
    assert_eq!(told(1000), "1s 100ms 200ms");
    assert_eq!(told(300), "300ms 30ms 60ms");
    assert_eq!(told(3000), "3s 300ms 600ms");
    assert_eq!(told(10_000), "10s 1s 2s");
    assert_eq!(told(1), told(300), "no shorter");
    assert_eq!(told(99_000), "30s 1s 2s", "no longer");
}

#[test]
fn measured_stalls_lengthen_the_silence_that_is_tolerated_within_a_limit() {
    let times = Times::default();
    let tolerated = |millis| times.tolerance(Duration::from_millis(millis)).as_millis();
    assert_eq!([tolerated(0), tolerated(100), tolerated(101)], [1000, 1000, 1101]);
    assert_eq!(tolerated(60_000), 2000);
}

fn any_time() -> impl Strategy<Value = Time> {
    prop_oneof![
        Just(Time::NEVER),
        Just(Time::ZERO),
        (NOW - 3000..NOW + 3000).prop_map(|millis| at(millis / 7 * 7)),
    ]
}

fn any_verdict() -> impl Strategy<Value = Verdict> {
    prop::sample::select(vec![
        Verdict::Unknown,
        Verdict::Alive,
        Verdict::Suspect,
        Verdict::CutOff { networks: storage() },
        Verdict::Unreachable,
        Verdict::Leaving,
    ])
}

fn any_own() -> impl Strategy<Value = Own> {
    (any_time(), any::<[bool; 3]>()).prop_map(|(judge_from, [linked, quorum, reference])| Own {
        judge_from,
        linked,
        quorum,
        reference,
    })
}

fn any_other() -> impl Strategy<Value = Other> {
    let moments = (any_time(), any_time(), any_time(), any_time());
    let refused = prop::option::of((any_time(), any_time()));
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (flags, moments, refused, prop::option::of(any_time()), any::<u8>()).prop_map(
        |(
            (goodbye, known, heard, cut, everywhere),
            (silent_at, cut_since, ailing_since, until),
            refused,
            failing_since,
            ailments,
        )| Other {
            goodbye,
            known,
            silent_at,
            heard,
            cut: if cut { storage() } else { Networks::NONE },
            cut_since,
            cut_everywhere: everywhere,
            refused,
            ailments: Ailments::from_byte(ailments),
            ailing_since,
            failing_since,
            quarantined_until: until,
            asked: Asked::Answered,
        },
    )
}

fn any_case() -> impl Strategy<Value = Case> {
    (any_verdict(), any_own(), any_other()).prop_map(|(before, own, other)| Case {
        before,
        own,
        other,
        ..case()
    })
}

proptest! {
    /// Whatever is seen: no proof, no proven death; a proof, nothing else.
    #[test]
    fn only_a_committed_proof_makes_a_proven_death(mut case in any_case()) {
        prop_assert!(!matches!(judge(&case).verdict, Verdict::ProvenDead(_)));
        case.proof = Some(proof());
        prop_assert_eq!(judge(&case).verdict, Verdict::ProvenDead(proof()));
    }

    /// Late or without links, a node says nothing new about one that it does not hear.
    #[test]
    fn who_suspects_itself_accuses_nobody(mut case in any_case(), late: bool) {
        case.other.silent_at = at(NOW);
        case.other.goodbye = false;
        case.other.known = true;
        if late { case.own.judge_from = at(NOW + 1) } else { case.own.linked = false }
        prop_assert_eq!(judge(&case).verdict, case.before);
    }

    /// Without a majority nobody becomes unreachable.
    #[test]
    fn without_a_majority_nobody_becomes_unreachable(mut case in any_case()) {
        case.own.quorum = false;
        case.before = Verdict::Alive;
        prop_assert_ne!(judge(&case).verdict, Verdict::Unreachable);
    }

    /// Without a majority nobody is cut off.
    #[test]
    fn without_a_majority_nobody_is_called_cut_off(mut case in any_case()) {
        case.own.quorum = false;
        case.before = Verdict::Alive;
        let is_cut_off = matches!(judge(&case).verdict, Verdict::CutOff { .. });
        prop_assert!(!is_cut_off);
    }

    /// Who is outside everywhere, and heard, is called cut off by nobody who did not before.
    #[test]
    fn who_is_heard_is_not_cut_off_from_all(mut case in any_case()) {
        case.other.cut_everywhere = true;
        case.before = Verdict::Alive;
        let is_cut_off = matches!(judge(&case).verdict, Verdict::CutOff { .. });
        prop_assert!(!is_cut_off);
    }

    /// Late, a node calls nobody cut off who was not before.
    #[test]
    fn who_was_late_calls_nobody_cut_off_anew(mut case in any_case()) {
        case.own.judge_from = at(NOW + 1);
        let is_new = judge(&case).verdict != case.before;
        let is_cut_off = matches!(judge(&case).verdict, Verdict::CutOff { .. });
        prop_assert!(!(is_new && is_cut_off));
    }

    /// Between now and the moment that `due` tells, time alone changes nothing.
    #[test]
    fn nothing_changes_before_it_is_due(case in any_case(), share in 0..1000_u64) {
        let due = due(&case);
        prop_assert!(due > case.now);
        let span = due.min(at(NOW + 60_000)).since(case.now);
        let later = case.now + span.mul_f64(0.001 * share as f64);
        if later < due {
            let then = judge(&Case { now: later, ..case });
            prop_assert_eq!(judge(&case).verdict, then.verdict);
            prop_assert_eq!(judge(&case).rule.name, then.rule.name);
        }
    }
}

/// A machine whose kernel refuses, or whom another hears, is on; silence tells of neither.
#[test]
fn who_gives_a_sign_of_life_is_not_off() {
    let judged = |verdict, name: &str| {
        let rule = RULES.iter().find(|rule| rule.name == name).unwrap();
        Judgement { verdict, rule }.tells_of_life()
    };
    for rule in ["heard-outside", "agent-gone", "ailing", "not-serving", "quarantine"] {
        assert!(judged(Verdict::Suspect, rule), "{rule}");
    }
    for rule in ["silent-here", "own-quorum", "declared"] {
        assert!(!judged(Verdict::Suspect, rule), "{rule}");
    }
    for rule in ["own-timers", "own-links", "own-reference"] {
        assert!(!judged(Verdict::Alive, rule), "{rule}: what was concluded before");
        assert!(!judged(Verdict::Suspect, rule), "{rule}");
    }
    assert!(judged(Verdict::Alive, "heard-elsewhere"));
    assert!(judged(Verdict::CutOff { networks: storage() }, "cut-off"));
    assert!(!judged(Verdict::Unreachable, "silent-everywhere"));
    assert!(!judged(Verdict::Leaving, "goodbye"));
}
