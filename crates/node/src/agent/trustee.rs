//! Keeps the trust folder as the cluster wants it, on threads of its own: asks others for the roster, tells
//! them what is known here, has keys renewed, and says when processes need other keys.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use api::{Event, Report};
use base::{Chain, Doors, Time};
use config::cluster::Cluster;
use engine::asking::Asking;
use trust::{Folder, Renewal, State};

use super::books::Books;
use super::books::ring::Ring;
use super::command::Voice;
use handout::Handout;

mod handout;
mod successor;

/// How often the folder is looked at: an operator's command is obeyed as fast.
const TICK: Duration = Duration::from_millis(500);
/// Between two questions for the roster, in a cluster of up to [`SMALL`] nodes.
const PULL_EVERY: Duration = Duration::from_secs(5);
/// Larger ones ask more rarely, so that the authority's node has no more than ten conversations a second.
const SMALL: usize = 50;
/// Between two tries to have keys certified, and to open a socket whose address is not there yet.
const AGAIN: Duration = Duration::from_secs(2);
/// A renewal that fails is told so often: it has months.
const COMPLAIN_EVERY: Duration = Duration::from_secs(3600);
/// That the authority ends within a year is told so often: who plans has months.
const REMIND_EVERY: Duration = Duration::from_secs(7 * 24 * 3600);
const DAY_MS: u64 = 24 * 3600 * 1000;

/// TCP, beside the two UDP ports.
pub(crate) const fn port(cluster: &Cluster) -> u16 {
    cluster.port.saturating_add(2)
}

/// How many orders about keys the agent has obeyed; the vip process did before it.
pub(crate) type Obeyed = Arc<AtomicU64>;

/// The books of the cluster, once they are there.
type Shelf = Arc<OnceLock<Arc<Books>>>;

/// The keeper of the trust folder, where there is one.
pub(crate) fn begin(
    core: &Arc<Mutex<super::Core>>,
    start: &api::Start,
    texts: &crate::files::Texts,
    voice: &Voice,
    books: &Shelf,
) -> Obeyed {
    let cluster = super::lock(core).cluster.clone();
    let ours = cluster.and_then(|cluster| Some((super::lock_me(start, &cluster)?, cluster)));
    let (Some((me, cluster)), Some(file)) = (ours, &texts.cluster) else {
        return Obeyed::default();
    };
    let (file, run_dir) = (Path::new(&file.path), PathBuf::from(&start.run_dir));
    self::start(&cluster, me, (file, run_dir), (Arc::clone(core), voice.clone(), Arc::clone(books)))
}

/// Starts it, if this cluster has a trust folder.
fn start(
    cluster: &Cluster,
    me: u16,
    (file, run_dir): (&Path, PathBuf),
    (core, voice, books): (Arc<Mutex<super::Core>>, Voice, Shelf),
) -> Obeyed {
    let obeyed = Obeyed::default();
    let Some(folder) = &cluster.trust_dir else { return obeyed };
    let folder = Folder::new(&Cluster::beside(file, folder), None);
    let own = cluster.nodes.get(usize::from(me)).map(|node| node.addresses.clone());
    let files = Handout { run_dir, ring: Ring::of(Some(folder.clone())) };
    for address in own.into_iter().flatten().flatten() {
        let (folder, address) = (folder.clone(), SocketAddr::new(address, port(cluster)));
        let (files, doors) = (files.clone(), trust::doors());
        super::lock(&core).desks.push(Arc::clone(&doors));
        // Without it others ask another node.
        let _ = std::thread::Builder::new()
            .name("desk".to_owned())
            .spawn(move || answer(&folder, &files, address, &doors));
    }
    let nodes = (0_u16..).zip(&cluster.nodes).filter(|(at, _)| *at != me);
    let nodes = nodes.map(|(_, node)| Peer {
        name: node.name.clone(),
        addresses: node.addresses.iter().flatten().copied().collect(),
    });
    let trustee = Trustee {
        folder,
        nodes: nodes.collect(),
        port: port(cluster),
        core,
        voice,
        books,
        obeyed: Arc::clone(&obeyed),
        said: Said::default(),
        stamp: vec![],
        round: usize::from(me),
        keys: Asking::default(),
        pull_at: Time::ZERO,
        renew_at: Time::ZERO,
        complain_at: Time::ZERO,
        remind_at: Time::ZERO,
        end_at: Time::ZERO,
    };
    // Without it the node goes on with what it knows, as it would without the others.
    let _ = std::thread::Builder::new().name("trust".to_owned()).spawn(move || trustee.run());
    obeyed
}

/// Other keys of the pairs, which the supervisor hands over; from now on they are opened.
pub(crate) fn take(text: Option<OwnedFd>, core: &Mutex<super::Core>, obeyed: &Obeyed) {
    let secret = text.and_then(|text| sys::memory::read(text.as_fd()).ok());
    let mut core = super::lock(core);
    let cluster = core.cluster.clone();
    if let (Some(secret), Some(seal), Some(cluster)) = (secret, core.seal_mut(), cluster) {
        crate::secret::renew(&secret, &cluster, seal);
        obeyed.fetch_add(1, Ordering::Release);
    }
}

