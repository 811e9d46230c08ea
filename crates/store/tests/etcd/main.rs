//! The external engine: the same promises of three members of Debian's etcd, and what clients saw while
//! members were killed, paused or slow has an explanation.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "../conformance/mod.rs"]
mod conformance;
mod members;
#[path = "../process/mount.rs"]
mod mount;
mod patient;
#[path = "../process/proxy.rs"]
mod proxy;
mod secure;
#[path = "../process/slow.rs"]
mod slow;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use engine::kv::{Condition, Keys};
use members::{Elections, Members, PATIENCE};
use mount::Disk;
use outlast_store::etcd::Etcd;
use outlast_store::linear::{self, Deed, Operation};
use outlast_store::{Error, Store};
use patient::Patient;
use rustix::process::Signal;
use slow::Slow;
use tokio::task::JoinHandle;

const ALL: [usize; 3] = [0, 1, 2];

fn but(member: usize) -> Vec<usize> {
    ALL.into_iter().filter(|other| *other != member).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_external_etcd_keeps_the_same_promises() {
    let test = "an_external_etcd_keeps_the_same_promises";
    let Some(mut members) = Members::start(test, Elections::Late) else { return };
    members.ready().await;
    conformance::conforms(&members.store(0), &members.store(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_of_etcd_and_all_is_explained_under_kills_pauses_slow_disks_and_a_restart_of_all()
 {
    let test = "nothing_is_lost_of_etcd_and_all_is_explained_under_kills_pauses_slow_disks_and_a_restart_of_all";
    if let Some(why) = Slow::is_missing() {
        return members::skip(test, why);
    }
    let Some(mut members) = Members::start(test, Elections::Soon) else { return };
    members.ready().await;
    let clients = Clients::start(&members);
    let between = || tokio::time::sleep(Duration::from_millis(700));
    // Each strikes the one that leads.
    for fault in ["kill", "pause", "slow"] {
        between().await;
        let leader = members.leader(&ALL);
        let slow = match fault {
            "kill" => {
                members.kill(leader);
                None
            }
            "pause" => {
                members.signal(leader, Signal::STOP);
                None
            }
            _ => Some(Slow::disk_of(members.pid(leader), Duration::from_millis(60))),
        };
        if slow.is_none() {
            members.leader(&but(leader));
        }
        between().await;
        drop(slow);
        match fault {
            "kill" => members.launch_again(leader),
            "pause" => members.signal(leader, Signal::CONT),
            _ => {}
        }
    }
    between().await;
    for member in 0..3 {
        members.kill(member);
    }
    for member in 0..3 {
        members.launch_again(member);
    }
    members.ready().await;
    between().await;
    clients.judge().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_of_etcd_that_is_cut_off_or_full_costs_nothing() {
    let test = "a_member_of_etcd_that_is_cut_off_or_full_costs_nothing";
    let Some(mut members) = apart(test, Disk::Small(MEGABYTES)) else { return };
    members.ready().await;
    let clients = Clients::start(&members);
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let leader = members.leader(&ALL);
        members.network().isolate(leader, true);
        members.leader(&but(leader));
        clients.more(40).await;
        members.network().isolate(leader, false);
    }
    members.ready().await;
    lose_the_leaders_disk(&mut members, clients, mount::fill).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_of_etcd_whose_disk_turns_read_only_costs_nothing() {
    let test = "a_member_of_etcd_whose_disk_turns_read_only_costs_nothing";
    let Some(mut members) = apart(test, Disk::Fragile(MEGABYTES)) else { return };
    members.ready().await;
    let clients = Clients::start(&members);
    clients.more(40).await;
    lose_the_leaders_disk(&mut members, clients, mount::turn_read_only).await;
}

/// Of a disk: 64 for its log, as much for the next one, which are taken at the start.
const MEGABYTES: u32 = 200;

/// Nothing where they cannot be; that is told.
fn apart(test: &str, disk: Disk) -> Option<Members> {
    if members::is_missing(test) {
        return None;
    }
    if let Some(why) = mount::is_missing(disk) {
        members::skip(test, why);
        return None;
    }
    Some(Members::apart(members::folder(test), disk))
}

/// Under clients; it ends, the others go on, and what was acknowledged is there.
async fn lose_the_leaders_disk(
    members: &mut Members,
    clients: Clients,
    fail: fn(u32, &std::path::Path),
) {
    let leader = members.leader(&ALL);
    let store = Etcd::new(members.account(leader));
    fail(members.pid(leader), &members.data(leader));
    let (begun, mut acknowledged) = (sys::clock::now(), vec![]);
    for number in 0_u64.. {
        if members.ended(leader).is_some() {
            break;
        }
        assert!(sys::clock::now().since(begun) < PATIENCE, "it goes on without a disk");
        // Large ones: its log has room for the small ones of the clients.
        let (key, value) = (format!("large/{number}"), number.to_string() + &" ".repeat(200_000));
        if store.put(&key, value.as_bytes(), None).await.is_ok() {
            acknowledged.push((key, value));
        }
    }
    members.leader(&but(leader));
    clients.more(40).await;
    clients.judge().await;
    let store = members.store(but(leader)[0]);
    until_written(&store, "after").await;
    for (key, value) in acknowledged {
        let there = store.get(&key).await.unwrap().expect("it was acknowledged");
        assert!(*there.value == *value.as_bytes(), "{key} is another");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_of_etcd_ends_when_its_member_goes_silent_and_goes_on_at_another() {
    let test = "a_watch_of_etcd_ends_when_its_member_goes_silent_and_goes_on_at_another";
    let Some(mut members) = Members::start(test, Elections::Soon) else { return };
    members.ready().await;
    let mut one = members.account(0);
    one.members.truncate(1);
    let keys = || Keys::One("a".to_owned());
    let mut watch = Patient(Etcd::new(one)).watch(0, keys()).await.unwrap();
    // It takes connections still, as the kernel does for it, and its end of the watch stays open.
    members.signal(0, Signal::STOP);
    let ended = tokio::time::timeout(PATIENCE, watch.next()).await;
    let ended = ended.expect("a watch does not hang").unwrap_err().to_string();
    assert!(ended.contains("does not answer any more"), "{ended}");
    let store = members.store(0);
    let mut watch = store.watch(0, keys()).await.unwrap();
    until_written(&store, "a").await;
    let told = tokio::time::timeout(PATIENCE, watch.next()).await.expect("another member tells it");
    assert_eq!(told.unwrap()[0].key, "a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_that_reached_its_quota_says_so_and_what_to_do() {
    let test = "an_etcd_that_reached_its_quota_says_so_and_what_to_do";
    if members::is_missing(test) {
        return;
    }
    let quota = ["--quota-backend-bytes", "1048576"].map(str::to_owned).to_vec();
    let mut members = Members::of(members::folder("quota"), 1, Elections::Late, quota);
    members.ready().await;
    let (store, value, begun) = (members.store(0), vec![b'x'; 100_000], sys::clock::now());
    let said = loop {
        match store.put("full", &value, None).await {
            Err(Error::Etcd(text)) => break text,
            Ok(_) | Err(Error::Unknown) => {}
            Err(other) => panic!("{other:?}"),
        }
        assert!(sys::clock::now().since(begun) < PATIENCE, "the quota is never reached");
    };
    assert!(said.contains("space exceeded") && said.contains("etcdctl alarm disarm"), "{said}");
}

/// Writes it although members fail.
async fn until_written(store: &impl Store, key: &str) {
    let begun = sys::clock::now();
    while let Err(error) = store.put(key, b"1", None).await {
        let late = sys::clock::now().since(begun) >= PATIENCE;
        assert!(!late && matches!(error, Error::Unknown | Error::NoLeader(_)), "{error}");
    }
}

/// Clients that ask members in different orders, and what they saw.
struct Clients {
    stop: Arc<AtomicBool>,
    /// How many operations were answered so far.
    answered: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<Vec<Operation>>>,
}

impl Clients {
    fn start(members: &Members) -> Self {
        let (stop, values) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(1)));
        let answered = Arc::new(AtomicU64::new(0));
        let task = |client: usize| {
            let store = Etcd::new(members.account(client));
            let counts = (Arc::clone(&values), Arc::clone(&answered));
            tokio::spawn(work(store, client as u64, Arc::clone(&stop), counts))
        };
        let tasks = (0..4).map(task).collect();
        Self { stop, answered, tasks }
    }

    /// Waits until so many more were answered.
    async fn more(&self, answers: u64) {
        let (begun, before) = (sys::clock::now(), self.answered.load(Ordering::SeqCst));
        while self.answered.load(Ordering::SeqCst) <= before + answers {
            assert!(sys::clock::now().since(begun) < PATIENCE, "too little happens to judge");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn judge(self) {
        self.more(10).await;
        self.stop.store(true, Ordering::SeqCst);
        let mut history = vec![];
        for task in self.tasks {
            history.extend(task.await.unwrap());
        }
        let answered = history.iter().filter(|operation| operation.answered.is_some()).count();
        eprintln!("{answered} answers of {}", history.len());
        linear::check(&history).unwrap();
    }
}

fn now() -> u64 {
    sys::clock::now().as_nanos()
}

async fn work(
    store: Etcd,
    client: u64,
    stop: Arc<AtomicBool>,
    (values, answers): (Arc<AtomicU64>, Arc<AtomicU64>),
) -> Vec<Operation> {
    let (mut history, mut known, mut round) = (vec![], None, client);
    while !stop.load(Ordering::SeqCst) {
        round += 1;
        let (key, new) = (round % 3, values.fetch_add(1, Ordering::SeqCst));
        let (name, text) = (format!("k{key}"), new.to_string());
        let called = now();
        let deed = match round % 5 {
            0 | 1 => store.put(&name, text.as_bytes(), None).await.map(|_| Deed::Write(new)),
            2 => {
                let is = known.map_or(Condition::Missing, |old: u64| {
                    Condition::Value(old.to_string().as_bytes().into())
                });
                let swapped = store.swap(&name, is, text.as_bytes()).await;
                swapped.map(|held| Deed::Swap { from: known, to: new, held: Some(held) })
            }
            _ => store.get(&name).await.map(|item| {
                let found = item.map(|item| str::from_utf8(&item.value).unwrap().parse().unwrap());
                // Good for a swap of another key now and then, too.
                known = found;
                Deed::Read(found)
            }),
        };
        let answered = Some(now());
        match deed {
            Ok(deed) => {
                history.push(Operation { key, called, answered, deed });
                answers.fetch_add(1, Ordering::SeqCst);
            }
            Err(Error::NoLeader(_)) => {}
            Err(Error::Unknown) => {
                let deed = match round % 5 {
                    0 | 1 => Deed::Write(new),
                    _ => Deed::Swap { from: known, to: new, held: None },
                };
                history.push(Operation { key, called, answered: None, deed });
            }
            Err(other) => panic!("{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
    history
}
