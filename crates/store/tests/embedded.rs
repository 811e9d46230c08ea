//! The embedded store, three nodes in one process.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod cloud;
mod conformance;
mod former;

use std::time::Duration;

use cloud::Cloud;
use engine::kv::{Condition, Keys, Op, Refusal, Transaction, acquire, acquired};
use outlast_store::{Error, Store, Timing};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_reads_at_once_what_another_has_written() {
    let cloud = Cloud::of_three("reads").await;
    cloud.leader().await;
    for round in 0..6_u64 {
        let (writer, reader) =
            (&cloud.nodes[&(round % 3 + 1)], &cloud.nodes[&((round + 1) % 3 + 1)]);
        writer.put("key", &round.to_be_bytes(), None).await.unwrap();
        let item = reader.get("key").await.unwrap().unwrap();
        assert_eq!(*item.value, round.to_be_bytes());
    }
    assert!(
        cloud.nodes[&1]
            .swap("key", Condition::Value(5_u64.to_be_bytes().into()), b"x")
            .await
            .unwrap()
    );
    assert!(!cloud.nodes[&2].swap("key", Condition::Missing, b"y").await.unwrap());
    assert!(cloud.nodes[&3].delete("key").await.unwrap());
    assert!(!cloud.nodes[&1].delete("key").await.unwrap());
    let refused = cloud.nodes[&1].put("", b"", None).await.unwrap_err();
    assert!(matches!(refused, Error::Refused(Refusal::EmptyKey)), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_range_comes_whole_and_a_watch_goes_on_from_it() {
    let cloud = Cloud::of_three("watch").await;
    cloud.leader().await;
    let store = &cloud.nodes[&2];
    for block in 0..12 {
        let ops = (0..100).map(|key| Op::put(&format!("a/{block:02}{key:02}"), b"v"));
        store
            .transact(Transaction { then: ops.collect(), ..Transaction::default() })
            .await
            .unwrap();
    }
    store.put("b", b"not of this range", None).await.unwrap();
    let (items, revision) = store.range(Keys::Prefix("a/".into())).await.unwrap();
    assert_eq!((items.len(), revision), (1200, 13));
    let mut watch = store.watch(revision, Keys::Prefix("a/".into())).await.unwrap();
    cloud.nodes[&1].put("a/new", b"1", Some(300)).await.unwrap();
    let changes = watch.next().await.unwrap();
    assert_eq!((changes.len(), changes[0].revision, changes[0].key.as_str()), (1, 14, "a/new"));
    // It goes by itself, and the watch tells that.
    let changes = watch.next().await.unwrap();
    assert!(changes[0].expired && changes[0].value.is_none());
    assert_eq!(store.get("a/new").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_engine_keeps_all_promises() {
    let cloud = Cloud::of_three("conforms").await;
    let leader = cloud.leader().await;
    conformance::conforms(&cloud.nodes[&leader], &cloud.nodes[&(leader % 3 + 1)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_of_all_nobody_reads_what_was_there_before_the_last_write() {
    let mut cloud = Cloud::of_three("restart").await;
    for round in 0..3_u64 {
        cloud.nodes[&1].put("key", &round.to_be_bytes(), None).await.unwrap();
        for node in [1, 2, 3] {
            cloud.stop(node).await;
        }
        cloud.start_all(&[1, 2, 3]).await;
        let item = cloud.nodes[&2].get("key").await.unwrap().unwrap();
        assert_eq!(*item.value, round.to_be_bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_is_acknowledged_after_fsync_on_a_majority_and_many_share_one() {
    let cloud = Cloud::of_three("fsync").await;
    let leader = cloud.leader().await;
    let syncs = || [1, 2, 3].map(|node| cloud.status(node).syncs);
    for round in 0..40_u64 {
        let before = syncs();
        cloud.nodes[&leader].put("key", &round.to_be_bytes(), None).await.unwrap();
        let after = syncs();
        // By the time of the answer at least two of three disks have done one since the question.
        let done = before.iter().zip(after).filter(|(before, after)| after > *before).count();
        assert!(done >= 2, "{round}: {before:?} {after:?}");
    }
    let before = cloud.status(leader).syncs;
    let store = &cloud.nodes[&leader];
    let keys: Vec<_> = (0..200).map(|key| format!("k{key}")).collect();
    all(keys.iter().map(|key| store.put(key, b"", None))).await;
    let took = cloud.status(leader).syncs - before;
    assert!(took < 100, "200 writes at once took {took} fsyncs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_leader_is_replaced_and_tokens_still_grow() {
    let mut cloud = Cloud::of_three("leader").await;
    let leader = cloud.leader().await;
    let other = leader % 3 + 1;
    // Longer than an election takes here, so that it still counts after it.
    let taken = cloud.nodes[&other].transact(acquire("writer", "one", 3000)).await.unwrap();
    let first = acquired(&taken).unwrap();
    cloud.stop(leader).await;
    let held = cloud.surely(other, acquire("writer", "two", 600)).await;
    assert_eq!(acquired(&held).unwrap_err().unwrap().token, first);
    // The time limit outlives the leader that gave it, and ends.
    let mut watch =
        cloud.nodes[&other].watch(taken.revision, Keys::Prefix("lock/".into())).await.unwrap();
    assert!(watch.next().await.unwrap()[0].expired);
    let taken = cloud.nodes[&other].transact(acquire("writer", "two", 600)).await.unwrap();
    assert!(acquired(&taken).unwrap() > first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_went_back_in_time_does_not_vote() {
    let mut cloud = Cloud::of_three("back").await;
    cloud.leader().await;
    cloud.nodes[&1].put("key", b"old", None).await.unwrap();
    cloud.even().await;
    // The copy of node 3 that will be put back.
    cloud.stop(3).await;
    let copy = std::fs::read(cloud.file(3)).unwrap();
    cloud.start_all(&[3]).await;
    cloud.leader().await;
    // Acknowledged by 1 and 3 alone.
    cloud.stop(2).await;
    cloud.surely(1, put("key", b"new")).await;
    cloud.even().await;
    cloud.stop(3).await;
    cloud.stop(1).await;
    std::fs::write(cloud.file(3), copy).unwrap();
    // 2 never heard of it and 3 has forgotten: together they are a majority that must not lead.
    let (two, three) = (cloud.starting(2).await, cloud.starting(3).await);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(!two.is_finished() && !three.is_finished(), "nobody has confirmed their disks");
    // 1 comes back, and knows.
    cloud.start_all(&[1]).await;
    for (node, starting) in [(2, two), (3, three)] {
        cloud.nodes.insert(node, starting.await.unwrap().unwrap());
    }
    let item = cloud.nodes[&2].get("key").await.unwrap().unwrap();
    assert_eq!(&*item.value, b"new");
    cloud.even().await;
    let status = cloud.status(3);
    assert_eq!((status.floor, status.went_back), (None, true), "it was filled up, and told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_lost_everything_is_filled_up_before_it_counts() {
    let mut cloud = Cloud::of_three("lost").await;
    let leader = cloud.leader().await;
    let lost = leader % 3 + 1;
    cloud.nodes[&leader].put("key", b"1", None).await.unwrap();
    cloud.even().await;
    cloud.stop(lost).await;
    std::fs::remove_file(cloud.file(lost)).unwrap();
    cloud.start_all(&[lost]).await;
    cloud.nodes[&lost].put("key", b"2", None).await.unwrap();
    cloud.even().await;
    assert_eq!((cloud.status(lost).floor, cloud.status(lost).keys), (None, 1));
    // Now it counts again.
    cloud.stop(leader).await;
    cloud.surely(lost, put("key", b"3")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_lost_everything_counts_for_what_its_witness_says_while_a_third_is_gone() {
    let mut cloud = Cloud::new("lost-witness");
    cloud.witness = true;
    cloud.start_all(&[1, 2, 3]).await;
    cloud.leader().await;
    cloud.surely(1, put("key", b"1")).await;
    cloud.even().await;
    for node in [1, 2, 3] {
        cloud.stop(node).await;
    }
    std::fs::remove_file(cloud.file(3)).unwrap();
    // 1 stays away. 2 has all that the third has promised, so the third may vote for it.
    cloud.start_all(&[2, 3]).await;
    cloud.surely(2, put("other", b"2")).await;
    cloud.even().await;
    let item = cloud.nodes[&3].get("key").await.unwrap().unwrap();
    assert_eq!(&*item.value, b"1");
    let status = cloud.status(3);
    assert_eq!((status.floor, status.went_back), (None, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_of_this_boot_lets_two_of_three_go_on_and_betrays_an_old_disk() {
    let mut cloud = Cloud::new("witness");
    cloud.witness = true;
    cloud.start_all(&[1, 2, 3]).await;
    cloud.leader().await;
    cloud.nodes[&1].put("key", b"old", None).await.unwrap();
    cloud.even().await;
    cloud.stop(3).await;
    let copy = std::fs::read(cloud.file(3)).unwrap();
    cloud.stop(2).await;
    cloud.stop(1).await;
    // 1 stays away: the witnesses of 2 and 3 say that their disks are whole.
    cloud.start_all(&[2, 3]).await;
    cloud.nodes[&2].put("key", b"new", None).await.unwrap();
    cloud.even().await;
    cloud.stop(3).await;
    std::fs::write(cloud.file(3), copy).unwrap();
    cloud.start_all(&[3]).await;
    let item = cloud.nodes[&3].get("key").await.unwrap().unwrap();
    assert_eq!(&*item.value, b"new");
    cloud.even().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_cut_off_does_not_unseat_the_leader_when_it_comes_back() {
    let mut cloud = Cloud::new("cut");
    // A busy machine must not unseat it either.
    cloud.timing = Timing { silence: Duration::from_secs(2), ..Timing::default() };
    cloud.start_all(&[1, 2, 3]).await;
    let leader = cloud.leader().await;
    let term = cloud.status(leader).term;
    let lonely = leader % 3 + 1;
    let witness = 6 - leader - lonely;
    // A cut takes effect with the next connection, a restart makes them all new.
    cloud.cut(lonely, leader);
    cloud.cut(lonely, witness);
    cloud.stop(lonely).await;
    let starting = cloud.starting(lonely).await;
    tokio::time::sleep(2 * cloud.timing.silence).await;
    cloud.heal();
    cloud.nodes.insert(lonely, starting.await.unwrap().unwrap());
    cloud.nodes[&lonely].put("key", b"1", None).await.unwrap();
    assert_eq!((cloud.leader().await, cloud.status(leader).term), (leader, term));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_is_replaced_and_gets_everything_as_a_snapshot() {
    let mut cloud = Cloud::new("replace");
    cloud.snapshot_every = 50;
    cloud.start_all(&[1, 2, 3]).await;
    let leader = cloud.leader().await;
    for key in 0..120 {
        cloud.nodes[&leader].put(&format!("k{key}"), b"v", None).await.unwrap();
    }
    let lost = leader % 3 + 1;
    cloud.stop(lost).await;
    let new = cloud.starting(4).await;
    let others = [1, 2, 3].into_iter().filter(|node| *node != lost);
    let voters = others.chain([4]).map(|node| (node, format!("node{node}"))).collect();
    cloud.nodes[&leader].change_voters(voters).await.unwrap();
    cloud.nodes.insert(4, new.await.unwrap().unwrap());
    cloud.even().await;
    let status = cloud.status(4);
    assert_eq!((status.keys, status.voters.contains(&4), status.voters.len()), (120, true, 3));
    // The old one is not missed: the new one makes the majority.
    cloud.stop(leader).await;
    cloud.surely(4, put("after", b"v")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_voters_without_a_third_are_refused() {
    let cloud = Cloud::of_three("two").await;
    let leader = cloud.leader().await;
    let two = [1, 2].map(|node| (node, format!("node{node}")));
    let refused = cloud.nodes[&leader].change_voters(two.clone().into()).await;
    assert!(matches!(refused, Err(Error::TwoVoters)));
    let mut options = cloud.options(1);
    options.founders = two.into();
    let plain = outlast_store::Plain::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let refused = outlast_store::Embedded::start(options, std::sync::Arc::new(plain)).await;
    let text = "two voters cannot lose any: name a third node, it may run nothing else";
    assert_eq!(refused.unwrap_err().to_string(), text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_another_node_or_with_a_damaged_file_is_refused() {
    let mut cloud = Cloud::of_three("owner").await;
    cloud.leader().await;
    cloud.stop(1).await;
    let start = async |mut options: outlast_store::Options, me| {
        options.me = me;
        let plain = outlast_store::Plain::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let started = outlast_store::Embedded::start(options, std::sync::Arc::new(plain)).await;
        started.unwrap_err().to_string()
    };
    let refused = start(cloud.options(1), 2).await;
    let owner = "store.redb belongs to node 1 of cluster `test`, incarnation ";
    assert!(refused.contains(owner), "{refused}");
    let mut bytes = std::fs::read(cloud.file(1)).unwrap();
    bytes.iter_mut().skip(4096).for_each(|byte| *byte ^= 1);
    std::fs::write(cloud.file(1), bytes).unwrap();
    let refused = start(cloud.options(1), 1).await;
    assert!(refused.starts_with("cannot use ") && refused.ends_with("store.redb"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_founded_while_the_clock_is_behind_is_a_later_one_all_the_same() {
    let mut cloud = Cloud::new("behind");
    // One of its founders was part of a store that was founded in a year from now.
    let former = sys::clock::wall_ms() + 365 * 24 * 3_600_000;
    cloud.known.insert(2, former);
    cloud.start_all(&[1, 2, 3]).await;
    let leader = cloud.leader().await;
    cloud.nodes[&leader].put("a", b"1", None).await.unwrap();
    for node in [1, 2, 3] {
        let joined = |cloud: &Cloud| cloud.nodes[&node].incarnation();
        let incarnation = cloud.until("it is part of a store", joined).await;
        assert_eq!(incarnation, former + 1, "node {node}");
    }
}

fn put(key: &str, value: &[u8]) -> Transaction {
    Transaction { then: vec![Op::put(key, value)], ..Transaction::default() }
}

/// Drives all of them at once on this task.
async fn all<F: Future<Output = Result<u64, Error>>>(writes: impl Iterator<Item = F>) {
    let mut writes: Vec<_> = writes.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        writes.retain_mut(|write| match write.as_mut().poll(context) {
            std::task::Poll::Ready(written) => {
                written.unwrap();
                false
            }
            std::task::Poll::Pending => true,
        });
        if writes.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}
