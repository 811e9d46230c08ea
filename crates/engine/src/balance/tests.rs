use std::cell::{Cell, RefCell};

use proptest::prelude::*;

use super::*;

mod hedge;

/// Shared figures without the sharing.
#[derive(Default)]
struct Figures {
    turn: Cell<u64>,
    sessions: RefCell<Vec<u32>>,
    queued: Cell<u32>,
}

impl Counters for Figures {
    fn turn(&self) -> u64 {
        self.turn.replace(self.turn.get() + 1)
    }

    fn sessions(&self, server: usize) -> u32 {
        self.sessions.borrow().get(server).copied().unwrap_or(0)
    }

    fn queued(&self) -> u32 {
        self.queued.get()
    }
}

fn proxy(lines: &str) -> haproxy::Proxy {
    let text = format!("listen p\n bind 127.0.0.1:80\n{lines}\n");
    let source = config::Source { path: "test.cfg".into(), text };
    let (mut file, findings) = haproxy::parse(&[source], 0);
    assert!(findings.iter().all(|f| f.severity < config::Severity::Error), "{findings:?}");
    file.proxies.remove(0)
}

/// Servers `a`, `b`, ... with what follows their address.
fn servers(options: &str, servers: &[&str]) -> haproxy::Proxy {
    let mut lines = options.replace("; ", "\n");
    for (n, more) in servers.iter().enumerate() {
        let name = char::from(b'a' + u8::try_from(n).unwrap());
        lines += &format!("\n server {name} 10.0.0.{}:80 {more}", n + 1);
    }
    proxy(&lines)
}

fn strict(options: &str, list: &[&str]) -> Pool {
    Pool::new(&servers(options, list), false)
}

fn adaptive(options: &str, list: &[&str]) -> Pool {
    Pool::new(&servers(options, list), true)
}

const UP: Condition = Condition { up: true, drain: false, suspect: false, resting: false };
const DOWN: Condition = Condition { up: false, ..UP };
const DRAIN: Condition = Condition { drain: true, ..UP };
const SUSPECT: Condition = Condition { suspect: true, ..UP };
const RESTING: Condition = Condition { resting: true, ..UP };

fn letter(pick: Pick) -> char {
    match pick {
        Pick::Server(n) => char::from(b'a' + u8::try_from(n).unwrap()),
        Pick::Wait => 'w',
        Pick::None => '-',
    }
}

fn ask(pool: &Pool, figures: &Figures, avoid: &[usize]) -> char {
    let avoid = avoid.iter().copied().collect();
    letter(pool.pick(&Ask { source: [127, 0, 0, 10].into(), avoid: &avoid }, figures))
}

fn picks(pool: &Pool, figures: &Figures, count: usize) -> String {
    (0..count).map(|_| ask(pool, figures, &[])).collect()
}

fn sources(pool: &Pool, count: u8) -> String {
    let figures = Figures::default();
    let from = |n: u8| Ask { source: [127, 0, n / 7, 10 + n].into(), avoid: &ServerSet::EMPTY };
    (0..count).map(|n| letter(pool.pick(&from(n), &figures))).collect()
}

/// Each row was printed by haproxy 2.6.12 (`nbthread 1`, one connection after the other).
#[test]
fn round_robin_goes_as_haproxys() {
    for (weights, expected) in [
        (&[1, 1, 1][..], "abcabcabcabcabcabcabcabc"),
        (&[3, 1], "aaabaaabaaabaaabaaabaaab"),
        (&[1, 3], "bbbabbbabbbabbbabbbabbba"),
        (&[5, 1, 1], "aaabaacaaabaacaaabaacaaa"),
        (&[3, 2, 1], "abacababacababacababacab"),
        (&[1, 2, 3], "cbcacbcbcacbcbcacbcbcacb"),
        (&[7, 5, 3, 1], "abacbaabcabadacbabacbaab"),
        (&[10, 1], "aaaaaaaaaabaaaaaaaaaabaa"),
        (&[2, 2, 1, 1], "abcabdabcabdabcabdabcabd"),
        (&[4, 3, 3], "abacbacabcabacbacabcabac"),
        (&[1, 1, 1, 5], "ddaddbdcddaddbdcddaddbdc"),
        (&[6, 4], "aababaababaababaababaaba"),
        (&[2, 3, 5], "cbcacbcbcacbcacbcbcacbca"),
    ] {
        let options: Vec<String> = weights.iter().map(|w| format!("weight {w}")).collect();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let pool = strict("balance roundrobin", &options);
        assert_eq!(picks(&pool, &Figures::default(), 24), expected, "{weights:?}");
    }
}

