//! A virtual IP with a vip lease, between three real nodes on two networks: one of them answers, never two, whatever
//! becomes of their processes and of the networks between them.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

#[path = "leased/balanced.rs"]
mod balanced;

#[path = "leased/bare.rs"]
mod bare;

#[path = "leased/bound.rs"]
mod bound;

#[path = "leased/foreign.rs"]
mod foreign;

#[path = "leased/gateway.rs"]
mod gateway;

#[path = "leased/placed.rs"]
mod placed;

#[path = "leased/policy.rs"]
mod policy;

#[path = "leased/prober.rs"]
mod prober;

#[path = "leased/room.rs"]
mod room;

#[path = "leased/short.rs"]
mod short;

#[path = "leased/six.rs"]
mod six;

#[path = "leased/succeeded.rs"]
mod succeeded;

#[path = "leased/voters.rs"]
mod voters;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use api::{Event, Role, VipCause, VipLine};
use base::Time;
use lab::cluster::{Cluster, Plan};
use lonely::{OUTLAST, OWN, VIP, contained, kill, until};
use prober::Prober;
use sys::netlink::{AddressOptions, Netlink};

const FOLDER: &str = "/run/lab";
const NODES: usize = 3;
const NETWORKS: usize = 2;
/// That of the address.
const CLIENTS: usize = 0;
/// Where all that is promised takes some 60 ms.
const SOON: Duration = Duration::from_secs(1);
/// A machine that stands still for 35 ms loses what it holds: how often something is begun again for that.
const TRIES: usize = 5;
/// Longer than any vip lease, and than what a machine under load takes to deliver what was said.
const LONG: Duration = Duration::from_millis(500);

const LINES: &str = "detect = \"2s\"\n\
    [vip.internal]\n\
    address = \"10.79.0.40\"\n\
    network = \"mgmt\"\n\
    router_id = 121\nlease = true\n";

struct Stage {
    cluster: Cluster,
    prober: Prober,
    macs: Vec<[u8; 6]>,
}

impl Stage {
    /// None: this machine's kernel does not take the programs that end vip leases, which is noted for that test.
    fn new(test: &str) -> Option<Self> {
        Self::with(test, "")
    }

    /// `more`: of `[cluster]`.
    fn with(test: &str, more: &str) -> Option<Self> {
        Self::laid_out(test, &format!("{more}{LINES}"))
    }

    fn laid_out(test: &str, lines: &str) -> Option<Self> {
        Self::prepared(test, lines, |_| {})
    }

    /// `prepare`: changes files before anything is started.
    fn prepared(test: &str, lines: &str, prepare: impl Fn(&Cluster)) -> Option<Self> {
        Self::of_program(test, lines, Path::new(OUTLAST), prepare)
    }

    fn of_program(
        test: &str,
        lines: &str,
        program: &Path,
        prepare: impl Fn(&Cluster),
    ) -> Option<Self> {
        let stage = Self::started(lines, program, prepare);
        if let Some(why) = stage.not_enforced() {
            lab::skip::note(&format!("outlast::{test}"), &format!("no gate here: {why}"));
            return None;
        }
        until("somebody answers", || stage.holder().is_some());
        Some(stage)
    }

    fn started(lines: &str, program: &Path, prepare: impl Fn(&Cluster)) -> Self {
        let plan = Plan {
            names: ["ctl1", "ctl2", "ctl3"].map(str::to_owned).to_vec(),
            networks: ["mgmt", "storage"].map(str::to_owned).to_vec(),
            lines: lines.to_owned(),
            computes: 0,
        };
        let cluster = Cluster::lay_out(Path::new(FOLDER), program, plan);
        let mut cluster = cluster.expect("namespaces of the test's own");
        prepare(&cluster);
        cluster.mend().expect("everything can be started");
        let mac = |node| cluster.within(node, mac).expect("it is on");
        let macs = (0..NODES).map(mac).collect();
        let prober = Prober::start("sw1", VIP).expect("a switch can be asked through");
        Self { cluster, prober, macs }
    }

