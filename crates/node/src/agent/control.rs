//! The control socket: answers questions of the operator's tool and of the dashboard.
//!
//! Every local user may ask, as the dashboard on loopback answers every local user. What changes
//! something is for root and the daemon's own user, by the credentials that the kernel attests
//! ([`may`]).

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use api::{Answer, Ask, Status};

use super::journal::Shared;
use super::seats::Seats;
use super::story::Story;

/// Where the socket is, in the run folder.
pub(crate) const SOCKET: &str = "control.sock";
/// A client that neither asks nor reads for so long is let go.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a follower's connection is looked at while nothing happens.
const GLANCE: Duration = Duration::from_secs(1);
/// Between two tries to accept while the kernel refuses.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);
/// No question is longer (bytes).
const MAX_ASK: u64 = 4096;

/// What the threads that answer may read.
pub(crate) struct Answers {
    /// What is known at the moment of the question, so that ages are true.
    pub(crate) status: Box<dyn Fn() -> Status + Send + Sync>,
    pub(crate) why: super::Explainer,
    pub(crate) events: Arc<Shared>,
    pub(crate) story: Arc<Story>,
    pub(crate) command: super::Commander,
}

/// Answers until the process ends.
pub(crate) fn serve(run_dir: &Path, answers: Answers) -> io::Result<()> {
    let answers = Arc::new(answers);
    let seats = Arc::new(Seats::default());
    let socket: OwnedFd = sys::socket::listen_unix(&run_dir.join(SOCKET), Some(0o666))?;
    let listener = UnixListener::from(socket);
    listener.set_nonblocking(false)?;
    std::thread::Builder::new().name("control".to_owned()).spawn(move || {
        for client in listener.incoming() {
            let Ok(client) = client else {
                // No descriptor left: they come back when clients go.
                std::thread::sleep(AFTER_REFUSAL);
                continue;
            };
            let user = sys::rights::peer(client.as_fd()).ok();
            let Some(seat) = seats.take(user) else {
                // Who does not read it has gone away, or was told already.
                let _ = refuse(client);
                continue;
            };
            let answers = Arc::clone(&answers);
            // A thread that cannot be made leaves the client with a closed connection, which the
            // tool reports; the next one may have more luck.
            let _ = std::thread::Builder::new().name("answer".to_owned()).spawn(move || {
                // A client that went away is no error of ours.
                let _ = answer(client, seat.user, &answers);
            });
        }
    })?;
    Ok(())
}

/// Costs no thread, and does not wait: one line has room in a new socket.
fn refuse(mut client: UnixStream) -> io::Result<()> {
    client.set_nonblocking(true)?;
    say(&mut client, &Answer::Refused("too many questions at once".to_owned()))
}

fn answer(mut client: UnixStream, user: Option<u32>, answers: &Answers) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let mut line = vec![];
    let mut reader = BufReader::new(io::Read::take(client.try_clone()?, MAX_ASK));
    reader.read_until(b'\n', &mut line)?;
    let ask = api::decode::<Ask>(&line);
    if let Ok(ask) = &ask
        && !may(user, sys::rights::own_user(), ask)
    {
        return say(
            &mut client,
            &Answer::Refused(
                "only root may change something, and the user of the daemon".to_owned(),
            ),
        );
    }
    match ask {
        Ok(Ask::Status) => say(&mut client, &Answer::Status(Box::new((answers.status)()))),
        Ok(Ask::Events { after, follow }) => events(&mut client, answers, after, follow),
        Ok(Ask::Timeline { last, follow }) => timeline(&mut client, answers, last, follow),
        Ok(Ask::Why { object }) => {
            let answer = match (answers.why)(&object) {
                Ok(why) => Answer::Why(Box::new(why)),
                Err(unknown) => Answer::Refused(unknown.to_string()),
            };
            say(&mut client, &answer)
        }
        Ok(Ask::Command(command)) => {
            let answer = match (answers.command)(&command) {
                Ok(status) => Answer::Status(Box::new(status)),
                Err(why) => Answer::Refused(why),
            };
            say(&mut client, &answer)
        }
        Err(error) => say(&mut client, &Answer::Refused(base::Chain(&error).to_string())),
    }
}

/// Who may ask what: everybody what something is; root and the user as whom this runs what changes
/// something. A question that is added has to be put on one of the two sides here.
fn may(asker: Option<u32>, own: u32, ask: &Ask) -> bool {
    let changes = match ask {
        Ask::Status | Ask::Events { .. } | Ask::Timeline { .. } | Ask::Why { .. } => false,
        Ask::Command(_) => true,
    };
    !changes || asker.is_some_and(|asker| asker == 0 || asker == own)
}

fn events(
    client: &mut UnixStream,
    answers: &Answers,
    mut after: u64,
    follow: bool,
) -> io::Result<()> {
    loop {
        let patience = if follow { GLANCE } else { Duration::ZERO };
        let events = answers.events.after(after, patience);
        if events.is_empty() && follow && gone(client)? {
            return Ok(());
        }
        for event in events {
            after = event.seq;
            say(client, &Answer::Event(event))?;
        }
        if !follow {
            return Ok(());
        }
    }
}

fn timeline(client: &mut UnixStream, answers: &Answers, last: u32, follow: bool) -> io::Result<()> {
    let (mut events, mut place) = answers.story.newest(usize::try_from(last).unwrap_or(usize::MAX));
    loop {
        if events.is_empty() && follow && gone(client)? {
            return Ok(());
        }
        for event in events {
            say(client, &Answer::Event(event))?;
        }
        if !follow {
            return Ok(());
        }
        (events, place) = answers.story.after(place, GLANCE);
    }
}

/// A follower says nothing, so all there can be to read is the end.
fn gone(client: &mut UnixStream) -> io::Result<bool> {
    client.set_nonblocking(true)?;
    let end = match io::Read::read(client, &mut [0; 16]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    };
    client.set_nonblocking(false)?;
    Ok(end)
}

fn say(client: &mut UnixStream, answer: &Answer) -> io::Result<()> {
    let mut line = vec![];
    api::encode(answer, &mut line);
    line.push(b'\n');
    client.write_all(&line)
}

#[cfg(test)]
mod tests {
    use api::Command;

    use super::*;

    #[test]
    fn everybody_may_ask_and_only_root_and_the_own_user_may_command() {
        let command = Ask::Command(Command::Standby { node: "node01".to_owned() });
        for (asker, allowed) in
            [(Some(0), true), (Some(500), true), (Some(501), false), (None, false)]
        {
            assert_eq!(may(asker, 500, &command), allowed, "{asker:?}");
            assert!(may(asker, 500, &Ask::Status));
        }
    }
}
