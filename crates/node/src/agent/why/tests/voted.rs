//! Virtual IPs that are held by votes.

use api::{Gained, LeaseState};

use super::*;

#[test]
fn a_vip_lease_is_explained_by_who_holds_it_in_beats_and_what_ends_it() {
    let mut status = status();
    let left = vec![api::LeaseLeft {
        instance: 0,
        left_us: 28_310,
        least_us: 21_004,
        lapses: 0,
        lapsed_us: 0,
    }];
    status.vip_process =
        Some(api::VipProcess { left, age_ms: Some(420), ..api::VipProcess::default() });
    let vip = &mut status.vips[0];
    vip.state.cause = Some(VipCause::Expired);
    vip.state.vip_lease = Some(LeaseState {
        holder: Some(0),
        votes: true,
        gained: Some(Gained {
            from: Some(1),
            unheard_us: 46_130,
            granted_us: 780,
            lapsed: Some(1),
        }),
        ..LeaseState::default()
    });
    check_in(
        &status,
        "vip/internal",
        expect![[r#"
            vip/internal: held by node01 (this node)
              saw the vip process of this node is master, because what it had granted another node ended (1500 ms ago)
              saw the balancer of this node serves (1500 ms ago)
              saw in vip beats node01 holds it under term 2 (1500 ms ago)
              saw the last beat of node02 came 46.1 ms before this node asked for it, and a majority granted it 0.7 ms later
              saw an operator had moved it to node02, and that word ended with what node02 held: its rules say again where it is
              saw 28.31 ms of it were left, never less than 21.00 ms in the second before (420 ms ago)
              saw the kernel of this node ends its vip lease in time
              saw on eth0, group 121, priority 200 here
              saw preferred order: node01, node02, node03
              rule who holds may answer for one vip lease after it sent the last beat that a majority of the controllers granted, and each of them promised it to nobody else for longer; nobody takes it back (no fail-back)
              then node02 takes it when this node's balancer does not serve for 100 ms, or is lost twice in 10 s
              then node02 takes it when eth0 loses its carrier
              then node02 takes it when the others hear each other on its network and not this node, which they hear elsewhere
              then it is gone here one vip lease after the last beat that a majority granted, and node02 asks for it
        "#]],
    );
    status.vip_process = None;
    let vip = &mut status.vips[0];
    (vip.state.role, vip.state.holding) = (VipRole::Backup, false);
    vip.state.cause = Some(VipCause::Majority);
    let not_enforced = Some("no right".to_owned());
    vip.state.vip_lease = Some(LeaseState { votes: false, not_enforced, ..LeaseState::default() });
    vip.holders = vec![];
    check_in(
        &status,
        "vip/internal",
        expect![[r#"
            vip/internal: no node that is known here says that it holds it; node01 stands by
              saw the vip process of this node is backup, because no majority of the controllers granted it (1500 ms ago)
              saw the balancer of this node serves (1500 ms ago)
              saw in vip beats nobody holds it; the last term is 2 (1500 ms ago)
              saw this node grants it to nobody yet: its vip process was just started
              saw the vip lease is not enforced on this node: no right
              saw on eth0, group 121, priority 200 here
              saw preferred order: node01, node02, node03
              rule who holds may answer for one vip lease after it sent the last beat that a majority of the controllers granted, and each of them promised it to nobody else for longer; nobody takes it back (no fail-back)
              then node01 takes it at once when the holder names it
              then node01 asks for it when its promise to the holder ends, one and a half vip leases after the holder's last beat
        "#]],
    );
}

#[test]
fn who_waits_for_proof_says_of_whom_and_what_to_type() {
    let mut status = status();
    let vip = &mut status.vips[0];
    (vip.state.role, vip.state.holding) = (VipRole::Backup, false);
    vip.state.cause = Some(VipCause::Unproven);
    vip.state.vip_lease =
        Some(LeaseState { votes: true, awaits: Some(1), ..LeaseState::default() });
    vip.holders = vec![];
    check_in(
        &status,
        "vip/internal",
        expect![[r#"
            vip/internal: no node that is known here says that it holds it; node01 stands by
              saw the vip process of this node is backup, because it is not proven that the node which may hold it is dead (1500 ms ago)
              saw the balancer of this node serves (1500 ms ago)
              saw in vip beats nobody holds it; the last term is 2 (1500 ms ago)
              saw node02 may hold it, is not heard, and is not proven dead (1500 ms ago)
              saw the kernel of this node ends its vip lease in time
              saw on eth0, group 121, priority 200 here
              saw preferred order: node01, node02, node03
              rule who holds may answer for one vip lease after it sent the last beat that a majority of the controllers granted, and each of them promised it to nobody else for longer; nobody takes it back (no fail-back)
              then node01 asks for it when somebody who saw that node02 is off types `outlast node confirm-off node02 --i-know-it-is-off`
              then node01 asks for it when node02 is heard, and says that it holds nothing
        "#]],
    );
    let vip = &mut status.vips[0];
    vip.state.cause = None;
    vip.state.vip_lease =
        Some(LeaseState { votes: true, votes_only: true, ..LeaseState::default() });
    check_in(
        &status,
        "vip/internal",
        expect![[r#"
            vip/internal: no node that is known here says that it holds it; node01 votes, and never holds it
              saw the vip process of this node is backup (1500 ms ago)
              saw the balancer of this node serves (1500 ms ago)
              saw in vip beats nobody holds it; the last term is 2 (1500 ms ago)
              saw this node grants it to others: it is not in `order`
              saw on eth0, group 121, priority 200 here
              saw preferred order: node01, node02, node03
              rule who holds may answer for one vip lease after it sent the last beat that a majority of the controllers granted, and each of them promised it to nobody else for longer; nobody takes it back (no fail-back)
              then nothing gives it to node01 but a place in `order`
        "#]],
    );
}
