//! One process after another, of one life, on a real device.

use api::bequest::{FORM, NEWEST, OLDEST, UNVOTED, VipBequest};
use engine::vip::lease::Stand;

use super::super::heir::Heir;
use super::leased::{BOTH, Stage, texts, view, with_gate};
use super::*;

fn next_start() -> Start {
    Start { heir: true, ..start() }
}

fn holds(driver: &Driver<'_>) -> bool {
    BOTH.iter().all(|seat| view(driver, *seat).stand == Stand::Holder)
}

/// It is told to leave all to who is at the other end, and has nobody to leave it to; what it said of that.
fn kept(stage: &mut Stage<'_>, supervisor: &Channel, forms: (u32, u32)) -> (String, bool) {
    let (way, theirs) = Channel::pair().unwrap();
    if forms.0 == FORM {
        drop(theirs);
    }
    stage.driver.heir = Some(Heir { way, oldest: forms.0, newest: forms.1 });
    assert!(!stage.driver.hand_on());
    let said = reports(supervisor).into_iter().find_map(|report| {
        if let Report::Kept { why, again } = report { Some((why, again)) } else { None }
    });
    said.expect("it says so")
}

#[test]
fn a_process_leaves_all_to_the_next_one_and_goes_on_where_nobody_takes_it() {
    let test = "a_process_leaves_all_to_the_next_one_and_goes_on_where_nobody_takes_it";
    with_gate("heir", test, |mut stage, supervisor| {
        stage.run_until("both are held", holds);
        let (why, again) = kept(&mut stage, supervisor, (FORM + 1, FORM + 2));
        assert!(
            !again && why.contains("forms"),
            "another one of that release cannot read it either: {why}"
        );
        let (why, again) = kept(&mut stage, supervisor, (FORM, FORM));
        assert!(again, "another one may live longer: {why}");
        stage.run_until("it goes on", holds);

        let (_supervisor, channel) = Channel::pair().unwrap();
        let cells = {
            let all = stage.driver.vip_leases.as_ref().unwrap();
            all.guard.gate.as_ref().unwrap().fd().try_clone_to_owned().unwrap()
        };
        let mut next =
            Driver::over((&channel).into(), &next_start(), &texts(), Some(cells)).unwrap();
        let (way, theirs) = Channel::pair().unwrap();
        let term = view(&stage.driver, 0).term;
        stage.driver.heir = Some(Heir { way, oldest: FORM, newest: FORM });
        assert!(stage.driver.hand_on());
        let (left, sockets) = next.wait_for_bequest(&theirs).unwrap().unwrap();
        let until = left.seats[0].holds.unwrap().until_ns;
        let held = next.inherit(&left, sockets).unwrap();
        if sys::clock::now().as_nanos() < until {
            assert_eq!((held, view(&next, 0).term), (vec![0, 1], term));
            assert!(next.vip_leases.as_ref().unwrap().machine.until(0).as_nanos() >= until);
        } else {
            // This machine stood still: it lets go, as one process would have.
            assert!(held.is_empty() || holds(&next));
        }
        assert!(next.wait_for_bequest(&theirs).unwrap().is_none(), "it is left once");
    });
}

#[test]
fn what_is_left_in_another_form_or_by_another_life_is_not_taken_over() {
    let test = "what_is_left_in_another_form_or_by_another_life_is_not_taken_over";
    with_gate("heir", test, |mut stage, _| {
        let (_supervisor, channel) = Channel::pair().unwrap();
        let leave = |stage: &mut Stage<'_>| {
            let (way, theirs) = Channel::pair().unwrap();
            stage.driver.heir = Some(Heir { way, oldest: FORM, newest: FORM });
            assert!(stage.driver.hand_on());
            theirs
        };
        let mut next = Driver::over((&channel).into(), &next_start(), &texts(), None).unwrap();
        let way = leave(&mut stage);
        let (mut left, sockets) = next.wait_for_bequest(&way).unwrap().unwrap();
        left.life += 1;
        assert!(next.inherit(&left, sockets).is_err());
        let unvoted = VipBequest { form: UNVOTED, networks: vec![], ..left.clone() };
        assert!(next.inherit(&unvoted, vec![]).is_err(), "nothing is known of what it promised");
        let (ours, theirs) = Channel::pair().unwrap();
        for text in [
            r#"{"v":2,"msg":{"form":9}}"#.to_owned(),
            written(&VipBequest { form: NEWEST + 1, ..left }),
            r#"{"v":99,"msg":{}}"#.to_owned(),
        ] {
            ours.send(text.as_bytes(), &[]).unwrap();
            assert!(next.wait_for_bequest(&theirs).is_err(), "{text}");
        }
        drop(ours);
        assert!(next.wait_for_bequest(&theirs).unwrap().is_none());
    });
}

fn written(left: &VipBequest) -> String {
    let mut bytes = vec![];
    api::encode(left, &mut bytes);
    String::from_utf8(bytes).unwrap()
}

