//! The way between nodes of the store: TCP on every network that two nodes share, mutual TLS over it.
//!
//! A node is reached by its name. Its addresses are tried one after the other, a little apart, and the
//! first that answers is taken: one network that is cut costs [`APART`], not the store.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use base::Doors;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::embedded::NodeId;
use crate::node_id;
use crate::transport::{Accepted, Duplex, Later, Transport};

pub(crate) use deaf::Deaf;

mod deaf;

/// Between two addresses of one node; three networks fit into the patience of a connection (500 ms).
const APART: Duration = Duration::from_millis(100);
/// A guest has shown who it is by then.
const HANDSHAKE: Duration = Duration::from_secs(2);
/// Guests that have not shown yet who they are, a quarter of them from one address; each costs one signature.
pub(crate) const GUESTS: usize = 64;
/// Accepted connections that wait for the store.
const WAITING: usize = 64;
/// Between two tries to accept.
const AGAIN: Duration = Duration::from_millis(500);
/// How soon a node that was put out is cut off; what it sends until then is refused by nobody.
const LOOK: Duration = Duration::from_secs(1);

/// What proves who is who.
pub trait Credentials: Debug + Send + Sync + 'static {
    /// For connections that others make: they must show a certificate of the cluster.
    ///
    /// # Errors
    /// When the own keys cannot be read.
    fn server(&self) -> io::Result<Arc<ServerConfig>>;

    /// For connections to others.
    ///
    /// # Errors
    /// When the own keys cannot be read.
    fn client(&self) -> io::Result<Arc<ClientConfig>>;

    /// The name in the certificate of a node.
    ///
    /// # Errors
    /// When it cannot stand there.
    fn name_of(&self, node: &str) -> io::Result<ServerName<'static>>;

    /// The name of the node whose certificate this is.
    ///
    /// # Errors
    /// `PermissionDenied` when that node may have no part in the store: it is none of the cluster, was
    /// revoked, or is no controller. Another kind when that cannot be said now.
    fn who(&self, certificate: &[u8]) -> io::Result<String>;
}

/// Streams that stand, with the certificate of their other end.
type Live = Arc<Mutex<Vec<(Weak<AtomicBool>, Vec<u8>)>>>;

/// The way to all other nodes, and from them.
#[derive(Debug)]
pub(crate) struct Net {
    peers: BTreeMap<String, Vec<SocketAddr>>,
    credentials: Option<Arc<dyn Credentials>>,
    accepted: tokio::sync::Mutex<mpsc::Receiver<Accepted>>,
    live: Live,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Net {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Net {
    /// Listens on the own addresses; returns as soon as one of them is heard on: a member whom nobody reaches would
    /// only disturb the others. What is taken or not there yet is tried again, and in `deaf` meanwhile.
    /// Without credentials nothing is secret and nobody is proven: for loopback only.
    pub(crate) async fn open(
        own: &[SocketAddr],
        peers: BTreeMap<String, Vec<SocketAddr>>,
        credentials: Option<Arc<dyn Credentials>>,
        (deaf, room): (&Deaf, &Arc<Doors>),
    ) -> Self {
        let (give, accepted) = mpsc::channel(WAITING);
        let live = Live::default();
        let mut net = Self {
            peers,
            credentials: credentials.clone(),
            accepted: tokio::sync::Mutex::new(accepted),
            live: Arc::clone(&live),
            tasks: vec![],
        };
        let desk = Desk { credentials, give, live: Arc::clone(&live), room: Arc::clone(room) };
        let heard = Arc::new(Notify::new());
        for address in own {
            let desk = desk.clone();
            net.tasks.push(tokio::spawn(desk.open(*address, deaf.clone(), Arc::clone(&heard))));
        }
        if !own.is_empty() {
            heard.notified().await;
        }
        if let Some(credentials) = &net.credentials {
            net.tasks.push(tokio::spawn(cut_off(Arc::clone(credentials), live)));
        }
        net
    }

    async fn reach(&self, name: &str) -> io::Result<TcpStream> {
        let missing = || {
            let text = format!("the file of this node names no address of `{name}`");
            io::Error::new(io::ErrorKind::NotFound, text)
        };
        let addresses = self.peers.get(name).ok_or_else(missing)?;
        let mut tries = JoinSet::new();
        for (number, address) in (0_u32..).zip(addresses.clone()) {
            tries.spawn(async move {
                sleep(APART * number).await;
                TcpStream::connect(address).await
            });
        }
        let mut last = missing();
        while let Some(tried) = tries.join_next().await {
            match tried {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => last = error,
                Err(error) => last = io::Error::other(error),
            }
        }
        Err(last)
    }
}

impl Transport for Net {
    fn connect<'a>(
        &'a self,
        to: NodeId,
        address: &'a str,
    ) -> Later<'a, io::Result<Box<dyn Duplex>>> {
        Box::pin(async move {
            let stream = self.reach(address).await?;
            let Some(credentials) = &self.credentials else {
                return Ok(Box::new(stream) as Box<dyn Duplex>);
            };
            let connector = TlsConnector::from(credentials.client()?);
            let stream = connector.connect(credentials.name_of(address)?, stream).await?;
            let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let shown = shown.map(|shown| shown.to_vec()).unwrap_or_default();
            if node_id(&credentials.who(&shown)?) != to {
                return Err(io::Error::other(format!("who answers is not `{address}`")));
            }
            Ok(Box::new(watched(stream, &self.live, shown)) as Box<dyn Duplex>)
        })
    }

