use super::*;

/// As a majority of neighbours grants it.
fn gained(from: u16, unheard: Duration) -> Gained {
    Gained { from: Some(from), unheard, granted: WAY * 2, lapsed: None }
}

#[test]
fn a_start_takes_the_silence_of_a_voter_and_two_beats() {
    let mut trio = Trio::new();
    trio.told = true;
    trio.run(AWAKE - 1);
    assert!(trio.machines.iter().all(|machine| !machine.votes()));
    trio.check(expect![[""]]);
    trio.run(AWAKE + 30);
    trio.check(expect![[r#"
        0.255s node 0: Claim, Announce
    "#]]);
}

#[test]
fn the_first_vip_lease_counts_from_the_request() {
    let mut trio = Trio::new();
    trio.run_until_held();
    let asked = trio.machines[0].beaten;
    let until = trio.machines[0].until(0);
    assert!(until <= asked + SPAN, "{until} {asked}");
    // Two ways from the request to its answer.
    assert!(until.since(trio.now) < SPAN - WAY);
}

#[test]
fn the_node_that_follows_a_gone_one_waits_until_nobody_can_answer() {
    let mut trio = Trio::held();
    trio.run(300);
    trio.isolate(0);
    trio.comes_to(400, Some(1));
    // It asks as soon as its promise has ended.
    let gained = gained(0, hold(SPAN));
    assert_eq!(trio.machines[1].view(0).unwrap().gained, Some(gained));
    trio.check(expect![[r#"
        0.326s node 0: Close, Release, Beat
        0.347s node 1: Claim, Announce
    "#]]);
}

#[test]
fn of_three_that_hear_nobody_none_answers_and_one_does_after_the_heal() {
    let mut trio = Trio::held();
    (0..3).for_each(|node| trio.isolate(node));
    trio.comes_to(400, None);
    trio.cut = [[false; 3]; 3];
    trio.run(450);
    assert_eq!(trio.holders().len(), 1);
    trio.check(expect![[r#"
        0.306s node 0: Close, Release, Beat
        0.407s node 1: Beat, Claim, Announce
        0.417s node 1: Beat, Announce
    "#]]);
}

#[test]
fn a_holder_that_stops_closes_releases_and_then_tells_whom_it_names() {
    let mut trio = Trio::held();
    trio.run(303);
    trio.step(0, Input::Stop);
    assert!(trio.machines[0].is_idle());
    trio.comes_to(320, Some(1));
    let view = trio.machines[1].view(0).unwrap();
    assert_eq!(view.cause, Some(Cause::Named));
    // Named, it asks in the step that hears the last word, and two ways later it is granted.
    let gained = gained(0, Duration::ZERO);
    assert_eq!(view.gained, Some(gained));
    trio.check(expect![[r#"
        0.303s node 0: Close, Release, Beat
        0.303s node 1: Claim, Announce
    "#]]);
}

/// What the supervisor of node 0, which held, says under this life after its vip process is gone; its next process is not heard yet.
fn last_word(trio: &mut Trio, life: u64) {
    let holder = &trio.machines[0];
    let left = last_word::Left {
        group: holder.seats[0].group(),
        successor: holder.heir(0),
        term: holder.view(0).unwrap().term,
    };
    trio.isolate(0);
    trio.lives[0] = 6;
    trio.restart(0, true);
    let mut body = [0; MAX_BODY];
    let length = last_word::write((None, 0), std::iter::once(left), &mut body);
    for to in 1..3 {
        trio.step(to, Input::Beat { network: CLIENTS, from: 0, life, body: &body[..length] });
    }
}

#[test]
fn the_last_word_for_a_process_that_is_gone_frees_its_voters_and_the_named_node_follows_at_once() {
    let mut trio = Trio::held();
    trio.run(303);
    assert!(trio.machines[1].heard(0).is_some());
    last_word(&mut trio, 6);
    assert_eq!(trio.machines[1].heard(0), None, "its silence means nothing from now on");
    trio.comes_to(310, Some(1));
    let gained = gained(0, Duration::ZERO);
    let view = trio.machines[1].view(0).unwrap();
    assert_eq!((view.cause, view.gained), (Some(Cause::Named), Some(gained)));
    trio.check(expect![[r#"
        0.303s node 1: Claim, Announce
    "#]]);
    // Its next process takes nothing back, and votes when what the former one promised has ended.
    trio.cut = [[false; 3]; 3];
    trio.comes_to(800, Some(1));
    assert!(trio.machines[0].votes());
}

#[test]
fn a_last_word_under_the_life_of_a_process_before_frees_nobody() {
    let mut trio = Trio::held();
    trio.run(303);
    last_word(&mut trio, 4);
    trio.comes_to(335, None);
    trio.comes_to(400, Some(1));
}

#[test]
fn a_move_goes_to_the_node_that_was_named_and_to_no_unfit_one() {
    let mut trio = Trio::held();
    trio.carrier(1, false);
    trio.run(300);
    trio.step(0, Input::MoveTo { vip: 0, node: 1 });
    assert_eq!(trio.holders(), [0]);
    trio.step(0, Input::MoveTo { vip: 0, node: 2 });
    trio.comes_to(350, Some(2));
    trio.check(expect![[r#"
        0.300s node 0: Close, Release, Beat
        0.300s node 2: Claim, Announce
    "#]]);
}

#[test]
fn a_fact_against_the_holder_moves_it_and_its_return_does_not() {
    let mut trio = Trio::held();
    trio.run(300);
    trio.carrier(0, false);
    trio.run(320);
    trio.carrier(0, true);
    trio.comes_to(900, Some(1));
    trio.step(1, Input::Standby(true));
    trio.comes_to(920, Some(0));
    trio.check(expect![[r#"
        0.300s node 0: Close, Release, Beat
        0.300s node 1: Claim, Announce
        0.900s node 1: Close, Release, Beat
        0.900s node 0: Claim, Announce
    "#]]);
}

#[test]
fn who_is_proven_dead_gives_it_up_and_is_neither_named_nor_granted_anything_by_those_who_know() {
    let mut trio = Trio::held();
    trio.run(300);
    for who in 0..3 {
        trio.step(who, Input::Proven { node: 0, dead: true });
    }
    trio.comes_to(320, Some(1));
    trio.step(1, Input::MoveTo { vip: 0, node: 0 });
    trio.comes_to(900, Some(1));
    // As if it had not heard of it: the others know, and it is preferred.
    trio.step(0, Input::Proven { node: 0, dead: false });
    trio.run(1000);
    trio.step(1, Input::Standby(true));
    trio.comes_to(1100, Some(2));
    for who in 1..3 {
        trio.step(who, Input::Proven { node: 0, dead: false });
    }
    trio.step(2, Input::MoveTo { vip: 0, node: 0 });
    trio.comes_to(1300, Some(0));
}

#[test]
fn a_refused_address_is_let_go_and_a_lost_one_is_put_back() {
    let mut trio = Trio::held();
    trio.step(0, Input::AddressLost { vip: 0 });
    trio.step(1, Input::AddressLost { vip: 0 });
    trio.step(2, Input::Refused { vip: 0 });
    trio.step(0, Input::Refused { vip: 0 });
    trio.comes_to(320, Some(1));
    trio.check(expect![[r#"
        0.281s node 0: Claim, Announce
        0.281s node 0: Close, Release, Beat
        0.281s node 1: Claim, Announce
    "#]]);
}

#[test]
fn a_paused_holder_finds_that_it_lost_and_says_so_before_it_asks_again() {
    let mut trio = Trio::held();
    trio.run(300);
    trio.paused[0] = ms(400);
    trio.comes_to(500, Some(1));
    trio.check(expect![[r#"
        0.400s node 0: Close, Release, Beat
        0.407s node 1: Claim, Announce
    "#]]);
}

#[test]
fn a_holder_whose_beats_reach_nobody_lets_go_while_it_hears_all() {
    let mut trio = Trio::held();
    trio.run(300);
    (trio.cut[0][1], trio.cut[0][2]) = (true, true);
    trio.comes_to(1000, Some(1));
    trio.check(expect![[r#"
        0.336s node 0: Close, Release, Beat
        0.347s node 1: Claim, Announce
    "#]]);
}

#[test]
fn who_hears_nobody_does_not_disturb_who_holds() {
    let mut trio = Trio::held();
    (trio.cut[0][2], trio.cut[1][2]) = (true, true);
    trio.run(1000);
    trio.cut = [[false; 3]; 3];
    trio.comes_to(2000, Some(0));
    trio.check(expect![[""]]);
}

#[test]
fn a_process_that_follows_another_does_not_free_what_that_left_open() {
    // With what the former process let through still open, the others wait for its end.
    let mut trio = Trio::held();
    trio.run(300);
    let open = trio.machines[0].until(0);
    trio.restart(0, false);
    trio.run_until_held();
    assert!(trio.now > open, "{} {open}", trio.now);
    // A process that knows it closed is believed at once.
    let mut trio = Trio::held();
    trio.run(300);
    let open = trio.machines[0].until(0);
    trio.restart(0, true);
    trio.comes_to(320, Some(1));
    assert!(trio.now < open);
}

#[test]
fn a_restarted_voter_votes_for_nobody_until_what_it_promised_has_ended() {
    let mut trio = Trio::held();
    trio.run(300);
    trio.isolate(0);
    trio.run(301);
    trio.restart(1, true);
    trio.run(550);
    assert!(!trio.machines[1].votes());
    assert_eq!(trio.holders(), [0; 0]);
    trio.run(600);
    assert_eq!(trio.holders().len(), 1);
}

#[test]
fn of_two_candidates_one_holds_and_the_other_gives_its_voters_back() {
    // All have the same turn: each prefers itself.
    let mut trio = Trio::new();
    for node in 0..3_u16 {
        let mut config = config(node);
        config.seats[0].order = vec![node, (node + 1) % 3, (node + 2) % 3];
        trio.machines[usize::from(node)] = VipLease::new(&config, Time::ZERO);
        trio.carrier(usize::from(node), true);
    }
    trio.run(400);
    assert_eq!(trio.holders().len(), 1);
    let holder = trio.holders()[0];
    trio.isolate(holder);
    trio.run(600);
    assert_eq!(trio.holders().len(), 1);
    assert_ne!(trio.holders()[0], holder);
}

#[test]
fn terms_grow_with_each_holder() {
    let mut trio = Trio::held();
    let mut last = trio.machines[0].view(0).unwrap().term;
    for round in 0..10_u64 {
        let holder = trio.holders()[0];
        trio.step(holder, Input::Standby(true));
        trio.run(400 + round * 100);
        trio.step(holder, Input::Standby(false));
        let new = trio.holders()[0];
        assert_ne!(new, holder);
        let term = trio.machines[new].view(0).unwrap().term;
        assert!(term > last, "{term} {last}");
        last = term;
        for machine in &trio.machines {
            let view = machine.view(0).unwrap();
            assert_eq!((view.holder, view.term), (Some(u16::try_from(new).unwrap()), term));
        }
    }
}

#[test]
fn as_many_addresses_as_there_can_be_are_given_in_as_many_steps_as_that_takes() {
    let all = u8::try_from(MAX_SEATS).unwrap();
    let mut trio = Trio::of(|config| config.seats = (0..all).map(seat).collect());
    trio.run(400);
    let held = |trio: &Trio, node: usize| {
        (0..MAX_SEATS).filter(|vip| trio.machines[node].until(*vip) > trio.now).count()
    };
    assert_eq!(held(&trio, 0), MAX_SEATS);
    trio.step(0, Input::Stop);
    trio.run(430);
    assert_eq!((held(&trio, 0), held(&trio, 1)), (0, MAX_SEATS));
}

#[test]
fn a_beat_leaves_before_what_is_claimed_and_after_what_is_given_up() {
    let mut trio = Trio::held();
    let orders = |trio: &mut Trio, input| {
        // A beat is due whatever comes.
        trio.now = trio.machines[0].deadline();
        let mut out = Buffer::new();
        trio.machines[0].step(trio.now, input, &mut out);
        out.drain().filter(|action| !matches!(action, Action::Report { .. })).collect::<Vec<_>>()
    };
    let lost = orders(&mut trio, Input::AddressLost { vip: 0 });
    assert_eq!(lost[..2], [Action::Beat, Action::Claim { vip: 0 }], "{lost:?}");
    let stops = orders(&mut trio, Input::Stop);
    let given = [Action::Close { vip: 0 }, Action::Release { vip: 0 }, Action::Beat];
    assert_eq!(stops, given);
}

#[test]
fn who_did_not_run_for_a_beat_stands_for_nothing_for_one_vip_lease() {
    let mut trio = Trio::held();
    trio.run(300);
    trio.isolate(0);
    // Both wake when all promises have ended.
    (trio.paused[1], trio.paused[2]) = (ms(380), ms(380));
    trio.comes_to(419, None);
    trio.comes_to(460, Some(1));
}

#[test]
fn nodes_with_other_lists_of_voters_grant_each_other_nothing() {
    let mut trio = Trio::of(|config| {
        if config.node == 0 {
            config.voters = voters(None, &[0, 1]);
        }
    });
    // 1 and 2 have the same.
    trio.comes_to(600, Some(1));
}

#[test]
fn a_later_list_is_taken_while_the_address_is_held() {
    let mut trio = Trio::of(|config| config.voters = voters(Some(1), &[0, 1, 2]));
    trio.comes_to(400, Some(0));
    trio.told = true;
    assert_eq!(trio.machines[1].settled(), None, "of a list that it was born with neither");
    trio.comes_to(510, Some(0));
    for node in [1, 0, 2] {
        assert_eq!(trio.machines[node].settled(), Some(Epoch::Number(number(1))), "the one in use");
        trio.step(node, Input::Voters(&voters(Some(2), &[0, 1])));
        trio.run_for(50);
        assert_eq!(trio.holders(), [0]);
        assert_eq!(trio.machines[node].settled(), None);
    }
    trio.run(1200);
    assert!(
        trio.machines.iter().all(|machine| machine.settled() == Some(Epoch::Number(number(2))))
    );
    trio.isolate(1);
    // Of two voters both are needed, and 2 is none.
    trio.comes_to(1300, None);
    trio.check(expect![[r#"
        1.220s node 0: Close, Release, Beat
    "#]]);
}

#[test]
fn who_missed_a_list_stands_for_nothing_until_it_can_hold() {
    let mut trio = Trio::of(|config| config.voters = voters(Some(1), &[0, 1, 2]));
    trio.comes_to(400, Some(0));
    trio.isolate(0);
    trio.step(1, Input::Voters(&voters(Some(4), &[0, 1, 2])));
    trio.step(2, Input::Voters(&voters(Some(4), &[0, 1, 2])));
    let term = trio.machines[1].view(0).unwrap().term;
    trio.comes_to(649, None);
    assert_eq!(trio.machines[1].view(0).unwrap().term, term, "it asks nobody in vain");
    trio.run(700);
    assert_eq!(trio.holders().len(), 1);
}

#[test]
fn who_hears_many_strangers_first_holds_by_the_voters_that_remain() {
    let list: Vec<u16> = (23..32).collect();
    let mut config = Config { nodes: 32, voters: voters(Some(1), &list), ..config(0) };
    config.seats[0].order = vec![0];
    let mut machine = VipLease::new(&config, Time::ZERO);
    let step = |machine: &mut VipLease, at, input: Input<'_>| {
        let mut out = Buffer::new();
        machine.step(at, input, &mut out);
        assert_eq!(out.lost(), 0);
    };
    let fact = Fact::Carrier { interface: 0, up: true };
    step(&mut machine, ms(1), Input::Fact { vip: 0, fact });
    for round in 1..20 {
        let at = ms(AWAKE + 10 * round);
        step(&mut machine, at, Input::Timeout);
        // After half of the time four voters are gone, and five of nine remain.
        for from in (1..32).filter(|node| round < 10 || !(23..27).contains(node)) {
            let entry = beat::Entry {
                group: machine.seats[0].group(),
                stand: Stand::Unfit,
                grants: true,
                successor: None,
                stays: false,
                barred: false,
                term: 0,
            };
            let head = beat::Head {
                silent: false,
                closed: true,
                leaving: false,
                alone: false,
                epoch: Epoch::Number(number(1)),
                wish: BEAT,
                beat: BEAT,
                span: SPAN,
                serial: round,
                acked_life: 5,
                acked_serial: machine.node.next_serial() - 1,
                hears: ears::Hears::default(),
                reach: Reach::default(),
                leads: false,
                joined: 0,
            };
            let mut body = [0; MAX_BODY];
            let length = beat::write(&head, [entry].into_iter(), &mut body);
            let beat = Input::Beat { network: 0, from, life: 1, body: &body[..length] };
            step(&mut machine, at, beat);
        }
        // It did not run while it was silent, so it stands a vip lease later.
        assert!(round < 7 || machine.until(0) > at, "round {round}");
    }
}

#[test]
fn one_node_alone_holds_by_itself() {
    let mut trio = Trio::of(|config| {
        config.voters = voters(None, &[0]);
        config.seats[0].order = vec![0];
    });
    (0..3).for_each(|node| trio.isolate(node));
    trio.comes_to(2000, Some(0));
}

#[test]
fn a_number_in_a_tracked_file_takes_the_address_as_a_check_script_does() {
    let file = config::vip::TrackedFile {
        name: "drain".to_owned(),
        path: "/run/drain".to_owned(),
        weight: 0,
        reversed: false,
    };
    let mut trio = Trio::of(|config| config.seats[0].vip.track_files = vec![file.clone()]);
    trio.comes_to(1000, None);
    let says = |weight| Input::Fact { vip: 0, fact: Fact::Measure { index: 0, weight } };
    (0..3).for_each(|node| trio.step(node, says(0)));
    trio.run(1500);
    let [holder] = trio.holders()[..] else { panic!("one holds what all know of") };
    assert_eq!(trio.machines[holder].failed(0), 0);
    trio.step(holder, says(-254));
    assert_eq!(trio.machines[holder].failed(0), 1);
    trio.run(1600);
    let [next] = trio.holders()[..] else { panic!("another one holds it") };
    assert_ne!(next, holder);
    assert_eq!(trio.machines[holder].view(0).unwrap().stand, Stand::Unfit);
}