/// Each row was printed by haproxy 2.6.12 for the clients 127.0.0.10, 127.0.0.11, ...
#[test]
fn a_client_address_meets_the_server_that_haproxy_gives_it() {
    for (weights, expected) in [
        (&[1, 1, 1][..], "cabcabcbcabcababcabcacab"),
        (&[3, 1, 2], "cabcaacacabcaaaacabcacaa"),
        (&[2, 4], "babbabbbbabbababbabbabab"),
        (&[1, 2, 3], "bcbcacbcbcbcacacbcbcacac"),
        (&[7, 5, 3, 1], "babacdababacabcababacdab"),
    ] {
        let options: Vec<String> = weights.iter().map(|w| format!("weight {w}")).collect();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let pool = strict("balance source", &options);
        assert_eq!(sources(&pool, 24), expected, "{weights:?}");
    }
}

#[test]
fn an_ipv6_client_is_hashed_by_all_its_words() {
    let of = |text: &str| hash(text.parse().unwrap());
    assert_eq!(of("0:1::"), 1);
    assert_eq!(of("::1"), 1);
    assert_eq!(of("0:1:0:2:0:4:0:8"), 15);
    assert_eq!(of("ffff:ffff:ffff:ffff::"), 0);
    assert_eq!(of("127.0.0.10"), 0x7f00_000a);
}

#[test]
fn least_connections_counts_sessions_per_weight_and_lets_equals_take_turns() {
    let pool = strict("balance leastconn", &["", "", ""]);
    let figures = Figures::default();
    assert_eq!(picks(&pool, &figures, 6), "abcabc");
    figures.sessions.replace(vec![2, 1, 2]);
    assert_eq!(picks(&pool, &figures, 3), "bbb");
    let pool = strict("balance leastconn", &["weight 1", "weight 3"]);
    figures.sessions.replace(vec![1, 4]);
    assert_eq!(picks(&pool, &figures, 2), "bb", "5/3 is less than 2/1");
    figures.sessions.replace(vec![1, 6]);
    assert_eq!(picks(&pool, &figures, 2), "aa", "7/3 is more than 2/1");
}

#[test]
fn first_fills_one_server_after_the_other() {
    let pool = strict("balance first", &["maxconn 2", "maxconn 1"]);
    let figures = Figures::default();
    for (sessions, expected) in
        [(vec![0, 0], 'a'), (vec![1, 0], 'a'), (vec![2, 0], 'b'), (vec![2, 1], 'w')]
    {
        figures.sessions.replace(sessions);
        assert_eq!(ask(&pool, &figures, &[]), expected);
    }
}

/// The published file's drill: all to node01; if it is down all to node02, not to node03.
#[test]
fn only_the_first_usable_backup_serves_and_only_when_all_others_are_down() {
    let mut pool = strict("balance roundrobin", &["", "", "backup", "backup"]);
    let figures = Figures::default();
    assert_eq!(picks(&pool, &figures, 4), "abab");
    pool.set(0, DOWN);
    assert_eq!(picks(&pool, &figures, 3), "bbb");
    pool.set(1, DRAIN);
    assert_eq!((picks(&pool, &figures, 3).as_str(), pool.usable()), ("ccc", 1));
    pool.set(2, DOWN);
    assert_eq!(picks(&pool, &figures, 3), "ddd");
    pool.set(3, DOWN);
    assert_eq!((picks(&pool, &figures, 2).as_str(), pool.usable()), ("--", 0));
    pool.set(1, UP);
    assert_eq!(picks(&pool, &figures, 2), "bb");
}

#[test]
fn with_allbackups_all_of_them_share() {
    let options = "balance roundrobin; option allbackups";
    let mut pool = strict(options, &["", "backup", "backup"]);
    pool.set(0, DOWN);
    let figures = Figures::default();
    assert_eq!(picks(&pool, &figures, 4), "bcbc");
}

#[test]
fn a_disabled_or_weightless_server_gets_nothing() {
    let pool = strict("balance roundrobin", &["disabled", "weight 0", ""]);
    assert_eq!(picks(&pool, &Figures::default(), 3), "ccc");
}

