//! Every message as it travels, one file per type in `tests/golden`. A line that changes changes
//! [`outlast_api::VERSION`] too: two versions of the program meet when a node is upgraded.
//!
//! `UPDATE_EXPECT=1` writes the files.

#[path = "samples/store.rs"]
mod sample;
#[path = "samples/golden.rs"]
mod samples;

use outlast_api::access::{AccessAnswer, AccessAsk, ByHand, Scope, Secret};
use outlast_api::books::{BookAnswer, BookAsk};
use outlast_api::maintenance::{Planned, Window};
use outlast_api::{
    self as api, Answer, Ask, BalancerState, Break, Carried, Cell, Change, Choice, DashboardState,
    Duty, Event, Evidence, FileKind, FileName, IntentState, Load, Mode, NodeLine, NodeState,
    Opinion, Order, OwnDoubt, ProxyLine, Report, Role, RuleLine, ServerCheck, ServerState,
    SocketName, Standing, Start, Status, StoreDisk, Verdict, VipCause, VipLine, VipRole, VipState,
    Why,
};
use sample::store;
use samples::golden;

#[path = "golden/bequest.rs"]
mod bequest;
#[path = "golden/examples.rs"]
mod examples;
#[path = "golden/notify.rs"]
mod notify;
#[path = "golden/refused.rs"]
mod refused;
#[path = "golden/voters.rs"]
mod voters;

use examples::{event, intent, under};

/// A value per variant; a variant without one does not compile.
macro_rules! each {
    ($kind:ident { $($variant:pat => $value:expr,)+ }) => {{
        use $kind::*;
        let all = vec![$($value),+];
        for one in &all {
            match one {
                $($variant)|+ => {}
            }
        }
        all
    }};
}

fn choice() -> Choice {
    Choice { proxy: "mariadb".to_owned(), server: "node02".to_owned(), term: 4, by: 1 }
}

fn node() -> NodeState {
    let cell = |name: &str, age_ms: Option<u64>| Cell {
        network: name.to_owned(),
        alive: age_ms.is_some(),
        age_ms,
    };
    NodeState {
        node: "node02".to_owned(),
        standing: Standing::Alive,
        cells: vec![cell("management", Some(40)), cell("storage", None)],
        why: "heard on management".to_owned(),
        opinion: Opinion {
            verdict: Verdict::CutOff,
            networks: vec!["storage".to_owned()],
            rule: "cut-off".to_owned(),
        },
        duty: Duty::Draining,
    }
}

fn server() -> ServerState {
    ServerState {
        proxy: "keystone_internal".to_owned(),
        server: "node01".to_owned(),
        check: ServerCheck::Down,
        suspect: true,
        why: "Layer4 connection problem, info: \"Connection refused\"".to_owned(),
        count: 3,
        resting: true,
    }
}

fn vip() -> VipState {
    VipState {
        instance: 1,
        role: VipRole::Master,
        holding: true,
        successor: Some(2),
        successor_life: Some(1_700_000_000_000),
        cause: Some(VipCause::Silence),
        term: 9,
        disabled_scripts: vec![],
        interface: Some("eth0".to_owned()),
        in_use_by: None,
        vip_lease: None,
        priority: Some(100),
        took: Some(examples::took()),
    }
}

fn vip_of_nobody() -> VipState {
    let first = VipState { successor: None, successor_life: None, took: None, ..vip() };
    VipState { role: VipRole::Fault, holding: false, cause: None, interface: None, ..first }
}

fn start() -> Start {
    Start {
        mode: Mode::Adaptive,
        node: "node01".to_owned(),
        generation: 2,
        run_dir: "/run/outlast/cloud".to_owned(),
        state_dir: "/var/lib/outlast/cloud".to_owned(),
        life: 7_365_000_000_000_000_001,
        breaks: vec![Break::Spare, Break::ArpBurst],
        files: vec![FileName {
            kind: FileKind::Haproxy,
            path: "/etc/haproxy/haproxy.cfg".to_owned(),
        }],
        sockets: vec![
            SocketName::Bind { proxy: "mariadb".to_owned(), index: 0 },
            SocketName::Stats { index: 1 },
            SocketName::Dashboard { index: 0 },
        ],
        adopt: vec![0, 2],
        leftovers: vec![[10, 79, 1, 1].into()],
        closed: true,
        heir: true,
        voters: Some(api::VotersInUse::Unread),
        servers: vec![server()],
        choices: vec![choice()],
        nodes: vec![node()],
    }
}

