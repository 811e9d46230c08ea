//! A member that remembers terms which the others have not reached: of a store from before a restore, or
//! because their disks went back in time.

use engine::kv::{Op, Transaction};
use outlast_store::{Embedded, FILE, Store, node_id};

use crate::cloud::Cloud;

/// Far above what the others come to by themselves.
const FORMER: u64 = 9;

fn put(value: &[u8]) -> Transaction {
    Transaction::of(Op::put("key", value))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_left_out_of_a_restore_joins_by_an_empty_disk_and_unseats_nobody() {
    let mut cloud = Cloud::new("left-out");
    // Restores know members by their names.
    cloud.founders = ["a", "b", "c"].map(|name| (node_id(name), name.to_owned())).into();
    cloud.witness = true;
    let [one, two, left_out] = ["a", "b", "c"].map(node_id);
    cloud.start_all(&[one, two, left_out]).await;
    cloud.surely(one, put(b"former")).await;
    cloud.led_by(one, FORMER).await;
    cloud.even().await;
    let backup = cloud.nodes[&one].snapshot();
    for node in [one, two, left_out] {
        cloud.stop(node).await;
    }
    cloud.restore(&[one, two], &backup, None);
    cloud.start_all(&[one, two]).await;
    // The very node for which the third has voted in a later term of the former store.
    cloud.led_by(one, 1).await;
    let term = cloud.status(one).term;
    assert!(term < FORMER, "{term}");
    std::fs::remove_dir_all(cloud.path(left_out)).unwrap();
    cloud.start_all(&[left_out]).await;
    cloud.surely(left_out, put(b"restored")).await;
    cloud.even().await;
    let status = cloud.status(left_out);
    assert_eq!((status.floor, status.went_back), (None, false), "it has forgotten nothing of it");
    assert!(status.term < FORMER, "what it had voted before is no vote in this store: {status:?}");
    // It counts.
    cloud.stop(two).await;
    cloud.surely(one, put(b"without the second")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_have_a_leader_again_whatever_vote_a_third_brings() {
    let mut cloud = Cloud::new("brings");
    cloud.witness = true;
    cloud.start_all(&[1, 2, 3]).await;
    cloud.surely(1, put(b"old")).await;
    cloud.even().await;
    for node in [1, 2, 3] {
        cloud.stop(node).await;
    }
    let copies = [1, 2, 3].map(|node| std::fs::read(cloud.file(node)).unwrap());
    cloud.start_all(&[1, 2, 3]).await;
    cloud.led_by(1, FORMER).await;
    cloud.surely(1, put(b"new")).await;
    cloud.even().await;
    for (node, copy) in [1, 2, 3].into_iter().zip(copies) {
        cloud.stop(node).await;
        std::fs::write(cloud.file(node), copy).unwrap();
    }
    // All went back. For two the operator gives his word, wrongly: they lead in a term of long ago.
    for node in [1, 2] {
        std::fs::remove_file(cloud.remembers(node)).unwrap();
        cloud.trusted.insert(node);
    }
    cloud.start_all(&[1, 2]).await;
    cloud.led_by(1, 1).await;
    let term = cloud.status(1).term;
    assert!(term < FORMER, "{term}");
    // The third remembers that it voted for the very node that leads, in a later term.
    cloud.start_all(&[3]).await;
    cloud.surely(2, put(b"newest")).await;
    cloud.even().await;
    let status = cloud.status(3);
    assert!(status.went_back && status.floor.is_none(), "it was filled up, and told: {status:?}");
    assert!(status.term > FORMER, "whoever leads knows of that vote: {status:?}");
    let item = cloud.nodes[&3].get("key").await.unwrap().unwrap();
    assert_eq!(&*item.value, b"newest");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_left_out_is_told_no_longer_than_it_has_another_store() {
    let mut cloud = Cloud::new("told");
    cloud.founders = ["a", "b", "c"].map(|name| (node_id(name), name.to_owned())).into();
    let [one, two, third] = ["a", "b", "c"].map(node_id);
    cloud.start_all(&[one, two, third]).await;
    cloud.surely(one, put(b"former")).await;
    cloud.even().await;
    let backup = cloud.nodes[&one].snapshot();
    for node in [one, two, third] {
        cloud.stop(node).await;
    }
    let from = cloud.restore(&[one, two], &backup, None);
    cloud.start_all(&[one, two]).await;
    // As it was before the restore, it asks what they know of its disk.
    let mut former = cloud.options(third);
    former.folder = cloud.path(third).with_extension("former");
    std::fs::create_dir_all(&former.folder).unwrap();
    std::fs::copy(cloud.file(third), former.folder.join(FILE)).unwrap();
    let waits = tokio::spawn(Embedded::start(former, cloud.net(third).await));
    let lists =
        |node| move |cloud: &Cloud| cloud.status(node).strangers.contains(&third).then_some(());
    cloud.until("the first names it", lists(one)).await;
    cloud.until("the second names it", lists(two)).await;
    waits.abort();
    cloud.restore(&[third], &backup, from);
    // It comes back while it can say nothing to the second, which is told by nobody that it is one of them.
    cloud.cut(two, third);
    cloud.start_all(&[third]).await;
    assert_eq!(cloud.status(two).strangers, [third]);
    cloud.heal();
    for node in [one, two, third] {
        let nobody = |cloud: &Cloud| cloud.status(node).strangers.is_empty().then_some(());
        cloud.until("nobody has another store", nobody).await;
    }
}
