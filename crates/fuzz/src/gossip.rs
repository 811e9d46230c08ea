//! Bodies of gossip: foca's rumours and ours.

use std::time::Duration;

use base::Time;
use engine::gossip::{self, Action, Gossip, Input, Roster};
use engine::packet::{Kind, MAX_BODY, MAX_NETWORKS, Opened, PairSecret, Seal};

const NODES: u16 = 5;
const CONTROLLERS: u16 = 2;
/// One body makes a machine say less than this.
const MOST: usize = 64;

/// First who hears it and from whom, then the body; it comes twice, and time goes on.
pub(crate) fn body(bytes: &[u8]) {
    if let Some(again) = gossip::print_again(bytes) {
        assert!(again.len() <= bytes.len());
        assert_eq!(gossip::print_again(&again), Some(again));
    }
    let [who, body @ ..] = bytes else { return };
    if body.len() > MAX_BODY {
        return;
    }
    let (me, sender) = (u16::from(who & 1) * CONTROLLERS, u16::from(who >> 4) % NODES);
    let mut seal = Seal::new("c", me, 7);
    seal.accept(u16::from(me == 0), 0, &PairSecret::new([7; 32]));
    let mut on = [false; MAX_NETWORKS];
    on[..2].fill(true);
    let roster = Roster {
        controllers: CONTROLLERS,
        networks: vec!["m".to_owned(), "s".to_owned()],
        on: vec![on; usize::from(NODES)],
        detect: Duration::from_secs(1),
    };
    let mut now = Time::from_nanos(1_000_000_000);
    let mut node = Gossip::new(roster, me, seal, 1, now);
    for seq in 1..=2 {
        let kind = Kind::Gossip;
        let packet = Opened { sender, network: 0, kind, incarnation: 9, seq, body };
        let mut out = vec![];
        node.step(now, Input::Opened { network: 0, packet }, &mut out);
        check(&out, me);
        for _ in 0..20 {
            now = node.deadline().max(now);
            out.clear();
            node.step(now, Input::Timeout, &mut out);
            check(&out, me);
        }
    }
}

fn check(out: &[Action], me: u16) {
    assert!(out.len() < MOST, "{} orders", out.len());
    for action in out {
        if let Action::Send { to, body, .. } = action {
            assert!(*to != me && *to < NODES, "sent to {to}");
            assert!(body.len() <= MAX_BODY);
            assert!(gossip::print_again(body).is_some(), "what is said can be read");
        }
    }
}
