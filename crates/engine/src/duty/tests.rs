use super::*;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// node01 asks; it holds `internal`, node02 holds `external`, node03 is silent.
fn with(change: impl FnOnce(&mut View<'_>), look: impl FnOnce(&View<'_>) -> String) -> String {
    let (first, second) = (names(&["node01"]), names(&["node02"]));
    let (all, two) = (names(&["node01", "node02", "node03"]), names(&["node01", "node02"]));
    let vip = |name, holders, order| Vip {
        name,
        holders,
        order,
        successor: Some("node02"),
        preempts: false,
    };
    let mut view = View {
        me: "node01",
        duty: Duty::On,
        nodes: [("node01", true), ("node02", true), ("node03", false), ("node04", true)]
            .map(|(name, is_alive)| Node { name, is_alive, duty: Duty::On })
            .to_vec(),
        vips: vec![vip("internal", &first, &all), vip("external", &second, &two)],
    };
    change(&mut view);
    look(&view)
}

fn check(change: impl FnOnce(&mut View<'_>), command: Command<'_>, expected: &str) {
    let found = with(change, |view| match super::check(view, command) {
        Ok(todo) => format!("{todo:?}"),
        Err(refused) => refused.to_string(),
    });
    assert_eq!(found, expected, "{command:?}");
}

#[test]
fn a_command_goes_to_the_node_that_is_named_or_holds() {
    let moved = |vip| Command::Move { vip, to: "node01" };
    let (rest, drain, resume) = (
        |node| Command::Standby { node },
        |node| Command::Drain { node },
        |node| Command::Resume { node },
    );
    for (command, expected) in [
        (rest("node01"), "Here"),
        (drain("node02"), "There(1)"),
        (resume("node04"), "There(3)"),
        (rest("node03"), "node03 is not alive as far as this node knows"),
        (rest("x"), "there is no node x; there are node01, node02, node03, node04"),
        (moved("internal"), "Here"),
        (moved("external"), "There(1)"),
        // What speaks against it is said here.
        (moved("intern"), "Here"),
    ] {
        let found = with(
            |_| {},
            |view| match place(view, command) {
                Ok(place) => format!("{place:?}"),
                Err(refused) => refused.to_string(),
            },
        );
        assert_eq!(found, expected, "{command:?}");
    }
    let nobody = |view: &mut View<'_>| view.vips[0].holders = &[];
    let place = with(nobody, |view| format!("{:?}", place(view, moved("internal"))));
    assert_eq!(place, "Ok(Here)");
}

#[test]
fn what_speaks_against_a_command_is_told_by_name_before_anything_is_done() {
    let moved = |vip, to| Command::Move { vip, to };
    let as_it_is = |_: &mut View<'_>| {};
    check(as_it_is, moved("internal", "node02"), "HandOver { instance: 0, to: 1 }");
    check(as_it_is, moved("internal", "node01"), "node01 holds vip/internal already");
    let unknown = "there is no node node9; there are node01, node02, node03, node04";
    check(as_it_is, moved("internal", "node9"), unknown);
    let silent = "node03 is not alive as far as this node knows";
    check(as_it_is, moved("internal", "node03"), silent);
    let never = "node04 is not in the order of vip/internal: it never holds it";
    check(as_it_is, moved("internal", "node04"), never);
    let unknown = "there is no vip/intern here; there are internal, external";
    check(as_it_is, moved("intern", "node02"), unknown);
    let there = "that is for node02, and this is node01: it has changed since it was typed";
    check(as_it_is, moved("external", "node01"), there);
    let back = "vip/internal preempts: the strongest node would take it back at once";
    check(|view| view.vips[0].preempts = true, moved("internal", "node02"), back);
    let rests = "node02 is on standby: `outlast node resume node02` makes it hold again";
    check(|view| view.nodes[1].duty = Duty::Standby, moved("internal", "node02"), rests);
    let nobody = "nobody that is known here holds vip/internal: there is nothing to hand over";
    check(|view| view.vips[0].holders = &[], moved("internal", "node02"), nobody);
}

#[test]
fn a_node_stands_by_unless_it_is_the_last_that_could_hold() {
    let (standby, resume) =
        (Command::Standby { node: "node01" }, Command::Resume { node: "node01" });
    check(|_| {}, standby, "Be(Standby)");
    check(|view| view.duty = Duty::Standby, standby, "node01 is on standby already");
    check(|_| {}, resume, "node01 is not on standby");
    check(|view| view.duty = Duty::Standby, resume, "Be(On)");
    let last = "nobody else could hold vip/internal now: its clients would lose it";
    check(|view| view.vips[0].successor = None, standby, last);
    let drain = Command::Drain { node: "node01" };
    check(|_| {}, drain, "Be(Draining)");
    check(|view| view.vips[0].successor = None, drain, last);
    check(|view| view.duty = Duty::Draining, drain, "node01 is being drained already");
    check(|view| view.duty = Duty::Draining, standby, "Be(Standby)");
    check(|view| view.duty = Duty::Draining, resume, "Be(On)");
    // What others hold is not lost.
    check(|view| view.vips[1].successor = None, standby, "Be(Standby)");
    let there = "that is for node02, and this is node01: it has changed since it was typed";
    check(|_| {}, Command::Standby { node: "node02" }, there);
    let unknown = "there is no node x; there are node01, node02, node03, node04";
    check(|_| {}, Command::Standby { node: "x" }, unknown);
}

#[test]
fn what_a_later_version_says_in_a_beat_keeps_work_away_too() {
    for duty in Duty::ALL {
        assert_eq!(Duty::from_byte(duty.byte()), duty);
    }
    assert!(!Duty::from_byte(9).takes_work());
}
