//! Virtual IPs that are held together or not at all.

use super::super::together;
use super::*;

/// Where a member stands: `h` holds, `w` would hold, `b` backup, `n` knows of no holder yet, `x` may not be held, `?` not known.
fn stance(letter: char, all: &str) -> Stance {
    let fit_of = |letter: char| match letter {
        'x' => Some(false),
        '?' => None,
        _ => Some(true),
    };
    let mut others: Vec<char> = all.chars().collect();
    let own = others.iter().position(|other| *other == letter).unwrap();
    others.remove(own);
    let worst = others.into_iter().map(fit_of).min_by_key(|fit| match fit {
        Some(false) => 0,
        None => 1,
        Some(true) => 2,
    });
    Stance {
        ended: false,
        fit: fit_of(letter),
        others: worst.unwrap_or(Some(true)),
        holds: letter == 'h',
        wants: letter == 'w',
        waits: letter == 'n',
        named: None,
        stronger: None,
    }
}

#[test]
fn what_is_told_follows_from_where_all_stand() {
    let rows = [
        ("bb", None),
        ("hh", None),
        ("wb", None),
        ("bw", None),
        ("ww", Some((0, Together::Take))),
        ("hw", Some((1, Together::Take))),
        ("hww", Some((1, Together::Take))),
        ("hb", Some((0, Together::LetGo { named: None }))),
        ("bhh", Some((1, Together::LetGo { named: None }))),
        ("hwb", Some((0, Together::LetGo { named: None }))),
        ("hn", None),
        ("wn", None),
        ("hnb", Some((0, Together::LetGo { named: None }))),
        ("xb", None),
        ("?b", None),
        ("w", Some((0, Together::Take))),
    ];
    for (letters, expected) in rows {
        let all: Vec<Stance> = letters.chars().map(|letter| stance(letter, letters)).collect();
        assert_eq!(together::next(&all), expected, "{letters}");
    }
    // What is not known of the others yet, or was otherwise.
    let told = |fit| Some((0, Together::Others { fit, named: Some(2) }));
    for (other, fit) in [('x', Some(false)), ('?', None), ('b', Some(true))] {
        let mut all = [stance('h', "hb"), stance(other, &format!("h{other}"))];
        all[0].others = if fit == Some(true) { None } else { Some(true) };
        all[1].named = Some(2);
        assert_eq!(together::next(&all), told(fit), "{other}");
    }
    // A node that is stronger for one of them only gets none.
    let mut all = [stance('h', "hh"), stance('h', "hh")];
    all[0].stronger = Some(1);
    assert_eq!(together::next(&all), None);
    all[1].stronger = Some(2);
    assert_eq!(together::next(&all), None);
    all[1].stronger = Some(1);
    assert_eq!(together::next(&all), Some((0, Together::Move { to: 1 })));
    // One that ended is told nothing, and the others hold on.
    let mut all = [stance('x', "xh"), stance('h', "xh")];
    (all[0].ended, all[0].others, all[1].others) = (true, None, Some(true));
    assert_eq!(together::next(&all), None);
}

/// The two addresses of each of three nodes; node 0 is the strongest for both.
struct Trio {
    nodes: Vec<[Vip; 2]>,
    now: u64,
    alive: [bool; 3],
    log: String,
}

const PRIORITY: [u8; 3] = [200, 150, 100];

impl Trio {
    fn new(change: impl Fn(&mut config::vip::Vip)) -> Self {
        let nodes =
            (0..3_u16).map(|node| [0, 1].map(|at| Vip::new(member(node, at, &change), at_zero())));
        let mut trio =
            Self { nodes: nodes.collect(), now: 0, alive: [true; 3], log: String::new() };
        for node in 0..3 {
            for at in 0..2 {
                trio.tell(node, at, Input::Carrier { interface: 0, up: true });
            }
        }
        trio
    }

