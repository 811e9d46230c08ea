//! How a process that is not the supervisor begins: one order says everything it needs.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use api::{MAX_MESSAGE, Order, Report, Start};
use sys::channel::Channel;
use sys::poll::{Interest, Poller};

use crate::files::Texts;
use crate::{agent, keeper, proxy, services, store, vip};

/// The descriptor that the supervisor leaves to each child.
pub(crate) const CHANNEL: i32 = 3;

/// Descriptors that every process has room for before it starts a thread. A proxy has more: what its file plans.
const FILES: u64 = 1024;

/// Why a role ended badly.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    #[error("`{0}` is no role; roles are started by `outlast run`, not by hand")]
    Unknown(String),
    #[error("descriptor {CHANNEL} is no channel; roles are started by `outlast run`, not by hand")]
    Channel(#[source] io::Error),
    #[error("cannot hear the supervisor")]
    Supervisor(#[source] io::Error),
    #[error("the supervisor's first order was not `start`")]
    Order,
    #[error("{0} failed")]
    Failed(&'static str, #[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Runs one role until the supervisor ends it.
///
/// # Errors
/// When the role could not start or had to give up; the supervisor was told before.
pub fn role(name: &str) -> Result<(), RoleError> {
    // Each is sent configuration or keys next, all of which may be secret.
    sys::rights::keep_out_of_core_dumps();
    let channel = Channel::inherited(CHANNEL).map_err(RoleError::Channel)?;
    // If there is no memory for it, threads wait later, when the table grows.
    let _ = sys::rights::make_room_for_files(FILES);
    // The supervisor alone answers to the terminal and to init.
    sys::signal::ignore(&[sys::signal::SIGTERM, sys::signal::SIGINT, sys::signal::SIGHUP])
        .map_err(RoleError::Channel)?;
    // Of their end the other side knows before the kernel has closed all their sockets: for each of packets it waits until no
    // processor looks at it any more, 5 to 20 ms, and what is left of a vip lease may be less.
    let channel = match name {
        "vip" => Channel::from_fd(sys::rights::move_to_last(channel.into(), FILES)),
        "routers" => {
            Channel::from_fd(sys::rights::move_to_last(channel.into(), crate::routers::ROOM))
        }
        _ => channel,
    };
    if name == "routers" {
        return crate::routers::process(&channel)
            .map_err(|error| RoleError::Failed("routers", error.into()));
    }
    let (start, texts, sockets) = first_order(&channel)?;
    let outcome: Result<(), (&'static str, Box<dyn std::error::Error + Send + Sync>)> = match name {
        "vip" => vip::run(&channel, start, texts, sockets).map_err(|error| ("vip", error.into())),
        "agent" => agent::run(&channel, start, texts).map_err(|error| ("agent", error.into())),
        "keeper" => keeper::alone(&channel, &texts).map_err(|error| ("keeper", error.into())),
        "store" => store::run(&channel, &start, &texts).map_err(|error| ("store", error.into())),
        "proxy" => {
            let tell = channel.as_fd().try_clone_to_owned().map_err(RoleError::Channel)?;
            let tell = Channel::from_fd(tell);
            return proxy::run(channel, start, &texts, sockets).map_err(|error| {
                let error: Box<dyn std::error::Error + Send + Sync> = error.into();
                tell_failure(&tell, error.as_ref());
                RoleError::Failed("proxy", error)
            });
        }
        "services" => {
            let tell = channel.as_fd().try_clone_to_owned().map_err(RoleError::Channel)?;
            let tell = Channel::from_fd(tell);
            return services::run(channel, start, texts, sockets).map_err(|error| {
                let error: Box<dyn std::error::Error + Send + Sync> = error.into();
                tell_failure(&tell, error.as_ref());
                RoleError::Failed("the dashboard", error)
            });
        }
        other => return Err(RoleError::Unknown(other.to_owned())),
    };
    outcome.map_err(|(role, error)| {
        tell_failure(&channel, error.as_ref());
        RoleError::Failed(role, error)
    })
}

fn tell_failure(channel: &Channel, error: &(dyn std::error::Error + Send + Sync + 'static)) {
    let mut bytes = vec![];
    api::encode(&Report::Failed { why: base::Chain(error).to_string() }, &mut bytes);
    // If the supervisor is gone too, the exit code says it.
    let _ = channel.send(&bytes, &[]);
}

fn first_order(channel: &Channel) -> Result<(Start, Texts, Vec<OwnedFd>), RoleError> {
    let poller = Poller::new().map_err(RoleError::Supervisor)?;
    poller.add(channel.as_fd(), 0, Interest::READ).map_err(RoleError::Supervisor)?;
    let mut buffer = vec![0; MAX_MESSAGE];
    let mut fds = vec![];
    let mut ready = Vec::with_capacity(1);
    let length = loop {
        poller.wait(&mut ready, None).map_err(RoleError::Supervisor)?;
        match channel.receive(&mut buffer, &mut fds) {
            Ok(length) => break length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(RoleError::Supervisor(error)),
        }
    };
    let Ok(Order::Start(start)) = api::decode(&buffer[..length]) else {
        return Err(RoleError::Order);
    };
    let sockets = fds.split_off(start.files.len().min(fds.len()));
    let texts = Texts::from_descriptors(&start.files, &fds).map_err(RoleError::Supervisor)?;
    Ok((*start, texts, sockets))
}
