//! One session against a written other side, two against each other, and packets of others.

use super::packet::{DecodeError, LENGTH};
use super::*;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn at(ms: u64) -> Time {
    Time::from_nanos(ms * 1_000_000)
}

const fn config(number: u32) -> Config {
    Config {
        number,
        min_rx: ms(100),
        min_tx: ms(100),
        idle_tx: ms(1000),
        multiplier: 3,
        passive: false,
    }
}

/// Sent by keepalived 2.2.7 in this order: alone, as it hears another one, up and asking for its pace.
const THEIRS: [&str; 3] = [
    "20400318 5cf886a4 00000000 000f4240 000186a0 00000000",
    "20800318 5cf886a4 3875d2fe 000f4240 000186a0 00000000",
    "20e00318 3875d2fe 5cf886a4 000186a0 000186a0 00000000",
];

fn bytes(text: &str) -> Vec<u8> {
    let text = text.replace(' ', "");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn packets_are_read_and_written_as_those_of_keepalived() {
    let plain = Control {
        state: State::Down,
        diagnostic: 0,
        poll: false,
        finish: false,
        demand: false,
        multiplier: 3,
        mine: 0x5cf8_86a4,
        yours: 0,
        min_tx: 1_000_000,
        min_rx: 100_000,
    };
    let expected = [
        plain,
        Control { state: State::Init, yours: 0x3875_d2fe, ..plain },
        Control {
            state: State::Up,
            poll: true,
            mine: 0x3875_d2fe,
            yours: 0x5cf8_86a4,
            min_tx: 100_000,
            ..plain
        },
    ];
    for (text, expected) in THEIRS.iter().zip(expected) {
        assert_eq!(Control::decode(&bytes(text)), Ok(expected));
        assert_eq!(expected.encode().to_vec(), bytes(text));
    }
}

#[test]
fn what_may_not_be_obeyed_is_named() {
    let good = bytes(THEIRS[1]);
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        Control::decode(&bytes).unwrap_err()
    };
    assert_eq!(with(0, 0x40), DecodeError::Version);
    assert_eq!(with(2, 0), DecodeError::Multiplier);
    assert_eq!(with(3, 23), DecodeError::Length);
    assert_eq!(with(3, 25), DecodeError::Length);
    assert_eq!(with(1, 0x81), DecodeError::Multipoint);
    // Signed, and too short for that; then long enough, which nobody here can judge.
    assert_eq!(with(1, 0x84), DecodeError::Length);
    let mut signed = [good.clone(), vec![1, 2]].concat();
    (signed[1], signed[3]) = (0x84, 26);
    assert_eq!(Control::decode(&signed), Err(DecodeError::Authenticated));
    // Without a number of the sender; and of a session that nobody knows in a state that needs two.
    let mut nobodys = good.clone();
    nobodys[4..8].fill(0);
    assert_eq!(Control::decode(&nobodys), Err(DecodeError::Discriminator));
    let mut unknown = good.clone();
    unknown[8..12].fill(0);
    assert_eq!(Control::decode(&unknown), Err(DecodeError::Discriminator));
    for length in 0..LENGTH {
        assert_eq!(Control::decode(&good[..length]), Err(DecodeError::Length));
    }
    // Behind its length stands nothing of it.
    assert!(Control::decode(&[good, vec![9; 7]].concat()).is_ok());
}

/// A session and what it ordered, as lines.
struct Bench {
    session: Session,
    log: Vec<String>,
}

impl Bench {
    fn new(config: Config) -> Self {
        Self { session: Session::new(config, 7, at(0)), log: vec![] }
    }