fn bare_start() -> Start {
    Start {
        mode: Mode::Strict,
        breaks: Vec::new(),
        files: Vec::new(),
        sockets: Vec::new(),
        adopt: Vec::new(),
        heir: false,
        voters: None,
        servers: Vec::new(),
        choices: Vec::new(),
        nodes: Vec::new(),
        ..start()
    }
}

fn machine(compute: bool) -> NodeLine {
    NodeLine { state: node(), holds: vec![], load: None, compute, just_started: false }
}

fn status() -> Status {
    let line = |name: &str, state, successor| VipLine {
        name: name.to_owned(),
        addresses: vec!["10.79.0.40/24".to_owned()],
        state,
        successor,
        holders: vec!["node01".to_owned()],
        interface: "eth0".to_owned(),
        router_id: 121,
        priority: 200,
        order: vec!["node01".to_owned(), "node03".to_owned()],
    };
    let load =
        Load { cpu_percent: 12, memory_percent: 34, fibre_online: 1, fibre_ports: 2, age_ms: 250 };
    let proxy = ProxyLine {
        name: "keystone_internal".to_owned(),
        kind: "listen".to_owned(),
        mode: "http".to_owned(),
        binds: vec!["10.79.0.40:5000".to_owned()],
        balance: "roundrobin".to_owned(),
        default_backend: None,
        one_writer: false,
    };
    Status {
        refused: examples::refused(),
        turned_away: api::TurnedAway { connections: 84, last: Some([10, 79, 0, 99].into()) },
        vip_refused: api::RefusedPackets { forged: 1, ..examples::refused() },
        adverts_refused: examples::adverts(),
        vip_process: Some(examples::vip_process()),
        at_ms: 1_700_000_000_123,
        version: "0.1.0".to_owned(),
        node: "node01".to_owned(),
        cluster: Some("cloud".to_owned()),
        mode: Mode::Adaptive,
        generation: 2,
        limits: vec!["no cluster file".to_owned()],
        processes: vec![examples::process()],
        networks: vec!["management".to_owned(), "storage".to_owned()],
        nodes: vec![
            NodeLine { holds: vec!["internal".to_owned()], load: Some(load), ..machine(false) },
            machine(true),
        ],
        vips: vec![
            line("internal", vip(), Some("node03".to_owned())),
            line("external", vip_of_nobody(), None),
        ],
        balancer: BalancerState::Serving,
        proxies: vec![proxy],
        servers: vec![server()],
        choices: vec![choice()],
        planned: vec![],
        own_doubts: vec![],
        reference: vec![],
        coordinator: None,
        voters_wait: None,
        notify: None,
        dashboard: vec!["http://127.0.0.1:7412/".to_owned()],
        duty: Duty::On,
        store: None,
    }
}

fn why() -> Why {
    Why {
        object: "vip/internal".to_owned(),
        state: "held by node01".to_owned(),
        evidence: vec![
            Evidence { what: "its own address is there".to_owned(), age_ms: Some(12) },
            Evidence { what: "priority 200".to_owned(), age_ms: None },
        ],
        rule: "the strongest node that hears nobody holds".to_owned(),
        rules: vec![RuleLine {
            name: "holds".to_owned(),
            sentence: "the strongest node that hears nobody holds".to_owned(),
            numbers: "3.2 s".to_owned(),
            applies: true,
        }],
        would_change: vec!["no carrier: node03 is named".to_owned()],
        events: vec![event()],
        kinds: vec![api::KindLine {
            name: "beat".to_owned(),
            meaning: "its agent spoke".to_owned(),
            counts: "for the detection time".to_owned(),
        }],
        history: vec![api::Turn {
            at_ms: 1_795_484_000_000,
            verdict: Verdict::CutOff,
            networks: vec!["storage".to_owned()],
            rule: "cut-off".to_owned(),
            cause: "storage: its last beat (1200 ms ago)".to_owned(),
        }],
    }
}

