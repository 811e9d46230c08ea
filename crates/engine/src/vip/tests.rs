use std::fmt::Write as _;
use std::net::Ipv4Addr;

use config::vip::{Checksum, Protocol};
use expect_test::{Expect, expect};

use super::*;

mod delay;
mod own;
mod planned;
mod search;
mod startup;
mod together;
mod told;
mod v3;
mod v6;

const ME: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 79, 0, 41));
const NODE02: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 79, 0, 42));
const NODE03: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 79, 0, 43));
const FOREIGN: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 79, 0, 99));
const VIP: [[u8; 4]; 1] = [[10, 79, 0, 40]];
/// Of all processes, where it is not said.
const LIFE: u64 = 5;
const MANAGEMENT: u8 = 0;
const STORAGE: u8 = 1;

const fn at(milliseconds: u64) -> Time {
    Time::from_nanos(milliseconds * 1_000_000)
}

/// As on all nodes, with this router id.
pub(super) fn vip(router_id: u8) -> config::vip::Vip {
    let address = config::vip::Address::plain(Ipv4Addr::from(VIP[0]).into());
    config::vip::Vip {
        priority: 150,
        password: Some(*b"secret12"),
        ..config::vip::Vip::plain("internal", "eth0", router_id, vec![address])
    }
}

/// Node 0 of three, priority 150.
fn config() -> Config {
    let peer = |node, address: IpAddr| Peer { node, addresses: vec![address] };
    Config {
        vip: vip(121),
        node: 0,
        life: LIFE,
        source: ME,
        network: Some(MANAGEMENT),
        peers: vec![peer(1, NODE02), peer(2, NODE03)],
        starts_at: Time::ZERO,
        adopted: false,
    }
}

/// A machine, and what it ordered since it was last asked, one line a step.
struct Bench {
    vip: Vip,
    log: String,
}

impl Bench {
    fn new(config: Config) -> Self {
        let mut bench = Self { vip: Vip::new(config, Time::ZERO), log: String::new() };
        bench.tell(0, Input::Carrier { interface: 0, up: true });
        bench
    }

    /// Of the node that starts at 0 and meets nobody.
    fn master(config: Config) -> Self {
        let mut bench = Self::new(config);
        bench.until(9000);
        assert!(bench.vip.holding());
        bench.log.clear();
        bench
    }

    /// Keeps the deadlines before `ms`.
    fn tell(&mut self, ms: u64, input: Input<'_>) {
        while self.vip.deadline() < at(ms) {
            self.step(self.vip.deadline(), Input::Timeout);
        }
        self.step(at(ms), input);
    }

    fn step(&mut self, now: Time, input: Input<'_>) {
        let mut out = Buffer::new();
        self.vip.step(now, input, &mut out);
        assert!(self.vip.deadline() > now, "a deadline that has passed makes the driver spin");
        let words: Vec<_> = out.iter().filter_map(|action| self.say(*action)).collect();
        if !words.is_empty() {
            writeln!(self.log, "{now} {}", words.join(", ")).unwrap();
        }
    }

    /// Keeps every deadline up to `ms`.
    fn until(&mut self, ms: u64) {
        while self.vip.deadline() <= at(ms) {
            self.step(self.vip.deadline(), Input::Timeout);
        }
    }

    /// Hellos and reports that change nothing are left out.
    fn say(&self, action: Action) -> Option<String> {
        match action {
            Action::Claim => Some("claim".to_owned()),
            Action::Release => Some("release".to_owned()),
            Action::Announce => Some("announce".to_owned()),
            Action::Advertise { priority } => Some(format!("advertise {priority}")),
            Action::HandOver(m) => Some(format!("hand over to {} in term {}", m.to, m.term)),
            Action::Hello(_) | Action::Probe => None,
            Action::Report => Some(match self.vip.cause() {
                Some(cause) => format!("({:?}: {cause:?})", self.vip.role()),
                None => format!("({:?})", self.vip.role()),
            }),
        }
    }

    fn advert(&mut self, ms: u64, source: IpAddr, priority: u8) {
        self.tell(ms, Input::Advert { source, advert: advert(priority) });
    }

