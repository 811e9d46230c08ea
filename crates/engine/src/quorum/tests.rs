use std::time::Duration;

use base::Time;

use super::*;
use crate::Buffer;
use crate::intent::{Action, Input, Leader, Step, Wish};
use crate::kv::Token;
use crate::tenure::{self, End, MARGIN, Tenure};

#[test]
fn a_majority_is_more_than_half() {
    let rows = [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (32, 17)];
    for (nodes, needed) in rows {
        assert_eq!(majority(nodes), needed);
        assert!(has_majority(needed, nodes) && !has_majority(needed - 1, nodes), "{nodes}");
        // Two majorities of one cluster share a node.
        assert!(2 * majority(nodes) > nodes);
    }
}

#[test]
fn every_layer_has_one_row_with_a_reason_and_a_proof() {
    for (at, row) in TABLE.iter().enumerate() {
        assert!(TABLE[..at].iter().all(|before| before.layer != row.layer), "{}", row.layer);
        assert!(!row.means.is_empty() && !row.because.is_empty());
        assert!(row.proof.contains("::"), "{}", row.layer);
    }
}

#[test]
fn nothing_is_ordered_before_it_is_committed() {
    let mut leader = Leader::new(Time::ZERO, (1, Token(1)), 0, vec![]);
    let step = Step { node: "a".to_owned(), verb: "do".to_owned(), object: "x".to_owned() };
    let (what, object) = ("move".to_owned(), "vip/x".to_owned());
    let wish = Wish { what, object, steps: vec![step], ..Wish::default() };
    let asked = Input::Asked { asker: 1, wish };
    let mut now = Time::ZERO;
    let mut out = Buffer::new();
    leader.step(now, asked, &mut out);
    assert!(matches!(out.drain().collect::<Vec<_>>()[..], [Action::Commit { .. }]));
    // The store never answers.
    for _ in 0..600 {
        now += Duration::from_secs(1);
        leader.step(now, Input::Timeout, &mut out);
        assert!(out.is_empty(), "at {now}: {:?}", out.drain().collect::<Vec<_>>());
    }
}

#[test]
fn a_holder_that_reaches_no_store_stops_before_another_can_begin() {
    let limit = Duration::from_secs(10);
    let mut tenure = Tenure::new(limit);
    let mut out = Buffer::new();
    tenure.step(Time::ZERO, tenure::Input::Want(true), &mut out);
    let granted = tenure::Input::Granted { question: 1, token: Token(9) };
    tenure.step(Time::ZERO, granted, &mut out);
    out.clear();
    let mut stopped = None;
    while stopped.is_none() {
        let now = tenure.deadline();
        assert!(now < Time::ZERO + limit, "it still acts at {now}");
        tenure.step(now, tenure::Input::Timeout, &mut out);
        for action in out.drain() {
            if action == (tenure::Action::Stop { token: Token(9), why: End::TimeIsUp }) {
                stopped = Some(now);
            }
        }
    }
    assert_eq!(stopped, Some(Time::ZERO + limit - MARGIN));
}
