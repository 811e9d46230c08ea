use api::{
    BalancerState, Cell, Choice, Load, Mode, NodeLine, NodeState, Opinion, ProcessState, ProxyLine,
    Role, ServerCheck, ServerState, Standing, Verdict, VipCause, VipLine, VipRole, VipState,
};
use expect_test::{Expect, expect};

use super::*;
use crate::agent::names::VipName;

mod network;
mod store;
mod voted;

fn node(name: &str, standing: Standing, age_ms: Option<u64>, why: &str) -> NodeLine {
    let alive = standing == Standing::Alive;
    let cell = Cell { network: "management".to_owned(), alive, age_ms };
    let load = Load {
        cpu_percent: 12,
        memory_percent: 40,
        fibre_online: 0,
        fibre_ports: 0,
        age_ms: age_ms.unwrap_or(0),
    };
    NodeLine {
        state: NodeState {
            node: name.to_owned(),
            standing,
            cells: vec![cell],
            why: why.to_owned(),
            opinion: opinion(standing),
            duty: api::Duty::On,
        },
        holds: if name == "node01" { vec!["internal".to_owned()] } else { vec![] },
        load: alive.then_some(load),
        compute: false,
        just_started: false,
    }
}

fn opinion(standing: Standing) -> Opinion {
    let (verdict, rule) = match standing {
        Standing::Alive => (Verdict::Alive, "alive"),
        Standing::Suspect => (Verdict::Unreachable, "silent-everywhere"),
        Standing::Left => (Verdict::Leaving, "goodbye"),
        Standing::Unknown => (Verdict::Unknown, ""),
    };
    Opinion { verdict, networks: vec![], rule: rule.to_owned() }
}

fn server(proxy: &str, name: &str, check: ServerCheck, suspect: bool, count: u16) -> ServerState {
    let why = if check == ServerCheck::Down {
        "Layer4 connection problem, info: \"Connection refused\""
    } else {
        "Layer4 check passed"
    };
    let (proxy, server) = (proxy.to_owned(), name.to_owned());
    ServerState { proxy, server, check, suspect, why: why.to_owned(), count, resting: false }
}

fn proxy(name: &str, one_writer: bool, default_backend: Option<&str>) -> ProxyLine {
    ProxyLine {
        name: name.to_owned(),
        kind: if default_backend.is_some() { "frontend" } else { "listen" }.to_owned(),
        mode: if one_writer { "tcp" } else { "http" }.to_owned(),
        binds: vec!["10.79.0.40:80".to_owned()],
        balance: "roundrobin".to_owned(),
        default_backend: default_backend.map(str::to_owned),
        one_writer,
    }
}

fn holder() -> VipState {
    VipState {
        instance: 0,
        role: VipRole::Master,
        holding: true,
        successor: Some(1),
        successor_life: None,
        cause: Some(VipCause::Silence),
        term: 2,
        disabled_scripts: vec![],
        interface: None,
        in_use_by: None,
        vip_lease: None,
        priority: None,
        took: None,
    }
}

fn status() -> Status {
    let process = |role, pid| ProcessState { role, pid, running: true, generation: 2, starts: 1 };
    Status {
        duty: api::Duty::On,
        store: None,
        refused: api::RefusedPackets::default(),
        vip_refused: api::RefusedPackets::default(),
        turned_away: api::TurnedAway::default(),
        adverts_refused: vec![],
        vip_process: None,
        at_ms: 100_000,
        version: "0.1.0".to_owned(),
        node: "node01".to_owned(),
        cluster: Some("cloud".to_owned()),
        mode: Mode::Adaptive,
        generation: 2,
        limits: vec![],
        processes: vec![process(Role::Proxy, 21), process(Role::Agent, 22)],
        networks: vec!["management".to_owned()],
        nodes: vec![
            node("node01", Standing::Alive, Some(0), "this node"),
            node("node02", Standing::Alive, Some(120), "its first beat came"),
            node("node03", Standing::Suspect, Some(3200), "no beat for 1 s on any network"),
        ],
        vips: vec![VipLine {
            name: "internal".to_owned(),
            addresses: vec!["10.79.0.40".to_owned()],
            state: holder(),
            successor: Some("node02".to_owned()),
            holders: vec!["node01".to_owned()],
            interface: "eth0".to_owned(),
            router_id: 121,
            priority: 200,
            order: ["node01", "node02", "node03"].map(str::to_owned).to_vec(),
        }],
        balancer: BalancerState::Serving,
        proxies: vec![
            proxy("api", false, None),
            proxy("mariadb", true, None),
            proxy("web", false, Some("api")),
        ],
        servers: vec![
            server("api", "one", ServerCheck::Up, false, 1),
            server("api", "two", ServerCheck::Down, false, 1),
            server("mariadb", "one", ServerCheck::Up, true, 0),
            server("mariadb", "two", ServerCheck::Up, false, 0),
        ],
        choices: vec![Choice { proxy: "mariadb".into(), server: "one".into(), term: 4, by: 1 }],
        planned: vec![],
        own_doubts: vec![],
        reference: vec![],
        coordinator: None,
        voters_wait: None,
        notify: None,
        dashboard: vec![],
    }
}

