//! What is said about routers of neutron, one file per type in `tests/golden`.

#[path = "samples/golden.rs"]
mod samples;

use api::router::{
    Entry, EntryAnswer, RouterCounts, RouterEntry, RouterLine, RouterOrder, RouterRecord,
    RouterReport, WatchEntry,
};
use api::{Event, RefusedAdvert, RefusedAdverts, VipCounts, VipRole, VipState};
use outlast_api as api;
use samples::golden;

fn router() -> Entry {
    let file = "/var/lib/neutron/ha_confs/4f1c/keepalived.conf".to_owned();
    Entry::Router(RouterEntry { pid: 4711, file, holds: vec![0] })
}

fn watch() -> Entry {
    Entry::Watch(WatchEntry {
        pid: 4712,
        router: "4f1c".to_owned(),
        folder: "/var/lib/neutron/ha_confs/4f1c".to_owned(),
        interface: "ha-77".to_owned(),
        cidr: "169.254.0.1/24".to_owned(),
        agent: "/var/lib/neutron/keepalived-state-change".to_owned(),
        owner: Some((42435, 42435)),
        told: Some(true),
    })
}

fn counts() -> RouterCounts {
    let state = VipState {
        instance: 0,
        role: VipRole::Backup,
        holding: false,
        successor: None,
        successor_life: None,
        cause: None,
        term: 0,
        disabled_scripts: vec![],
        interface: Some("ha-77".to_owned()),
        in_use_by: None,
        vip_lease: None,
        priority: Some(50),
        took: None,
    };
    let refused = RefusedAdverts {
        vip: Some("VR_1".to_owned()),
        interface: "ha-77".to_owned(),
        reason: RefusedAdvert::Password,
        count: 3,
        source: None,
    };
    let counts = VipCounts { received: 7, became_master: 1, ..VipCounts::default() };
    RouterCounts { states: vec![state], counts: vec![counts], refused: vec![refused] }
}

#[test]
fn what_stand_ins_are_told_and_say_is_as_in_its_golden_files() {
    let trouble = Entry::Trouble { why: "line 3: `priorty` is no word".to_owned() };
    golden(
        "router_entry.jsonl",
        &[
            router(),
            watch(),
            Entry::Reload,
            Entry::Stop,
            trouble,
            Entry::List,
            Entry::Count { clear: true },
        ],
    );
    let line = RouterLine {
        router: "4f1c".to_owned(),
        file: "/var/lib/neutron/ha_confs/4f1c/keepalived.conf".to_owned(),
        pid: 4711,
        role: VipRole::Master,
        told: Some(true),
    };
    golden(
        "router_answer.jsonl",
        &[
            EntryAnswer::Accepted,
            EntryAnswer::Refused { why: "it runs already as pid 4711".to_owned() },
            EntryAnswer::Reloaded,
            EntryAnswer::Stopped,
            EntryAnswer::Routers { routers: vec![line], more: false },
            EntryAnswer::Unchanged { why: "its file cannot be read".to_owned() },
            EntryAnswer::Counted(counts()),
        ],
    );
    let file = "/var/lib/neutron/ha_confs/4f1c/keepalived.conf".to_owned();
    golden(
        "router_record.jsonl",
        &[RouterRecord {
            file,
            netns: "qrouter-4f1c".to_owned(),
            identity: (4, 4_026_532_345),
            desk: 77,
        }],
    );
}

#[test]
fn what_the_desk_and_the_process_of_routers_say_is_as_in_its_golden_files() {
    golden(
        "router_order.jsonl",
        &[
            RouterOrder::Begin { words: ("primary".to_owned(), "backup".to_owned()) },
            RouterOrder::Seat { number: 8, entry: None },
            RouterOrder::Seat { number: 9, entry: Some(Box::new(router())) },
            RouterOrder::Ping(3),
            RouterOrder::Retire,
        ],
    );
    golden(
        "router_report.jsonl",
        &[
            RouterReport::Keep { number: 8, entry: Box::new(watch()) },
            RouterReport::Holds { number: 8, holds: vec![0] },
            RouterReport::Told { number: 9, primary: false },
            RouterReport::Gone { number: 8 },
            RouterReport::Pong(3),
            RouterReport::Event(Box::new(Event {
                what: "vip-claimed".to_owned(),
                ..Event::default()
            })),
            RouterReport::Said("4f1c: runs".to_owned()),
        ],
    );
}