fn answer(folder: &Folder, files: &Handout, address: SocketAddr, doors: &Arc<Doors>) {
    loop {
        if let Ok(listener) = TcpListener::bind(address) {
            trust::serve((folder, files), (&listener, doors), &|_| {});
        }
        std::thread::sleep(AGAIN);
    }
}

struct Peer {
    name: String,
    addresses: Vec<IpAddr>,
}

/// Orders about keys: one when the folder changed, and again every [`AGAIN`] while one was not obeyed: it
/// was lost on the way, or the keys could not be read.
#[derive(Debug, Default)]
struct Said {
    /// As many are obeyed when the last one is.
    orders: u64,
    again_at: Time,
}

impl Said {
    fn is_obeyed(&self, obeyed: u64) -> bool {
        self.orders <= obeyed
    }

    fn is_due(&self, is_changed: bool, obeyed: u64, now: Time) -> bool {
        is_changed || !self.is_obeyed(obeyed) && now >= self.again_at
    }

    /// What was due has been said.
    fn said(&mut self, obeyed: u64, now: Time) {
        let is_lost = !self.is_obeyed(obeyed) && now >= self.again_at;
        // One that was lost is waited for no more.
        self.orders = if is_lost { obeyed } else { self.orders.max(obeyed) } + 1;
        self.again_at = now + AGAIN;
    }
}

struct Trustee {
    folder: Folder,
    nodes: Vec<Peer>,
    port: u16,
    core: Arc<Mutex<super::Core>>,
    voice: Voice,
    books: Shelf,
    obeyed: Obeyed,
    said: Said,
    /// Of the keys that were asked for last.
    stamp: Vec<u8>,
    round: usize,
    /// Who was asked for keys of the cluster that this node lacks.
    keys: Asking,
    pull_at: Time,
    renew_at: Time,
    complain_at: Time,
    remind_at: Time,
    end_at: Time,
}

impl Trustee {
    fn run(mut self) {
        // A folder of an older release has no signature yet; elsewhere there is nothing to sign.
        let _ = self.folder.sign();
        loop {
            let now = sys::clock::now();
            let wall = sys::clock::wall_ms();
            self.look(now, wall);
            if let Ok(state) = self.folder.load() {
                if now >= self.remind_at {
                    self.remind_at = now + REMIND_EVERY;
                    // It is said again.
                    let _ = ending(&state.node, state.authority_ends_ms(), wall)
                        .map(|event| self.voice.say(&Report::Event(event)));
                }
                if state.is_authority && state.roster.sealing.is_empty() {
                    // It is tried again. A cluster that an older release founded has none.
                    let _ = self.folder.first_key(wall);
                }
                if state.is_authority {
                    self.end_proofs(&state.roster, now);
                }
                if now >= self.renew_at {
                    self.renew_at = now + AGAIN;
                    self.renew(&state, now, wall);
                }
                if now >= self.pull_at {
                    let large = u32::try_from(self.nodes.len() / SMALL).unwrap_or(u32::MAX);
                    self.pull_at = now + PULL_EVERY.saturating_mul(large.saturating_add(1));
                    self.pull(&state, wall);
                    if self.folder.load().is_ok_and(|state| self.folder.lacks_keys(&state)) {
                        self.pull_at = self.pull_at.min(now + self.keys.next_in());
                    } else {
                        self.keys.has_all();
                    }
                }
            }
            std::thread::sleep(TICK);
        }
    }

    /// Has the processes take other keys when the folder has some.
    fn look(&mut self, now: Time, wall: u64) {
        let Ok(stamp) = self.folder.stamp(wall) else { return };
        let obeyed = self.obeyed.load(Ordering::Acquire);
        if self.said.is_due(stamp != self.stamp, obeyed, now)
            && self.voice.say(&Report::Keys).is_ok()
        {
            self.stamp = stamp;
            self.said.said(obeyed, now);
        }
    }

    fn renew(&mut self, state: &State, now: Time, wall: u64) {
        let outcome = match self.folder.renewal(wall) {
            Ok(Renewal::Nothing) => return,
            Ok(Renewal::Due) => {
                self.folder.begin_renewal().map_err(|error| Chain(&error).to_string())
            }
            // Nobody hears of a key that the own processes do not open yet.
            Ok(Renewal::Begun) if !self.said.is_obeyed(self.obeyed.load(Ordering::Acquire)) => {
                return;
            }
            Ok(Renewal::Begun) if state.is_authority => {
                self.folder.renew_here(wall).map(drop).map_err(|error| Chain(&error).to_string())
            }
            Ok(Renewal::Begun) => self.ask_authority(state, wall),
            Err(error) => Err(Chain(&error).to_string()),
        };
        if let Err(why) = outcome
            && now >= self.complain_at
        {
            self.complain_at = now + COMPLAIN_EVERY;
            // It is tried again, and said again.
            let _ = self.voice.say(&Report::Event(Event {
                what: "keys-not-renewed".to_owned(),
                object: format!("node/{}", state.node),
                evidence: why,
                decision: "go on with the keys that are in use, and try again".to_owned(),
                ..Event::default()
            }));
        }
    }

