//! Own addresses on which nobody can be heard: another program has the port, or the network comes later.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::sleep;

/// The first pause between two tries to listen; it doubles.
const FIRST: Duration = Duration::from_millis(100);
/// The last: the store is back soon after the cause is gone, and a try costs nothing.
const LAST: Duration = Duration::from_secs(5);

/// Which they are at this moment, and why.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deaf(Arc<Mutex<BTreeMap<SocketAddr, String>>>);

impl Deaf {
    /// For an operator; none: it listens everywhere.
    pub(crate) fn text(&self) -> Option<String> {
        let deaf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let texts: Vec<&str> = deaf.values().map(String::as_str).collect();
        (!texts.is_empty())
            .then(|| format!("{}; it is tried again every {} s", texts.join("; "), LAST.as_secs()))
    }

    fn say(&self, address: SocketAddr, why: Option<String>) {
        let mut deaf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match why {
            Some(why) => deaf.insert(address, why),
            None => deaf.remove(&address),
        };
    }
}

fn why(address: SocketAddr, error: &io::Error) -> String {
    let port = address.port();
    let is = |kind: io::ErrorKind| error.kind() == kind;
    let cause = if is(io::ErrorKind::AddrInUse) {
        format!("another program has it (`ss -ltnp 'sport = :{port}'` says which)")
    } else if is(io::ErrorKind::AddrNotAvailable) {
        "that address is not on this machine now".to_owned()
    } else {
        error.to_string()
    };
    format!("cannot listen on TCP {address}: {cause}")
}

/// Waits until it can be had.
pub(super) async fn listener(address: SocketAddr, deaf: &Deaf) -> TcpListener {
    let mut pause = FIRST;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                deaf.say(address, None);
                return listener;
            }
            Err(error) => deaf.say(address, Some(why(address, &error))),
        }
        sleep(pause).await;
        pause = (pause * 2).min(LAST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_that_is_taken_is_named_until_it_can_be_had() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let deaf = Deaf::default();
        let (tries, said) = (deaf.clone(), deaf.clone());
        let waits = tokio::spawn(async move { listener(address, &tries).await });
        while said.text().is_none() {
            tokio::task::yield_now().await;
        }
        let text = said.text().unwrap();
        let begin = format!("cannot listen on TCP {address}: another program has it (`ss -ltnp");
        assert!(text.starts_with(&begin), "{text}");
        drop(taken);
        assert_eq!(waits.await.unwrap().local_addr().unwrap(), address);
        assert_eq!(deaf.text(), None);
    }
}