#[test]
fn a_full_server_is_passed_over_and_when_all_are_full_the_request_waits() {
    let pool = strict("balance roundrobin", &["maxconn 1", "maxconn 1", "maxconn 0"]);
    let figures = Figures::default();
    figures.sessions.replace(vec![1, 0, 9]);
    assert_eq!(picks(&pool, &figures, 3), "bbc", "maxconn 0 is no limit");
    let pool = strict("balance roundrobin", &["maxconn 1", "maxconn 1"]);
    figures.sessions.replace(vec![1, 1]);
    assert_eq!(picks(&pool, &figures, 2), "ww");
}

#[test]
fn a_newcomer_does_not_overtake_the_queue() {
    let pool = strict("balance roundrobin", &["maxconn 2", "maxconn 2"]);
    let figures = Figures::default();
    figures.queued.set(1);
    figures.sessions.replace(vec![2, 1]);
    assert_eq!(ask(&pool, &figures, &[]), 'w');
    figures.sessions.replace(vec![0, 0]);
    assert_ne!(ask(&pool, &figures, &[]), 'w', "nobody's end would wake the queue");
}

#[test]
fn a_retry_avoids_who_was_met_and_returns_only_if_nobody_else_is_left() {
    for pool in
        [strict("balance roundrobin", &["", "", ""]), adaptive("balance roundrobin", &["", "", ""])]
    {
        let figures = Figures::default();
        assert_eq!(ask(&pool, &figures, &[0]), 'b');
        assert_eq!(ask(&pool, &figures, &[1]), 'c');
        assert_eq!(ask(&pool, &figures, &[0, 2]), 'b');
        assert_ne!(ask(&pool, &figures, &[0, 1, 2]), '-');
    }
}

#[test]
fn a_suspected_server_gets_no_new_request_while_another_is_up() {
    let mut pool = adaptive("balance roundrobin", &["", "", "backup"]);
    let figures = Figures::default();
    pool.set(0, SUSPECT);
    assert_eq!(picks(&pool, &figures, 3), "bbb");
    pool.set(1, SUSPECT);
    assert_eq!(picks(&pool, &figures, 3), "ccc", "a backup that works is better than a suspect");
    pool.set(2, SUSPECT);
    assert_eq!(picks(&pool, &figures, 4), "abab", "the last resort: as if nobody were suspected");
    pool.set(0, DOWN);
    pool.set(1, DOWN);
    assert_eq!(picks(&pool, &figures, 2), "cc");
}

#[test]
fn a_server_of_a_node_at_rest_comes_after_all_others_and_before_a_suspect() {
    let mut pool = adaptive("balance roundrobin", &["", "", "backup"]);
    let figures = Figures::default();
    pool.set(0, RESTING);
    assert_eq!(picks(&pool, &figures, 3), "bbb");
    pool.set(1, SUSPECT);
    assert_eq!(picks(&pool, &figures, 3), "ccc", "a backup is there for that");
    pool.set(2, DOWN);
    assert_eq!(picks(&pool, &figures, 3), "aaa", "it is well, and nobody else is");
    assert_eq!(ask(&pool, &figures, &[0]), 'b', "a retry tries everybody");
    pool.set(1, UP);
    assert_eq!(picks(&pool, &figures, 3), "bbb");
}

#[test]
fn suspicion_means_nothing_in_strict_mode() {
    let mut pool = strict("balance roundrobin", &["", ""]);
    pool.set(0, SUSPECT);
    pool.set(1, RESTING);
    assert_eq!(picks(&pool, &Figures::default(), 4), "abab");
}

#[test]
fn a_retry_prefers_a_suspect_to_those_it_has_met() {
    let mut pool = adaptive("balance roundrobin", &["", "", ""]);
    pool.set(2, SUSPECT);
    let figures = Figures::default();
    assert_eq!(ask(&pool, &figures, &[0]), 'b');
    assert_eq!(ask(&pool, &figures, &[0, 1]), 'c');
}

#[test]
fn only_the_clients_of_a_suspect_move_and_they_spread() {
    let mut pool = adaptive("balance source", &["", "", ""]);
    let before = sources(&pool, 60);
    pool.set(1, SUSPECT);
    let after = sources(&pool, 60);
    for (before, after) in before.chars().zip(after.chars()) {
        assert!(if before == 'b' { after != 'b' } else { after == before });
    }
    let moved = |to: char| before.chars().zip(after.chars()).filter(|p| *p == ('b', to)).count();
    assert!(moved('a') >= 5 && moved('c') >= 5, "{before}\n{after}");
    pool.set(1, UP);
    assert_eq!(sources(&pool, 60), before);
}

