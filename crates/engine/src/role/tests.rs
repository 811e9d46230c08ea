use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

mod aside;
mod dashboard;
mod end;
mod parted;
mod reload;
mod stopped;

fn config() -> Config {
    Config {
        proxy: true,
        vip: true,
        agent: true,
        services: false,
        store: false,
        spare: true,
        drain_limit: Config::DRAIN_LIMIT,
        generation: 1,
    }
}

const fn proxy_only() -> Config {
    Config {
        proxy: true,
        vip: false,
        agent: false,
        services: false,
        store: false,
        spare: true,
        drain_limit: Config::DRAIN_LIMIT,
        generation: 1,
    }
}

const fn reload(generation: u64, vip: bool, agent: bool) -> Input {
    Input::Reload { generation, vip, agent, dashboard: Dashboard::Same, store: false }
}

fn at(millis: u64) -> Time {
    Time::ZERO + Duration::from_millis(millis)
}

/// A supervisor whose processes do what the test says; pings are answered by all but the frozen.
struct Story {
    roles: Roles,
    now: u64,
    frozen: Vec<u32>,
    said: String,
}

impl Story {
    fn new(config: Config) -> Self {
        Self::with_frozen(config, vec![])
    }

    fn with_frozen(config: Config, frozen: Vec<u32>) -> Self {
        let roles = Roles::new(config, at(0));
        let mut story = Self { roles, now: 0, frozen, said: String::new() };
        story.give(Input::Timeout);
        story
    }

    /// With everything up and 20 s passed.
    fn running(config: Config) -> Self {
        let mut story = Self::new(config);
        story.serve(1);
        let spare = story.roles.slot_of(Part::Spare).unwrap();
        story.give(Input::Ready { slot: spare });
        story.pass(20_000);
        story.said.clear();
        story
    }

    /// `slot` becomes ready and, as far as it is activated, serves.
    fn serve(&mut self, slot: u32) {
        self.give(Input::Ready { slot });
        self.give(Input::Serving { slot });
    }

    fn give(&mut self, input: Input) {
        let mut out = Buffer::new();
        self.roles.step(at(self.now), input, &mut out);
        assert_eq!(out.lost(), 0);
        assert!(self.roles.deadline() > at(self.now), "busy loop after {input:?}");
        let mut answers = vec![];
        for action in out.drain() {
            match action {
                Action::Ping { slot, number } => {
                    if !self.frozen.contains(&slot) {
                        answers.push(Input::Pong { slot, number });
                    }
                    continue;
                }
                Action::Lost { slot, role, loss, .. } => {
                    write!(self.said, "{} lost {role:?} {slot}: {loss:?}", self.now).unwrap();
                }
                Action::Spawn { slot, role, generation, warm } => {
                    let spare = if warm { ", spare" } else { "" };
                    write!(self.said, "{} spawn {role:?} {slot} of {generation}{spare}", self.now)
                        .unwrap();
                }
                Action::Tell(balancer) => {
                    write!(self.said, "{} tell {balancer:?}", self.now).unwrap();
                }
                Action::Activate { .. }
                | Action::Drain { .. }
                | Action::Retire { .. }
                | Action::Stop { .. }
                | Action::Kill { .. }
                | Action::Reloaded { .. }
                | Action::ReloadFailed { .. }
                | Action::Done => write!(self.said, "{} {action:?}", self.now).unwrap(),
            }
            self.said.push('\n');
        }
        for answer in answers {
            self.give(answer);
        }
    }

    fn pass(&mut self, millis: u64) {
        let end = self.now + millis;
        loop {
            let due = self.roles.deadline().as_nanos().div_ceil(1_000_000);
            if due > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(due);
            self.give(Input::Timeout);
        }
    }

    fn check(&self, expected: expect_test::Expect) {
        expected.assert_eq(&self.said);
    }
}