    /// Why the kernel does not take the programs that end vip leases, as the first node says.
    fn not_enforced(&self) -> Option<String> {
        let mut unable = None;
        until("all nodes know of the address", || {
            let states = (0..NODES).map(|node| self.vip(node)?.state.vip_lease);
            let states: Option<Vec<_>> = states.collect();
            unable = states.as_ref().and_then(|all| all[0].not_enforced.clone());
            states.is_some()
        });
        unable
    }

    fn vip(&self, node: usize) -> Option<VipLine> {
        self.cluster.status(node)?.vips.into_iter().next()
    }

    /// Whether its gateway answers it; none: it knows of none.
    fn reaches(&self, node: usize) -> Option<bool> {
        self.cluster.status(node)?.reference.first().map(|point| point.answers)
    }

    fn votes(&self, node: usize) -> bool {
        self.vip(node).and_then(|vip| vip.state.vip_lease).is_some_and(|state| state.votes)
    }

    /// Who alone answered what was asked last.
    fn holder(&self) -> Option<usize> {
        let mac = self.prober.holder()?;
        self.macs.iter().position(|known| *known == mac)
    }

    fn holds(&self) -> usize {
        let mut holder = None;
        until("somebody answers", || {
            holder = self.holder();
            holder.is_some()
        });
        holder.expect("it answered a moment ago")
    }

    /// How long after `since` another node than `before` answered first.
    fn followed(&self, before: usize, since: Time) -> (usize, Duration) {
        let (mac, mut found) = (self.macs[before], None);
        until("another node answers", || {
            found = self.prober.first_other(mac, since);
            found.is_some()
        });
        let (at, mac) = found.expect("it was found");
        let node = self.macs.iter().position(|known| *known == mac);
        (node.expect("it is one of them"), at.since(since))
    }

    /// Nobody answered what another node answered as well, since the start.
    fn never_two(&self) {
        assert_eq!(self.prober.doubles(), vec![], "{:?}", self.macs);
    }

    /// Does this until it comes out, or nobody lost the address meanwhile for want of a majority in time, which takes
    /// a machine that stands still: then what it says is wrong.
    fn undisturbed(&mut self, mut act: impl FnMut(&mut Self, Time) -> Result<(), String>) {
        let mut wrong = vec![];
        while wrong.len() < TRIES {
            let since = sys::clock::now();
            let Err(what) = act(self, since) else { return };
            self.never_two();
            until(&format!("{what}: somebody stood still"), || self.was_lost(since));
            eprintln!("{what}: again, as somebody stood still");
            wrong.push(what);
        }
        panic!("each time somebody stood still: {wrong:?}");
    }

    /// Whether a holder lost it since then because no majority granted it in time.
    fn was_lost(&self, since: Time) -> bool {
        let released = (0..NODES).flat_map(|node| self.events(node, "vip-released", since));
        released.into_iter().any(|event| event.evidence.contains("no majority of the controllers"))
    }

    /// Whether this node alone answers now; what is wrong if not.
    fn stays(&self, with: usize, what: &str) -> Result<(), String> {
        let holder = self.holds();
        if holder == with { Ok(()) } else { Err(format!("{what}: {holder}, not {with}, answers")) }
    }

    fn events(&self, node: usize, what: &str, since: Time) -> Vec<Event> {
        let heard = self.cluster.heard().into_iter();
        let heard = heard.filter(|heard| heard.node == node && heard.at >= since);
        heard.map(|heard| heard.event).filter(|event| event.what == what).collect()
    }

    /// Whether its kernel has the address.
    fn has(&self, node: usize) -> Option<bool> {
        self.cluster.within(node, lonely::has_vip)
    }

