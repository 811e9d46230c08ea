use super::*;

const EVERY: Duration = Duration::from_millis(200);
const NODES: u16 = 8;

/// All nodes of one network, and what reaches whom: packets come at once or never.
struct Ring {
    now: Time,
    circles: Vec<Circle>,
    /// Both ways: these two do not reach each other.
    parted: Vec<(u16, u16)>,
    dead: Vec<u16>,
    found: Vec<(Time, u16, Notice)>,
}

impl Ring {
    fn new() -> Self {
        let pace = Pace {
            probe_every: EVERY,
            answer_within: EVERY / 4,
            declare_after: Duration::from_secs(1),
        };
        let on = [true; NODES as usize];
        let circle = |me: u16| {
            let seat = Seat { me, life: 1, network: 0, on: &on, seed: 7 + u64::from(me) };
            Circle::new(seat, pace, Time::ZERO)
        };
        let circles = (0..NODES).map(circle).collect();
        Self { now: Time::ZERO, circles, parted: vec![], dead: vec![], found: vec![] }
    }

    fn passes(&self, from: u16, to: u16) -> bool {
        let is_parted = self.parted.iter().any(|pair| *pair == (from, to) || *pair == (to, from));
        !is_parted && !self.dead.contains(&from) && !self.dead.contains(&to)
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let alive = (0..NODES).filter(|node| !self.dead.contains(node));
            let due = |node: u16| (self.circles[usize::from(node)].deadline(), node);
            let Some((at, node)) = alive.map(due).min().filter(|(at, _)| *at <= end) else { break };
            self.now = at.max(self.now);
            let mut packets = vec![];
            let mut found = vec![];
            self.circles[usize::from(node)].timeout(self.now, &mut packets, &mut found);
            self.note(node, found);
            let mut packets: Vec<_> = packets.into_iter().map(|packet| (node, packet)).collect();
            while let Some((from, packet)) = packets.pop() {
                let Action::Send { to, body, .. } = packet else { continue };
                if !self.passes(from, to) {
                    continue;
                }
                let Some(Part::Rumour(rumour)) = Part::decode(&body) else { panic!("no rumour") };
                let (mut more, mut found) = (vec![], vec![]);
                let circle = &mut self.circles[usize::from(to)];
                assert!(circle.receive(self.now, from, rumour, &mut more, &mut found));
                self.note(to, found);
                packets.extend(more.into_iter().map(|packet| (to, packet)));
            }
        }
        self.now = end;
    }

    fn note(&mut self, by: u16, found: Vec<Notice>) {
        self.found.extend(found.into_iter().map(|notice| (self.now, by, notice)));
    }

    fn missed(&self, by: u16) -> Vec<Time> {
        let missed = |(at, who, notice): &(Time, u16, Notice)| {
            (*who == by && matches!(notice, Notice::Missed { .. })).then_some(*at)
        };
        self.found.iter().filter_map(missed).collect()
    }
}

/// Without the others, the first of them would be missed each time it is its turn.
#[test]
fn who_does_not_answer_here_is_asked_by_others_before_it_is_missed() {
    let mut ring = Ring::new();
    ring.run(Duration::from_secs(20));
    ring.found.clear();
    ring.parted.push((0, 1));
    ring.run(Duration::from_secs(60));
    assert_eq!(ring.found, [], "a lost way between two is nobody's death");
    assert_eq!(ring.circles[0].health, 0);

    ring.dead.push(1);
    ring.run(Duration::from_secs(10));
    assert!(!ring.missed(0).is_empty(), "one that is dead answers nobody");
    assert!(ring.circles[0].fellow(1).down);
}

/// Probes of those whom it never heard do not count as failed, as they may not be there yet.
#[test]
fn who_heard_nobody_is_sure_of_nobody_and_accuses_nobody() {
    let mut ring = Ring::new();
    ring.parted = (1..NODES).map(|other| (0, other)).collect();
    ring.run(Duration::from_secs(20));
    assert!(!ring.missed(0).is_empty(), "it asked");
    let is_sure = |(_, by, notice): &(Time, u16, Notice)| {
        *by == 0 && matches!(notice, Notice::Missed { is_sure: true, .. })
    };
    assert!(!ring.found.iter().any(is_sure), "{:?}", ring.found);
    ring.parted.clear();
    ring.run(Duration::from_secs(2));
    assert!(ring.circles[0].is_sure(ring.now), "one that answers is enough");
}

