use super::*;

fn program(name: &str) -> Option<Program> {
    Some(Program { command: vec![name.to_owned()], ..Program::default() })
}

fn all() -> Notify {
    Notify {
        every: program("every"),
        master: program("master"),
        backup: program("backup"),
        fault: program("fault"),
        stop: program("stop"),
        deleted: program("deleted"),
        weaker_rival: program("rival"),
        says_deleted: true,
        priority_changes: false,
    }
}

fn vip(name: &str, notify: Notify) -> Vip {
    Vip { notify, ..Vip::plain(name, "eth0", 7, vec![]) }
}

/// Notices, and the time.
struct Told(Notices, Time);

impl Told {
    fn of(vips: &[Vip]) -> Self {
        let mut told = Self(Notices::default(), Time::ZERO);
        assert_eq!(told.step(Input::File { vips, groups: &[], again: false }), "");
        told
    }

    /// What is to be done, in words.
    fn step(&mut self, input: Input<'_>) -> String {
        let mut out = Vec::new();
        self.0.step(self.1, input, &mut out);
        let word = |action| match action {
            Action::Say(line) => line.trim_end().replace("INSTANCE ", "say "),
            Action::Run { run, program, arguments, .. } => {
                let words = program.command.into_iter().chain(arguments);
                format!("{run}: {}", words.collect::<Vec<_>>().join(" "))
            }
            Action::Kill { run } => format!("kill {run}"),
            Action::Lose { program, .. } => format!("lose {}", program.command.join(" ")),
        };
        out.into_iter().map(word).collect::<Vec<_>>().join("; ")
    }

    fn is(&mut self, name: &str, state: State) -> String {
        self.step(Input::Is { name, state, priority: 100 })
    }
}

#[test]
fn the_program_of_the_state_runs_before_the_one_of_all_states_and_one_at_a_time() {
    let mut told = Told::of(&[vip("a", all())]);
    assert_eq!(told.is("a", State::Backup), "say \"a\" BACKUP 100; 0: backup");
    assert_eq!(told.is("a", State::Backup), "", "it is known");
    assert_eq!(told.is("a", State::Master), "say \"a\" MASTER 100");
    assert_eq!(told.step(Input::Ended { run: 0 }), "1: every INSTANCE a BACKUP 100");
    assert_eq!(told.step(Input::Ended { run: 0 }), "", "that one is over");
    assert_eq!(told.step(Input::Ended { run: 1 }), "2: master");
    assert_eq!(told.step(Input::Ended { run: 2 }), "3: every INSTANCE a MASTER 100");
    assert!(!told.0.is_done(told.1));
    assert_eq!(told.step(Input::Ended { run: 3 }), "");
    assert!(told.0.is_done(told.1));
}

#[test]
fn a_weaker_rival_of_a_holder_is_told_to_its_program_and_the_pipes_alone() {
    let mut told = Told::of(&[vip("a", all()), vip("b", Notify::default())]);
    let rival = Input::Rival { name: "a" };
    assert_eq!(told.step(rival), "", "nothing is known of it");
    told.is("a", State::Backup);
    assert_eq!(told.step(rival), "", "a backup has none");
    told.is("a", State::Master);
    (0..4).for_each(|run| drop(told.step(Input::Ended { run })));
    assert_eq!(told.step(rival), "say \"a\" MASTER_RX_LOWER_PRI 100; 4: rival");
    assert_eq!(told.step(rival), "say \"a\" MASTER_RX_LOWER_PRI 100", "it waits");
    assert_eq!(told.step(rival), "say \"a\" MASTER_RX_LOWER_PRI 100", "one is enough");
    assert_eq!(told.step(Input::Ended { run: 4 }), "5: rival");
    assert_eq!(told.step(Input::Ended { run: 5 }), "");
    told.is("b", State::Master);
    let other = Input::Rival { name: "b" };
    assert_eq!(told.step(other), "say \"b\" MASTER_RX_LOWER_PRI 100", "it has no program");
}

#[test]
fn instances_do_not_wait_for_each_other() {
    let mut told = Told::of(&[vip("a", all()), vip("b", all())]);
    assert_eq!(told.is("a", State::Fault), "say \"a\" FAULT 100; 0: fault");
    assert_eq!(told.is("b", State::Master), "say \"b\" MASTER 100; 1: master");
}

#[test]
fn one_that_runs_for_30_seconds_is_killed_and_the_next_runs_when_it_is_gone() {
    let mut told = Told::of(&[vip("a", all())]);
    told.is("a", State::Backup);
    assert_eq!(told.0.deadline(), Time::ZERO + LIMIT);
    told.1 = told.0.deadline();
    assert_eq!(told.step(Input::Timeout), "kill 0");
    assert_eq!(told.0.deadline(), Time::NEVER, "killed once");
    assert_eq!(told.step(Input::Ended { run: 0 }), "1: every INSTANCE a BACKUP 100");
}

#[test]
fn of_too_many_that_wait_the_oldest_is_lost_and_told() {
    let notify = Notify { every: program("every"), ..Notify::default() };
    let mut told = Told::of(&[vip("a", notify)]);
    let states = [State::Master, State::Backup];
    for at in 0..=WAITING {
        assert!(!told.is("a", states[at % 2]).contains("lose"));
    }
    assert_eq!(told.is("a", states[(WAITING + 1) % 2]), "lose every; say \"a\" BACKUP 100");
}