    /// Reads its file again, with something else in it; what `change` gives.
    fn reloads(&self, node: usize, change: impl Fn(&str) -> String) {
        let file = Path::new(FOLDER).join(self.cluster.name(node)).join("outlast.toml");
        let text = std::fs::read_to_string(&file).expect("the lab wrote it");
        std::fs::write(&file, change(&text)).expect("it can be written");
        kill(self.cluster.pid(node, Role::Supervisor).expect("it runs"), "HUP");
    }

    fn types(&self, node: usize, words: &[&str]) -> String {
        let mut command = Command::new(OUTLAST);
        let folder = Path::new(FOLDER).join(self.cluster.name(node)).join("run");
        let output = command.args(words).arg("--run-dir").arg(folder).output();
        let output = output.expect("the tool starts");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }
}

fn mac() -> [u8; 6] {
    let link = Netlink::open().and_then(|netlink| netlink.link("eth0"));
    link.expect("the kernel answers").expect("the lab made it").mac
}

fn says(what: &str, took: Duration) {
    eprintln!("{what}: another node answers after {:.1} ms", took.as_secs_f64() * 1e3);
    assert!(took < SOON, "{what}: {took:?}");
}

#[test]
fn who_loses_all_processes_or_its_vip_process_is_followed_and_two_never_answer() {
    let name = "who_loses_all_processes_or_its_vip_process_is_followed_and_two_never_answer";
    contained(name, || {
        let Some(mut stage) = Stage::new(name) else { return };
        stage.undisturbed(lose_all);
        stage.undisturbed(lose_the_vip_process);

        let third = stage.holds();
        let vip = stage.cluster.pid(third, Role::Vip).expect("it runs");
        let since = sys::clock::now();
        kill(vip, "STOP");
        let (_, took) = stage.followed(third, since);
        says("the vip process of the holder frozen", took);
        stage.never_two();
    });
}

fn lose_all(stage: &mut Stage, _: Time) -> Result<(), String> {
    let first = stage.holds();
    let since = sys::clock::now();
    stage.cluster.kill_all(first).expect("its processes can be killed");
    let (second, took) = stage.followed(first, since);
    says("all processes of the holder killed", took);
    stage.tells_stages(first, second, since)?;
    // Its kernel still has the address, behind the gate that nobody opens any more.
    let has = stage.has(first);
    if stage.prober.answered(stage.macs[first], since) {
        assert_eq!(has, Some(true), "the address went by itself");
    }
    stage.cluster.start(first).expect("it can be started");
    until("it runs again, without the address, or holds it", || {
        let vip = stage.vip(first);
        vip.is_some_and(|vip| {
            vip.state.vip_lease.is_some() && stage.has(first) == Some(vip.state.holding)
        })
    });
    until("it grants what others ask for", || stage.votes(first));
    stage.stays(second, "who comes back takes nothing")
}

fn lose_the_vip_process(stage: &mut Stage, begin: Time) -> Result<(), String> {
    let second = stage.holds();
    let vip = stage.cluster.pid(second, Role::Vip).expect("it runs");
    let since = sys::clock::now();
    kill(vip, "KILL");
    let (third, took) = stage.followed(second, since);
    says("the vip process of the holder killed", took);
    until("the address is taken off", || {
        stage.has(second) == Some(false) || stage.holder() == Some(second)
    });
    until("it is told", || {
        !stage.events(second, "vip-rescued", since).is_empty() || stage.was_lost(begin)
    });
    until("it grants what others ask for", || stage.votes(second));
    stage.stays(third, "whose vip process is a new one takes nothing")
}