    fn ask_authority(&mut self, state: &State, wall: u64) -> Result<(), String> {
        let issuer = state.issuer();
        let Some(address) = self.address(&issuer) else {
            return Err(format!("{issuer} has the authority's key and is not in outlast.toml"));
        };
        let renewed = trust::renew(&self.folder, address, wall);
        renewed.map(drop).map_err(|error| Chain(&error).to_string())
    }

    /// The authority's node and another one take turns, so that a node learns while one of them is away.
    fn pull(&mut self, state: &State, wall: u64) {
        self.round = self.round.wrapping_add(1);
        let issuer = state.issuer();
        let other = self.nodes.get(self.round / 2 % self.nodes.len().max(1));
        let other = other.map(|peer| peer.name.clone());
        let is_issuers_turn = self.round.is_multiple_of(2) && issuer != state.node;
        let Some(name) = (if is_issuers_turn { Some(issuer) } else { other }) else { return };
        if let Some(address) = self.address(&name) {
            self.ask(&name, address, wall);
        }
        // Where another cluster answered is asked once more in each round: that it is over is told as soon.
        let again = super::lock(&self.core).another(sys::clock::now(), self.round);
        if let Some((name, address)) = again {
            self.ask(&name, address, wall);
        }
    }

    /// Who does not answer is asked again, and others before.
    fn ask(&mut self, name: &str, address: SocketAddr, wall: u64) {
        let asked = trust::pull(&self.folder, (address, Some(name)), wall);
        if let Ok(state) = asked.as_ref()
            && self.folder.lacks_keys(state)
        {
            let now = sys::clock::now();
            self.keys.lacks(state.roster.generation);
            if self.keys.is_due(name, now) {
                // The next one is asked soon.
                let _ = trust::ask_keys(&self.folder, (address, Some(name)), wall);
                self.keys.asked(name, now);
            }
        }
        let mut core = super::lock(&self.core);
        let event = core.asked(sys::clock::now(), (name, address), asked.err().as_ref());
        drop(core);
        // An agent that has ended tells nothing more.
        let _ = event.map(|event| self.voice.say(&Report::Event(event)));
    }

    /// Over one network after the other.
    fn address(&self, name: &str) -> Option<SocketAddr> {
        let peer = self.nodes.iter().find(|peer| peer.name == name)?;
        let address = peer.addresses.get(self.round / 4 % peer.addresses.len().max(1))?;
        Some(SocketAddr::new(*address, self.port))
    }
}

/// What is told in the last year of the authority's certificate: nobody renews it.
fn ending(node: &str, ends_ms: Option<u64>, wall: u64) -> Option<Event> {
    let left = ends_ms?.saturating_sub(wall);
    (left < trust::ENDS_SOON_MS).then(|| Event {
        what: "authority-ends".to_owned(),
        object: format!("node/{node}"),
        evidence: format!(
            "the certificate of the cluster's authority ends in {} days",
            left / DAY_MS
        ),
        decision: "go on until then".to_owned(),
        not_done: "nobody renews it".to_owned(),
        ..Event::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_authority_is_told_in_its_last_year_only() {
        let ends = 2_000_000_000_000;
        assert_eq!(ending("node01", Some(ends), ends - 366 * DAY_MS), None);
        assert_eq!(ending("node01", None, ends), None);
        let text = |wall| ending("node01", Some(ends), wall).unwrap().evidence;
        assert!(text(ends - 364 * DAY_MS).ends_with(" ends in 364 days"));
        assert!(text(ends + DAY_MS).ends_with(" ends in 0 days"));
    }

    #[test]
    fn an_order_about_keys_that_was_lost_is_said_again_until_one_is_obeyed() {
        let at = |ms: u64| Time::ZERO + Duration::from_millis(ms);
        let mut said = Said::default();
        assert!(said.is_obeyed(0) && !said.is_due(false, 0, at(0)));
        assert!(said.is_due(true, 0, at(0)));
        said.said(0, at(0));
        assert!(!said.is_obeyed(0) && said.is_obeyed(1));
        assert!(!said.is_due(false, 0, at(1999)), "it is on its way");
        assert!(said.is_due(false, 0, at(2000)));
        said.said(0, at(2000));
        assert!(!said.is_due(false, 0, at(2500)) && said.is_due(true, 0, at(2500)));
        // Two are on their way; both are lost.
        said.said(0, at(2500));
        assert!(!said.is_obeyed(1), "the last one counts");
        assert!(said.is_due(false, 0, at(4500)));
        said.said(0, at(4500));
        assert!(said.is_obeyed(1) && !said.is_due(false, 1, at(60_000)));
        // A late one and the one that was said again are both obeyed: the next is waited for all the same.
        assert!(said.is_due(true, 2, at(60_000)));
        said.said(2, at(60_000));
        assert!(!said.is_obeyed(2) && said.is_obeyed(3));
    }
}