    fn accept(&self) -> Later<'_, io::Result<Accepted>> {
        Box::pin(async move {
            let next = self.accepted.lock().await.recv().await;
            next.ok_or_else(|| io::Error::other("nobody listens any more"))
        })
    }
}

/// Lets guests in.
#[derive(Clone, Debug)]
struct Desk {
    credentials: Option<Arc<dyn Credentials>>,
    give: mpsc::Sender<Accepted>,
    live: Live,
    room: Arc<Doors>,
}

impl Desk {
    async fn open(self, address: SocketAddr, deaf: Deaf, heard: Arc<Notify>) {
        let listener = deaf::listener(address, &deaf).await;
        heard.notify_one();
        self.listen(listener).await;
    }

    async fn listen(self, listener: TcpListener) {
        loop {
            let Ok((stream, from)) = listener.accept().await else {
                sleep(AGAIN).await;
                continue;
            };
            let (leave, left) = oneshot::channel();
            let guest = self.room.enter(from.ip(), move || {
                // It has shown who it is meanwhile.
                let _ = leave.send(());
            });
            let Some(guest) = guest else { continue };
            let desk = self.clone();
            tokio::spawn(async move {
                let welcomed = tokio::select! {
                    welcomed = timeout(HANDSHAKE, desk.welcome(stream)) => welcomed,
                    Ok(()) = left => return,
                };
                if let Ok(Ok(accepted)) = welcomed {
                    // The store has ended if nobody takes it.
                    drop(desk.give.send(accepted).await);
                }
                drop(guest);
            });
        }
    }

    async fn welcome(&self, stream: TcpStream) -> io::Result<Accepted> {
        stream.set_nodelay(true)?;
        let Some(credentials) = &self.credentials else {
            return Ok(Accepted { stream: Box::new(stream), proven: None });
        };
        let stream = TlsAcceptor::from(credentials.server()?).accept(stream).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let shown = shown.map(|shown| shown.to_vec()).unwrap_or_default();
        let name = credentials.who(&shown)?;
        let stream = Box::new(watched(stream, &self.live, shown));
        Ok(Accepted { stream, proven: Some(node_id(&name)) })
    }
}

/// Ends the connections of nodes that were put out since.
async fn cut_off(credentials: Arc<dyn Credentials>, live: Live) {
    loop {
        sleep(LOOK).await;
        look(&*credentials, &live);
    }
}

fn look(credentials: &dyn Credentials, live: &Live) {
    let mut live = live.lock().unwrap_or_else(PoisonError::into_inner);
    live.retain(|(out, certificate)| {
        let Some(out) = out.upgrade() else { return false };
        let error = credentials.who(certificate).err();
        // Who cannot be looked up now was in before.
        let is_out = error.is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
        if is_out {
            out.store(true, Ordering::Relaxed);
        }
        !is_out
    });
}

fn watched<S>(stream: S, live: &Live, certificate: Vec<u8>) -> Watched<S> {
    let out = Arc::new(AtomicBool::new(false));
    let mut live = live.lock().unwrap_or_else(PoisonError::into_inner);
    live.push((Arc::downgrade(&out), certificate));
    Watched { stream, out }
}

/// A stream that ends when its other side is put out; it is looked at with each message, and those who
/// take part beat ten times a second.
#[derive(Debug)]
struct Watched<S> {
    stream: S,
    out: Arc<AtomicBool>,
}

impl<S> Watched<S> {
    fn check(&self) -> io::Result<()> {
        match self.out.load(Ordering::Relaxed) {
            true => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "that node was put out")),
            false => Ok(()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says the same of everybody.
    #[derive(Debug)]
    struct Says(Option<io::ErrorKind>);

    impl Credentials for Says {
        fn server(&self) -> io::Result<Arc<ServerConfig>> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn client(&self) -> io::Result<Arc<ClientConfig>> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn name_of(&self, _: &str) -> io::Result<ServerName<'static>> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn who(&self, _: &[u8]) -> io::Result<String> {
            self.0.map_or_else(|| Ok("node01".to_owned()), |kind| Err(kind.into()))
        }
    }

    #[test]
    fn only_who_is_known_to_be_out_is_cut_off() {
        let live = Live::default();
        let stream = watched((), &live, vec![1]);
        for says in [None, Some(io::ErrorKind::NotFound), Some(io::ErrorKind::Other)] {
            look(&Says(says), &live);
            assert!(stream.check().is_ok(), "{says:?}");
        }
        look(&Says(Some(io::ErrorKind::PermissionDenied)), &live);
        assert!(stream.check().is_err());
        assert!(live.lock().unwrap().is_empty());
        drop(watched((), &live, vec![2]));
        look(&Says(None), &live);
        assert!(live.lock().unwrap().is_empty(), "what has ended is forgotten");
    }
}
