//! Bytes both ways.

use std::net::Shutdown;

use crate::rig::{Server, eventually, strict};

const TIMES: &str = " timeout client 5s\n timeout server 5s\n timeout connect 5s\n";

fn db(lines: &str) -> String {
    format!("listen db\n mode tcp\n bind 127.0.0.1:1\n{TIMES}{lines}")
}

#[test]
fn the_server_may_speak_first() {
    let server = Server::start(|guest| {
        guest.say("greetings");
        let heard = guest.client.read_some(5);
        guest.say(&heard);
    });
    let rig = strict(&db(&format!(" server a {}\n", server.address)));
    let mut client = rig.connect("db");
    assert_eq!(client.read_some(9), "greetings");
    client.send("hello");
    assert_eq!(client.read_text(), "hello");
}

#[test]
fn an_end_in_one_direction_leaves_the_other_open() {
    let server = Server::start(|guest| {
        let all = guest.client.read_text();
        guest.say(&all.to_uppercase());
    });
    let rig = strict(&db(&format!(" server a {}\n", server.address)));
    let mut client = rig.connect("db");
    client.send("all of it");
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.read_text(), "ALL OF IT");
}

#[test]
fn megabytes_pass_both_ways_at_once() {
    let server = Server::start(|guest| {
        let mut stream = guest.client.stream.try_clone().unwrap();
        let writer = std::thread::spawn(move || {
            use std::io::Write;
            for _ in 0..200 {
                stream.write_all(&[b's'; 20_000]).unwrap();
            }
            stream.shutdown(Shutdown::Write).unwrap();
        });
        let count = guest.client.read_all().len();
        writer.join().unwrap();
        guest.note(count.to_string());
    });
    let rig = strict(&db(&format!(" server a {}\n", server.address)));
    let mut client = rig.connect("db");
    let mut stream = client.stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        use std::io::Write;
        for _ in 0..200 {
            stream.write_all(&[b'c'; 20_000]).unwrap();
        }
        stream.shutdown(Shutdown::Write).unwrap();
    });
    assert_eq!(client.read_all().len(), 4_000_000);
    writer.join().unwrap();
    eventually("the server counted", || server.diary() == ["4000000"]);
}

#[test]
fn without_a_server_the_connection_closes() {
    let rig = strict(&db(""));
    assert_eq!(rig.connect("db").read_text(), "");
}

#[test]
fn a_backup_serves_only_without_the_others() {
    let (first, backup) = (Server::named("first"), Server::named("backup"));
    let text = db(&format!(
        " server a {} check inter 50ms fall 1 rise 1\n server b {} backup\n",
        first.address, backup.address
    ));
    let mut rig = strict(&text);
    assert_eq!(rig.get("db", "/").body, "first");
    first.kill();
    rig.wait_for_server("a", |state| state.check == api::ServerCheck::Down);
    assert_eq!(rig.get("db", "/").body, "backup");
}