#[test]
fn one_that_left_the_file_is_told_when_its_process_has_made_way() {
    let quiet = Notify { says_deleted: false, ..all() };
    let mut told = Told::of(&[vip("a", all()), vip("b", quiet.clone()), vip("c", quiet)]);
    told.is("a", State::Backup);
    told.is("b", State::Backup);
    told.is("c", State::Fault);
    (0..3).for_each(|run| drop(told.step(Input::Ended { run })));
    (3..6).for_each(|run| drop(told.step(Input::Ended { run })));
    let vips = [vip("d", Notify::default())];
    assert_eq!(told.step(Input::File { vips: &vips, groups: &[], again: false }), "");
    assert_eq!(
        told.is("d", State::Backup),
        "say \"a\" DELETED 100; say \"b\" FAULT 100; say \"d\" BACKUP 100; 6: deleted; 7: deleted"
    );
    // As keepalived: the program of the state is the one for DELETED, what it is called is FAULT.
    assert_eq!(told.step(Input::Ended { run: 6 }), "8: every INSTANCE a DELETED 100");
    assert_eq!(told.step(Input::Ended { run: 7 }), "9: every INSTANCE b FAULT 100");
}

#[test]
fn the_end_is_told_once_and_waited_for_five_seconds() {
    let mut told = Told::of(&[vip("a", all()), vip("b", all())]);
    told.is("a", State::Master);
    told.step(Input::Ended { run: 0 });
    told.step(Input::Ended { run: 1 });
    // Nothing was said of the other one, so there is nothing to end.
    assert_eq!(told.step(Input::Stop), "say \"a\" STOP 100; 2: stop");
    assert_eq!(told.step(Input::Stop), "");
    assert!(!told.0.is_done(told.1));
    assert_eq!(told.0.deadline(), Time::ZERO + AT_THE_END);
    told.1 = told.0.deadline();
    assert_eq!(told.step(Input::Timeout), "lose every; kill 2");
    assert!(told.0.is_done(told.1));
}

#[test]
fn pipes_hear_of_priorities_and_of_reloads_where_the_file_says_so() {
    let notify = Notify { priority_changes: true, ..Notify::default() };
    let vips = [vip("a", notify), vip("b", Notify::default())];
    let mut told = Told::of(&vips);
    told.is("a", State::Master);
    told.is("b", State::Backup);
    let is = |name, priority| Input::Is { name, state: State::Master, priority };
    assert_eq!(told.step(is("a", 90)), "say \"a\" MASTER_PRIORITY 90");
    assert_eq!(told.step(Input::File { vips: &vips, groups: &[], again: true }), "");
    assert_eq!(told.step(is("a", 90)), "say \"a\" MASTER 90");
    assert_eq!(told.step(is("a", 90)), "");
    let is = |priority| Input::Is { name: "b", state: State::Backup, priority };
    assert_eq!(told.step(is(7)), "say \"b\" BACKUP 7");
    assert_eq!(told.step(is(8)), "");
}

#[test]
fn a_group_stands_as_its_instances_do_and_is_told_without_a_priority() {
    let vips = [vip("a", Notify::default()), vip("b", Notify::default())];
    let members = ["a", "b"].map(str::to_owned).to_vec();
    let groups = [Group { name: "both".to_owned(), members, notify: all() }];
    let mut notices = Notices::default();
    let (mut out, mut now) = (Vec::new(), Time::ZERO);
    notices.step(now, Input::File { vips: &vips, groups: &groups, again: false }, &mut out);
    let mut lines = |name: &str, state: State| -> String {
        let mut out = Vec::new();
        notices.step(now, Input::Is { name, state, priority: 100 }, &mut out);
        let mut told = String::new();
        for action in out {
            match action {
                Action::Say(line) => told += &line,
                Action::Run { run, program, arguments, .. } => {
                    told += &format!("{} {}\n", program.command.join(" "), arguments.join(" "));
                    notices.step(now, Input::Ended { run }, &mut Vec::new());
                }
                Action::Kill { .. } | Action::Lose { .. } => told += "?",
            }
        }
        now += Duration::from_secs(1);
        told
    };
    assert_eq!(lines("a", State::Backup), "INSTANCE \"a\" BACKUP 100\n");
    let told = lines("b", State::Backup);
    assert_eq!(told, "INSTANCE \"b\" BACKUP 100\nGROUP \"both\" BACKUP 0\nbackup \n");
    assert_eq!(lines("a", State::Master), "INSTANCE \"a\" MASTER 100\n");
    let told = lines("b", State::Master);
    assert!(told.starts_with("INSTANCE \"b\" MASTER 100\nGROUP \"both\" MASTER 0\n"), "{told}");
    let told = lines("a", State::Fault);
    assert!(told.contains("GROUP \"both\" FAULT 0\n"), "{told}");
    let told = lines("b", State::Backup);
    assert!(!told.contains("GROUP"), "{told}");
    let mut out = Vec::new();
    notices.step(now, Input::Stop, &mut out);
    assert!(out.contains(&Action::Say("GROUP \"both\" STOP 0\n".to_owned())), "{out:?}");
}
