//! Listens, and listens to the supervisor.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use api::{Order, Report};
use sys::channel::Channel;
use tokio::io::unix::AsyncFd;

use crate::{ServiceError, Setup};

/// What tokio wants to see of a descriptor.
struct Watched(Channel);

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

pub(crate) async fn until_told(setup: Setup, channel: Channel) -> Result<(), ServiceError> {
    let app = axum::Router::new();
    for listener in setup.listeners {
        listener.set_nonblocking(true).map_err(ServiceError::Listen)?;
        let listener = tokio::net::TcpListener::from_std(listener).map_err(ServiceError::Listen)?;
        let app = app.clone();
        tokio::spawn(async move { axum::serve(listener, app).await });
    }
    #[expect(
        deprecated,
        reason = "the other way is unsafe; the channel keeps its one descriptor open"
    )]
    let channel = AsyncFd::new(Watched(channel)).map_err(ServiceError::Supervisor)?;
    say(&channel, &Report::Ready { generation: setup.generation });
    say(&channel, &Report::Serving { generation: setup.generation });
    obey(&channel).await
}

fn say(channel: &AsyncFd<Watched>, report: &Report) {
    let mut bytes = vec![];
    api::encode(report, &mut bytes);
    // A supervisor that does not read is either gone, which `obey` sees, or will ask again.
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
            // Facts come from the agent, which is asked anyway; unknown words are not for us.
            Ok(Order::Start(_) | Order::Activate | Order::Change(_) | Order::Relay(..))
            | Err(_) => {}
        }
    }
}
