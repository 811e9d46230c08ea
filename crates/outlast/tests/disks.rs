//! Disks of real nodes that are full or read-only: who has one says so, the others go on, and nothing is lost when
//! there is room again.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/trio.rs"]
mod trio;

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use lonely::{Lonely, OUTLAST, alone, kill, until};
use trio::{NODES, Trio};

const FULL: &str = "No space left on device";

/// A file system of this size in memory at this folder.
fn mounted(folder: &Path, size: &str) {
    fs::create_dir_all(folder).expect("a folder of the test");
    mount(folder, &["-t", "tmpfs", "-o", &format!("size={size}"), "tiny"]);
}

fn mount(folder: &Path, words: &[&str]) {
    let status = Command::new("mount").args(words).arg(folder).status();
    assert!(status.is_ok_and(|status| status.success()), "mount {words:?} {folder:?}");
}

/// Nothing more can be written there, until this is removed.
fn fill(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("filler");
    let mut file = fs::File::create(&path).expect("room for a name");
    let block = [0; 512];
    while file.write_all(&block).is_ok() {}
    path
}

/// Exit code 0.
fn does(trio: &Trio, node: &str, words: &[&str]) {
    let (code, said) = trio.types(node, words);
    assert_eq!(code, Some(0), "{words:?} on {node}: {said}");
}

/// Writes through a node until one write is acknowledged.
fn put(trio: &Trio, node: &str, key: &str, value: &str) {
    until("a write is acknowledged", || {
        trio.types(node, &["store", "put", key, value]).0 == Some(0)
    });
}

/// Its status and `why store` name this reason, and no leader.
fn says(trio: &Trio, node: &str, reason: &str) {
    until("its status says why its store does not run", || {
        let store = trio.status(node).and_then(|status| status.store);
        store.is_some_and(|store| {
            let of_itself = store.leader.is_none() && store.failed.is_some();
            of_itself && store.trouble.is_some_and(|why| why.contains(reason))
        })
    });
    until("and `outlast why store`", || trio.types(node, &["why", "store"]).1.contains(reason));
    until("that is not well", || {
        let (code, said) = trio.types(node, &["status"]);
        code == Some(1) && said.contains(reason)
    });
}

/// It has what the others have.
fn follows(trio: &Trio, node: &str, key: &str, value: &str) {
    until("its store follows again", || {
        let store = trio.status(node).and_then(|status| status.store);
        store.is_some_and(|store| store.leader.is_some() && store.trouble.is_none())
    });
    until("it has what was written", || {
        trio.types(node, &["store", "get", key]) == (Some(0), format!("{value}\n"))
    });
}

fn answers(at: usize, port: u16) -> bool {
    TcpStream::connect(format!("127.0.0.{}:{port}", at + 2)).is_ok()
}

#[test]
fn a_member_of_the_store_whose_disk_is_full_says_so_and_goes_on_when_there_is_room() {
    alone(
        "a_member_of_the_store_whose_disk_is_full_says_so_and_goes_on_when_there_is_room",
        || {
            let mut trio = Trio::laid("", "");
            let state = trio.files.path("state-node03");
            mounted(&state, "3m");
            trio.start_all();
            put(&trio, "node03", "before", "it was full");
            let filler = fill(&state);
            let long = "x".repeat(30_000);
            for number in 0..8 {
                put(&trio, "node01", &format!("long{number}"), &long);
            }
            says(&trio, "node03", FULL);
            // The others decide, and nobody is in doubt.
            until("a majority agrees", || trio.types("node01", &["intents"]).0 == Some(0));
            trio.leads();
            does(&trio, "node01", &["node", "standby", "node02"]);
            does(&trio, "node02", &["node", "resume", "node02"]);
            assert!(NODES.iter().all(|node| trio.hears_all(node)));
            for node in &NODES[..2] {
                until("the others are well", || trio.types(node, &["status"]).0 == Some(0));
            }
            put(&trio, "node02", "meanwhile", "written without it");
            fs::remove_file(filler).expect("it is there");
            follows(&trio, "node03", "meanwhile", "written without it");
            follows(&trio, "node03", "before", "it was full");
            until("all is well", || trio.types("node03", &["status"]).0 == Some(0));
            let (_, said) = trio.types("node03", &["store", "status"]);
            assert!(said.contains("node03, ") || said.contains(", node03"), "it votes: {said}");
        },
    );
}

