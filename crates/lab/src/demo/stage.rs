//! The thread that owns the cloud while somebody presses keys: it does what it is told, one thing
//! after the other, and shows how things stand.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::Time;

use super::measure::Measure;
use super::order::{Before, Deed};
use super::scenario::SCENARIOS;
use super::show::{Show, Talk};
use super::table;
use crate::client::{Client, Live, Port};
use crate::cloud::Cloud;
use crate::cloud::files::NODES;
use crate::watch::Idle;

/// How often the holder is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Deeds shown with their cost; what is older scrolls away.
const MOST_EFFECTS: usize = 16;

/// What the stage is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Order {
    /// A deed to a node; none: to the holder, or to the first node that misses something.
    Do(Deed, Option<usize>),
    /// Everything as at the beginning.
    Heal,
    /// Every scenario with its promise.
    Tour,
}

/// A deed with what is needed to show its cost.
#[derive(Clone, Debug)]
pub(super) struct Effect {
    pub(super) at: Time,
    pub(super) text: String,
    pub(super) stock: String,
    /// Ports that count for the figure.
    pub(super) judged: Vec<Port>,
    /// Who answered before.
    pub(super) holder: Option<usize>,
    /// Changes of the node that answers, until the next deed.
    pub(super) moves: u32,
}

/// One machine.
#[derive(Clone, Debug, Default)]
pub(super) struct Actor {
    pub(super) name: String,
    pub(super) on: bool,
    /// What was done to it and is not undone.
    pub(super) marks: Vec<String>,
    pub(super) socket: PathBuf,
}

/// How things stand.
#[derive(Clone, Debug, Default)]
pub(super) struct Scene {
    pub(super) actors: Vec<Actor>,
    /// The node that alone answers for the virtual IP.
    pub(super) holder: Option<usize>,
    /// Probes since the last deed that two nodes answered.
    pub(super) double: u32,
    pub(super) doing: Option<String>,
    /// What went wrong last.
    pub(super) trouble: Option<String>,
    /// Oldest first.
    pub(super) effects: VecDeque<Effect>,
    /// Lines of a tour.
    pub(super) tour: Option<Vec<String>>,
}

/// What the threads share.
#[derive(Debug)]
pub(super) struct Shared {
    scene: Mutex<Scene>,
    /// By node; none while it is off.
    networks: Mutex<Vec<Option<OwnedFd>>>,
    live: Arc<Mutex<Live>>,
}

impl Shared {
    pub(super) fn scene(&self) -> MutexGuard<'_, Scene> {
        self.scene.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn live(&self) -> Live {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The network of a node at this moment.
    pub(super) fn network(&self, node: usize) -> Option<OwnedFd> {
        let networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        networks.get(node)?.as_ref()?.try_clone().ok()
    }
}

/// The running thread; it ends with the sender.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) orders: Sender<Order>,
    pub(super) shared: Arc<Shared>,
}

impl Stage {
    /// # Errors
    /// When the client cannot start or there is no thread to be had.
    pub(super) fn start(cloud: Cloud, realtime: bool) -> io::Result<Self> {
        let (orders, received) = channel();
        let live = Live::new(Measure::INTERVAL, sys::clock::now());
        let shared = Arc::new(Shared {
            scene: Mutex::default(),
            networks: Mutex::default(),
            live: Arc::new(Mutex::new(live)),
        });
        let mut worker = Worker {
            marks: vec![vec![]; usize::from(NODES)],
            client: None,
            last_holder: cloud.holder(),
            cloud,
            realtime,
            shared: Arc::clone(&shared),
        };
        worker.measure()?;
        worker.look();
        std::thread::Builder::new()
            .name("stage".to_owned())
            .spawn(move || worker.run(&received))?;
        Ok(Self { orders, shared })
    }
}

struct Worker {
    cloud: Cloud,
    realtime: bool,
    shared: Arc<Shared>,
    client: Option<Client>,
    /// Per node.
    marks: Vec<Vec<String>>,
    last_holder: Option<usize>,
}