#[test]
fn every_order_travels_as_in_its_golden_file() {
    let orders = each!(Order {
        Start(_) => Start(Box::new(start())),
        Activate => Activate,
        Drain => Drain,
        Ping(_) => Ping(u64::MAX),
        Stop => Stop,
        Retire => Retire,
        Succeed { .. } => Succeed { oldest: 1, newest: 2 },
        GiveUp { .. } => GiveUp { instances: vec![0, 3] },
        Keys => Keys,
        Change(_) => Change(api::Change::Choice(choice())),
        Relay(..) => Relay(Role::Proxy, Box::new(Report::Event(event()))),
        Move { .. } => Move { instance: 1, to: 2 }, Anywhere { .. } => Anywhere { instance: 1 },
        Count { .. } => Count { clear: true },
        Use { .. } => Use { proxy: "mariadb".to_owned(), server: "node02".to_owned() },
        Refused { .. } => Refused {
            generation: 7,
            why: "cannot bind 10.79.0.40:3306".to_owned(),
            at_start: false,
        },
    });
    golden("order.jsonl", &orders);
    golden("start.jsonl", &[start(), bare_start()]);
}

/// A process of another release reads it.
#[test]
fn what_a_vip_process_leaves_travels_as_in_its_golden_file() {
    golden("vip_bequest.jsonl", &bequest::examples());
}

#[test]
fn every_report_travels_as_in_its_golden_file() {
    let reports = each!(Report {
        Ready { .. } => Ready { generation: 2 },
        Heir { .. } => Heir { oldest: 1, newest: 2 },
        Kept { .. } => Kept { why: "it reads forms 2 to 3".to_owned(), again: false },
        Serving { .. } => Serving { generation: 2 },
        Pong(_) => Pong(7),
        Busy => Busy,
        Failed { .. } => Failed { why: "cannot bind 10.79.0.40:3306".to_owned() },
        Vip(_) => Vip(vip()),
        Gate { .. } => Gate { cells: 2 },
        Servers(_) => Servers(vec![server(), server()]),
        Choice(_) => Choice(choice()),
        Node(_) => Node(node()),
        Event(_) => Event(event()),
        Refused(_) => Refused(examples::refused()),
        Adverts(_) => Adverts(examples::adverts()),
        VipProcess(_) => VipProcess(examples::vip_process()),
        Silence { .. } => Silence { node: 2, silent: true },
        Rival { .. } => Rival { instance: 1 },
        Counts(_) => Counts(vec![api::VipCounts { instance: 1, sent: 9, priority: Some(200), ..api::VipCounts::default() }]),
        Duty(_) => Duty(api::Duty::Standby),
        Proven(_) => Proven(vec!["node01".to_owned()]),
        References(_) => References(examples::referred()),
        Keys => Keys,
        Move { .. } => Move { instance: 1, to: 2 }, Anywhere { .. } => Anywhere { instance: 1 }, Coordinates(_) => Coordinates(true), Voters(_) => Voters(Some(examples::voters())),
        Use { .. } => Use { proxy: "mariadb".to_owned(), server: "node02".to_owned() },
        Apply { .. } => Apply { generation: 7 },
        Store(_) => Store(Box::new(store())),
        Wished(_) => Wished(api::Wished {
            by: "uid 0 (pid 812)".to_owned(),
            server: "mariadb/node02".to_owned(),
            to: "maint".to_owned(),
            more: 3,
        }),
    });
    golden("report.jsonl", &reports);
}

