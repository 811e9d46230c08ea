//! A cloud in the middle of a bad minute, for tests: one node silent, one server down.

use api::{
    BalancerState, Cell, Choice, Event, Load, Mode, NodeLine, NodeState, Opinion, ProcessState,
    ProxyLine, Role, ServerCheck, ServerState, Standing, Status, Verdict, VipCause, VipLine,
    VipRole, VipState,
};

fn node(name: &str, standing: Standing, ages: [Option<u64>; 2], why: &str) -> NodeLine {
    let alive = standing == Standing::Alive;
    let cell =
        |network: &str, age_ms: Option<u64>| Cell { network: network.to_owned(), alive, age_ms };
    NodeLine {
        state: NodeState {
            node: name.to_owned(),
            standing,
            cells: vec![cell("management", ages[0]), cell("storage", ages[1])],
            why: why.to_owned(),
            opinion: match standing {
                Standing::Suspect => opinion(Verdict::Unreachable, "silent-everywhere"),
                Standing::Alive => opinion(Verdict::Alive, "alive"),
                Standing::Unknown | Standing::Left => Opinion::default(),
            },
            duty: api::Duty::On,
        },
        holds: if name == "node02" { vec!["internal".to_owned()] } else { vec![] },
        load: alive.then_some(Load {
            cpu_percent: 12,
            memory_percent: 40,
            fibre_online: 2,
            fibre_ports: 2,
            age_ms: 300,
        }),
        compute: false,
        just_started: false,
    }
}

fn opinion(verdict: Verdict, rule: &str) -> Opinion {
    Opinion { verdict, networks: vec![], rule: rule.to_owned() }
}

fn server(proxy: &str, name: &str, check: ServerCheck, suspect: bool, why: &str) -> ServerState {
    let (proxy, server, why) = (proxy.to_owned(), name.to_owned(), why.to_owned());
    ServerState { proxy, server, check, suspect, why, count: 0, resting: false }
}

fn pool(name: &str, one_writer: bool) -> ProxyLine {
    ProxyLine {
        name: name.to_owned(),
        kind: "listen".to_owned(),
        mode: if one_writer { "tcp" } else { "http" }.to_owned(),
        binds: vec!["10.79.0.40:5000".to_owned()],
        balance: "roundrobin".to_owned(),
        default_backend: None,
        one_writer,
    }
}

fn process(role: Role, pid: i32) -> ProcessState {
    ProcessState { role, pid, running: true, generation: 1, starts: 1 }
}

fn choice() -> Choice {
    Choice { proxy: "mariadb".to_owned(), server: "node01".to_owned(), term: 1, by: 0 }
}

fn holder() -> VipState {
    VipState {
        instance: 0,
        role: VipRole::Master,
        holding: true,
        successor: Some(0),
        successor_life: None,
        cause: Some(VipCause::Named),
        term: 2,
        disabled_scripts: vec![],
        interface: None,
        in_use_by: None,
        vip_lease: None,
        priority: None,
        took: None,
    }
}

pub(crate) fn status() -> Status {
    let (up, down) = (ServerCheck::Up, ServerCheck::Down);
    let silent = "silent on every network for 1000 ms";
    let refused = "Layer4 connection problem, info: \"Connection refused\"";
    Status {
        duty: api::Duty::On,
        store: None,
        refused: api::RefusedPackets::default(),
        vip_refused: api::RefusedPackets::default(),
        turned_away: api::TurnedAway::default(),
        adverts_refused: vec![],
        vip_process: None,
        at_ms: 1_795_483_985_120,
        version: "0.1.0".to_owned(),
        node: "node02".to_owned(),
        cluster: Some("cloud".to_owned()),
        mode: Mode::Adaptive,
        generation: 1,
        limits: vec![],
        processes: vec![process(Role::Vip, 21), process(Role::Agent, 22), process(Role::Proxy, 23)],
        networks: vec!["management".to_owned(), "storage".to_owned()],
        nodes: vec![
            node("node01", Standing::Alive, [Some(120), Some(95)], "its first beat came"),
            node("node02", Standing::Alive, [Some(0), Some(0)], "this node"),
            node("node03", Standing::Suspect, [Some(3210), None], silent),
        ],
        vips: vec![VipLine {
            name: "internal".to_owned(),
            addresses: vec!["10.79.0.40".to_owned()],
            state: holder(),
            successor: Some("node01".to_owned()),
            holders: vec!["node02".to_owned()],
            interface: "eth0".to_owned(),
            router_id: 121,
            priority: 150,
            order: vec!["node01".to_owned(), "node02".to_owned(), "node03".to_owned()],
        }],
        balancer: BalancerState::Serving,
        proxies: vec![pool("keystone", false), pool("glance", false), pool("mariadb", true)],
        servers: vec![
            server("keystone", "node01", up, false, ""),
            server("keystone", "node02", up, false, ""),
            server("keystone", "node03", down, false, refused),
            server("glance", "node01", up, false, ""),
            server("glance", "node02", up, false, ""),
            server("mariadb", "node01", up, false, ""),
            server("mariadb", "node03", up, true, "its node is silent"),
        ],
        choices: vec![choice()],
        planned: vec![],
        own_doubts: vec![],
        reference: vec![],
        coordinator: None,
        voters_wait: None,
        notify: None,
        dashboard: vec!["http://127.0.0.1:7412/".to_owned()],
    }
}

pub(crate) fn events() -> Vec<Event> {
    let event = |seq, at_ms, node: &str, what: &str, object: &str, evidence: &str| Event {
        seq,
        at_ms,
        node: node.to_owned(),
        what: what.to_owned(),
        object: object.to_owned(),
        evidence: evidence.to_owned(),
        decision: "the rule applies".to_owned(),
        ..Event::default()
    };
    vec![
        event(11, 1_795_483_980_004, "node02", "vip-claimed", "vip/internal", "node01 named it"),
        event(12, 1_795_483_982_950, "node02", "node-suspect", "node/node03", "no beat for 1 s"),
        event(
            13,
            1_795_483_983_120,
            "node02",
            "server-down",
            "server/keystone/node03",
            "connection refused three times",
        ),
    ]
}
