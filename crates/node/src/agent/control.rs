//! The control socket: answers questions of the operator's tool and of the dashboard.
//!
//! Who asks is known by the credentials that the kernel attests, or by the token of a program; what he may
//! is the table of [`api::access`], asked in [`Doors`].

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use api::books::BookAsk;
use api::{Answer, Ask, Status};
use engine::generation::MAX_CONTENT;
use sys::rights::Peer;

use super::access::Doors;
use super::hands::Orders;
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
    pub(crate) why: super::why::Explainer,
    pub(crate) events: Arc<Shared>,
    pub(crate) story: Arc<Story>,
    pub(crate) orders: Orders,
    pub(crate) doors: Arc<Doors>,
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
            let peer = sys::rights::peer(client.as_fd()).ok();
            let Some(seat) = seats.take(peer.as_ref().map(|peer| peer.uid)) else {
                // Who does not read it has gone away, or was told already.
                let _ = refuse(client);
                continue;
            };
            let answers = Arc::clone(&answers);
            // A thread that cannot be made leaves the client with a closed connection, which the
            // tool reports; the next one may have more luck.
            let _ = std::thread::Builder::new().name("answer".to_owned()).spawn(move || {
                let _seat = seat;
                // A client that went away is no error of ours.
                let _ = answer(client, peer.as_ref(), &answers);
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

fn answer(mut client: UnixStream, peer: Option<&Peer>, answers: &Answers) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let mut line = vec![];
    let mut reader = BufReader::new(Read::take(client.try_clone()?, MAX_ASK));
    reader.read_until(b'\n', &mut line)?;
    let ask = match api::decode::<Ask>(&line) {
        Ok(ask) => ask,
        Err(error) => return say(&mut client, &Answer::Refused(base::Chain(&error).to_string())),
    };
    let (guest, ask) = answers.doors.guest(peer, ask);
    if let Err(why) = answers.doors.allows(&guest, &ask) {
        return say(&mut client, &Answer::Refused(why));
    }
    let said = match &ask {
        Ask::Status => vec![Answer::Status(Box::new((answers.status)()))],
        Ask::Events { after, follow } => return events(&mut client, answers, *after, *follow),
        Ask::Timeline { last, follow } => return timeline(&mut client, answers, *last, *follow),
        Ask::Why { object } => vec![match (answers.why)(object) {
            Ok(why) => Answer::Why(Box::new(why)),
            Err(unknown) => Answer::Refused(unknown.to_string()),
        }],
        Ask::Command(command) => vec![done((answers.orders.command)(command, &guest.by))],
        Ask::Alone(command) => vec![done((answers.orders.alone)(command, &guest.by))],
        Ask::Intents { last } => vec![match (answers.orders.intents)(*last) {
            Ok(intents) => Answer::Intents(intents),
            Err(why) => Answer::Refused(why),
        }],
        Ask::Book(book) => {
            let content = match book {
                BookAsk::Commit(generation) => content(&mut reader, generation.bytes)?,
                BookAsk::History
                | BookAsk::Standing
                | BookAsk::Generation { .. }
                | BookAsk::Windows
                | BookAsk::Begin { .. }
                | BookAsk::End { .. }
                | BookAsk::Prove(_)
                | BookAsk::TakeBack { .. }
                | BookAsk::Join { .. }
                | BookAsk::Leave { .. }
                | BookAsk::Wishes
                | BookAsk::Hears { .. }
                | BookAsk::Replace { .. } => vec![],
            };
            vec![match answers.orders.books.does(book, &guest.by, &content) {
                Ok(answer) => Answer::Book(answer),
                Err(why) => Answer::Refused(why),
            }]
        }
        Ask::Under { node } => vec![match (answers.orders.under)(node) {
            Ok(under) => Answer::Under(under),
            Err(why) => Answer::Refused(why),
        }],
        Ask::NotifyTest { receiver } => vec![match (answers.orders.tests)(receiver.as_deref()) {
            Ok(tried) => Answer::Tried(tried),
            Err(why) => Answer::Refused(why),
        }],
        Ask::Access(ask) => answers.doors.answer(ask),
        // Not allowed above.
        Ask::As { .. } => vec![],
    };
    if let Some(first) = said.first()
        && let Err(why) = answers.doors.wrote(&guest, &ask, first)
    {
        return say(&mut client, &Answer::Refused(why));
    }
    said.iter().try_for_each(|answer| say(&mut client, answer))
}

/// What follows a question that was allowed.
fn content(reader: &mut BufReader<io::Take<UnixStream>>, bytes: u64) -> io::Result<Vec<u8>> {
    let bytes = bytes.min(MAX_CONTENT as u64);
    reader.get_mut().set_limit(bytes);
    let mut content = vec![];
    Read::take(reader, bytes).read_to_end(&mut content)?;
    Ok(content)
}

fn done(outcome: Result<Status, String>) -> Answer {
    match outcome {
        Ok(status) => Answer::Status(Box::new(status)),
        Err(why) => Answer::Refused(why),
    }
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
    let end = match Read::read(client, &mut [0; 16]) {
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