    /// Says something to one address of a node, and lets its group agree; what all of them order is done in the order of a
    /// driver: releases first.
    fn tell(&mut self, node: usize, at: usize, input: Input<'_>) {
        let now = super::at(self.now);
        let mut orders = vec![];
        let mut step = |all: &mut [Vip; 2], at: usize, input: Input<'_>| {
            let mut out = Buffer::new();
            all[at].step(now, input, &mut out);
            orders.extend(out.drain().map(|action| (at, action)));
        };
        step(&mut self.nodes[node], at, input);
        for _ in 0..12 {
            let stances = [0, 1].map(|at| self.nodes[node][at].stance(now));
            let Some((at, told)) = together::next(&stances) else { break };
            step(&mut self.nodes[node], at, Input::Together(told));
        }
        let stances = [0, 1].map(|at| self.nodes[node][at].stance(now));
        assert_eq!(together::next(&stances), None, "they do not agree: {stances:?}");
        let living = stances.iter().filter(|stance| !stance.ended);
        let holds: Vec<bool> = living.map(|stance| stance.holds).collect();
        let waits = stances.iter().any(|stance| stance.waits);
        let is_one = holds.windows(2).all(|two| two[0] == two[1]);
        assert!(is_one || waits, "node {node} holds one of two");
        orders.sort_by_key(|(_, action)| *action != Action::Release);
        for (at, action) in orders {
            self.act(node, at, action);
        }
    }

    fn act(&mut self, node: usize, at: usize, action: Action) {
        let mut say = |what: &str| {
            writeln!(self.log, "{}.{:03} node {node} {what} {at}", self.now / 1000, self.now % 1000)
        };
        match action {
            Action::Claim => say("claims").unwrap(),
            Action::Release => say("releases").unwrap(),
            Action::HandOver(message) => say(&format!("names {} for", message.to)).unwrap(),
            Action::Announce
            | Action::Advertise { .. }
            | Action::Hello(_)
            | Action::Probe
            | Action::Report => {}
        }
        let others = (0..3).filter(|other| *other != node && self.alive[*other]);
        for other in others.collect::<Vec<_>>() {
            match action {
                Action::Advertise { priority } => {
                    let id = [121, 122][at];
                    let advert = Advert { router_id: id, password: None, ..advert(priority) };
                    self.tell(other, at, Input::Advert { source: source(node), advert });
                }
                Action::Hello(hello) => {
                    self.tell(other, at, Input::Hello { network: MANAGEMENT, hello });
                }
                Action::HandOver(message) => self.tell(other, at, Input::HandOver(message)),
                Action::Claim
                | Action::Release
                | Action::Announce
                | Action::Probe
                | Action::Report => {}
            }
        }
    }

    fn until(&mut self, ms: u64) {
        loop {
            let living = (0..3).filter(|node| self.alive[*node]);
            let all = living.flat_map(|node| [(node, 0), (node, 1)]);
            let next = all.map(|(node, at)| (self.nodes[node][at].deadline(), node, at)).min();
            let Some((due, node, at)) = next.filter(|(due, ..)| *due <= at(ms)) else { break };
            // Rounded up: deadlines are finer than what is written down.
            let millis = due.since(Time::ZERO).as_nanos().div_ceil(1_000_000);
            self.now = self.now.max(u64::try_from(millis).unwrap());
            self.tell(node, at, Input::Timeout);
        }
        self.now = self.now.max(ms);
    }

    fn holders(&self) -> Vec<usize> {
        let holds = |node: &usize| self.alive[*node] && self.nodes[*node][0].holding();
        (0..3).filter(holds).collect()
    }

    #[track_caller]
    fn check(&mut self, expected: Expect) {
        expected.assert_eq(&self.log);
        self.log.clear();
    }
}

fn at_zero() -> Time {
    Time::ZERO
}

fn source(node: usize) -> IpAddr {
    [ME, NODE02, NODE03][node]
}

fn member(node: u16, at: usize, change: &impl Fn(&mut config::vip::Vip)) -> Config {
    let mut vip = vip([121, 122][at]);
    vip.priority = PRIORITY[usize::from(node)];
    vip.password = None;
    vip.sync_group = Some("router".to_owned());
    change(&mut vip);
    let others = (0..3).filter(|other| *other != node);
    let peer = |other: u16| Peer { node: other, addresses: vec![source(usize::from(other))] };
    Config {
        vip,
        node,
        source: source(usize::from(node)),
        peers: others.map(peer).collect(),
        ..config()
    }
}