#[test]
fn nodes_that_are_cut_from_each_other_are_silent_and_one_answers_when_they_are_not() {
    let name = "nodes_that_are_cut_from_each_other_are_silent_and_one_answers_when_they_are_not";
    contained(name, || {
        let Some(mut stage) = Stage::new(name) else { return };
        stage.holds();
        let ways = |from| (0..NODES).filter(move |to| *to != from).map(move |to| (from, to));
        let ways: Vec<_> = (0..NODES).flat_map(ways).collect();
        let on = |(from, to): &(usize, usize)| {
            (0..NETWORKS).map(|network| (*from, *to, network)).collect::<Vec<_>>()
        };
        let all: Vec<_> = ways.iter().flat_map(on).collect();
        stage.cluster.lose_ways(&all).expect("ways can be lost");
        let since = sys::clock::now();
        until("nobody answers", || stage.prober.is_silent(LONG));
        let last = stage.prober.last_answer().expect("somebody answered before");
        eprintln!("cut from each other: the last answer {:?} after it", last.since(since));
        assert!(last.since(since) < SOON);
        until("all know why", || {
            let cause = |node| stage.vip(node).and_then(|vip| vip.state.cause);
            (0..NODES).all(|node| !stage.vip(node).is_some_and(|vip| vip.state.holding))
                && (0..NODES).any(|node| cause(node) == Some(VipCause::Majority))
        });

        let since = sys::clock::now();
        stage.cluster.find_all_ways().expect("ways can be found");
        until("somebody answers", || stage.prober.first_since(since).is_some());
        let (at, _) = stage.prober.first_since(since).expect("it was found");
        says("healed", at.since(since));
        stage.holds();
        stage.never_two();
    });
}

#[test]
fn an_operator_moves_it_and_who_stops_names_another() {
    let name = "an_operator_moves_it_and_who_stops_names_another";
    contained(name, || {
        let Some(mut stage) = Stage::new(name) else { return };
        stage.undisturbed(move_it);

        let second = stage.holds();
        let since = sys::clock::now();
        stage.cluster.stop(second).expect("it can be stopped");
        let (_, took) = stage.followed(second, since);
        says("the holder stopped", took);
        stage.cluster.ended(second).expect("it ends");
        let left = stage.cluster.within(second, || (lonely::has_vip(), gated()));
        assert_eq!(left, Some((false, false)), "an address, or a gate, stays behind");

        until("it is told what holds it", || {
            let why = stage.types(stage.holds(), &["why", "vip/internal"]);
            why.contains("ends its vip lease in time")
                && why.contains("in vip beats")
                && why.contains("and a majority granted it")
        });
        stage.never_two();
    });
}

fn move_it(stage: &mut Stage, begin: Time) -> Result<(), String> {
    let first = stage.holds();
    let to = (first + 1) % NODES;
    until("the holder knows whom it would name", || {
        let knows =
            stage.vip(first).is_some_and(|vip| vip.state.holding && vip.successor.is_some());
        knows || stage.was_lost(begin)
    });
    let since = sys::clock::now();
    let mut said = String::new();
    until("the move is taken on", || {
        said = stage.types(first, &["move", "vip/internal", stage.cluster.name(to)]);
        stage.prober.first_other(stage.macs[first], since).is_some()
    });
    stage.stays(to, &format!("moved to {to}, and it was said {said}"))
}

#[test]
fn a_holder_whose_clients_network_alone_is_silent_hands_over() {
    let name = "a_holder_whose_clients_network_alone_is_silent_hands_over";
    contained(name, || {
        let Some(mut stage) = Stage::new(name) else { return };
        stage.undisturbed(silence_clients);
        stage.never_two();
    });
}

/// Its port is out of the switch: its device has a carrier, and the other network is as it was.
fn silence_clients(stage: &mut Stage, _: Time) -> Result<(), String> {
    let first = stage.holds();
    until("all grant it", || (0..NODES).all(|node| stage.votes(node)));
    let since = sys::clock::now();
    stage.cluster.set_joined(first, CLIENTS, false).expect("a port can be taken out");
    let (second, took) = stage.followed(first, since);
    says("the network of the holder's clients silent", took);
    until("it is told why", || {
        let released = stage.events(first, "vip-released", since);
        let mut why = released.iter().map(|event| event.evidence.as_str());
        why.any(|why| why.contains("the others hear each other")) || stage.was_lost(since)
    });
    stage.cluster.set_joined(first, CLIENTS, true).expect("a port can be put back");
    stage.stays(second, "who is heard again takes nothing")
}