#[test]
fn strict_source_sticks_even_on_a_retry() {
    let pool = strict("balance source", &["", "", ""]);
    assert_eq!(ask(&pool, &Figures::default(), &[2]), 'c');
    let pool = adaptive("balance source", &["", "", ""]);
    assert_ne!(ask(&pool, &Figures::default(), &[2]), 'c');
}

const SECOND: Duration = Duration::from_secs(1);

fn retries(pool: &Pool, last: usize) -> String {
    (1..=5)
        .map(|attempt| match pool.after_failure(attempt, last) {
            Retry::SameServer { after } if after == SECOND => 'S',
            Retry::SameServer { .. } => 's',
            Retry::OtherServer { after } if after == SECOND => 'O',
            Retry::OtherServer { .. } => 'o',
            Retry::GiveUp => '.',
        })
        .collect()
}

/// Capitals: after a second; `S` the same server, `o` another, `.` give up.
#[test]
fn retries_go_where_and_when_haproxys_go() {
    let two = &["", ""][..];
    for (options, list, expected) in [
        ("balance roundrobin", two, "SSS.."),
        ("balance roundrobin; option redispatch", two, "ooo.."),
        ("balance roundrobin; option redispatch", &[""], "SSO.."),
        ("balance source; option redispatch", two, "SSo.."),
        ("balance leastconn; option redispatch", two, "ooo.."),
        ("balance first; option redispatch", two, "ooo.."),
        ("balance source; option redispatch 1", two, "ooo.."),
        ("balance source; option redispatch 2", two, "SoS.."),
        ("balance source; option redispatch -1", two, "SSo.."),
        ("balance source; option redispatch -2", two, "SoS.."),
        ("balance source; option redispatch -3", two, "ooo.."),
        ("balance source; option redispatch -9", two, "SSS.."),
        ("balance roundrobin; retries 1", two, "S...."),
        ("balance roundrobin; retries 0; option redispatch", two, "....."),
        ("balance roundrobin; timeout connect 100ms", two, "sss.."),
    ] {
        assert_eq!(retries(&strict(options, list), 0), expected, "{options} {list:?}");
    }
}

#[test]
fn haproxy_redispatches_at_once_from_a_server_that_is_down() {
    let mut pool = strict("balance source; option redispatch", &["", "", ""]);
    pool.set(0, DOWN);
    assert_eq!(retries(&pool, 0), "ooo..");
    let mut pool = strict("balance source", &["", "", ""]);
    pool.set(0, DOWN);
    assert_eq!(retries(&pool, 0), "SSS..", "not without redispatch");
}

#[test]
fn after_a_timeout_nobody_waits_again() {
    let pool = strict("balance roundrobin", &["", ""]);
    assert_eq!(pool.after_timeout(1, 0), Retry::SameServer { after: Duration::ZERO });
}

#[test]
fn adaptive_retries_go_elsewhere_at_once_if_there_is_an_elsewhere() {
    assert_eq!(retries(&adaptive("balance source", &["", ""]), 0), "ooo..");
    assert_eq!(retries(&adaptive("balance roundrobin", &[""]), 0), "OOO..");
    let mut pool = adaptive("balance roundrobin", &["", ""]);
    pool.set(0, SUSPECT);
    assert_eq!(retries(&pool, 1), "ooo..", "a suspect is elsewhere");
    pool.break_redispatch();
    assert_eq!(retries(&pool, 0), "SSS..");
}

#[test]
fn weights_beyond_all_measure_still_give_everybody_turns() {
    let list: Vec<String> = (0..20).map(|n| format!("weight {}", 256 - n % 2)).collect();
    let list: Vec<&str> = list.iter().map(String::as_str).collect();
    let pool = strict("balance roundrobin", &list);
    let seen: std::collections::BTreeSet<_> =
        picks(&pool, &Figures::default(), 40).chars().collect();
    assert_eq!(seen.len(), 20);
}

fn condition() -> impl Strategy<Value = Condition> {
    any::<[bool; 4]>().prop_map(|[up, drain, suspect, resting]| Condition {
        up,
        drain,
        suspect,
        resting,
    })
}

