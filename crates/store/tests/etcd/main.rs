//! The external engine: the same promises of three members of Debian's etcd, and what clients saw while
//! members were killed, paused or slow has an explanation.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "../conformance/mod.rs"]
mod conformance;
mod members;
#[path = "../process/proxy.rs"]
mod proxy;
mod secure;
#[path = "../process/slow.rs"]
mod slow;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use engine::kv::Condition;
use members::Members;
use outlast_store::etcd::Etcd;
use outlast_store::linear::{self, Deed, Operation};
use outlast_store::{Error, Store};
use rustix::process::Signal;
use slow::Slow;
use tokio::task::JoinHandle;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_external_etcd_keeps_the_same_promises() {
    let Some(members) = Members::start("an_external_etcd_keeps_the_same_promises") else { return };
    members.ready().await;
    conformance::conforms(&Etcd::new(members.account(0)), &Etcd::new(members.account(1))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_of_etcd_and_all_is_explained_under_kills_pauses_slow_disks_and_a_restart_of_all()
 {
    let test = "nothing_is_lost_of_etcd_and_all_is_explained_under_kills_pauses_slow_disks_and_a_restart_of_all";
    if let Some(why) = Slow::is_missing() {
        return members::skip(test, why);
    }
    let Some(mut members) = Members::start(test) else { return };
    members.ready().await;
    let clients = Clients::start(&members);
    let between = || tokio::time::sleep(Duration::from_millis(700));
    for (member, fault) in ["kill", "pause", "slow"].into_iter().enumerate() {
        between().await;
        let slow = match fault {
            "kill" => {
                members.kill(member);
                None
            }
            "pause" => {
                members.signal(member, Signal::STOP);
                None
            }
            _ => Some(Slow::disk_of(members.pid(member), Duration::from_millis(60))),
        };
        between().await;
        drop(slow);
        match fault {
            "kill" => members.launch_again(member),
            "pause" => members.signal(member, Signal::CONT),
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
    if members::is_missing(test) {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        return members::skip(test, "only root mounts a small file system");
    }
    // Its log alone takes 64 MB at the start.
    let mut members = Members::apart(members::folder("apart"), 80);
    members.ready().await;
    let clients = Clients::start(&members);
    for member in 0..2 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        members.network().isolate(member, true);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        members.network().isolate(member, false);
    }
    members.ready().await;
    clients.judge().await;
    let (store, begun) = (Etcd::new(members.account(0)), now());
    let (value, mut acknowledged) = (vec![b'x'; 200_000], vec![]);
    while members.ended(2).is_none() {
        assert!(now() - begun < 120_000_000_000, "the small disk is never full");
        let key = format!("full/{}", acknowledged.len() % 200);
        if store.put(&key, &value, None).await.is_ok() {
            acknowledged.push(key);
        }
    }
    assert!(store.put("after", b"1", None).await.is_ok());
    for key in acknowledged {
        assert!(store.get(&key).await.unwrap().is_some(), "{key} is lost");
    }
}

/// Clients that ask members in different orders, and what they saw.
struct Clients {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Vec<Operation>>>,
}

impl Clients {
    fn start(members: &Members) -> Self {
        let (stop, values) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(1)));
        let task = |client: usize| {
            let store = Etcd::new(members.account(client));
            tokio::spawn(work(store, client as u64, Arc::clone(&stop), Arc::clone(&values)))
        };
        let tasks = (0..4).map(task).collect();
        Self { stop, tasks }
    }

    async fn judge(self) {
        self.stop.store(true, Ordering::SeqCst);
        let mut history = vec![];
        for task in self.tasks {
            history.extend(task.await.unwrap());
        }
        let answered = history.iter().filter(|operation| operation.answered.is_some()).count();
        eprintln!("{answered} answers of {}", history.len());
        assert!(answered > 40, "too little happened to judge: {answered} answers");
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
    values: Arc<AtomicU64>,
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
            Ok(deed) => history.push(Operation { key, called, answered, deed }),
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
