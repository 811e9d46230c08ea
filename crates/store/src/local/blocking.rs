//! The same for those who have no event loop: tools, and threads of the agent.

use std::future::Future;
use std::io;
use std::path::Path;

use tokio::runtime::{Builder, Runtime};

use super::client::Client;

/// A [`Client`] with a loop of its own, which runs while something is waited for.
#[derive(Debug)]
pub struct Local {
    runtime: Runtime,
    client: Client,
}

impl Local {
    /// Of the node with this run folder; nothing is opened yet.
    ///
    /// # Errors
    /// When the system has nothing left to make a loop of.
    pub fn new(run_dir: &Path) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, client: Client::without_idle(run_dir) })
    }

    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Waits for what was asked of [`Local::client`]: `local.wait(local.client().get("a"))`.
    pub fn wait<T>(&self, asked: impl Future<Output = T>) -> T {
        self.runtime.block_on(asked)
    }
}

#[cfg(test)]
mod tests {
    use engine::kv::Outcome;

    use super::*;
    use crate::Store;
    use crate::local::{Frame, SOCKET, encode_done};

    #[test]
    fn each_question_comes_on_a_connection_of_its_own_so_that_none_is_at_its_end() {
        let name = format!("outlast-local-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let listener = std::os::unix::net::UnixListener::bind(folder.join(SOCKET)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let serves = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::UnixListener::from_std(listener).unwrap();
                // They stay open, and nothing more is read on them.
                let mut kept = vec![];
                for revision in 1..=3 {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    let question = Frame::read(&mut stream).await.unwrap();
                    let outcome = Outcome { revision, held: true, answers: vec![] };
                    let (kind, body) = encode_done(Ok(outcome));
                    let answer = Frame { number: question.number, kind, body };
                    answer.write(&mut stream).await.unwrap();
                    kept.push(stream);
                }
            });
        });
        let local = Local::new(&folder).unwrap();
        for revision in 1..=3 {
            let put = local.client().put("a", b"1", None);
            assert_eq!(local.wait(put).unwrap(), revision);
        }
        serves.join().unwrap();
        std::fs::remove_dir_all(folder).unwrap();
    }
}
