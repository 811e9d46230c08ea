//! The external engine: the same promises of three members of Debian's etcd, and what clients saw while
//! its leader was killed has an explanation.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "../conformance/mod.rs"]
mod conformance;
mod members;
mod secure;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use engine::kv::Condition;
use members::Members;
use outlast_store::etcd::Etcd;
use outlast_store::linear::{self, Deed, Operation};
use outlast_store::{Error, Store};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_external_etcd_keeps_the_same_promises() {
    let Some(members) = Members::start("an_external_etcd_keeps_the_same_promises") else { return };
    members.ready().await;
    conformance::conforms(&Etcd::new(members.account(0)), &Etcd::new(members.account(1))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_all_is_explained_while_members_of_etcd_are_killed() {
    let test = "nothing_is_lost_and_all_is_explained_while_members_of_etcd_are_killed";
    let Some(mut members) = Members::start(test) else { return };
    members.ready().await;
    let (stop, values) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(1)));
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let store = Etcd::new(members.account(client));
            tokio::spawn(work(store, client as u64, Arc::clone(&stop), Arc::clone(&values)))
        })
        .collect();
    for member in 0..3 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        members.kill(member);
        tokio::time::sleep(Duration::from_millis(900)).await;
        members.launch_again(member);
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    stop.store(true, Ordering::SeqCst);
    let mut history = vec![];
    for client in clients {
        history.extend(client.await.unwrap());
    }
    let answered = history.iter().filter(|operation| operation.answered.is_some()).count();
    eprintln!("{answered} answers of {}", history.len());
    assert!(answered > 100, "too little happened to judge: {answered} answers");
    linear::check(&history).unwrap();
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
