use base::Time;

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
        stays: false,
    };
    let mut view = View {
        me: "node01",
        duty: Duty::On,
        nodes: [("node01", true), ("node02", true), ("node03", false), ("node04", true)]
            .map(|(name, is_alive)| Node { name, is_alive, is_proven_dead: false, duty: Duty::On })
            .to_vec(),
        vips: vec![vip("internal", &first, &all), vip("external", &second, &two)],
        pools: vec![
            Pool {
                name: "db",
                has_one_writer: true,
                used: Some("one"),
                holders: vec!["node02"],
                servers: [("one", 1), ("two", 2), ("spare", 2), ("four", 4), ("site", 0)]
                    .map(|(name, at)| Server {
                        name,
                        node: ["", "node01", "node02", "node03", "node04"].get(at).copied(),
                        is_usable: !matches!(name, "two" | "four"),
                    })
                    .to_vec(),
            },
            Pool { name: "api", ..Pool::default() },
        ],
        office: Some(Office {
            coordinator: "node02",
            leader: Some("node01"),
            voters: vec!["node01", "node02", "node03"],
            is_outside: false,
        }),
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

/// What is said of a node that nobody hears.
const SILENT: &str = "node03 is not alive as far as this node knows, and nobody is there to obey: if its machine is off, \
                      `outlast node confirm-off node03 --i-know-it-is-off --reason WHY` tells all nodes, and `outlast node \
                      replace node03 --i-know-it-is-off` puts a new one in its place";

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
        (rest("node03"), SILENT),
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
    check(as_it_is, moved("internal", "node03"), SILENT);
    let never = "node04 is not in the order of vip/internal: it never holds it";
    check(as_it_is, moved("internal", "node04"), never);
    let unknown = "there is no vip/intern here; there are internal, external";
    check(as_it_is, moved("intern", "node02"), unknown);
    let there = "that is for node02, and this is node01: it has changed since it was typed";
    check(as_it_is, moved("external", "node01"), there);
    let unmoved = "vip/internal goes by its rules: no operator moved it to where it is";
    check(as_it_is, Command::Anywhere { vip: "internal" }, unmoved);
    let stays = |view: &mut View<'_>| view.vips.iter_mut().for_each(|vip| vip.stays = true);
    check(stays, Command::Anywhere { vip: "internal" }, "Anywhere { instance: 0 }");
    let there = "that is for node02, and this is node01: it has changed since it was typed";
    check(stays, Command::Anywhere { vip: "external" }, there);
    let back = "vip/internal preempts: the strongest node would take it back at once";
    check(|view| view.vips[0].preempts = true, moved("internal", "node02"), back);
    let rests = "node02 is on standby: `outlast node resume node02` makes it hold again";
    check(|view| view.nodes[1].duty = Duty::Standby, moved("internal", "node02"), rests);
    let off = "somebody confirmed that node02 is off: it is given nothing until `outlast node confirm-off node02 --undo`";
    let dead = |view: &mut View<'_>| view.nodes[1].is_proven_dead = true;
    check(dead, moved("internal", "node02"), off);
    check(dead, Command::Use { pool: "db", to: "node02" }, off);
    check(dead, Command::Lead { to: "node02" }, off);
    let nobody = "nobody that is known here holds vip/internal: there is nothing to hand over";
    check(|view| view.vips[0].holders = &[], moved("internal", "node02"), nobody);
}

#[test]
fn the_server_in_use_moves_to_one_that_works_on_the_node_that_is_named() {
    let uses = |pool, to| Command::Use { pool, to };
    let as_it_is = |_: &mut View<'_>| {};
    // Of two servers there, the one that works.
    check(as_it_is, uses("db", "node02"), "Use { pool: 0, server: 2 }");
    check(as_it_is, uses("db", "node01"), "pool/db uses one already");
    check(as_it_is, uses("db", "node03"), SILENT);
    check(
        |view| view.nodes[2].is_alive = true,
        uses("db", "node03"),
        "pool/db has no server on node03",
    );
    let down = "four of pool/db is down, suspect or out of service: `outlast why pool/db`";
    check(as_it_is, uses("db", "node04"), down);
    let rests = "node02 is on standby: `outlast node resume node02` makes it hold again";
    check(|view| view.nodes[1].duty = Duty::Standby, uses("db", "node02"), rests);
    let all = "pool/api uses all of its servers at once: there is none to move";
    check(as_it_is, uses("api", "node02"), all);
    check(as_it_is, uses("d", "node02"), "there is no pool/d here; there are db, api");
    // Where its clients come to it is decided; without such an address, anywhere.
    let at = |change: fn(&mut View<'_>)| {
        with(change, |view| format!("{:?}", place(view, uses("db", "node01"))))
    };
    assert_eq!(at(|_| {}), "Ok(There(1))");
    assert_eq!(at(|view| view.pools[0].holders.clear()), "Ok(Here)");
}