    fn hello(&mut self, ms: u64, node: u16, change: impl FnOnce(&mut Hello)) {
        let source = if node == 1 { NODE02 } else { NODE03 };
        let mut hello = Hello {
            group: self.vip.group(),
            node,
            source,
            priority: if node == 1 { 150 } else { 100 },
            role: Role::Backup,
            eligible: true,
            term: 0,
            life: LIFE,
        };
        change(&mut hello);
        self.tell(ms, Input::Hello { network: STORAGE, hello });
    }

    fn named(&mut self, ms: u64, from: u16, to: u16, term: u64) {
        let message = HandOver { group: self.vip.group(), from, to, term, to_life: LIFE };
        self.tell(ms, Input::HandOver(message));
    }

    #[track_caller]
    fn check(&mut self, expected: Expect) {
        expected.assert_eq(&self.log);
        self.log.clear();
    }
}

fn advert(priority: u8) -> Advert<'static> {
    Advert {
        protocol: Protocol::V2,
        router_id: 121,
        priority,
        interval: Duration::from_secs(1),
        password: Some(*b"secret12"),
        addresses: packet::Addresses::new(&VIP),
    }
}

#[test]
fn a_lonely_node_waits_for_a_full_interval_and_holds_once() {
    let mut bench = Bench::new(config());
    bench.until(6000);
    bench.check(expect![[r#"
        0.000s (Backup)
        3.414s claim, announce, advertise 150, (Master: Silence)
        3.424s announce
        3.514s announce
        4.414s announce, advertise 150
        5.414s advertise 150
    "#]]);
}

#[test]
fn what_was_never_told_keeps_a_node_out_but_takes_the_address_from_nobody() {
    let mut new = config();
    new.vip.track_balancer = true;
    let mut bench = Bench::new(new.clone());
    bench.until(9000);
    bench.tell(9000, Input::Balancer(Balancer::Replacing));
    bench.tell(9500, Input::Balancer(Balancer::Serving));
    bench.check(expect![[r#"
        0.000s (Fault: Balancer)
        9.500s (Backup)
    "#]]);

    let mut bench = Bench::new(Config { adopted: true, ..new });
    bench.until(1500);
    bench.tell(1500, Input::Balancer(Balancer::Serving));
    bench.check(expect![[r#"
        0.000s advertise 150, (Master: Adopted)
        1.000s advertise 150
    "#]]);
}

#[test]
fn a_backup_counts_from_the_last_advert() {
    let mut bench = Bench::new(config());
    bench.advert(3000, FOREIGN, 1);
    bench.until(6413);
    bench.check(expect![[r#"
        0.000s (Backup)
    "#]]);
    bench.until(6415);
    bench.check(expect![[r#"
        6.414s claim, announce, advertise 150, (Master: Silence)
    "#]]);
}

#[test]
fn a_goodbye_leaves_only_the_skew() {
    let mut bench = Bench::new(config());
    bench.advert(1000, FOREIGN, 200);
    bench.advert(2000, FOREIGN, 0);
    bench.advert(2100, FOREIGN, 0);
    bench.until(2500);
    bench.check(expect![[r#"
        0.000s (Backup)
        2.414s claim, announce, advertise 150, (Master: Goodbye)
        2.424s announce
    "#]]);
}

#[test]
fn a_backup_that_stops_waits_for_nothing_any_more() {
    let mut bench = Bench::new(config());
    bench.advert(1000, FOREIGN, 200);
    bench.tell(1100, Input::Stop);
    assert_eq!(bench.vip.deadline(), Time::NEVER);
    bench.advert(2000, FOREIGN, 0);
    bench.check(expect![[r#"
        0.000s (Backup)
        1.100s (Fault: Stopping)
    "#]]);
}

#[test]
fn a_weaker_master_is_obeyed_under_nopreempt_and_outwaited_otherwise() {
    let mut bench = Bench::new(config());
    bench.until(2900);
    bench.advert(3000, FOREIGN, 100);
    bench.until(4000);
    assert_eq!(bench.vip.role(), Role::Backup);

    let mut greedy = config();
    greedy.vip.preempt = true;
    let mut bench = Bench::new(greedy);
    bench.until(2900);
    bench.advert(3000, FOREIGN, 100);
    bench.until(4000);
    assert_eq!(bench.vip.role(), Role::Master);
}

#[test]
fn the_owner_does_not_wait() {
    let mut owner = config();
    owner.vip.priority = 255;
    let mut bench = Bench::new(owner);
    bench.check(expect![[r#"
        0.000s claim, announce, advertise 255, (Master: Silence)
    "#]]);
}

#[test]
fn a_loser_releases_and_shows_itself_once_more() {
    let mut bench = Bench::master(config());
    bench.advert(9100, FOREIGN, 151);
    bench.check(expect![[r#"
        9.100s release, advertise 150, (Backup: Stronger)
    "#]]);
}

#[test]
fn a_winner_answers_a_weaker_master_with_advert_and_arp() {
    let mut bench = Bench::master(config());
    bench.advert(9100, FOREIGN, 149);
    bench.advert(9102, FOREIGN, 149);
    bench.until(9210);
    bench.check(expect![[r#"
        9.100s advertise 150, announce
        9.110s announce
        9.112s advertise 150
        9.200s announce
    "#]]);
}

#[test]
fn a_flood_of_weaker_masters_is_answered_a_hundred_times_a_second_at_most() {
    let mut bench = Bench::master(config());
    for n in 0..20_000_u64 {
        let now = at(9100) + Duration::from_micros(n * 50);
        bench.step(now, Input::Advert { source: FOREIGN, advert: advert(149) });
    }
    let told = std::mem::take(&mut bench.log);
    let count = |word: &str| told.matches(word).count();
    assert!((90..=101).contains(&count("advertise")), "{told}");
    assert!(count("announce") <= 201 && bench.vip.holding(), "{told}");
    assert_eq!(bench.vip.counters().obeyed, 20_000);
}

#[test]
fn between_equal_priorities_the_higher_address_wins() {
    let mut bench = Bench::master(config());
    bench.advert(9100, Ipv4Addr::new(10, 79, 0, 40).into(), 150);
    assert!(bench.vip.holding());
    bench.advert(9200, Ipv4Addr::new(10, 79, 0, 42).into(), 150);
    assert!(!bench.vip.holding());
}

#[test]
fn a_master_answers_a_goodbye_at_once() {
    let mut bench = Bench::master(config());
    bench.advert(9100, FOREIGN, 0);
    bench.check(expect![[r#"
        9.100s advertise 150, announce
    "#]]);
}

#[test]
fn a_holder_that_did_not_run_drops_the_address_first() {
    let mut bench = Bench::master(config());
    bench.step(at(12_000), Input::Advert { source: NODE02, advert: advert(100) });
    bench.until(17_000);
    bench.check(expect![[r#"
        12.000s release, advertise 0, (Backup: Stalled)
        15.414s claim, announce, advertise 150, (Master: Silence)
        15.424s announce
        15.514s announce
        16.414s announce, advertise 150
    "#]]);

    let mut bench = Bench::master(config());
    bench.step(at(12_000), Input::Timeout);
    bench.until(14_000);
    bench.check(expect![[r#"
        12.000s release, advertise 0, (Backup: Stalled)
        13.414s claim, announce, advertise 150, (Master: Silence)
        13.424s announce
        13.514s announce
    "#]]);
}

#[test]
fn an_address_that_somebody_removed_comes_back() {
    let mut bench = Bench::master(config());
    bench.tell(9100, Input::AddressLost);
    bench.check(expect![[r#"
        9.100s claim, announce
    "#]]);
}

#[test]
fn a_refused_address_is_tried_again_after_a_pause() {
    let mut bench = Bench::master(config());
    bench.tell(9100, Input::Refused);
    bench.until(19_000);
    bench.check(expect![[r#"
        9.100s release, advertise 0, (Fault: Refused)
        14.100s (Backup)
        17.514s claim, announce, advertise 150, (Master: Silence)
        17.524s announce
        17.614s announce
        18.514s announce, advertise 150
    "#]]);
}

#[test]
fn a_dead_balancer_takes_the_address_away_until_it_serves_again() {
    let mut new = config();
    new.vip.track_balancer = true;
    let mut bench = Bench::new(new);
    bench.tell(0, Input::Balancer(Balancer::Serving));
    bench.until(4000);
    bench.hello(4000, 1, |_| {});
    bench.log.clear();
    bench.tell(4100, Input::Balancer(Balancer::Replacing));
    bench.tell(4200, Input::Balancer(Balancer::Failed));
    bench.tell(4300, Input::Balancer(Balancer::Replacing));
    bench.named(4400, 1, 0, 9);
    bench.tell(4500, Input::Balancer(Balancer::Serving));
    bench.check(expect![[r#"
        4.200s release, advertise 0, hand over to 1 in term 2, (Fault: Balancer)
        4.400s (Fault: Balancer)
        4.500s (Backup)
    "#]]);
}

#[test]
fn adverts_that_are_not_for_us_are_counted_and_do_not_count() {
    let good = advert(200);
    let rows = [
        ("good", good, true),
        ("router id", Advert { router_id: 120, ..good }, false),
        ("version", Advert { protocol: Protocol::V3 { sends: Checksum::Pseudo }, ..good }, false),
        ("interval", Advert { interval: Duration::from_secs(2), ..good }, false),
        ("password", Advert { password: Some(*b"wrong\0\0\0"), ..good }, false),
        ("no password", Advert { password: None, ..good }, false),
        (
            "other addresses",
            Advert { addresses: packet::Addresses::new(&[[10, 0, 0, 1]]), ..good },
            true,
        ),
    ];
    for (name, advert, obeyed) in rows {
        let mut bench = Bench::new(config());
        bench.until(2900);
        bench.tell(3000, Input::Advert { source: FOREIGN, advert });
        bench.until(4000);
        assert_eq!(bench.vip.role() == Role::Backup, obeyed, "{name}");
        let Counters {
            obeyed,
            router_id,
            version,
            interval,
            password,
            source,
            addresses,
            other_interval,
            foreign,
            unheard,
            strangers,
            outlived,
        } = bench.vip.counters();
        assert_eq!(obeyed + router_id + version + interval + password, 1, "{name}");
        assert_eq!((source, strangers, outlived), (0, 0, 0), "{name}");
        assert_eq!((other_interval, foreign, unheard), (0, 0, 0), "{name}");
        assert_eq!(addresses, u64::from(name == "other addresses"), "{name}");
    }
}

#[test]
fn unicast_from_a_router_that_is_not_listed_is_ignored() {
    let mut unicast = config();
    unicast.vip.unicast_peers = vec![NODE02, NODE03];
    let mut bench = Bench::new(unicast);
    bench.advert(3000, FOREIGN, 200);
    assert_eq!((bench.vip.counters().source, bench.vip.counters().obeyed), (1, 0));
    bench.advert(3100, NODE02, 200);
    assert_eq!((bench.vip.counters().source, bench.vip.counters().obeyed), (1, 1));
}

#[test]
fn beside_an_address_that_the_kernel_keeps_nobody_is_named_and_the_goodbye_is_said() {
    let group = Group { router_id: 1, key: 2 };
    let name = Action::HandOver(HandOver { group, from: 0, to: 1, term: 3, to_life: 4 });
    let goodbye = Action::Advertise { priority: 0 };
    let kept = Undone { release: true, ..Undone::default() };
    assert!(kept.forbids(&name) && !kept.forbids(&goodbye));
    let refused = Undone { claim: true, ..Undone::default() };
    assert!(refused.forbids(&Action::Announce) && !refused.forbids(&goodbye));
    assert!(refused.forbids(&Action::Advertise { priority: 9 }) && !refused.forbids(&name));
    let all = [Action::Claim, Action::Release, Action::Announce, goodbye, name, Action::Report];
    assert!(!all.iter().any(|action| Undone::default().forbids(action)), "all was done");
}
