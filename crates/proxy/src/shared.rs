//! What control thread and workers share beside the view: routes, mail, queues.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{io, mem};

use api::Break;
use base::Time;
use config::haproxy::{LogFormat, LogMoment, LogValue, Mode, Proxy, ProxyKind};
use engine::balance::Condition;
use engine::health::Evidence;
use sys::poll::Waker;

use crate::http::rules::Program;
use crate::queue::{Queue, Ticket};
use crate::view::View;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) view: Arc<View>,
    /// By position of the frontend.
    pub(crate) routes: Vec<Route>,
    pub(crate) workers: Vec<Mailbox<Letter>>,
    pub(crate) control: Mailbox<Note>,
    /// By position of the backend.
    pub(crate) queues: Vec<Queue>,
    pub(crate) breaks: Vec<Break>,
    /// Requests and TCP sessions so far, if a `log-format` tells it: nobody else pays for it.
    pub(crate) requests: Option<AtomicU32>,
    /// Some worker does not accept because a limit was reached.
    starved: AtomicBool,
}

/// To a worker.
#[derive(Clone, Debug)]
pub(crate) enum Letter {
    /// Begin to accept; answered by [`Note::Done`].
    Activate,
    /// Answered by [`Note::Done`].
    Ping,
    /// No new connections, idle ones close; [`Note::Empty`] when the last session ended.
    Drain,
    /// The thread ends.
    Stop,
    Condition {
        proxy: usize,
        server: usize,
        condition: Condition,
    },
    /// Connects to the server go elsewhere now; with `sent`, because it is gone by its checks or its
    /// node, also requests that were sent and can be repeated.
    Abandon {
        proxy: usize,
        server: usize,
        sent: bool,
    },
    /// The choice of a listener with one writer; answered by [`Note::Done`].
    Choose {
        proxy: usize,
        choice: Chosen,
    },
    /// It is this session's turn in a queue.
    Turn(Ticket),
    /// A limit has room again.
    Accept,
    /// `show sess`.
    Sessions(u64),
}

/// Where sessions of a proxy may go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Chosen {
    /// The balance decides.
    Free,
    /// Sessions of the server before are closed; new ones wait.
    Changing,
    /// Nobody else gets a session.
    Only(usize),
}

/// To the control thread.
#[derive(Clone, Debug)]
pub(crate) enum Note {
    /// A letter that wants an answer was dealt with.
    Done { worker: usize },
    /// Draining, and the last session ended.
    Empty { worker: usize },
    /// Something seen of a server.
    Evidence { proxy: usize, server: usize, evidence: Evidence },
    /// Sessions closed because their server is not the writer any more.
    Closed { proxy: usize, count: usize },
    /// A panic cost one session.
    Panicked { worker: usize },
}

/// Letters for one thread, and the bell that wakes it.
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    letters: Mutex<Vec<T>>,
    pub(crate) waker: Waker,
}

impl<T> Mailbox<T> {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { letters: Mutex::default(), waker: Waker::new()? })
    }

    pub(crate) fn post(&self, letter: T) {
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        letters.push(letter);
        let first = letters.len() == 1;
        drop(letters);
        if first {
            self.waker.wake();
        }
    }

    /// All letters; to be called when the bell rang.
    pub(crate) fn take(&self) -> Vec<T> {
        self.waker.drain();
        mem::take(&mut self.letters.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How requests go from one frontend to its backend.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) http: bool,
    /// None: the named backend does not exist.
    pub(crate) backend: Option<usize>,
    pub(crate) program: Program,
    pub(crate) limits: Limits,
    pub(crate) logs: bool,
    pub(crate) line: LineNeeds,
    pub(crate) monitor: Option<String>,
    pub(crate) stats: bool,
    /// `option abortonclose`.
    pub(crate) abort_on_close: bool,
}

/// What a frontend's log lines need beyond what every session knows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LineNeeds {
    pub(crate) moment: LogMoment,
    /// The address that clients connect to.
    pub(crate) local: bool,
    /// Addresses of connections to servers.
    pub(crate) path: bool,
    /// Requests are counted.
    pub(crate) number: bool,
}