#[test]
fn the_roles_of_a_cluster_move_to_voters_that_are_on_duty() {
    let (coordinate, lead) = (|to| Command::Coordinate { to }, |to| Command::Lead { to });
    let as_it_is = |_: &mut View<'_>| {};
    check(as_it_is, coordinate("node01"), "Coordinate");
    check(as_it_is, coordinate("node02"), "node02 coordinates already");
    check(as_it_is, lead("node02"), "Lead { to: 1 }");
    check(as_it_is, lead("node01"), "node01 leads the store already");
    let stranger = "node04 does not vote in the store; these do: node01, node02, node03";
    let rests = "node02 is on standby: `outlast node resume node02` makes it hold again";
    for command in [coordinate, lead] {
        check(as_it_is, command("node03"), SILENT);
        check(as_it_is, command("node04"), stranger);
    }
    check(|view| view.nodes[1].duty = Duty::Standby, lead("node02"), rests);
    let elsewhere = "that is for node02, and this is node01: it has changed since it was typed";
    let led = |view: &mut View<'_>| {
        let office = view.office.as_mut().expect("there is a store");
        office.leader = Some("node02");
    };
    check(led, lead("node01"), elsewhere);
    let nobody = "nobody leads the store as far as this node knows: there is nothing to give away";
    check(|view| view.office.as_mut().expect("a store").leader = None, lead("node02"), nobody);
    let none = "there is no [store] in this node's outlast.toml, so no coordinator to move";
    check(|view| view.office = None, coordinate("node01"), none);
    let etcd = |view: &mut View<'_>| view.office.as_mut().expect("a store").is_outside = true;
    let outside = "the store is an etcd of this site: `etcdctl move-leader` moves its leader";
    check(etcd, coordinate("node01"), "Coordinate");
    check(etcd, lead("node02"), outside);
    let places =
        |command: Command<'_>| with(as_it_is, |view| format!("{:?}", place(view, command)));
    assert_eq!(places(coordinate("node02")), "Ok(There(1))");
    assert_eq!(places(lead("node02")), "Ok(Here)");
}

#[test]
fn a_node_at_rest_gives_the_lead_of_the_store_to_a_voter_on_duty_and_keeps_it_where_there_is_none()
{
    let heirs = |change: fn(&mut View<'_>)| with(change, |view| format!("{:?}", heirs(view)));
    assert_eq!(heirs(|_| {}), "[]", "on duty it leads on");
    assert_eq!(heirs(|view| view.duty = Duty::Standby), "[1]", "node03 is silent, node04 no voter");
    let both = |view: &mut View<'_>| (view.duty, view.nodes[2].is_alive) = (Duty::Draining, true);
    assert_eq!(heirs(both), "[1, 2]");
    let last = |view: &mut View<'_>| {
        (view.me, view.duty, view.nodes[2].is_alive) = ("node02", Duty::Standby, true);
        view.office.as_mut().expect("a store").leader = Some("node02");
    };
    assert_eq!(heirs(last), "[2, 0]", "the one behind it first");
    for change in [
        |view: &mut View<'_>| view.nodes[1].duty = Duty::Standby,
        |view| view.nodes[1].is_alive = false,
        |view| view.office.as_mut().expect("a store").leader = Some("node02"),
        |view| view.office.as_mut().expect("a store").leader = None,
        |view| view.office.as_mut().expect("a store").is_outside = true,
        |view| view.office.as_mut().expect("a store").voters.clear(),
        |view| view.office = None,
    ] as [fn(&mut View<'_>); 7]
    {
        let found = with(
            |view| {
                view.duty = Duty::Standby;
                change(view);
            },
            |view| format!("{:?}", super::heirs(view)),
        );
        assert_eq!(found, "[]");
    }
}

#[test]
fn a_voter_that_does_not_take_the_lead_is_not_asked_on_and_on_and_the_next_one_is() {
    let at = |ms| Time::ZERO + std::time::Duration::from_millis(ms);
    let rests = |view: &mut View<'_>| (view.duty, view.nodes[2].is_alive) = (Duty::Standby, true);
    let mut lead = Lead::default();
    let asks = |lead: &mut Lead, ms: u64| {
        let mut asked = None;
        with(rests, |view| {
            asked = lead.step(at(ms), view);
            String::new()
        });
        asked
    };
    assert_eq!(asks(&mut lead, 0), Some((1, 1)));
    assert_eq!(asks(&mut lead, 1000), None, "its answer is waited for");
    lead.told(at(1000), 1, false);
    assert_eq!(asks(&mut lead, 1000), Some((2, 2)), "the next one, at once");
    // No answer at all counts as one.
    assert_eq!(asks(&mut lead, 5900), None);
    assert_eq!(asks(&mut lead, 6000), None);
    lead.told(at(6500), 2, false);
    assert_eq!(asks(&mut lead, 7900), None, "a silence is no refusal: not at once");
    assert_eq!(asks(&mut lead, 8000), Some((3, 1)), "it counts once, however late it comes");
    lead.told(at(8100), 2, true);
    assert_eq!(asks(&mut lead, 10_500), None, "and is none to the next question");
    lead.told(at(10_600), 3, false);
    assert_eq!(asks(&mut lead, 10_600), Some((4, 2)));
    lead.told(at(10_700), 4, false);
    assert_eq!(asks(&mut lead, 12_600), None, "all of them have refused");
    assert_eq!(asks(&mut lead, 12_700), Some((5, 1)));
    lead.told(at(12_800), 5, true);
    lead.told(at(13_000), 5, false);
    assert_eq!(asks(&mut lead, 14_700), None);
    assert_eq!(asks(&mut lead, 14_800), Some((6, 1)), "elected again meanwhile");
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
