//! What differs on purpose, with its reason. The page `docs/reference/haproxy-differences.md` says the
//! same to operators.

use crate::generate::Small;
use crate::scenes::Scene;
use crate::talk::Heard;

/// One difference: where it is found, why it is there, and how both sides are made the same.
struct Difference {
    /// As the page names it.
    name: &'static str,
    level: fn(&Small, &Scene, &mut Heard),
}

const DIFFERENCES: [Difference; 4] = [
    // haproxy counts its own representation of messages and nothing for 400 and 408; we count the
    // bytes that the client got.
    Difference { name: "bytes in the log of HTTP", level: |_, _, heard| lines(heard, bytes) },
    // A session may end before or after the next connection is accepted; haproxy ends those of TCP
    // a turn later.
    Difference {
        name: "connections of the process in the log",
        level: |_, _, heard| lines(heard, process),
    },
    // Which of equals comes next depends on the moment at which the session before let go of its
    // server, and that is a matter of turns of the loop.
    Difference {
        name: "order of `leastconn` among equals",
        level: |small, _, heard| {
            if small.says("balance leastconn") {
                without_servers(heard);
            }
        },
    },
    // haproxy gives up a connect that is on its way; ours is made by then, or is made and closed.
    // Neither server nor client hears a byte.
    Difference {
        name: "TCP client that closes before a byte",
        level: |small, scene, heard| {
            if small.says("mode tcp") && scene.name == "half closed" {
                heard.log.clear();
            }
        },
    },
];

/// Makes what may differ the same.
pub(crate) fn allow(small: &Small, scene: &Scene, ours: &mut Heard, theirs: &mut Heard) {
    for difference in &DIFFERENCES {
        (difference.level)(small, scene, ours);
        (difference.level)(small, scene, theirs);
    }
}

/// Who was asked, but not what.
fn without_servers(heard: &mut Heard) {
    for entry in &mut heard.servers {
        let text = entry.split_once(": ").map_or("", |(_, text)| text);
        *entry = format!("some: {text}");
    }
    lines(heard, |words| {
        if let Some((back, _)) = words.get(5).and_then(|word| word.split_once('/')) {
            words[5] = format!("{back}/some");
        }
    });
}

fn lines(heard: &mut Heard, change: fn(&mut [String])) {
    for line in &mut heard.log {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        change(&mut words);
        *line = words.join(" ");
    }
}

/// `<142> haproxy CLIENT [DATE] front back/server T/T/T/T/T 200 BYTES ...`
fn bytes(words: &mut [String]) {
    let is_http = words.iter().any(|word| word.starts_with('"'));
    if let Some(bytes) = words.get_mut(8).filter(|_| is_http) {
        *bytes = "BYTES".to_owned();
    }
}

/// `1/1/0/0/0`: the first of five.
fn process(words: &mut [String]) {
    let counts = words.iter_mut().skip(7).find(|word| word.matches('/').count() == 4);
    if let Some((word, rest)) = counts.and_then(|word| {
        let rest = word.split_once('/')?.1.to_owned();
        Some((word, rest))
    }) {
        *word = format!("N/{rest}");
    }
}

#[test]
fn every_difference_is_on_the_page() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/haproxy-differences.md");
    let page = std::fs::read_to_string(page).unwrap();
    for difference in &DIFFERENCES {
        assert!(page.contains(&format!("| {} |", difference.name)), "{}", difference.name);
    }
}
