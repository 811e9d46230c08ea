use std::path::PathBuf;

use super::*;

/// A file of the test's own, gone with it.
struct Number(PathBuf);

impl Number {
    fn new(name: &str, text: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("outlast-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("number");
        put(&path, text);
        Self(path)
    }
}

/// At once: nobody reads a half of it.
fn put(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

impl Drop for Number {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(self.0.parent().unwrap());
    }
}

fn tracks(path: &Path) -> Vip {
    let mut vip = Vip::plain("v", "eth0", 7, vec![]);
    vip.track_files.push(TrackedFile {
        name: "number".to_owned(),
        path: path.display().to_string(),
        weight: 1,
        reversed: false,
    });
    vip
}

/// The next of what is said, within the patience of a loaded machine.
fn next(heard: &UnixDatagram) -> News {
    let poller = Poller::new().unwrap();
    poller.add(heard.as_fd(), 0, Interest::READ).unwrap();
    let mut ready = Vec::new();
    poller.wait(&mut ready, Some(Duration::from_secs(20))).unwrap();
    let mut bytes = [0; RECORD];
    assert_eq!(heard.recv(&mut bytes).unwrap(), RECORD);
    News::decode(bytes).unwrap()
}

const NO_ROOM: i32 = 12;

#[test]
fn who_cannot_look_says_so_once_begins_anew_and_sees_what_happened_meanwhile() {
    let number = Number::new("watch-again", "5");
    let (heard, said) = UnixDatagram::pair().unwrap();
    heard.set_nonblocking(true).unwrap();
    let (stop, ends) = (Waker::new().unwrap(), Arc::new(AtomicBool::new(false)));
    let worker = Worker::new(&[tracks(&number.0)], stop.clone(), Arc::clone(&ends)).unwrap();
    let path = number.0.clone();
    let thread = std::thread::spawn(move || {
        let mut failures = 3;
        worker.keep_looking(&said, &mut |poller, ready, span| {
            if failures == 0 {
                return poller.wait(ready, Some(span));
            }
            failures -= 1;
            put(&path, "9");
            Err(io::Error::from_raw_os_error(NO_ROOM))
        });
    });
    let weighs = |weight| News::Told(Told { instance: 0, index: 0, what: What::Weighs(weight) });
    assert_eq!(next(&heard), weighs(5));
    assert_eq!(next(&heard), News::Failed(12));
    assert_eq!(next(&heard), weighs(9), "what it says is looked at again");
    assert_eq!(next(&heard), News::Again);
    put(&number.0, "3");
    assert_eq!(next(&heard), weighs(3), "and so is what happens from then on");
    ends.store(true, Ordering::SeqCst);
    stop.wake();
    thread.join().unwrap();
    assert!(heard.recv(&mut [0; RECORD]).is_err(), "no more was said");
}

#[test]
fn a_thread_that_ends_by_itself_is_told() {
    let (heard, said) = UnixDatagram::pair().unwrap();
    drop(LastWord::new(&said, &News::Ended.encode()));
    assert_eq!(next(&heard), News::Ended);
    for news in [News::Failed(-7), News::Again, News::Ended] {
        assert_eq!(News::decode(news.encode()), Some(news));
    }
}
