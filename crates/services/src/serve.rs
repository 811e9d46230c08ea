//! Accepts connections, and listens to the supervisor.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use api::{Order, Report};
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use sys::channel::Channel;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::gate::{Counts, Gate};
use crate::grants::Grants;
use crate::guard::Door;
use crate::heard::Watch;
use crate::keeper::Keeper;
use crate::reasons::Reasons;
use crate::site::{self, Site};
use crate::stats::Counters;
use crate::{ServiceError, Setup};

/// Open at once; more wait in the kernel's queue. Half of them may be followers.
const CONNECTIONS: usize = 64;
/// For the head of a request, also between two on one connection.
const HEAD: Duration = Duration::from_secs(10);
/// Of a head, and of what is buffered in each direction (bytes); hyper's own minimum.
const BUFFER: usize = 8192;
/// For a reader that takes nothing of what it asked for.
const UNREAD: Duration = Duration::from_secs(10);
/// A connection older than this ends, whatever it does; followers come back by themselves.
const AGE: Duration = Duration::from_secs(3600);
/// Between two tries to accept while no descriptor is left.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);

/// What tokio wants to see of a descriptor.
struct Watched(Channel);

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

pub(crate) async fn until_told(setup: Setup, channel: Channel) -> Result<(), ServiceError> {
    let generation = setup.generation;
    let token: Option<Arc<str>> = setup.token.map(Into::into);
    let grants = Arc::new(Grants::new(setup.control.clone()));
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let site = Site {
        host: setup.node.into(),
        watch: Watch::begin(setup.control),
        counters: Arc::new(Counters::new(setup.stats)),
        reasons: Arc::new(Reasons::new()),
        handshakes: Arc::new(Counts::default()),
    };
    let keeper = setup.keeper.map(|channel| Arc::new(Keeper::new(channel)));
    let gate = |keeper: &Arc<Keeper>| {
        Arc::new(Gate::new(Arc::clone(keeper), Arc::clone(&site.handshakes)))
    };
    let gate = keeper.as_ref().map(gate);
    for listener in setup.listeners {
        let address = listener.local_addr().map_err(ServiceError::Listen)?;
        let gate = gate.clone().filter(|_| !address.ip().is_loopback());
        let guarded = (setup.is_for_all, Arc::clone(&grants));
        let door = Door::at(address, token.clone(), guarded, gate.is_some());
        let door = door.ok_or(ServiceError::NoToken(address))?;
        listener.set_nonblocking(true).map_err(ServiceError::Listen)?;
        let listener = TcpListener::from_std(listener).map_err(ServiceError::Listen)?;
        let router = site::router(site.clone(), door);
        tokio::spawn(accept(listener, gate, router, Arc::clone(&slots)));
    }
    #[expect(deprecated, reason = "the other way is unsafe; the channel keeps its one descriptor")]
    let channel = AsyncFd::new(Watched(channel)).map_err(ServiceError::Supervisor)?;
    say(&channel, &Report::Ready { generation });
    say(&channel, &Report::Serving { generation });
    let (end, mut ended) = tokio::sync::mpsc::channel(1);
    if let Some(keeper) = keeper {
        let end = end.clone();
        tokio::spawn(async move {
            keeper.until_gone().await;
            // Whoever is first says why.
            let _ = end.try_send(Err(ServiceError::Keeper));
        });
    }
    tokio::spawn(async move {
        let _ = end.try_send(obey(&channel).await);
    });
    ended.recv().await.unwrap_or(Ok(()))
}

async fn accept(
    listener: TcpListener,
    gate: Option<Arc<Gate>>,
    router: Router,
    slots: Arc<Semaphore>,
) {
    loop {
        // Neither semaphore is ever closed.
        let place = match &gate {
            Some(gate) => Arc::clone(&gate.free).acquire_owned().await.ok(),
            None => None,
        };
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(AFTER_REFUSAL).await;
            continue;
        };
        let (router, gate) = (router.clone(), gate.clone());
        tokio::spawn(async move {
            // To its end: who spoke TLS and then says nothing takes no place of who is on loopback.
            let _places = (slot, place);
            // Small answers are whole ones; nothing is gained by waiting for more.
            let _ = stream.set_nodelay(true);
            // Without it such a one keeps its place for an hour.
            let _ = sys::socket::give_up_after(stream.as_fd(), UNREAD);
            let Some(gate) = gate else { return speak(stream, router).await };
            if let Some((stream, peer)) = gate.greet(stream).await {
                speak(stream, router.layer(Extension(peer))).await;
            }
        });
    }
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // A browser that went away is no error of ours.
    let _ = tokio::time::timeout(AGE, connection).await;
}

fn say(channel: &AsyncFd<Watched>, report: &Report) {
    let mut bytes = vec![];
    api::encode(report, &mut bytes);
    // A supervisor that does not read is either gone, which `obey` sees, or asks again.
    let _ = channel.get_ref().0.send(&bytes, &[]);
}

async fn obey(channel: &AsyncFd<Watched>) -> Result<(), ServiceError> {
    let mut buffer = vec![0; api::MAX_MESSAGE];
    loop {
        let mut ready = channel.readable().await.map_err(ServiceError::Supervisor)?;
        let received = ready.try_io(|fd| fd.get_ref().0.receive(&mut buffer, &mut vec![]));
        let length = match received {
            Err(_not_yet) => continue,
            Ok(Ok(0)) => return Ok(()),
            Ok(Ok(length)) => length,
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => continue,
            Ok(Err(error)) => return Err(ServiceError::Supervisor(error)),
        };
        match api::decode::<Order>(&buffer[..length]) {
            Ok(Order::Ping(number)) => say(channel, &Report::Pong(number)),
            Ok(Order::Stop | Order::Retire | Order::Drain) => return Ok(()),
            // Facts come from the agent, who is asked anyway; unknown words are not for us.
            Ok(
                Order::Start(_)
                | Order::Activate
                | Order::Change(_)
                | Order::Relay(..)
                | Order::Keys
                | Order::Refused { .. }
                | Order::GiveUp { .. }
                | Order::Succeed { .. }
                | Order::Count { .. }
                | Order::Move { .. }
                | Order::Anywhere { .. }
                | Order::Use { .. },
            )
            | Err(_) => {}
        }
    }
}
