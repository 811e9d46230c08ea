//! What lies on the disks of the members: passwords in generations are sealed there, and in backups.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::lonely::{alone, free_port, until};
use super::{CLUSTER, DOORS, NODES, Trio, serve};

/// Passwords of two generations, each with what a browser sends for it.
const FIRST: [&str; 2] = ["walnut-Orchard-5107", "YWRtaW46d2FsbnV0LU9yY2hhcmQtNTEwNw=="];
const SECOND: [&str; 2] = ["saffron-Meridian-2290", "YWRtaW46c2FmZnJvbi1NZXJpZGlhbi0yMjkw"];
/// Put into the store as it is.
const SEEN: &str = "plain-Sight-8834";

/// Files below a folder in which these bytes lie.
fn files_with(folder: &Path, bytes: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (vec![], vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() && has(&path, bytes) {
                found.push(path);
            }
        }
    }
    found
}

/// A file that goes meanwhile has none.
fn has(file: &Path, bytes: &str) -> bool {
    let content = fs::read(file).unwrap_or_default();
    content.windows(bytes.len()).any(|window| window == bytes.as_bytes())
}

impl Trio {
    /// Statistics behind a password, on each node's own address.
    fn guarded(&self, server: SocketAddr, port: u16, password: &str) -> String {
        let more = format!(
            "listen figures\n  bind DOOR:{port}\n  stats enable\n  stats uri /\n  stats auth admin:{password}\n"
        );
        self.folder(server, &more)
    }