#[test]
fn a_node_that_starts_with_a_read_only_state_folder_says_so_and_serves() {
    alone("a_node_that_starts_with_a_read_only_state_folder_says_so_and_serves", || {
        let mut trio = Trio::laid("", "");
        let state = trio.files.path("state-node03");
        mounted(&state, "3m");
        // A store is founded by all.
        trio.start_all();
        kill(trio.supervisor("node03"), "TERM");
        let (_, mut node) = trio.nodes.pop().expect("it was started last");
        node.wait().expect("it ends");
        until("nobody writes there any more", || {
            let words = ["-o", "remount,ro"];
            Command::new("mount").args(words).arg(&state).status().is_ok_and(|it| it.success())
        });
        trio.start("node03");
        let log = trio.files.path("log-node03");
        let told = "the state folder takes nothing: cannot lock ";
        until("it is told at the start", || {
            let log = fs::read_to_string(&log).unwrap_or_default();
            log.contains(told) && log.contains("Read-only file system")
        });
        says(&trio, "node03", "Read-only file system");
        assert!(answers(2, 8080), "its balancer serves");
        does(&trio, "node01", &["node", "standby", "node02"]);
        does(&trio, "node02", &["node", "resume", "node02"]);
        put(&trio, "node01", "meanwhile", "written without it");
        mount(&state, &["-o", "remount,rw"]);
        follows(&trio, "node03", "meanwhile", "written without it");
        until("all is well", || trio.types("node03", &["status"]).0 == Some(0));
    });
}

#[test]
fn a_generation_for_which_a_node_has_no_room_is_refused_there_and_only_there() {
    alone("a_generation_for_which_a_node_has_no_room_is_refused_there_and_only_there", || {
        let folder = Path::new("/run/node/node03");
        mounted(folder, "64k");
        let mut trio = Trio::laid("", "");
        trio.start_all();
        does(&trio, "node01", &["config", "apply", &trio.folder(8080), "--yes"]);
        let filler = fill(folder);
        let (code, said) = trio.types("node01", &["config", "apply", &trio.folder(8081), "--yes"]);
        assert_eq!(code, Some(1), "{said}");
        let refused = said.lines().find(|line| line.contains("node03: "));
        let refused = refused.map(str::trim).unwrap_or_default();
        assert!(
            refused.starts_with("node03: still runs generation 1: its files cannot be written"),
            "{said}"
        );
        assert!(refused.contains(FULL), "{said}");
        until("the others have it", || answers(0, 8081) && answers(1, 8081));
        assert!(answers(2, 8080) && !answers(2, 8081), "it goes on with what it ran");
        let used = fs::read_to_string(folder.join("haproxy.cfg")).expect("it is there");
        assert_eq!(used, trio::haproxy(2, 8080), "its files are as they were");
        let (code, said) = trio.types("node03", &["config", "status"]);
        assert!(code == Some(1) && said.contains(FULL), "{said}");
        fs::remove_file(filler).expect("it is there");
        let again = ["config", "apply", &trio.folder(8081), "--yes", "--force"];
        does(&trio, "node02", &again);
        until("it has it, too", || answers(2, 8081) && !answers(2, 8080));
    });
}

/// Ends the program when it is dropped.
struct Serves(Child);

impl Drop for Serves {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn trusting(files: &Lonely, folder: &str, words: &[&str]) -> Command {
    let mut command = Command::new(OUTLAST);
    command.args(words).arg("--trust-dir").arg(files.path(folder)).stdin(Stdio::null());
    command
}

#[test]
fn a_join_for_which_there_is_no_room_is_told_and_costs_no_token() {
    alone("a_join_for_which_there_is_no_room_is_told_and_costs_no_token", || {
        let files = Lonely::new();
        let said = |folder: &str, words: &[&str]| {
            let output = trusting(&files, folder, words).output().expect("the tool runs");
            let text = [output.stdout, output.stderr].concat();
            (output.status.code(), String::from_utf8_lossy(&text).trim().to_owned())
        };
        assert_eq!(said("trust", &["init", "cloud", "--node", "node01"]).0, Some(0));
        let desk = format!("127.0.0.1:{}", lonely::free_port());
        let mut serves = trusting(&files, "trust", &["trust", "serve", "--listen", &desk]);
        let _serves = Serves(serves.stdout(Stdio::null()).spawn().expect("it serves"));
        until("it answers", || TcpStream::connect(&desk).is_ok());
        // Room for nothing; for its keys, and not for what the cluster answers.
        let rows = [
            ("node02", "4k", "nothing was asked of the cluster, the token is as good as before"),
            ("node03", "12k", "the cluster has let this node in, which this machine cannot keep"),
        ];
        for (node, size, words) in rows {
            let words_of_token = ["token", "create", "--role", "controller", "--address", &desk];
            let (_, token) = said("trust", &words_of_token);
            let disk = files.path(&format!("disk-{node}"));
            mounted(&disk, size);
            fs::write(disk.join("filler"), [0; 4096]).expect("room for a page");
            let folder = format!("disk-{node}/trust");
            let join = ["join", &token, "--node", node];
            for _ in 0..2 {
                let (code, told) = said(&folder, &join);
                assert_eq!(code, Some(2), "{told}");
                assert!(told.contains(words) && told.contains(FULL), "{told}");
            }
            mount(&disk, &["-o", "remount,size=1m"]);
            let (code, told) = said(&folder, &join);
            assert_eq!(code, Some(0), "the same token: {told}");
            assert!(told.contains(&format!("this node is {node} (controller) of cloud")), "{told}");
        }
        let (_, roster) = said("trust", &["trust", "status"]);
        assert!(NODES.iter().all(|node| roster.contains(node)), "{roster}");
    });
}
