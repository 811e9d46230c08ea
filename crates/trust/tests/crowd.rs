//! A desk with more guests than it has room for: who is being answered is answered.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use outlast_trust as trust;

use trust::{Configuration, Configurations, Folder, Founding, JoinError, Member, ask_files};

/// Whatever is waited for comes within milliseconds; a machine that is busy with other tests may take more.
const DEADLINE: Duration = Duration::from_secs(8);

/// Says that a question was read, and answers when it is told to: a slow disk, or a lock that another process has.
struct Slow {
    read: Mutex<Sender<()>>,
    answer: Mutex<Receiver<()>>,
}

impl Configurations for Slow {
    fn of(&self, _: &Member) -> Result<Configuration, String> {
        self.read.lock().unwrap().send(()).map_err(|error| error.to_string())?;
        let told = self.answer.lock().unwrap().recv_timeout(DEADLINE);
        told.map_err(|error| error.to_string())?;
        Ok(Configuration { generation: 1, files: BTreeMap::new() })
    }
}

/// Whether the other side ends the connection: it has nothing to say before it is asked.
fn is_sent_away(mut stranger: &TcpStream) -> bool {
    stranger.set_read_timeout(Some(DEADLINE)).unwrap();
    match stranger.read(&mut [0]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn who_is_being_answered_is_not_sent_away_and_no_more_are_let_in_than_there_is_room_for() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("crowd-{}", std::process::id()));
    let folder = Folder::new(&path, None);
    let (cluster, node) = ("cloud".to_owned(), "node01".to_owned());
    let address = Some(Ipv4Addr::LOCALHOST.into());
    folder.init(&Founding { cluster, node, address }, sys::clock::wall_ms()).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let desk: SocketAddr = listener.local_addr().unwrap();
    let doors = trust::doors();
    let ((read, is_read), (answer, told)) = (channel(), channel());
    let slow = Slow { read: Mutex::new(read), answer: Mutex::new(told) };
    // It answers until the test program ends.
    let (served, at_doors) = (Folder::new(&path, None), Arc::clone(&doors));
    thread::spawn(move || trust::serve((&served, &slow), (&listener, &at_doors), &|_| {}));
    let asks = || {
        let folder = Folder::new(&path, None);
        thread::spawn(move || ask_files(&folder, desk, sys::clock::wall_ms()))
    };

    // As many as there is room for of one address, which strangers have too.
    let askers = [(); 4].map(|()| asks());
    askers.iter().for_each(|_| is_read.recv_timeout(DEADLINE).unwrap());
    let strangers: Vec<_> = (0..40).map(|_| TcpStream::connect(desk).unwrap()).collect();
    assert!(strangers.iter().all(is_sent_away), "there is no room for them");
    assert_eq!(doors.turned_away().connections, 40);
    askers.iter().for_each(|_| answer.send(()).unwrap());
    for asker in askers {
        let answered: Result<Configuration, JoinError> = asker.join().unwrap();
        assert_eq!(answered.unwrap().generation, 1, "whose question was read is answered");
    }
    std::fs::remove_dir_all(path).unwrap();
}