#[test]
fn what_is_held_by_vrrp_alone_is_left_to_the_next_process_where_that_reads_it() {
    let test = "what_is_held_by_vrrp_alone_is_left_to_the_next_process_where_that_reads_it";
    if !may_make_networks(&format!("heir::{test}")) {
        return;
    }
    let network = Network::new();
    let mut peer = Peer::new(&network);
    let (supervisor, channel) = Channel::pair().unwrap();
    let (_supervisor, next_channel) = Channel::pair().unwrap();
    let driven = netns::within(network.node.as_fd(), || {
        let texts = super::texts();
        let mut driver = Driver::new(&channel, &start(), &texts).unwrap();
        driver.begin(&start());
        driver.step(0, named(7));
        let mut next = Driver::over((&next_channel).into(), &next_start(), &texts, None).unwrap();
        let (way, _theirs) = Channel::pair().unwrap();
        driver.heir = Some(Heir { way, oldest: OLDEST, newest: FORM });
        assert!(!driver.hand_on(), "a program that knows only what is held by votes");
        let (way, theirs) = Channel::pair().unwrap();
        driver.heir = Some(Heir { way, oldest: OLDEST, newest: NEWEST });
        assert!(driver.hand_on());
        let (left, sockets) = next.wait_for_bequest(&theirs).unwrap().unwrap();
        assert_eq!((left.form, left.held.len(), left.seats.len()), (UNVOTED, 1, 0));
        let voted = VipBequest { form: FORM, networks: vec![], ..left.clone() };
        assert!(next.inherit(&voted, vec![]).is_err(), "it would hold by votes what this cannot");
        let adopt = next.inherit(&left, sockets).unwrap();
        assert_eq!(adopt, [0]);
        // What the process before said.
        let peer = &mut peer;
        while peer.adverts.receive(&mut [0; 256]).is_ok() {}
        next.begin(&Start { adopt, ..next_start() });
        assert!(next.instances[0].machine.holding());
    });
    driven.unwrap();
    assert_eq!(peer.next_advert(), (200, network::NODE.into()), "it speaks at once");
    assert!(network.has(VIP));
    let released = reports(&supervisor);
    let released = events(&released).into_iter().any(|(what, _)| what == "vip-released");
    assert!(!released);
}

#[test]
fn what_was_lost_on_the_way_to_the_supervisor_is_told_again_as_it_is() {
    let test = "what_was_lost_on_the_way_to_the_supervisor_is_told_again_as_it_is";
    with_gate("heir", test, |mut stage, supervisor| {
        // More than the socket and the ring take.
        for number in 0..30_000 {
            stage.driver.tell(&Report::Pong(number));
        }
        let (mut ready, mut told) = (Vec::with_capacity(32), Vec::new());
        let end = sys::clock::now() + PATIENCE;
        let lost = |report: &Report| matches!(report, Report::Event(event) if event.what == "vip-words-lost");
        while !told.iter().any(lost) {
            assert!(sys::clock::now() < end, "it is never told");
            told.extend(reports(supervisor));
            stage.driver.turn(&mut ready).unwrap();
        }
        told.extend(reports(supervisor));
        let after = told.iter().skip_while(|report| !lost(report));
        let states = after.filter(|report| matches!(report, Report::Vip(_))).count();
        assert!(states >= BOTH.len(), "{states} of them");
    });
}

#[test]
fn what_comes_behind_the_word_of_a_successor_is_obeyed_where_nobody_takes_over() {
    let test = "what_comes_behind_the_word_of_a_successor_is_obeyed_where_nobody_takes_over";
    if !may_make_networks(&format!("heir::{test}")) {
        return;
    }
    let network = Network::new();
    let (supervisor, channel) = Channel::pair().unwrap();
    let driven = netns::within(network.node.as_fd(), || {
        let mut driver = Driver::new(&channel, &start(), &super::texts()).unwrap();
        driver.begin(&start());
        driver.step(0, named(7));
        assert!(driver.instances[0].held);
        let mut ready = Vec::with_capacity(32);
        let standby = api::Change::Duty(api::Duty::Standby);
        for order in
            [api::Order::Succeed { oldest: OLDEST, newest: NEWEST }, api::Order::Change(standby)]
        {
            let mut bytes = Vec::new();
            api::encode(&order, &mut bytes);
            supervisor.send(&bytes, &[]).unwrap();
        }
        while driver.end.is_none() {
            driver.turn(&mut ready).unwrap();
        }
        assert!(driver.end == Some(End::Succeed) && driver.instances[0].held);
        assert!(!driver.hand_on(), "there is no way to it");
        driver.end = None;
        let end = sys::clock::now() + PATIENCE;
        while driver.instances[0].held {
            assert!(sys::clock::now() < end, "nobody obeys the operator");
            driver.turn(&mut ready).unwrap();
        }
        assert_eq!(driver.instances[0].machine.cause(), Some(engine::vip::Cause::Standby));
    });
    driven.unwrap();
}
