use super::*;
use api::NodeState;

fn node(name: &str, standing: Standing, holds: bool) -> NodeLine {
    NodeLine {
        state: NodeState {
            node: name.to_owned(),
            standing,
            cells: vec![],
            why: String::new(),
            opinion: api::Opinion::default(),
            duty: Duty::On,
        },
        holds: if holds { vec!["internal".to_owned()] } else { vec![] },
        load: None,
        compute: false,
        just_started: false,
    }
}

/// What node02 shows as the next of node01, node02, node03.
fn next(role: VipRole, named: Option<u16>, holder: Option<&str>, dead: &[&str]) -> String {
    let mut picture = Picture::new("node02", Mode::Adaptive, 1);
    picture.names = ["node01", "node02", "node03"].map(str::to_owned).to_vec();
    let (name, order) = ("internal".to_owned(), picture.names.clone());
    let vips = vec![VipName { name, order, ..VipName::default() }];
    picture.files = Arc::new(Names { vips, ..Names::default() });
    picture.change(Change::Vip(VipState {
        instance: 0,
        role,
        holding: role == VipRole::Master,
        successor: named,
        successor_life: None,
        cause: None,
        term: 1,
        disabled_scripts: vec![],
        interface: None,
        in_use_by: None,
        vip_lease: None,
        priority: None,
        took: None,
    }));
    let line = |name: &String| {
        let is_dead = dead.contains(&name.as_str());
        let standing = if is_dead { Standing::Suspect } else { Standing::Alive };
        node(name, standing, holder == Some(name))
    };
    let lines = picture.names.iter().map(line).collect();
    picture.status(lines).vips[0].successor.clone().unwrap_or_else(|| "-".to_owned())
}

#[test]
fn a_node_fails_when_all_of_its_servers_do_and_an_operator_took_none_out() {
    let mut picture = Picture::new("node01", Mode::Adaptive, 1);
    let homes = [("one", 0), ("two", 1), ("three", 1)];
    let homes = homes.map(|(server, node)| (server.to_owned(), node)).into_iter().collect();
    let homes = [("api".to_owned(), homes)].into_iter().collect();
    picture.files = Arc::new(Names { homes, ..Names::default() });
    let mut say = |name: &str, check: ServerCheck, suspect: bool| {
        let (proxy, server) = ("api".to_owned(), name.to_owned());
        let state = ServerState {
            proxy,
            server,
            check,
            suspect,
            why: String::new(),
            count: 0,
            resting: false,
        };
        picture.change(Change::Servers(vec![state]));
        picture.failing().into_iter().collect::<Vec<_>>()
    };
    assert!(say("one", ServerCheck::Down, false).is_empty(), "one server is no node");
    assert!(say("two", ServerCheck::Down, false).is_empty(), "one server is no node");
    assert!(say("three", ServerCheck::Up, false).is_empty());
    assert_eq!(say("three", ServerCheck::Up, true), [1]);
    assert!(say("two", ServerCheck::Maintenance, false).is_empty(), "taken out");
    assert_eq!(say("two", ServerCheck::Down, false), [1]);
    assert!(say("three", ServerCheck::Unchecked, false).is_empty());
}

#[test]
fn what_does_not_run_is_said_against_this_node() {
    let mut picture = Picture::new("node01", Mode::Adaptive, 1);
    let proxies = vec![api::ProxyLine {
        name: "api".to_owned(),
        kind: "listen".to_owned(),
        mode: "http".to_owned(),
        binds: vec![],
        balance: String::new(),
        default_backend: None,
        one_writer: false,
    }];
    picture.files = Arc::new(Names { proxies, ..Names::default() });
    assert!(picture.ailments().is_empty(), "being replaced is no ailment");
    picture.change(Change::Balancer(BalancerState::Failed));
    let vip = ProcessState { role: Role::Vip, pid: 4, running: false, generation: 1, starts: 2 };
    picture.change(Change::Process(vip.clone()));
    assert_eq!(
        picture.ailments().words(),
        "its balancer does not run; its vip process does not run"
    );
    picture.change(Change::Balancer(BalancerState::Serving));
    picture.change(Change::Process(ProcessState { running: true, ..vip }));
    assert!(picture.ailments().is_empty());
}

#[test]
fn a_store_has_stopped_if_its_own_failure_was_its_last_word_and_not_if_it_was_told_to_end() {
    let mut picture = Picture::new("node01", Mode::Adaptive, 1);
    let process = |picture: &mut Picture, pid, running| {
        let role = Role::Store;
        let process = ProcessState { role, pid, running, generation: 1, starts: 1 };
        picture.change(Change::Process(process));
    };
    let says = |picture: &mut Picture, trouble: &str, failed| {
        let trouble = Some(trouble.to_owned());
        let state = StoreState { trouble, failed, ..StoreState::default() };
        picture.change(Change::Store(Box::new(state)));
    };
    // A reload with another store ends its process while it waits for others.
    process(&mut picture, 4, true);
    says(&mut picture, "waits for node02", None);
    process(&mut picture, 4, false);
    assert!(!picture.store_has_stopped());
    process(&mut picture, 5, true);
    says(&mut picture, "no space left on device", Some(5));
    assert!(!picture.store_has_stopped(), "it is ending");
    process(&mut picture, 5, false);
    assert!(picture.store_has_stopped());
    // The next one is told to end before it has said anything.
    process(&mut picture, 6, true);
    process(&mut picture, 6, false);
    assert!(!picture.store_has_stopped());
}

#[test]
fn next_is_who_follows_the_holder_whoever_shows_it() {
    use VipRole::{Backup, Fault, Master};
    let (one, three) = (Some("node01"), Some("node03"));
    for (why, role, named, holder, dead, expected) in [
        (
            "the holder names whom it would hand over to",
            Master,
            Some(2),
            Some("node02"),
            &[][..],
            "node03",
        ),
        ("the holder knows nobody", Master, None, Some("node02"), &["node01", "node03"], "-"),
        ("a backup hears the holder as its best peer", Backup, Some(0), one, &[], "node02"),
        ("the preferred one came back and waits", Backup, Some(0), three, &[], "node01"),
        ("the preferred one cannot hold", Backup, Some(2), three, &[], "node02"),
        ("this node cannot hold, another can", Fault, Some(0), one, &[], "node03"),
        ("this node cannot hold, the other is dead", Fault, Some(0), one, &["node03"], "-"),
        ("nobody is known to hold", Backup, Some(0), None, &[], "-"),
    ] {
        assert_eq!(next(role, named, holder, dead), expected, "{why}");
    }
}
