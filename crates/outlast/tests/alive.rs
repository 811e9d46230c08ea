//! Who does not answer is replaced, and who cannot live is not started.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use api::Role;
use lonely::{Lonely, alone, has_vip, kill, runs, until};

#[test]
fn a_frozen_agent_is_replaced_and_nobody_else_notices() {
    alone("a_frozen_agent_is_replaced_and_nobody_else_notices", || {
        frozen(Role::Agent, "agent-lost", &[Role::Proxy, Role::Vip, Role::Services]);
    });
}

#[test]
fn a_frozen_dashboard_is_replaced_and_nobody_else_notices() {
    alone("a_frozen_dashboard_is_replaced_and_nobody_else_notices", || {
        frozen(Role::Services, "services-lost", &[Role::Proxy, Role::Vip, Role::Agent]);
    });
}

fn frozen(role: Role, event: &str, others: &[Role]) {
    let mut node = Lonely::new();
    node.start();
    let before = node.process(role);
    let others_before: Vec<i32> = others.iter().map(|role| node.process(*role)).collect();
    // Judged by its silence only since its first answer, which comes with the first status.
    std::thread::sleep(std::time::Duration::from_secs(1));
    kill(before, "STOP");
    until("the frozen one is gone", || !runs(before));
    until("there is a new one", || node.process(role) != before);
    let lost = |event_of: &api::Event| event_of.what == event;
    until("it is told", || node.events().iter().any(lost));
    let lost = node.events().into_iter().find(lost).expect("it was told");
    assert!(lost.evidence.starts_with("frozen: no answer for 2.0 s"), "{}", lost.evidence);
    let others_now: Vec<i32> = others.iter().map(|role| node.process(*role)).collect();
    assert_eq!(others_now, others_before);
    assert!(node.serves(node.port) && has_vip());
}