impl LineNeeds {
    fn of(format: &LogFormat) -> Self {
        use LogValue as V;
        let LogFormat::Custom(line) = format else { return Self::default() };
        let local = [V::FrontendAddress, V::FrontendPort, V::LocalAddress, V::LocalPort];
        let path = [V::BackendAddress, V::BackendPort, V::ServerAddress, V::ServerPort];
        Self {
            moment: line.moment,
            local: line.tells(&local),
            path: line.tells(&path),
            number: line.tells(&[V::RequestNumber]),
        }
    }
}

/// Timers in force on a route; none: no limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) client: Option<Duration>,
    pub(crate) client_fin: Option<Duration>,
    pub(crate) http_request: Option<Duration>,
    pub(crate) http_keep_alive: Option<Duration>,
    pub(crate) queue: Option<Duration>,
    pub(crate) connect: Option<Duration>,
    pub(crate) server: Option<Duration>,
    pub(crate) server_fin: Option<Duration>,
    pub(crate) tunnel: Option<Duration>,
}

/// `since` plus a limit.
pub(crate) fn after(since: Time, limit: Option<Duration>) -> Time {
    limit.map_or(Time::NEVER, |limit| since + limit)
}

impl Route {
    fn new(proxies: &[Proxy], front: usize) -> Self {
        let frontend = &proxies[front];
        let backend = match (frontend.kind, &frontend.default_backend) {
            (ProxyKind::Frontend | ProxyKind::Listen, Some(name)) => {
                proxies.iter().position(|p| p.kind != ProxyKind::Frontend && p.name == *name)
            }
            (ProxyKind::Frontend, None) => None,
            (ProxyKind::Listen | ProxyKind::Backend, _) => Some(front),
        };
        let backend = backend.filter(|back| !proxies[*back].disabled);
        let other = backend.filter(|back| *back != front).map(|back| &proxies[back]);
        let (own, back) = (frontend.timeouts, other.unwrap_or(frontend).timeouts);
        let http_request = own.http_request.or(own.client);
        Self {
            http: frontend.mode == Mode::Http,
            backend,
            program: Program::new(frontend, other, false),
            limits: Limits {
                client: own.client,
                client_fin: own.client_fin,
                http_request,
                http_keep_alive: own.http_keep_alive.or(http_request),
                queue: back.queue.or(back.connect),
                connect: back.connect,
                server: back.server,
                server_fin: back.server_fin,
                tunnel: back.tunnel.or(own.tunnel),
            },
            logs: !frontend.logs.is_empty(),
            line: LineNeeds::of(&frontend.log_format),
            monitor: frontend.monitor_uri.clone(),
            stats: frontend.stats.is_some(),
            abort_on_close: other.unwrap_or(frontend).abort_on_close,
        }
    }
}

impl Shared {
    pub(crate) fn new(view: Arc<View>, breaks: Vec<Break>) -> io::Result<Arc<Self>> {
        let proxies = &view.config.proxies;
        let workers = (0..view.workers).map(|_| Mailbox::new()).collect::<io::Result<_>>()?;
        let routes = (0..proxies.len()).map(|front| Route::new(proxies, front));
        let routes: Vec<Route> = routes.collect();
        let counts = routes.iter().any(|route| route.line.number);
        Ok(Arc::new(Self {
            routes,
            requests: counts.then(AtomicU32::default),
            workers,
            control: Mailbox::new()?,
            queues: proxies.iter().map(|_| Queue::default()).collect(),
            breaks,
            starved: AtomicBool::new(false),
            view,
        }))
    }

    pub(crate) fn post_all(&self, letter: &Letter) {
        for mailbox in &self.workers {
            mailbox.post(letter.clone());
        }
    }

    /// A worker met a limit; it must look at the limit once more after this.
    pub(crate) fn starve(&self) {
        self.starved.store(true, SeqCst);
    }

    /// A connection ended: whoever did not accept may.
    pub(crate) fn feed(&self) {
        if self.starved.load(SeqCst) && self.starved.swap(false, SeqCst) {
            self.post_all(&Letter::Accept);
        }
    }

    pub(crate) fn breaks(&self, what: Break) -> bool {
        self.breaks.contains(&what)
    }
}