const HAPROXY: &str = "defaults
  timeout connect 1s
  timeout client 1s
  timeout server 1s
listen api
  bind 10.79.0.40:80
  server one 10.79.0.41:8080 check inter 2s fall 3 rise 2
  server two 10.79.0.43:8080 check inter 2s fall 3 rise 4 port 9000
";

fn names() -> Names {
    let source = config::Source { path: "haproxy.cfg".to_owned(), text: HAPROXY.to_owned() };
    let vip = VipName {
        name: "internal".to_owned(),
        priority: 200,
        own: Some("10.79.0.41".parse().unwrap()),
        checks: vec!["balancer".to_owned()],
        advert_ms: 1000,
        missing: 3,
        ..VipName::default()
    };
    let address = |text: &str, node| (text.parse().unwrap(), node);
    Names {
        vips: vec![vip],
        addresses: vec![address("10.79.0.41", 0), address("10.79.0.43", 2)],
        haproxy: config::haproxy::parse(&[source], 0).0,
        ..Names::default()
    }
}

fn check_in(status: &Status, object: &str, expected: Expect) {
    let told = |object: &str| (object != "server/api/one").then_some(98_500);
    let about = |_: &str| vec![];
    let files = names();
    let of_node = |name: &str| vec![seen(format!("beat: of {name}"), Some(120))];
    let times = Times::default();
    let turns = |_: &str| vec![];
    let ground = Ground {
        status,
        files: &files,
        told: &told,
        about: &about,
        seen: &of_node,
        turns: &turns,
        times,
    };
    let text = match why(&ground, object) {
        Err(unknown) => unknown.to_string(),
        Ok(why) => {
            let mut text = format!("{}: {}\n", why.object, why.state);
            for evidence in &why.evidence {
                let age = evidence.age_ms.map_or(String::new(), |age| format!(" ({age} ms ago)"));
                text += &format!("  saw {}{age}\n", evidence.what);
            }
            text += &format!("  rule {}\n", why.rule);
            for rule in why.rules.iter().filter(|rule| rule.applies) {
                text += &format!("  of {} rules {}\n", why.rules.len(), rule.name);
            }
            for change in &why.would_change {
                text += &format!("  then {change}\n");
            }
            text
        }
    };
    expected.assert_eq(&text);
}

fn check(object: &str, expected: Expect) {
    check_in(&status(), object, expected);
}