    fn tell(&mut self, now: u64, input: Input) -> Vec<Control> {
        let mut out = Buffer::new();
        self.session.step(at(now), input, &mut out);
        let mut sent = vec![];
        for action in out.iter() {
            match action {
                Action::Send(packet) => {
                    let poll = if packet.poll { " P" } else { "" };
                    let finish = if packet.finish { " F" } else { "" };
                    let (state, diagnostic) = (packet.state, packet.diagnostic);
                    self.log.push(format!("{now} {state:?} {diagnostic}{poll}{finish}"));
                    sent.push(*packet);
                }
                Action::Report { up } => self.log.push(format!("{now} up {up}")),
            }
        }
        sent
    }

    fn run(&mut self, until: u64) {
        while self.session.deadline() <= at(until) {
            let now = self.session.deadline().as_nanos().div_ceil(1_000_000);
            self.tell(now, Input::Timeout);
        }
    }

    fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }
}

fn theirs(state: State) -> Control {
    Control {
        state,
        diagnostic: 0,
        poll: false,
        finish: false,
        demand: false,
        multiplier: 3,
        mine: 9,
        yours: 1,
        min_tx: 100_000,
        min_rx: 100_000,
    }
}

#[test]
fn a_session_comes_up_in_two_steps_and_asks_for_its_pace_until_that_is_confirmed() {
    let mut bench = Bench::new(config(1));
    bench.tell(0, Input::Timeout);
    let down = Control { yours: 0, min_tx: 1_000_000, ..theirs(State::Down) };
    bench.tell(500, Input::Packet(down));
    bench.tell(510, Input::Packet(theirs(State::Init)));
    assert!(bench.session.is_up());
    assert_eq!(
        bench.take(),
        ["0 Down 0", "500 Init 0", "510 up true", "510 Up 0 P"],
        "each step is told at once"
    );
    bench.tell(560, Input::Packet(theirs(State::Up)));
    bench.run(620);
    let asked = bench.take();
    assert!(asked.iter().all(|line| line.ends_with("Up 0 P")) && !asked.is_empty(), "{asked:?}");
    bench.tell(630, Input::Packet(Control { finish: true, ..theirs(State::Up) }));
    bench.run(750);
    let lines = bench.take();
    assert!(lines.iter().all(|line| line.ends_with("Up 0")) && !lines.is_empty(), "{lines:?}");
    // A question is answered at once, once.
    bench.tell(760, Input::Packet(Control { poll: true, ..theirs(State::Up) }));
    assert_eq!(bench.take(), ["760 Up 0 F"]);
}

fn up() -> Bench {
    let mut bench = Bench::new(config(1));
    bench.tell(0, Input::Timeout);
    bench.tell(1, Input::Packet(Control { yours: 0, ..theirs(State::Down) }));
    bench.tell(2, Input::Packet(theirs(State::Init)));
    bench.tell(3, Input::Packet(Control { finish: true, ..theirs(State::Up) }));
    assert!(bench.session.is_up());
    bench.take();
    bench
}

#[test]
fn silence_for_the_detection_time_takes_it_down_and_no_moment_before() {
    let mut bench = up();
    // Three of the slower pace: it sends as often as we can receive.
    assert_eq!(bench.session.detection_time(), ms(300));
    bench.run(302);
    assert!(bench.session.is_up());
    bench.run(303);
    assert!(!bench.session.is_up());
    let lines = bench.take();
    assert!(lines.contains(&"303 up false".to_owned()), "{lines:?}");
    // It says why, and is slow again: one packet soon, then one each second.
    bench.run(10_000);
    let lines = bench.take();
    assert!(lines.iter().all(|line| line.ends_with("Down 1")), "{lines:?}");
    assert!((9..=15).contains(&lines.len()), "{lines:?}");
}

#[test]
fn who_says_that_it_is_down_is_believed_and_who_is_taken_down_says_so() {
    for (state, diagnostic) in [(State::Down, 3), (State::AdminDown, 3)] {
        let mut bench = up();
        let sent = bench.tell(50, Input::Packet(theirs(state)));
        assert!(!bench.session.is_up());
        assert_eq!(sent[0].diagnostic, diagnostic);
    }
    let mut bench = up();
    bench.tell(50, Input::Stop);
    assert_eq!(bench.take(), ["50 up false", "50 AdminDown 7"]);
    bench.tell(60, Input::Packet(theirs(State::Up)));
    bench.run(5000);
    assert_eq!(bench.take(), Vec::<String>::new());
}

