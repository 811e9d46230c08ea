use engine::Buffer;
use engine::member::{Input, Member};
use engine::packet::Seal;
use engine::replay::{End, Recording};

use super::*;

fn cluster(record_mb: u64) -> Cluster {
    let text = format!(
        "[cluster]\nname = \"cloud\"\nsecret_file = \"/etc/secret\"\nrecord_mb = {record_mb}\n\
         [node.node01]\nnetworks = {{ management = \"10.79.0.41\" }}\n\
         [node.node02]\nnetworks = {{ management = \"10.79.0.42\" }}\n"
    );
    let source = config::Source { path: "outlast.toml".into(), text };
    config::cluster::parse(&source, 0).0.unwrap()
}

/// Nobody takes it.
fn back() -> Back {
    let way = || sync_channel(1).0;
    Back { blocks: way(), begins: way() }
}

fn folder(name: &str) -> PathBuf {
    let name = format!("outlast-record-{name}-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    let _ = fs::remove_dir_all(&folder);
    folder
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join(FOLDER)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn start(folder: &Path, cluster: &Cluster, trouble: &Trouble) -> Option<Record> {
    Record::start(Whose::Member, folder, "node01", cluster, vec![], trouble.clone())
}

/// A member at rest, its timer so many times.
fn run(record: &mut Record, cluster: &Cluster, from: u64, steps: u64) {
    go_on(record, &mut member(cluster, from), from, steps);
}

fn at(step: u64) -> Time {
    Time::ZERO + Duration::from_millis(100 * step)
}

fn member(cluster: &Cluster, from: u64) -> Member {
    let seal = Seal::shared(&[7; 32], "cloud", 2, 0, 1);
    Member::new(cluster, 0, seal, at(from))
}

fn go_on(record: &mut Record, member: &mut Member, from: u64, steps: u64) {
    for step in from..from + steps {
        let mut out = Buffer::new();
        record.before(at(step), |head| Recorder::begin(head, member));
        member.step(at(step), Input::Timeout, &mut out);
        record.after(at(step), |recorder| recorder.note(at(step), &Input::Timeout, &out));
    }
}

/// Until the newest file has so many bytes: all that was sent is written.
fn wait_for(folder: &Path, size: u64) {
    let deadline = sys::clock::now() + Duration::from_secs(30);
    let newest = || {
        let entries = fs::read_dir(folder.join(FOLDER)).ok()?;
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let path = paths.filter(|path| path.extension().is_some()).max()?;
        Some(fs::metadata(path).ok()?.len())
    };
    while newest() != Some(size) {
        assert!(sys::clock::now() < deadline, "it is not written: {:?} of {size}", newest());
        std::thread::yield_now();
    }
}

#[test]
fn what_a_killed_agent_has_left_is_removed_and_that_of_a_living_one_is_not() {
    let folder = folder("left");
    let own = folder.join(FOLDER);
    fs::create_dir_all(&own).unwrap();
    // No process has a number beyond 2^22.
    let (living, killed) = (own.join("next-1"), own.join("next-5000000"));
    for path in [&living, &killed] {
        fs::write(path, "begun").unwrap();
    }
    let trouble = Trouble::default();
    let mut files = Files {
        whose: Whose::Member,
        folder: own,
        limit: 80_000,
        file: None,
        trouble,
        back: back(),
    };
    files.begin(1, b"whole").unwrap();
    assert!(living.exists() && !killed.exists());
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn files_never_take_more_than_they_may_and_each_can_be_played() {
    let (folder, cluster, trouble) = (folder("ring"), cluster(1), Trouble::default());
    let mut record = start(&folder, &cluster, &trouble).unwrap();
    record.full = 20_000;
    // Blocks that wait are fewer than the queue takes, however slow the disk is.
    for round in (0..4000).step_by(1000) {
        let mut member = member(&cluster, round);
        for part in (round..round + 1000).step_by(100) {
            go_on(&mut record, &mut member, part, 100);
            wait_for(&folder, record.size);
        }
        record.recorder = None;
    }
    record.close();
    let files = files(&folder);
    assert!(files.len() > 3, "{}", files.len());
    for path in &files {
        let bytes = fs::read(path).unwrap();
        assert!(bytes.len() < 30_000, "{}", bytes.len());
        let recording = Recording::open(&bytes).unwrap();
        let mut play = recording.play().unwrap();
        assert!(play.by_ref().all(|step| step.is_same()));
        assert_eq!(play.end(), End::Whole);
    }
    assert_eq!(trouble.limit(), None);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_oldest_files_go_first() {
    let folder = folder("oldest");
    let limit = 80_000;
    let trouble = Trouble::default();
    let (whose, own) = (Whose::Member, folder.join(FOLDER));
    let mut files =
        Files { whose, folder: own, limit, file: None, trouble: trouble.clone(), back: back() };
    for number in 0..20 {
        files.begin(number, &vec![0; 10_000]).unwrap();
    }
    let kept = self::files(&folder);
    assert_eq!(kept.len(), 8, "{kept:?}");
    assert!(kept[0].ends_with("record/member-0000000000012.rec"), "{kept:?}");
    for _ in 0..100 {
        files.begin(19, &[0]).unwrap();
    }
    let ours = self::files(&folder);
    assert!(ours.len() <= MOST_FILES);
    // The other process has a ring of its own.
    let mut of_vips = Files { whose: Whose::Vips, limit: 10_000, ..files };
    for number in 0..20 {
        of_vips.begin(number, &vec![0; 5_000]).unwrap();
    }
    let all = self::files(&folder);
    assert_eq!(all.len(), ours.len() + 2, "{all:?}");
    assert!(all.last().unwrap().ends_with("record/vip-0000000000019.rec"), "{all:?}");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_disk_that_takes_nothing_is_told_and_tried_again() {
    let (folder, cluster, trouble) = (folder("full"), cluster(1), Trouble::default());
    // A file in the way is a disk that takes nothing, and can be mended.
    fs::write(&folder, "in the way").unwrap();
    let mut record = start(&folder, &cluster, &trouble).unwrap();
    run(&mut record, &cluster, 0, 1);
    let deadline = sys::clock::now() + Duration::from_secs(30);
    while trouble.limit().is_none() {
        assert!(sys::clock::now() < deadline, "nobody says that it cannot be written");
        std::thread::yield_now();
    }
    run(&mut record, &cluster, 1, 10);
    assert!(record.recorder.is_none(), "given up");
    assert!(record.news().is_some_and(|why| why.is_some()), "that is told");
    assert_eq!(record.news(), None, "once");
    fs::remove_file(&folder).unwrap();
    run(&mut record, &cluster, 500, 10);
    record.close();
    assert_eq!(trouble.limit(), None);
    assert_eq!(files(&folder).len(), 1);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn nothing_is_recorded_where_the_file_says_so() {
    let (folder, trouble) = (folder("none"), Trouble::default());
    assert!(start(&folder, &cluster(0), &trouble).is_none());
    assert!(!folder.exists());
}

/// Of one that asks for no memory: a disk that hangs takes what is on its way, and gives it back.
#[test]
fn a_disk_that_hung_again_and_again_is_written_to_again() {
    let (folder, cluster, trouble) = (folder("hangs"), cluster(1), Trouble::default());
    let mut record =
        Record::start(Whose::Vips, &folder, "node01", &cluster, vec![], trouble).unwrap();
    let (queue, pieces) = sync_channel(1);
    let disk = std::mem::replace(&mut record.queue, queue);
    let begin = |head| Recorder::begin_vips(head, [].iter());
    let again = |recorder: &mut Recorder, at, bytes: &mut Vec<u8>| {
        recorder.begin_vips_again(at, [].iter(), bytes);
    };
    // Nobody writes: the first file is on its way, and nothing else is taken.
    for round in 0..200 {
        let now = Time::ZERO + RETRY * 2 * round;
        record.before_again(now, begin, again);
        record.block_at = Time::ZERO;
        record.after(now, |_| {});
    }
    let first = pieces.recv().unwrap();
    record.back.take(first);
    record.queue = disk;
    let now = Time::ZERO + RETRY * 1000;
    record.before_again(now, begin, again);
    assert!(record.recorder.is_some(), "there is no memory left to begin with");
    for _ in 0..Whose::Vips.waiting() {
        record.block_at = Time::ZERO;
        record.after(now, |_| {});
        assert!(record.recorder.is_some() || record.former.is_some());
    }
    record.close();
    assert!(!files(&folder).is_empty());
    fs::remove_dir_all(folder).unwrap();
}