#[test]
fn all_are_taken_in_one_step_and_follow_when_one_cannot_be_held() {
    let mut trio = Trio::new(|_| {});
    trio.until(9000);
    trio.check(expect![[r#"
        3.219 node 0 claims 0
        3.219 node 0 claims 1
    "#]]);
    // The device of the second one loses its carrier: both go, and to the same node.
    trio.tell(0, 1, Input::Carrier { interface: 0, up: false });
    trio.check(expect![[r#"
        9.000 node 0 releases 1
        9.000 node 0 releases 0
        9.000 node 0 names 1 for 1
        9.000 node 0 names 1 for 0
        9.000 node 1 claims 0
        9.000 node 1 claims 1
    "#]]);
    assert_eq!(trio.holders(), [1]);
    let causes = [0, 1].map(|at| trio.nodes[0][at].cause());
    assert_eq!(causes, [Some(Cause::Together), Some(Cause::Carrier)]);
    // It comes back, and takes nothing.
    trio.tell(0, 1, Input::Carrier { interface: 0, up: true });
    trio.until(20_000);
    assert_eq!((trio.holders(), trio.log.as_str()), (vec![1], ""));
    assert_eq!([0, 1].map(|at| trio.nodes[0][at].role()), [Role::Backup; 2]);
    // A node that is gone is followed for both at the same moment.
    trio.alive[1] = false;
    trio.until(25_000);
    trio.check(expect![[r#"
        23.219 node 0 claims 0
        23.219 node 0 claims 1
    "#]]);
    // An operator moves one of them, and stops a node.
    trio.tell(0, 0, Input::MoveTo { node: 2 });
    trio.tell(2, 0, Input::Stop);
    trio.tell(2, 1, Input::Stop);
    trio.check(expect![[r#"
        25.000 node 0 releases 0
        25.000 node 0 releases 1
        25.000 node 0 names 2 for 0
        25.000 node 0 names 2 for 1
        25.000 node 2 claims 0
        25.000 node 2 claims 1
        25.000 node 2 releases 0
        25.000 node 2 names 0 for 0
        25.000 node 2 releases 1
        25.000 node 2 names 0 for 1
        25.000 node 0 claims 0
        25.000 node 0 claims 1
    "#]]);
}

#[test]
fn a_stronger_master_of_others_on_one_link_ends_all_and_one_backup_keeps_all_from_it() {
    let mut trio = Trio::new(|_| {});
    trio.alive = [true, false, false];
    trio.until(9000);
    trio.log.clear();
    for second in 10..16 {
        trio.until(second * 1000);
        let advert = Advert { router_id: 122, password: None, ..advert(250) };
        trio.tell(0, 1, Input::Advert { source: FOREIGN, advert });
    }
    trio.check(expect![[r#"
        10.000 node 0 releases 1
        10.000 node 0 releases 0
    "#]]);
    assert!(trio.nodes[0][0].stance(at(15_000)).wants, "but for the other it would hold");
    // It falls silent: both are taken again.
    trio.until(25_000);
    trio.check(expect![[r#"
        18.219 node 0 claims 0
        18.219 node 0 claims 1
    "#]]);
}

#[test]
fn under_preempt_all_move_to_a_node_that_is_stronger_for_all_and_never_for_one() {
    let mut trio = Trio::new(|vip| vip.preempt = true);
    trio.alive = [false, true, true];
    trio.until(9000);
    assert_eq!(trio.holders(), [1]);
    trio.log.clear();
    trio.alive[0] = true;
    // It was started now.
    trio.nodes[0] =
        [0, 1].map(|at| Vip::new(member(0, at, &|vip| vip.preempt = true), super::at(9000)));
    trio.tell(0, 0, Input::Carrier { interface: 0, up: true });
    trio.tell(0, 1, Input::Carrier { interface: 0, up: true });
    trio.until(20_000);
    trio.check(expect![[r#"
        9.000 node 1 releases 0
        9.000 node 1 releases 1
        9.000 node 1 names 0 for 0
        9.000 node 1 names 0 for 1
        9.000 node 0 claims 0
        9.000 node 0 claims 1
    "#]]);

    // Node 0 is stronger for the first, node 1 for the second.
    let crossed = |vip: &mut config::vip::Vip| {
        vip.preempt = true;
        if vip.router_id == 122 {
            vip.priority = 250 - vip.priority;
        }
    };
    let mut trio = Trio::new(crossed);
    trio.until(60_000);
    let claims = trio.log.lines().filter(|line| line.contains("claims")).count();
    assert!(claims <= 4, "it goes to and fro:\n{}", trio.log);
    assert_eq!(trio.holders().len(), 1, "{}", trio.log);
}

#[test]
fn one_that_a_new_file_adds_to_what_is_held_is_waited_for_and_taken() {
    let mut trio = Trio::new(|_| {});
    trio.alive = [true, false, false];
    trio.until(9000);
    trio.log.clear();
    // A process that adopted the first one; the second one is new.
    let adopted = Config { adopted: true, ..member(0, 0, &|_| {}) };
    trio.nodes[0] = [Vip::new(adopted, at(9000)), Vip::new(member(0, 1, &|_| {}), at(9000))];
    trio.tell(0, 0, Input::Carrier { interface: 0, up: true });
    trio.tell(0, 1, Input::Carrier { interface: 0, up: true });
    trio.until(20_000);
    trio.check(expect![[r#"
        12.219 node 0 claims 1
    "#]]);
    // The same, but somebody else holds the new one: both are his, or nobody's.
    let adopted = Config { adopted: true, ..member(0, 0, &|_| {}) };
    trio.nodes[0] = [Vip::new(adopted, at(20_000)), Vip::new(member(0, 1, &|_| {}), at(20_000))];
    trio.tell(0, 0, Input::Carrier { interface: 0, up: true });
    trio.tell(0, 1, Input::Carrier { interface: 0, up: true });
    trio.until(20_500);
    let advert = Advert { router_id: 122, password: None, ..advert(100) };
    trio.tell(0, 1, Input::Advert { source: FOREIGN, advert });
    trio.check(expect![[r#"
        20.500 node 0 releases 0
    "#]]);
}

/// One router may have told the neighbours of all when it held one of them as well.
#[test]
fn a_conflict_of_one_is_told_for_all_of_its_group() {
    let mut bench = Bench::master(config());
    let mut told = |ms: u64, input: Input<'_>| {
        let mut out = Buffer::new();
        bench.vip.step(at(ms), input, &mut out);
        together::tells_of_all(&input, &out)
    };
    let from = |priority| Input::Advert { source: NODE02, advert: advert(priority) };
    assert!(told(9500, from(100)), "a weaker one holds, too");
    assert!(!told(9501, Input::Timeout), "what is due of its own");
    assert!(!told(9502, from(0)), "somebody stopped");
    assert!(!told(9503, from(200)), "it gives way");
}