proptest! {
    /// The manual's words on `backup` and `allbackups`, written down a second time.
    #[test]
    fn the_manual_says_who_may_be_chosen(
        list in prop::collection::vec((any::<bool>(), condition()), 1..9),
        all_backups: bool,
        algorithm in prop::sample::select(vec!["roundrobin", "source", "leastconn", "first"]),
    ) {
        let lines: Vec<&str> = list.iter().map(|(backup, _)| if *backup { "backup" } else { "" }).collect();
        let allbackups = if all_backups { "; option allbackups" } else { "" };
        let mut pool = strict(&format!("balance {algorithm}{allbackups}"), &lines);
        let usable = |n: &usize| list[*n].1.up && !list[*n].1.drain;
        for (n, (_, condition)) in list.iter().enumerate() {
            pool.set(n, *condition);
        }
        let mut allowed: Vec<usize> = (0..list.len()).filter(|n| usable(n) && !list[*n].0).collect();
        if allowed.is_empty() {
            allowed = (0..list.len()).filter(usable).collect();
            allowed.truncate(if all_backups { usize::MAX } else { 1 });
        }
        let figures = Figures::default();
        for _ in 0..20 {
            match pool.pick(&Ask { source: [10, 0, 0, 9].into(), avoid: &ServerSet::EMPTY }, &figures) {
                Pick::Server(n) => prop_assert!(allowed.contains(&n), "{n} of {allowed:?}"),
                Pick::Wait => prop_assert!(false, "nobody is full"),
                Pick::None => prop_assert!(allowed.is_empty()),
            }
        }
        prop_assert_eq!(pool.usable(), allowed.len());
    }

    /// In one round each server is chosen exactly as often as its weight says.
    #[test]
    fn a_round_is_fair(weights in prop::collection::vec(1_u16..30, 1..9)) {
        let lines: Vec<String> = weights.iter().map(|weight| format!("weight {weight}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let round: usize = weights.iter().map(|weight| usize::from(*weight)).sum();
        for balance in ["balance roundrobin", "balance source"] {
            let pool = strict(balance, &lines);
            let mut count = vec![0; weights.len()];
            for n in 0..u32::try_from(round).unwrap() {
                let ask = Ask { source: IpAddr::V4(n.into()), avoid: &ServerSet::EMPTY };
                let figures = Figures::default();
                figures.turn.set(n.into());
                if let Pick::Server(n) = pool.pick(&ask, &figures) { count[n] += 1 }
            }
            prop_assert_eq!(&count, &weights, "{}", balance);
        }
    }

    /// Whatever is full, suspect or met: no full server is chosen, and nobody is refused who could be served.
    #[test]
    fn adaptive_finds_a_server_whenever_there_is_one(
        list in prop::collection::vec((condition(), any::<bool>(), any::<bool>()), 1..9),
        algorithm in prop::sample::select(vec!["roundrobin", "source", "leastconn", "first"]),
    ) {
        let lines = vec!["maxconn 1"; list.len()];
        let mut pool = adaptive(&format!("balance {algorithm}"), &lines);
        let figures = Figures::default();
        figures.sessions.replace(list.iter().map(|(_, full, _)| u32::from(*full)).collect());
        for (n, (condition, _, _)) in list.iter().enumerate() {
            pool.set(n, *condition);
        }
        let avoid = (0..list.len()).filter(|n| list[*n].2).collect();
        let usable = |n: &usize| list[*n].0.up && !list[*n].0.drain;
        let aside = |n: usize| list[n].0.suspect || list[n].0.resting;
        match pool.pick(&Ask { source: [10, 0, 0, 9].into(), avoid: &avoid }, &figures) {
            Pick::Server(n) => {
                prop_assert!(usable(&n) && !list[n].1);
                let other = (0..list.len()).any(|n| usable(&n) && !aside(n));
                let clean_left = (0..list.len()).any(|n| usable(&n) && !aside(n) && !avoid.contains(n));
                prop_assert!(!aside(n) || !other || !clean_left, "a suspect while another was left");
            }
            Pick::Wait => prop_assert!((0..list.len()).any(|n| usable(&n) && list[n].1)),
            Pick::None => prop_assert!(!(0..list.len()).any(|n| usable(&n))),
        }
    }
}