    /// Whether the page opens there with what a browser sends.
    fn opens(&self, door: &str, port: u16, sent: &str) -> bool {
        let ask = || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(format!("{door}:{port}"))?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            let head = format!("GET / HTTP/1.0\r\nAuthorization: Basic {sent}\r\n\r\n");
            stream.write_all(head.as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        ask().is_ok_and(|answer| {
            answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200")
        })
    }

    fn backup(&self, name: &str) -> PathBuf {
        let file = self.files.path(name);
        let path = file.to_str().expect("a path of the test");
        until("a backup is written", || {
            self.ask("node01", &["store", "backup", path, "--force"]).status.success()
        });
        file
    }

    /// It is found in no folder of a store, nor in a backup; what was put there as it is, is found in each.
    fn is_nowhere(&self, marker: &str, name: &str) {
        until("the marker that is not sealed is acknowledged", || {
            self.ask("node01", &["store", "put", "seen", SEEN]).status.success()
        });
        let backup = self.backup(name);
        assert!(has(&backup, SEEN), "the test sees what lies in a backup");
        assert!(!has(&backup, marker), "{marker} lies in a backup");
        for node in NODES {
            let state = self.files.path(&format!("state-{node}"));
            until("the node has what was put", || !files_with(&state, SEEN).is_empty());
            assert_eq!(files_with(&state, marker), Vec::<PathBuf>::new(), "{node}");
        }
    }

    /// The key under which this generation is sealed.
    fn key_of(&self, number: u64) -> String {
        let number = number.to_string();
        let (_, said) = self.config("node01", &["show", &number]);
        said["generation"]["key"].as_str().unwrap_or_default().to_owned()
    }
}

#[test]
fn passwords_of_a_generation_are_sealed_on_every_disk_and_every_node_serves_by_them() {
    alone(
        "at_rest::passwords_of_a_generation_are_sealed_on_every_disk_and_every_node_serves_by_them",
        || {
            let mut trio = Trio::founded();
            let (server, port) = (serve("one"), free_port());
            for (node, door) in NODES.iter().zip(DOORS) {
                fs::write(trio.files.path(&format!("{node}/outlast.toml")), CLUSTER)
                    .expect("a file");
                fs::write(trio.used(node), trio.haproxy(door, server)).expect("a file");
            }
            as_an_older_release_left_it(&trio);
            for node in NODES {
                trio.start(node);
            }
            has_a_key(&trio);
            let (code, said) = trio.apply("node01", &trio.folder(server, ""), &[]);
            assert_eq!(code, 0, "{said}");
            let [password, sent] = FIRST;
            let (code, said) = trio.apply("node01", &trio.guarded(server, port, password), &[]);
            assert_eq!(code, 0, "{said}");
            for door in DOORS {
                until("it serves by the password", || trio.opens(door, port, sent));
                assert!(!trio.opens(door, port, "YWRtaW46d3Jvbmc="), "by another one it does not");
            }
            trio.is_nowhere(password, "backup");
            let key = trio.key_of(2);
            assert_eq!(key.len(), 16, "{key}");
            another_key(&trio, &key, (server, port));
            replaced(&mut trio, (server, port));
        },
    );
}

/// No node has a key, and the roster of the authority's node names none; the others hear of it.
fn as_an_older_release_left_it(trio: &Trio) {
    for node in NODES {
        let file = trio.files.path(&format!("{node}/trust/cluster.key"));
        fs::remove_file(file).expect("it came with the founding and with each join");
    }
    let state = trio.files.path("node01/trust/trust.json");
    let text = fs::read(&state).expect("a file");
    let mut whole: Value = serde_json::from_slice(&text).expect("JSON");
    whole["roster"]["sealing"] = serde_json::json!([]);
    fs::write(&state, whole.to_string()).expect("a file");
    let said = trio.trusted(&["trust", "status"], "node01");
    assert!(said.contains("no cluster key"), "{said}");
}

/// The node of the authority makes one as it runs, and the others are given it.
fn has_a_key(trio: &Trio) {
    for node in NODES {
        until("it has the new key", || {
            let said = trio.trusted(&["trust", "status"], node);
            let there = trio.files.path(&format!("{node}/trust/cluster.key")).exists();
            there && said.contains("cluster key") && !said.contains("has not got")
        });
    }
}

/// Who lost the keys is given them again; another one seals from the next generation on, the former is read still.
fn another_key(trio: &Trio, key: &str, (server, port): (SocketAddr, u16)) {
    let lost = trio.files.path("node02/trust/cluster.key");
    fs::remove_file(&lost).expect("it was there");
    until("the second is given the key again", || lost.exists());
    let said = trio.trusted(&["trust", "rotate-key"], "node01");
    let other = trio.trusted(&["trust", "status", "--json"], "node01");
    let other: Value = serde_json::from_str(&other).expect("JSON");
    let other = other["cluster_key"].as_str().expect("an id").to_owned();
    assert!(said.contains(&other) && other != key, "{said}");
    // Who has not got it yet waits for it.
    let [password, sent] = SECOND;
    let (code, said) = trio.apply("node01", &trio.guarded(server, port, password), &[]);
    assert_eq!(code, 0, "{said}");
    for door in DOORS {
        until("it serves by the other password", || trio.opens(door, port, sent));
    }
    assert_eq!((trio.key_of(3), trio.key_of(2)), (other, key.to_owned()));
    trio.is_nowhere(FIRST[0], "backup-2");
    trio.is_nowhere(password, "backup-3");
    let (_, said) = trio.config("node03", &["show", "2"]);
    assert_eq!(said["generation"]["key"], key, "its content is opened there: {said}");
    let audit = trio.trusted(&["trust", "audit"], "node01");
    assert!(
        audit.contains("trust rotate-key") && audit.contains("trust give-keys node02"),
        "{audit}"
    );
}

/// A new machine in place of the third is given both keys as it joins.
fn replaced(trio: &mut Trio, (server, port): (SocketAddr, u16)) {
    trio.power_off("node03");
    for folder in ["state-node03", "run-node03", "node03"] {
        fs::remove_dir_all(trio.files.path(folder)).expect("it was there");
    }
    trio.trusted(&["trust", "revoke", "node03"], "node01");
    let words = ["token", "create", "--role", "controller", "--address", "127.0.0.2:7413"];
    let token = trio.trusted(&words, "node01");
    fs::create_dir_all(trio.files.path("node03")).expect("a folder");
    until("the new machine joins", || {
        let words = ["join", token.trim(), "--node", "node03"];
        trio.trusting(&words, "node03").output().expect("the tool runs").status.success()
    });
    let said = trio.trusted(&["trust", "status", "--json"], "node03");
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(said["lacks_keys"], serde_json::json!([]), "{said}");
    let wanted = trio.files.path("wanted");
    fs::write(trio.files.path("node03/outlast.toml"), CLUSTER).expect("a file");
    fs::copy(wanted.join("nodes/node03/haproxy.cfg"), trio.used("node03")).expect("a file");
    trio.start("node03");
    until("it reads the newest generation", || {
        let (code, said) = trio.config("node03", &["status"]);
        code == 0 && said["generation"]["number"] == 3
    });
    let (code, said) = trio.apply("node03", &trio.guarded(server, port, FIRST[0]), &[]);
    assert_eq!((code, &said["generation"]), (0, &4.into()), "{said}");
    until("it serves by the password", || trio.opens(DOORS[2], port, FIRST[1]));
    trio.is_nowhere(FIRST[0], "backup-4");
}