/// Dadgar et al. 2018, 4.1: Local Health Multiplier.
#[test]
fn whose_own_probes_fail_takes_more_time_for_each_and_declares_nobody() {
    let mut ring = Ring::new();
    ring.run(Duration::from_secs(20));
    ring.found.clear();
    ring.parted = (1..NODES).map(|other| (0, other)).collect();
    let begin = ring.now;
    ring.run(Duration::from_secs(60));
    let missed = ring.missed(0);
    let since = |from: Time, to: Time| missed.iter().filter(|at| (from..to).contains(*at)).count();
    let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
    let first = since(begin, begin + second * 2);
    let last = since(begin + minute - second * 2, begin + minute);
    assert!(first > last, "it probes more slowly: {missed:?}");
    assert_eq!(ring.circles[0].health, WORST);
    assert!(!ring.circles[0].is_sure(ring.now));
    let declared =
        ring.found.iter().filter(|(_, by, notice)| *by == 0 && matches!(notice, Notice::Down(_)));
    assert_eq!(declared.count(), 0, "it may be the one that is cut off");
    assert!(ring.circles[1].fellow(0).down, "the others declare it");

    // Its way back: nine good probes make it as fast as before.
    ring.parted.clear();
    ring.run(Duration::from_secs(60));
    assert_eq!(ring.circles[0].health, 0);
    assert!(ring.circles[0].is_sure(ring.now));
}

fn death(node: u16) -> Death {
    Death { node, heard: 1, left: false, known_by: Time::NEVER }
}

#[test]
fn a_life_that_was_heard_of_after_the_refusals_is_not_over() {
    let mut ring = Ring::new();
    ring.run(Duration::from_secs(5));
    let now = ring.now;
    let circle = &mut ring.circles[6];
    let mut out = vec![];
    let early = Death { known_by: Time::from_nanos(1), ..death(7) };
    circle.declare(now, early, &mut out, &mut vec![]);
    assert!(out.is_empty() && !circle.fellow(7).down, "{out:?}");
    circle.declare(now, Death { known_by: now, ..early }, &mut out, &mut vec![]);
    assert!(!out.is_empty() && circle.fellow(7).down);
}

#[test]
fn a_death_is_told_to_the_next_node_that_lives_and_passed_on_there() {
    let mut ring = Ring::new();
    ring.run(Duration::from_secs(5));
    let now = ring.now;
    let declared = |circle: &mut Circle| {
        let mut out = vec![];
        circle.declare(now, death(7), &mut out, &mut vec![]);
        out
    };
    let first = declared(&mut ring.circles[6]);
    let [Action::Send { to: 0, body, .. }] = first.as_slice() else { panic!("{first:?}") };
    let Some(Part::Rumour(rumour)) = Part::decode(body) else { panic!("no rumour") };
    let (mut out, mut found) = (vec![], vec![]);
    assert!(ring.circles[0].receive(now, 6, rumour, &mut out, &mut found));
    assert_eq!(found, [Notice::Down(7)]);
    assert!(matches!(out.as_slice(), [Action::Send { to: 1, .. }]), "{out:?}");
    assert!(declared(&mut ring.circles[6]).is_empty(), "known already");
}

#[test]
fn more_deaths_than_fit_are_told_in_several_packets_of_bounded_size() {
    let on = [true; 100];
    let pace = Pace { probe_every: EVERY, answer_within: EVERY / 4, declare_after: EVERY };
    let circle =
        |me| Circle::new(Seat { me, life: 1, network: 0, on: &on, seed: 7 }, pace, Time::ZERO);
    let (from, mut to) = (circle(0), circle(1));
    let gone: Vec<_> =
        (2..100).map(|node| Member::new(Id { node, life: 1 }, 0, State::Down)).collect();
    let mut out = vec![];
    from.tell_next(&gone, &mut out);
    assert_eq!(out.len(), gone.len().div_ceil(wire::MAX_TOLD));
    let mut found = vec![];
    for action in &out {
        let Action::Send { to: 1, body, .. } = action else { panic!("{action:?}") };
        let Some(Part::Rumour(rumour)) = Part::decode(body) else { panic!("it does not fit") };
        assert!(to.receive(Time::ZERO, 0, rumour, &mut vec![], &mut found));
    }
    let down = found.iter().filter(|notice| matches!(notice, Notice::Down(_))).count();
    assert_eq!(down, gone.len());
    from.tell_next(&[], &mut out);
    assert_eq!(out.len(), 3, "of nothing nothing is told");
}