fn on_device(name: &str, work: impl Fn(&Netlink, u32) -> std::io::Result<()>) {
    let netlink = Netlink::open().expect("the kernel answers");
    let link = netlink.link(name).expect("the kernel answers").expect("the lab made it");
    work(&netlink, link.index).expect("the kernel does it");
}

#[test]
fn a_reload_moves_it_once_and_puts_no_vrrp_in_its_place() {
    let name = "a_reload_moves_it_once_and_puts_no_vrrp_in_its_place";
    contained(name, || {
        let Some(mut stage) = Stage::new(name) else { return };
        stage.undisturbed(read_again);
        stage.undisturbed(ask_for_vrrp);
        stage.never_two();
    });
}

fn read_again(stage: &mut Stage, _: Time) -> Result<(), String> {
    let first = stage.holds();
    until("all grant it", || (0..NODES).all(|node| stage.votes(node)));
    let since = sys::clock::now();
    stage.reloads(first, |text| {
        // Another address by votes: the process before knows nothing of it, and leaves nothing to the next one.
        let more = "[vip.other]\naddress = \"10.79.0.38\"\nnetwork = \"mgmt\"\n\
                    router_id = 123\nlease = true\n";
        if text.contains(more) { text.replace(more, "") } else { format!("{text}{more}") }
    });
    let (second, took) = stage.followed(first, since);
    says("the holder read its file again", took);
    until("its next process grants it", || {
        !stage.events(first, "reloaded", since).is_empty() && stage.votes(first)
    });
    stage.stays(second, "who reads its file again takes nothing")
}

fn ask_for_vrrp(stage: &mut Stage, since: Time) -> Result<(), String> {
    let holder = stage.holds();
    stage.reloads(holder, |text| text.replace("lease = true", "lease = false"));
    until("that is refused", || {
        let refused = stage.events(holder, "reload-refused", since);
        refused.iter().any(|event| event.evidence.contains("the vip lease of internal comes"))
    });
    stage.stays(holder, "what is refused moves nothing")
}

#[test]
fn a_gate_that_somebody_takes_off_a_holder_is_put_back_and_ends_it_in_time() {
    let name = "a_gate_that_somebody_takes_off_a_holder_is_put_back_and_ends_it_in_time";
    contained(name, || {
        let Some(mut stage) = Stage::new(name) else { return };
        stage.undisturbed(lose_the_gate);

        let holder = stage.holds();
        let vip = stage.cluster.pid(holder, Role::Vip).expect("it runs");
        let since = sys::clock::now();
        kill(vip, "STOP");
        stage.followed(holder, since);
        // Long enough for a holder without a gate to answer what the next one answers.
        until("the next one answers alone", || stage.holder().is_some_and(|it| it != holder));
        stage.never_two();
    });
}

fn lose_the_gate(stage: &mut Stage, since: Time) -> Result<(), String> {
    let holder = stage.holds();
    let taken = stage.cluster.within(holder, || {
        let netlink = Netlink::open().expect("the kernel answers");
        let link = netlink.link("eth0").expect("the kernel answers").expect("the lab made it");
        netlink.delete_clsact(link.index).expect("it can be taken off")
    });
    assert_eq!(taken, Some(true), "there was no gate");
    until("it is told", || !stage.events(holder, "vip-gate-taken", since).is_empty());
    assert_eq!(stage.cluster.within(holder, gated), Some(true), "told, and not put back");
    stage.stays(holder, "nobody takes it for that")
}

/// Whether a filter of ours is on the device.
fn gated() -> bool {
    let netlink = Netlink::open().expect("the kernel answers");
    let link = netlink.link("eth0").expect("the kernel answers").expect("the lab made it");
    let filters = netlink.filters(link.index, sys::netlink::Direction::In);
    !filters.expect("the kernel answers").is_empty()
}
