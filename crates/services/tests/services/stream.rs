//! The live stream, read as bytes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use base::Time;

use crate::fixture::{Face, darken, event, status};
use crate::until;

/// A follower of one page.
struct Follower(BufReader<TcpStream>);

impl Follower {
    fn of(face: &Face, page: &str) -> Self {
        let mut stream = TcpStream::connect(face.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let request = format!("GET /live?page={page} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        Self(BufReader::new(stream))
    }

    /// The next line that begins so.
    fn line(&mut self, begin: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream ended");
            if line.starts_with(begin) {
                return line;
            }
        }
    }

    /// The next message with fragments, and their ids.
    fn fragments(&mut self) -> (String, Vec<String>) {
        let mut text = self.line("data: <hx-partial");
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            text.push_str(&line);
        }
        let ids = text.split("hx-target=\"#").skip(1);
        let ids = ids.map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
        (text, ids)
    }
}

#[test]
fn a_change_comes_within_a_second_and_only_what_changed() {
    let face = Face::new(status());
    let mut follower = Follower::of(&face, "%2F");
    let (_, all) = follower.fragments();
    assert_eq!(all, ["state", "nodes", "addresses", "pools", "events"]);
    let before = sys::clock::now();
    let told = event("node01", "node-suspect", "node/node02", "no beat for 1 s", "");
    face.happen(told, |status| darken(status, "node02"));
    // The event may run ahead of the status that it announces.
    let mut changed = vec![];
    while !changed.contains(&"nodes".to_owned()) {
        let (text, ids) = follower.fragments();
        assert!(!ids.contains(&"addresses".to_owned()), "unchanged: {text}");
        changed.extend(ids);
    }
    let took = sys::clock::now().since(before);
    eprintln!("from the event to the cell in the stream: {} ms", took.as_millis());
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn a_page_at_rest_gets_ticks_only_and_a_busy_one_two_updates_a_second() {
    let face = Face::new(status());
    let mut follower = Follower::of(&face, "%2Fvip%2Finternal");
    follower.fragments();
    // At rest: nothing but the sign of life.
    for _ in 0..2 {
        let line = follower.line("");
        let line = if line.trim().is_empty() { follower.line("event") } else { line };
        assert!(!line.contains("hx-partial"), "{line}");
        follower.line("event: tick");
    }
    // A storm: ten changes a second for three seconds.
    let story = std::sync::Arc::clone(&face.story);
    let storm = std::thread::spawn(move || {
        for number in 0..30u64 {
            story.lock().unwrap().status.vips[0].state.term = 100 + number;
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let begin = sys::clock::now();
    let mut updates: Vec<Time> = vec![];
    while sys::clock::now().since(begin) < Duration::from_secs(3) {
        follower.line("data: <hx-partial");
        updates.push(sys::clock::now());
    }
    storm.join().unwrap();
    assert!((2..=8).contains(&updates.len()), "{} updates in 3 s", updates.len());
}

#[test]
fn a_dead_agent_is_told_with_a_growing_age() {
    let face = Face::new(status());
    let mut follower = Follower::of(&face, "%2F");
    follower.fragments();
    face.kill_agent();
    let mut ages = vec![];
    while ages.len() < 3 {
        let (text, _) = follower.fragments();
        if let Some(rest) = text.split("No news from the agent of node01 for ").nth(1) {
            ages.push(rest.split('<').next().unwrap().to_owned());
        }
    }
    ages.dedup();
    assert!(ages.len() >= 2, "it does not grow: {ages:?}");
}

/// Asks for a live page.
fn live(face: &Face, page: &str) -> TcpStream {
    let mut stream = TcpStream::connect(face.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let request = format!("GET /live?page={page} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

fn read_until(stream: &mut TcpStream, words: &str) {
    let mut text = String::new();
    while !text.contains(words) {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "the stream ended: {text}");
        text.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
}

#[test]
fn many_live_pages_of_objects_take_four_seats_of_the_agent_at_most() {
    let face = Face::new(status());
    let pools: Vec<String> =
        status().proxies.iter().map(|proxy| format!("%2Fpool%2F{}", proxy.name)).collect();
    let nodes = ["node01", "node02", "node03"].map(|node| format!("%2Fnode%2F{node}"));
    let pages: Vec<&String> = pools.iter().chain(&nodes).collect();
    assert!(pages.len() > 8, "more than an agent has seats");
    let mut streams: Vec<_> = pages.iter().map(|page| live(&face, page)).collect();
    for stream in &mut streams {
        read_until(stream, "is as it should be");
    }
    // Each of them is asked again while somebody looks.
    until("every object was asked about again", || {
        let story = face.story.lock().unwrap();
        story.seats.asked.len() == pages.len() && story.seats.asked.values().all(|n| *n > 1)
    });
    let most = face.story.lock().unwrap().seats.most;
    assert!((2..=4).contains(&most), "{most} at once");
}

#[test]
fn pages_of_one_object_share_an_answer() {
    let face = Face::new(status());
    let mut streams: Vec<_> = (0..16).map(|_| live(&face, "%2Fvip%2Finternal")).collect();
    for stream in &mut streams {
        read_until(stream, "is as it should be");
    }
    let story = face.story.lock().unwrap();
    let (asked, most) = (story.seats.asked["vip/internal"], story.seats.most);
    assert!(asked < 16 && most == 1, "{asked} questions, {most} at once");
}
