use std::pin::pin;
use std::sync::Condvar;
use std::task::Poll;
use std::time::Duration;

use openraft::{CommittedLeaderId, Entry, EntryPayload};
use redb::StorageBackend;

use super::file::{Counted, counted, database_in};
use super::*;
use crate::embedded::{SNAPSHOT_EVERY, Timing};

mod flipped;

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Sync {
    #[default]
    Works,
    /// Begins and does not end.
    Hangs,
    /// The same, and it has begun.
    HangsNow,
    Fails,
}

#[derive(Debug, Default)]
struct Gate {
    sync: Mutex<Sync>,
    changed: Condvar,
}

impl Gate {
    fn set(&self, sync: Sync) {
        *self.sync.lock().unwrap() = sync;
        self.changed.notify_all();
    }

    /// Waits until it is not so any more; what it is then.
    fn wait_while(&self, is: impl Fn(Sync) -> bool) -> Sync {
        let sync = self.sync.lock().unwrap();
        let long = Duration::from_secs(30);
        let (sync, late) = self.changed.wait_timeout_while(sync, long, |sync| is(*sync)).unwrap();
        assert!(!late.timed_out(), "never");
        *sync
    }
}

/// A file whose fsyncs work, hang or fail as told.
#[derive(Debug)]
struct Gated(Counted, Arc<Gate>);

impl StorageBackend for Gated {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.1.wait_while(|_| false) == Sync::Hangs {
            self.1.set(Sync::HangsNow);
        }
        match self.1.wait_while(|sync| sync == Sync::HangsNow) {
            Sync::Works => self.0.sync_data(),
            Sync::Fails | Sync::Hangs | Sync::HangsNow => Err(io::Error::other("the disk is gone")),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

fn options(folder: &Path, witness: Option<PathBuf>) -> Options {
    Options {
        folder: folder.to_owned(),
        cluster: "test".to_owned(),
        me: 1,
        founders: BTreeMap::new(),
        timing: Timing::default(),
        witness,
        trusted: false,
        known: 0,
        snapshot_every: SNAPSHOT_EVERY,
    }
}

async fn is_pending<T>(mut future: std::pin::Pin<&mut impl Future<Output = T>>) -> bool {
    std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await
}

#[tokio::test]
async fn what_is_not_on_the_disk_is_promised_to_nobody() {
    let folder = std::env::temp_dir().join(format!("outlast-gated-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let options = options(&folder, None);
    let gate = Arc::<Gate>::default();
    let gated = Arc::clone(&gate);
    let disk =
        Disk::open_with(&options, |path, syncs| database_in(Gated(counted(path, syncs)?, gated)));
    let disk = disk.unwrap();
    disk.save_vote(Vote::new_committed(1, 1)).await.unwrap();
    let (before, syncs) = (disk.flushed(), disk.syncs());

    // As the leader appends: openraft was told that it is on disk, and asks before anything follows.
    gate.set(Sync::Hangs);
    let entry =
        Entry { log_id: LogId::new(CommittedLeaderId::new(1, 1), 1), payload: EntryPayload::Blank };
    let last = Some(entry.log_id);
    let mut row = Writer::versioned();
    row.entry(&entry);
    {
        let mut state = disk.state();
        state.position.last = last;
        state.ahead = last;
    }
    assert!(disk.jobs.send(Job::Append(vec![(entry.log_id, row.0)], None)).is_ok());
    gate.wait_while(|sync| sync != Sync::HangsNow);
    let mut committed = pin!(disk.on_disk(last));
    let mut voted = pin!(disk.save_vote(Vote::new_committed(2, 1)));
    assert!(is_pending(committed.as_mut()).await, "it is committed before it is on disk");
    assert!(is_pending(voted.as_mut()).await, "a vote is given before it is on disk");
    assert_eq!((disk.flushed(), disk.own().log, disk.syncs()), (before, before, syncs));

    gate.set(Sync::Fails);
    committed.await.unwrap_err();
    voted.await.unwrap_err();
    assert_eq!((disk.flushed(), disk.own().log, disk.syncs()), (before, before, syncs));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn what_a_disk_lacks_is_remembered_until_it_has_it() {
    let folder = std::env::temp_dir().join(format!("outlast-owes-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let options = options(&folder, Some(folder.join("witness")));
    let log_id = |index| LogId::new(CommittedLeaderId::new(5, 2), index);
    let owed = Standing { vote: Vote::new(5, 2), log: Some(log_id(2)) };
    let fill = async |disk: &Disk, index| {
        let (done, written) = oneshot::channel();
        let entry: LogEntry = Entry { log_id: log_id(index), payload: EntryPayload::Blank };
        let mut row = Writer::versioned();
        row.entry(&entry);
        assert!(disk.jobs.send(Job::Append(vec![(entry.log_id, row.0)], None)).is_ok());
        // The writer takes jobs in order.
        assert!(disk.jobs.send(Job::Facts(done)).is_ok());
        written.await.unwrap().unwrap();
    };
    let disk = Disk::open(&options).unwrap();
    assert_eq!(disk.witness(), None);
    disk.become_part(7).await.unwrap();
    // As a start keeps what others have, while the disk holds nothing of it.
    disk.owe(owed);
    disk.save_vote(owed.vote).await.unwrap();
    fill(&disk, 1).await;
    disk.close().await;
    let disk = Disk::open(&options).unwrap();
    assert_eq!(disk.witness(), Some(owed), "a disk that was filled up in part proves nothing");
    disk.owe(owed);
    fill(&disk, 2).await;
    disk.truncate(2).await.unwrap();
    disk.close().await;
    let disk = Disk::open(&options).unwrap();
    let has = Standing { log: Some(log_id(1)), ..owed };
    assert_eq!(disk.witness(), Some(has), "the leader has taken an entry back since");
    disk.close().await;
    std::fs::remove_dir_all(&folder).unwrap();
}