#[test]
fn a_window_is_kept_and_shown_as_in_its_golden_file() {
    let window = Window {
        node: Some("node02".to_owned()),
        begin_ms: 1_700_000_000_123,
        end_ms: 1_700_007_200_123,
        who: "alice@node01".to_owned(),
        why: "new memory".to_owned(),
        by: String::new(),
    };
    let by = "uid 1000 (pid 812) on node01".to_owned();
    let of_today = Window { by, ..window.clone() };
    golden("window.jsonl", &[window.clone(), Window { node: None, ..window.clone() }, of_today]);
    let servers = vec!["keystone_internal/node01".to_owned()];
    let planned = Planned { window, nodes: vec!["node02".to_owned()], servers };
    let status = Status { planned: vec![planned], ..status() };
    assert!(status.plan_of("node02").is_some() && status.plan_of("node01").is_none());
    assert!(status.is_planned(&server()));
    golden("status-planned.jsonl", &[status]);
}

#[test]
fn what_a_node_has_against_itself_travels_as_in_its_golden_file() {
    let reference = examples::references();
    let mut status = Status { own_doubts: OwnDoubt::ALL.to_vec(), reference, ..status() };
    status.nodes[0].just_started = true;
    let words = status.suspects_itself().unwrap();
    assert!(OwnDoubt::ALL.iter().all(|doubt| words.contains(doubt.words())), "{words}");
    golden("status-doubts.jsonl", &[status]);
}

#[test]
fn every_change_travels_as_in_its_golden_file() {
    let changes = each!(Change {
        Node(_) => Node(node()),
        Servers(_) => Servers(vec![server()]),
        Choice(_) => Choice(choice()),
        Balancer(_) => Balancer(BalancerState::Failed),
        Vip(_) => Vip(vip_of_nobody()),
        Process(_) => Process(examples::process()),
        Dashboard(_) => Dashboard(DashboardState {
            urls: vec!["http://127.0.0.1:7412/".to_owned()],
            limit: Some("no dashboard on [::1]:80".to_owned()),
        }),
        Duty(_) => Duty(api::Duty::Standby),
        Proven(_) => Proven(vec!["node01".to_owned()]),
        References(_) => References(examples::referred()), Coordinates(_) => Coordinates(true), Voters(_) => Voters(None),
        Store(_) => Store(Box::new(api::StoreState { failed: Some(815), ..store() })),
        Refused(_) => Refused(examples::refused()),
        Adverts(_) => Adverts(examples::adverts()),
        VipProcess(_) => VipProcess(examples::vip_process()),
        Silence { .. } => Silence { node: "node03".to_owned(), silent: true },
    });
    golden("change.jsonl", &changes);
}

fn every_word_about_access() {
    let access = each!(AccessAsk {
        Show { .. } => Show { token: Secret("outlast_5ec2e7".to_owned()) },
        List => List,
        Add { .. } => Add { name: "ci".to_owned(), scopes: Scope::ALL.to_vec(), days: Some(90) },
        Revoke { .. } => Revoke { name: "ci".to_owned() },
        Audit { .. } => Audit { last: 100 },
        Log { .. } => Log { deed: ByHand::Put, object: "a".to_owned(), came_to: None },
    });
    golden("access_ask.jsonl", &access);
    let access = each!(AccessAnswer {
        Grant(_) => Grant(api::access::Grant {
            name: "ci".to_owned(),
            scopes: vec![Scope::Read],
            until_ms: Some(1_700_000_000_000),
        }),
        NoSuchToken => NoSuchToken,
        Token(_) => Token(Secret("outlast_5ec2e7".to_owned())),
        Revoked => Revoked,
        Audited(_) => Audited(api::access::Audited {
            at_ms: 1_700_000_000_123,
            by: "uid 1000 (pid 4242)".to_owned(),
            command: "move".to_owned(),
            object: "internal".to_owned(),
            outcome: "done".to_owned(),
        }),
        Logged => Logged,
    });
    golden("access_answer.jsonl", &access);
    golden("access_role.jsonl", &api::access::Role::ALL);
}

