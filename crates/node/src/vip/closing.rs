//! Closes what a router leaves, in an ordinary thread: for each packet socket (ARP) that is closed the kernel waits until no
//! processor looks at it any more, an RCU grace period of some 20 ms, and 500 routers that start or end at once would keep each other
//! waiting for ten seconds.

use std::io;
use std::sync::mpsc::{Sender, channel};

/// The way to the thread, which ends with the last of these.
#[derive(Clone, Debug)]
pub(crate) struct Closing(Sender<Box<dyn Send>>);

impl Closing {
    /// Before the calling thread is a real-time one.
    pub(crate) fn start() -> io::Result<Self> {
        let (closing, left) = channel::<Box<dyn Send>>();
        let thread = std::thread::Builder::new().name("outlast-closing".to_owned());
        thread.spawn(move || left.iter().for_each(drop))?;
        Ok(Self(closing))
    }

    pub(crate) fn close(&self, left: impl Send + 'static) {
        // Where the thread is gone it is closed here.
        drop(self.0.send(Box::new(left)));
    }
}