#[test]
fn a_node_is_explained_by_its_beats() {
    check(
        "node02",
        expect![[r#"
            node/node02: node02 is alive
              saw last change of its standing: its first beat came
              saw beat: of node02 (120 ms ago)
              saw its machine: cpu 12 %, memory 40 % (120 ms ago)
              rule alive: one beat within the detection time on any network is life (a beat every 100ms, one within 1s)
              of 19 rules alive
              then 880 ms more without a beat on any network make it suspect
              then its goodbye makes it gone at once
        "#]],
    );
    check(
        "node/node03",
        expect![[r#"
            node/node03: node03 is unreachable
              saw last change of its standing: no beat for 1 s on any network
              saw beat: of node03 (120 ms ago)
              rule silent-everywhere: no beat on any network for the detection time, here and at everybody whom this node reaches, who are a majority: unreachable, which proves nothing and restarts nothing (1s, longer by measured stalls)
              of 19 rules silent-everywhere
              then one beat of it on any network, at any of them
        "#]],
    );
    check(
        "node01",
        expect![[r#"
            node/node01: node01 is this node
              saw it holds vip/internal (0 ms ago)
              saw its machine: cpu 12 %, memory 40 % (0 ms ago)
              saw it answers this question
              rule a node that is late itself, has lost its own carriers, or reaches no majority accuses nobody, and doubts nobody anew where no reference point answers it either; what the others think of this one is theirs to say
              then the others suspect it when none of its beats arrives on any network for 1 s
        "#]],
    );
}

#[test]
fn a_node_that_has_just_started_is_said_not_to_be_called_cut_off_yet() {
    let mut status = status();
    status.nodes[1].just_started = true;
    check_in(
        &status,
        "node02",
        expect![[r#"
        node/node02: node02 is alive
          saw last change of its standing: its first beat came
          saw beat: of node02 (120 ms ago)
          saw its machine: cpu 12 %, memory 40 % (120 ms ago)
          saw its agent has just started: it is not called cut off yet
          rule alive: one beat within the detection time on any network is life (a beat every 100ms, one within 1s)
          of 19 rules alive
          then 880 ms more without a beat on any network make it suspect
          then its goodbye makes it gone at once
    "#]],
    );
}

#[test]
fn a_virtual_ip_is_explained_by_who_holds_it_and_who_follows() {
    check(
        "vip/internal",
        expect![[r#"
        vip/internal: held by node01 (this node)
          saw the vip process of this node is master, because nobody advertised (1500 ms ago)
          saw the balancer of this node serves (1500 ms ago)
          saw on eth0, group 121, priority 200 here
          saw preferred order: node01, node02, node03
          rule no advert for 3.2 s (three of 1 s and the skew) means that nobody holds; nobody takes it back (no fail-back)
          then node02 takes it when this node's balancer does not serve for 100 ms, or is lost twice in 10 s
          then node02 takes it when eth0 loses its carrier
          then node02 takes it at once when this node is told to end
          then a successor that hears nothing of this node waits about 3.2 s
    "#]],
    );
}

#[test]
fn a_virtual_ip_that_stands_by_is_explained_by_its_holder() {
    let mut status = status();
    let vip = &mut status.vips[0];
    vip.state =
        VipState { role: VipRole::Backup, holding: false, cause: None, ..vip.state.clone() };
    vip.holders = vec!["node02".to_owned()];
    check_in(
        &status,
        "vip/internal",
        expect![[r#"
        vip/internal: held by node02; node01 stands by
          saw the vip process of this node is backup (1500 ms ago)
          saw node02 says in its beats that it holds the address (120 ms ago)
          saw the balancer of this node serves (1500 ms ago)
          saw on eth0, group 121, priority 200 here
          saw preferred order: node01, node02, node03
          rule a holder advertises every 1 s; without it a backup waits 3.2 s; nobody takes it back (no fail-back)
          then node01 takes it at once when node02 names it
          then node01 takes it when nobody advertises for 3.2 s
    "#]],
    );
    let vip = &mut status.vips[0];
    (vip.state.role, vip.state.cause) = (VipRole::Fault, Some(VipCause::Balancer));
    vip.holders = vec!["node02".to_owned(), "node03".to_owned()];
    status.balancer = BalancerState::Failed;
    check_in(
        &status,
        "vip/internal",
        expect![[r#"
        vip/internal: held by node02 and node03 at once, which is a fault
          saw the vip process of this node is in fault, because the balancer does not serve (1500 ms ago)
          saw node02 says in its beats that it holds the address (120 ms ago)
          saw node03 says in its beats that it holds the address (3200 ms ago)
          saw the balancer of this node does not serve (1500 ms ago)
          saw on eth0, group 121, priority 200 here
          saw preferred order: node01, node02, node03
          rule a node whose balancer does not serve within 100 ms, or is lost twice in 10 s, hands its addresses over; nobody takes it back (no fail-back)
          then node01 stands by again when the balancer of node01 has served for 2 s
    "#]],
    );
}

#[test]
fn a_server_is_explained_by_its_checks_with_the_files_numbers() {
    check(
        "server/api/one",
        expect![[r#"
        server/api/one: one of api is up
          saw checked by a connect to 10.79.0.41:8080 every 2 s
          saw last word of the checks: Layer4 check passed
          saw its node node01 is alive (0 ms ago)
          rule 3 failed checks in a row take it down, 2 passed checks bring it back
          then 2 more failed checks (4 s) mark it down
          then 1 s without a beat of its node, or 50 ms to 200 ms without an answer to a connect, make it suspect
    "#]],
    );
    check(
        "server/api/two",
        expect![[r#"
        server/api/two: two of api is down: it gets no request
          saw checked by a connect to 10.79.0.43:9000 every 2 s
          saw last word of the checks: Layer4 connection problem, info: "Connection refused" (1500 ms ago)
          saw its node node03 is silent on every network (3200 ms ago)
          rule 3 failed checks in a row take it down, 4 passed checks bring it back
          then 3 more passed checks (6 s) mark it up
    "#]],
    );
    check(
        "server/mariadb/one",
        expect![[r#"
        server/mariadb/one: one of mariadb is up but suspect: it gets no new request while another is up
          saw last word of the checks: Layer4 check passed (1500 ms ago)
          saw it is the one that is written to (1500 ms ago)
          rule the file does not check it; before that its node's silence (1 s), a refused connect, a connect without answer (50 ms to 200 ms) or requests without answer (1 s) make it suspect
          then an answer, a beat of its node, or a check that had to say something clears it
    "#]],
    );
}

#[test]
fn a_pool_is_explained_by_its_servers() {
    check(
        "pool/api",
        expect![[r#"
        pool/api: 1 of 2 servers of api are up
          saw one is up: Layer4 check passed
          saw two is down: Layer4 connection problem, info: "Connection refused" (1500 ms ago)
          rule servers take turns by their weight; a suspect one is left out while another is up, backups serve when all others are down
          then when one goes down every request gets 503
    "#]],
    );
    check(
        "proxy/mariadb",
        expect![[r#"
        pool/mariadb: 2 of 2 servers of mariadb are up, 1 of them suspect; one is used
          saw one is up, suspect: Layer4 check passed (1500 ms ago)
          saw two is up: Layer4 check passed (1500 ms ago)
          saw one was chosen by node02, choice 4 (1500 ms ago)
          rule one server at a time: the one in use stays until it fails, the next one does not give back, sessions of the former are closed first
          then when all 2 go down every connection is closed
          then two is used when one fails
    "#]],
    );
    check(
        "pool/web",
        expect![[r#"
        pool/web: web passes its requests to api
          saw it listens on 10.79.0.40:80
          rule a frontend has no servers of its own
          then what becomes of its requests is said by `why pool/api`
    "#]],
    );
    let mut status = status();
    status.servers.retain(|server| server.check == ServerCheck::Down);
    check_in(
        &status,
        "pool/api",
        expect![[r#"
        pool/api: api has no server: every request gets 503
          saw two is down: Layer4 connection problem, info: "Connection refused" (1500 ms ago)
          rule servers take turns by their weight; a suspect one is left out while another is up, backups serve when all others are down
          then the first server that is up again is used at once
    "#]],
    );
}

#[test]
fn the_balancer_and_processes_are_explained_by_the_limits_of_the_supervisor() {
    check(
        "balancer",
        expect![[r#"
        balancer: the balancer of this node serves
          saw proxy: pid 21, configuration 2, 1 start (1500 ms ago)
          rule a dead or frozen proxy is replaced by the warm spare on the same sockets; only if nothing serves within 100 ms, or twice in 10 s, do the addresses go
          then a process without an answer for 300 ms is replaced by its spare
          then if nothing serves for 100 ms, or a second one is lost within 10 s, it has failed
    "#]],
    );
    check(
        "process/agent",
        expect![[r#"
        process/agent: agent runs as pid 22
          saw agent: pid 22, configuration 2, 1 start (1500 ms ago)
          rule one that ended is started again after 10 ms, doubling up to 5 s while lives are short
          then its end costs beats and answers for some 10 ms; addresses and balancer stay
    "#]],
    );
    let mut status = status();
    status.balancer = BalancerState::Absent;
    check_in(
        &status,
        "balancer",
        expect![[r#"
        balancer: this node has no balancer
          saw the files define no proxy
          rule without a proxy nothing listens
          then a file of proxies and a restart of this node
    "#]],
    );
}

#[test]
fn a_name_that_nothing_has_is_answered_with_the_nearest() {
    check(
        "nod02",
        expect!["there is no nod02 here; did you mean node/node02, node/node01, node/node03?"],
    );
    check("vip/interal", expect!["there is no vip/interal here; did you mean vip/internal?"]);
    check(
        "server/api/won",
        expect![
            "there is no server/api/won here; did you mean server/api/one, server/api/two, pool/api?"
        ],
    );
    check(
        "something else",
        expect!["there is no something else here; `outlast status` shows what there is"],
    );
}

#[test]
fn events_are_about_what_they_name() {
    let event = |object: &str, node: &str| Event {
        object: object.to_owned(),
        node: node.to_owned(),
        ..Event::default()
    };
    for (of, object, node, expected) in [
        ("vip/internal", "vip/internal", "node02", true),
        ("vip/internal", "vip/external", "node01", false),
        ("proxy/mariadb", "pool/mariadb", "node02", true),
        ("server/mariadb/one", "pool/mariadb", "node01", true),
        ("server/mariadb2/one", "pool/mariadb", "node01", false),
        ("process/proxy", "balancer", "node01", true),
        ("process/proxy", "balancer", "node02", false),
        ("process/agent", "process/agent", "node01", true),
        ("process/agent", "process/agent", "node02", false),
    ] {
        assert_eq!(is_about(&event(of, node), object, "node01"), expected, "{of} {object} {node}");
    }
}
