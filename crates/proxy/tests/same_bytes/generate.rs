//! Small files from a seed: what this program runs of haproxy's language, mixed.

use crate::scenes::{self, Scene};

/// What all share, and the proxy whose log line says that all lines before it are there.
pub(crate) const HEAD: &str = "
global
 log 127.0.0.1:{log} local1
 nbthread 1
 stats socket {folder}/stats level admin
defaults
 mode http
 timeout connect 5s
 timeout client 5s
 timeout server 5s
 log global
 option httplog
listen fence
 bind 127.0.0.1:{fence}
";

/// One generated file and what is said to it.
#[derive(Debug)]
pub(crate) struct Small {
    pub(crate) number: u64,
    /// Of the proxy that clients talk to.
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) scenes: Vec<Scene>,
}

/// Splitmix64: the same seed gives the same files everywhere.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(count).unwrap()).unwrap()
    }

    /// True once in `n`.
    pub(crate) fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

const HEADERS: [&str; 6] =
    ["X-Forwarded-Proto", "X-Gone", "Accept", "User-Agent", "X-Custom", "Via"];
const VALUES: [&str; 5] = ["https", "1", "a\\ b", "%%", "\"quoted value\""];
const CONDITIONS: [&str; 5] = ["", "", "", " if { ssl_fc }", " unless { ssl_fc }"];

impl Small {
    pub(crate) fn generate(number: u64) -> Self {
        let mut dice = Dice(number.wrapping_mul(0x1234_5678_9abc_def1) ^ 0x006f_7574_6c61_7374);
        let http = !dice.once_in(4);
        let name = format!("px{number}");
        let mut text = defaults(&mut dice, http);
        let apart = dice.once_in(2);
        let front = front(&mut dice, &name, http);
        let back = back(&mut dice, http);
        if apart {
            text.push_str(&format!(
                "frontend {name}\n{front} default_backend be{number}\nbackend be{number}\n{back}"
            ));
        } else {
            text.push_str(&format!("listen {name}\n{front}{back}"));
        }
        let scenes = scenes::choose(&mut dice, http);
        Self { number, name, text, scenes }
    }

    /// Whether the file has this line.
    pub(crate) fn says(&self, line: &str) -> bool {
        self.text.lines().any(|own| own.trim() == line)
    }
}

fn defaults(dice: &mut Dice, http: bool) -> String {
    let mut text = String::from("defaults\n log global\n timeout client 4s\n");
    let mut line = |words: String| text.push_str(&format!(" {words}\n"));
    line(format!("mode {}", if http { "http" } else { "tcp" }));
    // haproxy pauses as long before it asks a server again.
    line("timeout connect 250ms".to_owned());
    // Long enough for a busy machine; the silent server costs it once per scene.
    line("timeout server 400ms".to_owned());
    if http {
        line("timeout http-keep-alive 40ms".to_owned());
        line("timeout http-request 350ms".to_owned());
    }
    match dice.below(5) {
        0 => {}
        1 if http => line("option tcplog".to_owned()),
        _ if http => line("option httplog".to_owned()),
        _ => line("option tcplog".to_owned()),
    }
    for (option, chance) in [("dontlognull", 3), ("dontlog-normal", 6), ("tcpka", 5)] {
        if dice.once_in(chance) {
            line(format!("option {option}"));
        }
    }
    if dice.once_in(2) {
        line(format!("retries {}", dice.below(4)));
    }
    match dice.below(4) {
        0 => line("option redispatch".to_owned()),
        1 => line(format!("option redispatch {}", dice.pick(&["1", "2", "-1", "-2"]))),
        _ => {}
    }
    if dice.once_in(4) {
        line(format!("log-tag tag{}", dice.below(10)));
    }
    if http && dice.once_in(5) {
        line("option httpclose".to_owned());
    }
    text
}

fn front(dice: &mut Dice, name: &str, http: bool) -> String {
    let mut text = format!(" bind 127.0.0.1:{{{name}}}");
    text.push_str(dice.pick(&["", "", " name door", " maxconn 50"]));
    text.push('\n');
    if dice.once_in(4) {
        text.push_str(&format!(" maxconn {}\n", 10 + dice.below(100)));
    }
    if !http {
        return text;
    }
    if dice.once_in(4) {
        text.push_str(" monitor-uri /alive\n");
    }
    if dice.once_in(2) {
        text.push_str(&forward_for(dice));
    }
    rules(dice, &mut text);
    text
}

fn forward_for(dice: &mut Dice) -> String {
    let except = ["", "", " except 127.0.0.0/8", " except 10.0.0.0/8", " except 127.0.0.1"];
    let header = ["", "", " header X-Client-Address"];
    let if_none = ["", "", " if-none"];
    let words = [dice.pick(&except), dice.pick(&header), dice.pick(&if_none)];
    format!(" option forwardfor{}\n", words.concat())
}

/// `http-request` and `http-response` lines.
fn rules(dice: &mut Dice, text: &mut String) {
    for _ in 0..dice.below(4) {
        let direction = dice.pick(&["request", "request", "response"]);
        let header = dice.pick(&HEADERS);
        let condition = dice.pick(&CONDITIONS);
        let words = match dice.below(3) {
            0 => format!("del-header {header}"),
            1 => format!("set-header {header} {}", dice.pick(&VALUES)),
            _ => format!("add-header {header} {}", dice.pick(&VALUES)),
        };
        text.push_str(&format!(" http-{direction} {words}{condition}\n"));
    }
    if dice.once_in(12) {
        let status = dice.pick(&["", " deny_status 429", " deny_status 503", " deny_status 404"]);
        let condition = dice.pick(&CONDITIONS);
        text.push_str(&format!(" http-request deny{status}{condition}\n"));
    }
}

fn back(dice: &mut Dice, http: bool) -> String {
    let mut text = String::new();
    let balance = dice.pick(&["roundrobin", "roundrobin", "leastconn", "source", "first", ""]);
    if !balance.is_empty() {
        text.push_str(&format!(" balance {balance}\n"));
    }
    if http && dice.once_in(4) {
        rules(dice, &mut text);
    }
    if dice.once_in(6) {
        text.push_str(" option allbackups\n");
    }
    if dice.once_in(4) {
        text.push_str(" timeout queue 300ms\n");
    }
    for position in 0..1 + dice.below(3) {
        // Mostly one that answers.
        let origin = dice.pick(&["s0", "s1", "s2", "s0", "s1", "s2", "dead", "mute"]);
        let weight = dice.pick(&["", "", "", " weight 10", " weight 3", " weight 0"]);
        let more = dice.pick(&["", "", "", "", " backup", " disabled", " maxconn 5"]);
        text.push_str(&format!(" server n{position} 127.0.0.1:{{{origin}}}{weight}{more}\n"));
    }
    text
}
