//! An IPv6 address with a vip lease: who answers for it is found by neighbour discovery, which the kernel's gate lets through or not.

use std::net::Ipv6Addr;

use sys::ping::Ping;

use super::*;

const SIX: Ipv6Addr = Ipv6Addr::new(0xfd79, 0, 0, 0, 0, 0, 0, 0x40);
const ASKER: Ipv6Addr = Ipv6Addr::new(0xfd79, 0, 0, 0, 0, 0, 0, 0x99);
const SIXTH: &str = "[vip.six]\naddress = \"fd79::40\"\nprefix = 64\nnetwork = \"mgmt\"\n\
    router_id = 122\nlease = true\n";

/// Pings it from a port of the switch.
struct Asker {
    ping: Ping,
    /// By number.
    asked: Vec<Time>,
    /// When that was asked which was answered last.
    answered: Time,
}

impl Asker {
    fn new() -> Self {
        on_device("asker", |netlink, index| {
            netlink.add_address(index, ASKER.into(), 64, AddressOptions::default()).map(drop)
        });
        let ping = Ping::open(ASKER.into(), SIX.into(), 7).expect("it can be asked");
        Self { ping, asked: vec![], answered: Time::ZERO }
    }

    /// Asks once more; the moment of the newest question that was answered.
    fn ask(&mut self) -> Time {
        let number = self.asked.len();
        self.asked.push(sys::clock::now());
        // What cannot be sent has no answer.
        let _ = self.ping.ask(number as u64);
        while let Some(number) = self.ping.answer() {
            let asked = usize::try_from(number).ok().and_then(|number| self.asked.get(number));
            self.answered = self.answered.max(*asked.expect("it was asked"));
        }
        self.answered
    }
}

fn holds_six(stage: &Stage) -> Option<usize> {
    let holds = |node: &usize| {
        let vips = stage.cluster.status(*node).map(|status| status.vips).unwrap_or_default();
        vips.iter().any(|vip| vip.name == "six" && vip.state.holding)
    };
    (0..NODES).find(holds)
}

#[test]
fn an_ipv6_address_is_followed_and_silent_without_a_majority() {
    let name = "six::an_ipv6_address_is_followed_and_silent_without_a_majority";
    contained(name, || {
        let Some(mut stage) = Stage::laid_out(name, &format!("{LINES}{SIXTH}")) else {
            return;
        };
        let mut asker = Asker::new();
        until("it is answered", || asker.ask() > Time::ZERO);
        let mut holder = None;
        until("its holder is known", || {
            holder = holds_six(&stage);
            holder.is_some()
        });
        let holder = holder.expect("it was found");
        stage.cluster.kill_all(holder).expect("its processes can be killed");
        until("another one holds it", || holds_six(&stage).is_some_and(|next| next != holder));
        let since = sys::clock::now();
        until("that one answers", || asker.ask() > since);

        stage.cluster.start(holder).expect("it can be started");
        let votes = |node| {
            let vips = stage.cluster.status(node).map(|status| status.vips).unwrap_or_default();
            let six = vips.into_iter().find(|vip| vip.name == "six");
            six.and_then(|vip| vip.state.vip_lease).is_some_and(|state| state.votes)
        };
        until("all grant it", || (0..NODES).all(votes));
        let ways = |from| (0..NODES).filter(move |to| *to != from).map(move |to| (from, to));
        let ways = (0..NODES).flat_map(ways);
        let all: Vec<_> =
            ways.flat_map(|(from, to)| (0..NETWORKS).map(move |net| (from, to, net))).collect();
        stage.cluster.lose_ways(&all).expect("ways can be lost");
        until("nobody answers", || {
            asker.ask();
            sys::clock::now().since(asker.answered) > LONG
        });
        let since = sys::clock::now();
        stage.cluster.find_all_ways().expect("ways can be found");
        until("somebody answers again", || asker.ask() > since);
    });
}
