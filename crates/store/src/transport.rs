//! How nodes of the embedded store reach each other.
//!
//! The store speaks over any reliable stream of bytes. [`Plain`] is TCP without a seal, for loopback
//! and tests; mutual TLS is another [`Transport`] that also says who the other end proved to be.

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use crate::embedded::NodeId;

pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A stream to another node.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection that somebody made to us.
pub struct Accepted {
    pub stream: Box<dyn Duplex>,
    /// Who the other end proved to be; nothing where nothing proves it.
    pub proven: Option<NodeId>,
}

impl Debug for Accepted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accepted").field("proven", &self.proven).finish_non_exhaustive()
    }
}

/// Makes and takes connections.
pub trait Transport: Debug + Send + Sync + 'static {
    /// Connects to a node; must prove that it is `to` where it can.
    fn connect<'a>(
        &'a self,
        to: NodeId,
        address: &'a str,
    ) -> Later<'a, io::Result<Box<dyn Duplex>>>;

    /// The next connection from another node. An error is not the end: it is asked again.
    fn accept(&self) -> Later<'_, io::Result<Accepted>>;
}

/// TCP as it is: nothing is secret and nobody is proven. For loopback only.
#[derive(Debug)]
pub struct Plain {
    listener: TcpListener,
}

impl Plain {
    /// # Errors
    /// When the address is taken or is not here.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await? })
    }

    /// # Errors
    /// When the kernel does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Transport for Plain {
    fn connect<'a>(
        &'a self,
        _: NodeId,
        address: &'a str,
    ) -> Later<'a, io::Result<Box<dyn Duplex>>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Duplex>)
        })
    }

    fn accept(&self) -> Later<'_, io::Result<Accepted>> {
        Box::pin(async move {
            let (stream, _) = self.listener.accept().await?;
            stream.set_nodelay(true)?;
            Ok(Accepted { stream: Box::new(stream), proven: None })
        })
    }
}