#[test]
fn a_passive_side_does_not_speak_first_and_falls_silent_with_the_other_one() {
    let mut bench = Bench::new(Config { passive: true, ..config(1) });
    bench.run(5000);
    assert_eq!(bench.take(), Vec::<String>::new());
    bench.tell(6000, Input::Packet(Control { yours: 0, ..theirs(State::Down) }));
    assert_eq!(bench.take(), ["6000 Init 0"]);
    bench.run(20_000);
    let lines = bench.take();
    assert_eq!(lines.last().map(String::as_str), Some("6300 Down 1"), "{lines:?}");
}

#[test]
fn the_slower_side_makes_the_pace_and_no_two_packets_are_equally_far_apart() {
    let mut bench = Bench::new(config(1));
    bench.tell(0, Input::Timeout);
    let slow = |state| Control { min_rx: 400_000, min_tx: 900_000, ..theirs(state) };
    bench.tell(1, Input::Packet(Control { yours: 0, ..slow(State::Down) }));
    bench.tell(2, Input::Packet(slow(State::Init)));
    assert_eq!(bench.session.detection_time(), ms(2700));
    let mut times = vec![];
    for step in 1..60 {
        let now = 2 + step * 40;
        bench.tell(now, Input::Packet(Control { finish: true, ..slow(State::Up) }));
        bench.run(now);
    }
    for line in bench.take() {
        times.push(line.split(' ').next().and_then(|ms| ms.parse::<u64>().ok()).unwrap());
    }
    let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).skip(3).collect();
    assert!(gaps.iter().all(|gap| (300..=401).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().any(|gap| *gap != gaps[0]), "{gaps:?}");
}

#[test]
fn nothing_is_sent_to_one_that_wants_nothing_and_a_packet_of_another_session_is_nobodys() {
    let mut bench = up();
    bench.tell(10, Input::Packet(Control { min_rx: 0, ..theirs(State::Up) }));
    bench.run(300);
    assert_eq!(bench.take(), Vec::<String>::new());
    let mut bench = up();
    bench.tell(10, Input::Packet(Control { yours: 2, ..theirs(State::Down) }));
    assert!(bench.session.is_up());
}

#[test]
fn two_sessions_come_up_with_each_other_whatever_each_of_them_is_told() {
    let paces = [10, 50, 100, 333];
    for (a, b) in paces.iter().flat_map(|a| paces.iter().map(move |b| (*a, *b))) {
        let of = |number, pace, passive| Config {
            min_rx: ms(pace),
            min_tx: ms(pace),
            passive,
            ..config(number)
        };
        let mut pair = [Bench::new(of(1, a, false)), Bench::new(of(2, b, a == b))];
        let mut on_the_way: Vec<(usize, Control)> = vec![];
        for now in 0..4000 {
            for (to, packet) in std::mem::take(&mut on_the_way) {
                let sent = pair[to].tell(now, Input::Packet(packet));
                on_the_way.extend(sent.into_iter().map(|packet| (1 - to, packet)));
            }
            for (side, bench) in pair.iter_mut().enumerate() {
                if bench.session.deadline() <= at(now) {
                    let sent = bench.tell(now, Input::Timeout);
                    on_the_way.extend(sent.into_iter().map(|packet| (1 - side, packet)));
                }
            }
        }
        for bench in &pair {
            assert!(bench.session.is_up(), "{a} {b}");
            let downs = bench.log.iter().filter(|line| line.ends_with("up false")).count();
            assert_eq!(downs, 0, "{a} {b}: {:?}", bench.log);
            let detection = bench.session.detection_time();
            assert_eq!(detection, ms(a.max(b)) * 3, "{a} {b}");
        }
    }
}