impl Worker {
    fn run(mut self, orders: &Receiver<Order>) {
        loop {
            match orders.recv_timeout(LOOK_EVERY) {
                Ok(order) => {
                    let done = self.obey(order);
                    let mut scene = self.shared.scene();
                    scene.doing = None;
                    scene.trouble = done.err().map(|error| error.to_string());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.look();
        }
    }

    /// Shows how things stand.
    fn look(&mut self) {
        let holder = self.cloud.holder();
        let moved = holder.is_some() && self.last_holder.is_some() && holder != self.last_holder;
        self.last_holder = holder.or(self.last_holder);
        let actor = |(node, marks): (&crate::cloud::node::Node, &Vec<String>)| Actor {
            name: node.name.clone(),
            on: node.is_on(),
            marks: marks.clone(),
            socket: node.folder.join("run/control.sock"),
        };
        let network = |node: &crate::cloud::node::Node| {
            node.host().and_then(|host| host.netns().try_clone_to_owned().ok())
        };
        let networks = self.cloud.nodes.iter().map(network).collect();
        *self.shared.networks.lock().unwrap_or_else(PoisonError::into_inner) = networks;
        let mut scene = self.shared.scene();
        scene.actors = self.cloud.nodes.iter().zip(&self.marks).map(actor).collect();
        scene.holder = holder;
        let from = scene.effects.back().map_or(Time::ZERO, |effect| effect.at);
        scene.double = self.cloud.watch.doubles_since(from);
        if let Some(effect) = scene.effects.back_mut().filter(|_| moved) {
            effect.moves += 1;
        }
    }

    fn obey(&mut self, order: Order) -> io::Result<()> {
        match order {
            Order::Do(deed, node) => self.perform(deed, node),
            Order::Heal => {
                self.begin("heal everything", vec![], "no stock figure".to_owned());
                self.cloud.nodes.iter().try_for_each(crate::cloud::node::Node::mend)?;
                self.cloud.revive()?;
                self.marks.iter_mut().for_each(Vec::clear);
                Ok(())
            }
            Order::Tour => self.tour(),
        }
    }

    fn perform(&mut self, deed: Deed, node: Option<usize>) -> io::Result<()> {
        let node = match node {
            Some(node) => node,
            None => self.nobody_chosen(deed)?,
        };
        if !self.cloud.nodes[node].is_on() && deed != Deed::Return {
            return Err(io::Error::other(format!("{} is off", self.cloud.nodes[node].name)));
        }
        let before = Before {
            holder: self.last_holder == Some(node),
            database_in_use: self.cloud.database_in_use() == Some(node),
        };
        let both = || vec![Port::Api, Port::Database];
        let judged = deed.scenario(before).map_or_else(both, |scenario| scenario.judged.to_vec());
        let text = deed.text(&self.cloud.nodes[node].name);
        self.begin(&text, judged, deed.stock(before));
        deed.perform(&mut self.cloud, node)?;
        let marks = &mut self.marks[node];
        if matches!(deed, Deed::Return | Deed::PowerOff) {
            marks.clear();
        }
        marks.extend(deed.mark().filter(|mark| !marks.contains(mark)));
        Ok(())
    }

    /// The holder; for a return the first one that misses something.
    fn nobody_chosen(&self, deed: Deed) -> io::Result<usize> {
        if deed == Deed::Return {
            let ill = self.marks.iter().position(|marks| !marks.is_empty());
            return ill.ok_or_else(|| io::Error::other("every node has everything"));
        }
        let none = "nobody answers for the virtual IP just now: choose a node with 1, 2, 3";
        self.cloud.holder().ok_or_else(|| io::Error::other(none))
    }

    /// From now on costs count for this deed.
    fn begin(&self, text: &str, judged: Vec<Port>, stock: String) {
        let at = sys::clock::now();
        self.shared.live.lock().unwrap_or_else(PoisonError::into_inner).mark(at);
        let mut scene = self.shared.scene();
        if scene.effects.len() >= MOST_EFFECTS {
            scene.effects.pop_front();
        }
        let (text, holder) = (text.to_owned(), self.last_holder);
        scene.doing = Some(text.clone());
        scene.trouble = None;
        scene.effects.push_back(Effect { at, text, stock, judged, holder, moves: 0 });
    }

    /// The client of the screen asks; nothing is recorded.
    fn measure(&mut self) -> io::Result<()> {
        let live = &self.shared.live;
        live.lock().unwrap_or_else(PoisonError::into_inner).begin_again(sys::clock::now());
        let plan = Measure::plan(&self.cloud, self.realtime);
        let client = Client::start_live(self.cloud.client().netns(), plan, live)?;
        self.client = Some(client);
        Ok(())
    }

    /// All scenarios, one after the other, with a client of their own.
    fn tour(&mut self) -> io::Result<()> {
        let lines = |scene: &mut Scene| {
            scene.doing = Some("the tour: every scenario with its promise".to_owned());
            scene.tour = Some(vec![table::heading(&super::recorded_source())]);
        };
        lines(&mut self.shared.scene());
        if let Some(client) = self.client.take() {
            client.finish()?;
        }
        let outcome = self.scenarios();
        self.marks.iter_mut().for_each(Vec::clear);
        self.measure()?;
        let closing = outcome?;
        if let Some(tour) = &mut self.shared.scene().tour {
            tour.push(closing);
        }
        Ok(())
    }

    fn scenarios(&mut self) -> io::Result<String> {
        self.cloud.nodes.iter().try_for_each(crate::cloud::node::Node::mend)?;
        self.cloud.revive()?;
        let idle = Idle::start(self.realtime)?;
        let mut show = Show::new(Measure::new(idle, self.realtime), self.realtime, SCENARIOS.len());
        let shared = Arc::clone(&self.shared);
        let mut talk = Talk::Lines(Box::new(move |text: &str| {
            if let Some(tour) = &mut shared.scene().tour {
                tour.extend(text.lines().map(str::to_owned));
            }
        }));
        for scenario in &SCENARIOS {
            show.one(&mut self.cloud, scenario, false, &mut talk)
                .map_err(|error| io::Error::other(error.to_string()))?;
        }
        Ok(show.conclusion(SCENARIOS.len()))
    }
}