#[test]
fn every_question_and_answer_travels_as_in_its_golden_file() {
    let asks = each!(Ask {
        Status => Status,
        Events { .. } => Events { after: 17, follow: true },
        Timeline { .. } => Timeline { last: 50, follow: true },
        Why { .. } => Why { object: "vip/internal".to_owned() },
        Under { .. } => Under { node: "node01".to_owned() },
        Command(_) => Command(api::Command::Move { vip: "internal".to_owned(), to: "node02".to_owned() }),
        Alone(_) => Alone(api::Command::Standby { node: "node01".to_owned() }),
        Intents { .. } => Intents { last: 20 },
        NotifyTest { .. } => NotifyTest { receiver: Some("ops".to_owned()) },
        Book(_) => Book(BookAsk::History),
        Access(_) => Access(AccessAsk::List),
        As { .. } => As { token: Secret("outlast_5ec2e7".to_owned()), ask: Box::new(Status) },
    });
    golden("ask.jsonl", &asks);
    every_word_about_access();
    let carried = each!(Carried {
        Begun => Begun,
        Done => Done,
        Failed(_) => Failed("nobody else could hold vip/internal".to_owned()),
        Stale(_) => Stale(32),
    });
    golden("carried.jsonl", &carried);
    golden("intent.jsonl", &[intent(), api::Intent::default()]);
    golden("under.jsonl", &[under(), api::Under::default()]);
    let answers = each!(Answer {
        Status(_) => Status(Box::new(status())),
        Event(_) => Event(event()),
        Why(_) => Why(Box::new(why())),
        Under(_) => Under(vec![under()]),
        Intents(_) => Intents(vec![intent()]),
        Tried(_) => Tried(vec![notify::tried()]),
        Book(_) => Book(BookAnswer::Done(true)),
        Access(_) => Access(AccessAnswer::Revoked),
        Refused(_) => Refused("unknown question".to_owned()),
    });
    golden("answer.jsonl", &answers);
    let coordinator = Some(Box::new(examples::coordinator()));
    let store = Some(Box::new(store()));
    let with_store = Status { duty: Duty::Standby, store, coordinator, ..status() };
    golden("status.jsonl", &[with_store]);
    let disks = each!(StoreDisk {
        Whole => Whole,
        FillsUp { .. } => FillsUp { upto: 9 },
        WentBack { .. } => WentBack { upto: None },
    });
    golden("store_disk.jsonl", &disks);
    golden("event.jsonl", &[event(), Event::default()]);
}

/// The words inside of messages.
#[test]
fn every_word_of_a_message_travels_as_in_its_golden_file() {
    macro_rules! words {
        ($file:literal, $kind:ident: $($word:ident)+) => {
            golden($file, &each!($kind { $($word => $word,)+ }));
        };
    }
    words!("role.jsonl", Role: Supervisor Vip Agent Proxy Spare Services Store);
    words!("mode.jsonl", Mode: Strict Rfc Adaptive);
    words!("file_kind.jsonl", FileKind: Haproxy Keepalived Cluster Secret Token);
    words!("break.jsonl", Break: Spare ArpBurst Redispatch SecondHolder Successor FailBack);
    words!("balancer_state.jsonl", BalancerState: Serving Replacing Failed Absent);
    words!("standing.jsonl", Standing: Unknown Alive Suspect Left);
    words!("duty.jsonl", Duty: On Standby Draining);
    words!("intent_state.jsonl", IntentState: Committed Done Failed Refused);
    words!("vip_role.jsonl", VipRole: Backup Master Fault);
    words!("vip_cause.jsonl", VipCause: Silence Goodbye Named Stronger Stalled Script Carrier NoDevice
        Balancer Refused Stopping Adopted Standby Moved NoNetwork Expired Majority ProvenDead Unheard Unreached Foreign Unproven LastMan Granted InUse Together Spread Apart Follows
        Process File Way Barred Room);
    words!("server_check.jsonl", ServerCheck: Unchecked Up Down Drain Maintenance);
}