#[test]
fn at_the_start_the_proxy_comes_first_and_its_spare_when_it_serves() {
    let mut story = Story::new(config());
    story.pass(20);
    story.serve(1);
    story.pass(5);
    story.give(Input::Ready { slot: 4 });
    story.pass(1000);
    story.check(expect_test::expect![[r#"
        0 spawn Proxy 1 of 1
        0 spawn Vip 2 of 1
        0 spawn Agent 3 of 1
        0 tell Replacing
        20 Activate { slot: 1 }
        20 spawn Proxy 4 of 1, spare
        20 tell Serving
    "#]]);
    assert_eq!(story.roles.slot_of(Part::Proxy), Some(1));
    assert_eq!(story.roles.slot_of(Part::Spare), Some(4));
    assert_eq!(story.roles.starts(Kind::Proxy), 2);
}

#[test]
fn without_a_file_of_proxies_there_is_no_proxy_and_nothing_is_told() {
    let mut story = Story::new(Config { proxy: false, ..config() });
    story.pass(60_000);
    story.check(expect_test::expect![[r#"
        0 spawn Vip 1 of 1
        0 spawn Agent 2 of 1
    "#]]);
}

#[test]
fn a_dead_proxy_is_replaced_in_place() {
    let mut story = Story::running(proxy_only());
    story.give(Input::Exited { slot: 1 });
    story.pass(8);
    story.give(Input::Serving { slot: 2 });
    story.pass(30);
    story.check(expect_test::expect![[r#"
        20000 lost Proxy 1: Exited
        20000 Activate { slot: 2 }
        20000 tell Replacing
        20008 tell Serving
        20010 spawn Proxy 3 of 1, spare
    "#]]);
}

#[test]
fn a_spare_that_is_not_serving_in_100_ms_is_a_failed_balancer_until_it_has_served_2_s() {
    let mut story = Story::running(proxy_only());
    story.give(Input::Exited { slot: 1 });
    story.pass(150);
    story.give(Input::Serving { slot: 2 });
    story.pass(3000);
    story.check(expect_test::expect![[r#"
        20000 lost Proxy 1: Exited
        20000 Activate { slot: 2 }
        20000 tell Replacing
        20100 tell Failed
        20150 spawn Proxy 3 of 1, spare
        22150 tell Serving
    "#]]);
}

#[test]
fn a_spare_that_never_serves_is_killed_and_a_fresh_one_tried() {
    let mut story = Story::running(proxy_only());
    story.give(Input::Exited { slot: 1 });
    story.pass(1100);
    story.give(Input::Exited { slot: 2 });
    story.serve(3);
    story.pass(2500);
    story.check(expect_test::expect![[r#"
        20000 lost Proxy 1: Exited
        20000 Activate { slot: 2 }
        20000 tell Replacing
        20100 tell Failed
        21000 Kill { slot: 2 }
        21000 lost Proxy 2: NotServing
        21010 spawn Proxy 3 of 1
        21100 Activate { slot: 3 }
        21100 spawn Proxy 4 of 1, spare
        23100 tell Serving
    "#]]);
}

#[test]
fn a_second_loss_within_10_s_moves_the_address() {
    let mut story = Story::running(proxy_only());
    story.give(Input::Exited { slot: 1 });
    story.give(Input::Serving { slot: 2 });
    story.pass(20);
    story.give(Input::Ready { slot: 3 });
    story.pass(9900);
    story.give(Input::Exited { slot: 2 });
    story.give(Input::Serving { slot: 3 });
    story.pass(2500);
    story.check(expect_test::expect![[r#"
        20000 lost Proxy 1: Exited
        20000 Activate { slot: 2 }
        20000 tell Replacing
        20000 tell Serving
        20010 spawn Proxy 3 of 1, spare
        29920 lost Proxy 2: Exited
        29920 Activate { slot: 3 }
        29920 tell Failed
        29930 spawn Proxy 4 of 1, spare
        31920 tell Serving
    "#]]);
}

#[test]
fn losses_more_than_10_s_apart_are_accidents() {
    let mut story = Story::running(proxy_only());
    for old in 1..5 {
        story.give(Input::Exited { slot: old });
        story.give(Input::Serving { slot: old + 1 });
        story.pass(100);
        story.give(Input::Ready { slot: old + 2 });
        story.pass(10_000);
    }
    assert!(!story.said.contains("Failed"), "{}", story.said);
}

#[test]
fn a_frozen_proxy_is_killed_and_replaced() {
    let mut story = Story::running(proxy_only());
    story.frozen.push(1);
    story.pass(420);
    story.give(Input::Serving { slot: 2 });
    story.give(Input::Exited { slot: 1 });
    story.pass(10);
    story.check(expect_test::expect![[r#"
        20400 Kill { slot: 1 }
        20400 lost Proxy 1: Frozen
        20400 Activate { slot: 2 }
        20400 tell Replacing
        20420 spawn Proxy 3 of 1, spare
        20420 tell Serving
    "#]]);
}

#[test]
fn a_frozen_spare_and_a_frozen_vip_process_are_replaced_too() {
    let mut story = Story::running(config());
    story.frozen.extend([2, 4]);
    story.pass(420);
    assert_eq!(story.roles.slot_of(Part::Vip), None, "two at once would fight for the addresses");
    story.give(Input::Exited { slot: 2 });
    story.give(Input::Exited { slot: 4 });
    story.pass(50);
    story.check(expect_test::expect![[r#"
        20400 Kill { slot: 2 }
        20400 lost Vip 2: Frozen
        20400 Kill { slot: 4 }
        20400 lost Proxy 4: Frozen
        20410 spawn Proxy 5 of 1, spare
        20420 spawn Vip 6 of 1
    "#]]);
}

#[test]
fn a_vip_process_that_waits_for_the_kernel_is_not_taken_for_frozen() {
    let mut story = Story::running(config());
    story.give(Input::Busy { slot: 2 });
    story.frozen.push(2);
    story.pass(5990);
    story.check(expect_test::expect![[""]]);
    story.frozen.clear();
    story.pass(20);
    story.give(Input::Pong { slot: 2, number: 0 });
    story.pass(500);
    story.check(expect_test::expect![[r#"
        26000 Kill { slot: 2 }
        26000 lost Vip 2: Frozen
    "#]]);
}

#[test]
fn an_answer_ends_the_wait_for_the_kernel() {
    let mut story = Story::running(config());
    story.give(Input::Busy { slot: 2 });
    story.pass(1000);
    story.frozen.push(2);
    story.pass(420);
    story.check(expect_test::expect![[r#"
        21400 Kill { slot: 2 }
        21400 lost Vip 2: Frozen
    "#]]);
}

#[test]
fn who_waits_for_the_kernel_again_and_again_without_an_answer_is_frozen_after_10_s() {
    let mut story = Story::running(config());
    story.frozen.push(2);
    for _ in 0..30 {
        story.give(Input::Busy { slot: 2 });
        story.pass(500);
    }
    story.check(expect_test::expect![[r#"
        30000 Kill { slot: 2 }
        30000 lost Vip 2: Frozen
    "#]]);
}

#[test]
fn an_answer_gives_the_whole_grace_again() {
    let mut story = Story::running(config());
    for _ in 0..30 {
        story.give(Input::Busy { slot: 2 });
        story.pass(500);
    }
    story.check(expect_test::expect![[""]]);
}

#[test]
fn a_process_that_never_answered_is_not_called_frozen() {
    let mut story = Story::with_frozen(config(), vec![2, 4]);
    story.serve(1);
    story.give(Input::Ready { slot: 4 });
    story.pass(10_000);
    assert!(!story.said.contains("Frozen"), "{}", story.said);
}

#[test]
fn a_proxy_that_serves_must_answer_from_the_first_ping_on() {
    let mut story = Story::with_frozen(proxy_only(), vec![1]);
    story.serve(1);
    story.pass(300);
    assert!(story.said.contains("300 lost Proxy 1: Frozen"), "{}", story.said);
}

#[test]
fn a_supervisor_that_was_late_itself_accuses_nobody() {
    let mut story = Story::running(proxy_only());
    story.frozen.push(1);
    story.pass(150);
    story.now += 1000; // The whole node stood still.
    story.give(Input::Timeout);
    assert_eq!(story.said, "");
    story.frozen.clear();
    story.pass(100);
    story.frozen.push(1);
    story.pass(500);
    assert!(story.said.contains("Frozen"), "it is judged again");
}

#[test]
fn a_supervisor_that_was_late_itself_gives_the_spare_its_time() {
    let mut story = Story::running(proxy_only());
    story.give(Input::Exited { slot: 1 });
    story.now += 400;
    story.give(Input::Timeout);
    story.give(Input::Serving { slot: 2 });
    assert!(!story.said.contains("Failed"), "{}", story.said);
}

#[test]
fn vip_and_agent_are_restarted_with_growing_pauses() {
    let mut story = Story::new(Config { proxy: false, agent: false, ..config() });
    story.pass(20_000);
    story.said.clear();
    for slot in 1..14 {
        story.give(Input::Exited { slot });
        let gone = story.now;
        story.pass(6000);
        let spawn = story.said.lines().find(|line| line.contains("spawn")).unwrap();
        let waited = spawn.split(' ').next().unwrap().parse::<u64>().unwrap() - gone;
        let expected = [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5000, 5000, 5000, 5000];
        assert_eq!(waited, expected[usize::try_from(slot).unwrap() - 1], "{slot}");
        story.said.clear();
    }
    story.pass(10_000);
    story.give(Input::Exited { slot: 14 });
    story.pass(10);
    assert!(story.said.contains("spawn Vip 15"), "a good life forgets: {}", story.said);
}

#[test]
fn with_the_spare_broken_a_dead_proxy_stays_dead_for_3_s() {
    let mut story = Story::new(Config { spare: false, ..proxy_only() });
    story.serve(1);
    story.pass(20_000);
    story.said.clear();
    story.give(Input::Exited { slot: 1 });
    story.pass(3000);
    story.serve(2);
    story.check(expect_test::expect![[r#"
        20000 lost Proxy 1: Exited
        20000 tell Replacing
        20100 tell Failed
        23000 spawn Proxy 2 of 1
        23000 Activate { slot: 2 }
    "#]]);
}

#[derive(Clone, Debug)]
enum Event {
    Pass(u64),
    Say(u8, usize),
    Freeze(usize),
    Reload(bool, bool),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (1..400_u64).prop_map(Event::Pass),
        1 => (400..12_000_u64).prop_map(Event::Pass),
        6 => (0..4_u8, 0..6_usize).prop_map(|(what, nth)| Event::Say(what, nth)),
        1 => (0..6_usize).prop_map(Event::Freeze),
        1 => any::<(bool, bool)>().prop_map(|(vip, agent)| Event::Reload(vip, agent)),
    ]
}

proptest! {
    /// Whatever processes do: one vip process and one agent at most, no more proxies than have a reason,
    /// the balancer is told as it is, and a proxy is always there or due.
    #[test]
    fn a_node_always_has_a_way_to_serve(events in prop::collection::vec(event(), 0..80), spare: bool) {
        let mut story = Story::new(Config { spare, ..config() });
        let mut generation = 1;
        for event in events {
            let nth = |nth: usize| story.roles.processes.get(nth).map(|process| process.slot);
            match event {
                Event::Pass(millis) => story.pass(millis),
                Event::Freeze(n) => story.frozen.extend(nth(n)),
                Event::Reload(vip, agent) => {
                    generation += 1;
                    story.give(reload(generation, vip, agent));
                }
                Event::Say(what, n) => {
                    let Some(slot) = nth(n) else { continue };
                    story.give(match what {
                        0 => Input::Ready { slot },
                        1 => Input::Serving { slot },
                        2 => Input::Exited { slot },
                        _ => Input::Pong { slot, number: 1 },
                    });
                }
            }
            let roles = &story.roles;
            let count = |kind| roles.processes.iter().filter(|p| p.kind == kind).count();
            prop_assert!(count(Kind::Vip) <= 1 && count(Kind::Agent) <= 1);
            let serving = roles.processes.iter().any(|p| matches!(p.phase, Phase::Serving { .. }));
            let told = roles.told;
            prop_assert!(serving || told != Some(Balancer::Serving), "{}", story.said);
            prop_assert!(!serving || told != Some(Balancer::Replacing), "{}", story.said);
            let alive = roles.processes.iter().any(|p| p.kind == Kind::Proxy && !p.is_dying());
            let due = roles.deadline() < at(story.now + 6000);
            prop_assert!(alive || due || roles.processes.is_full(), "{}", story.said);
        }
    }
}
