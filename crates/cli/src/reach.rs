//! Finds the running outlast and asks it.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::access::{AccessAnswer, AccessAsk, ByHand, Secret};
use api::books::{BookAnswer, BookAsk};
use api::{Answer, Ask, Status};

/// Where instances have their folders, unless told otherwise.
const RUN: &str = "/run/outlast";
/// An agent that does not answer within this is not well (`status` never takes longer).
const PATIENCE: Duration = Duration::from_secs(5);
/// A command waits for the cluster: until a coordinator that died is followed by another (12 s, and the last
/// question to one that is silent), its intent is committed (4 s), and what was ordered can be seen (12 s, and
/// the last question).
const COMMAND_PATIENCE: Duration = Duration::from_secs(40);

/// Which instance is meant.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Instance {
    /// Folder of the running instance [default: the only one below /run/outlast]
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// File with a token of `outlast access add`: asks as that program, not as this user
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// Where to ask, and as whom.
#[derive(Clone, Debug, Default)]
pub struct Socket {
    path: PathBuf,
    /// Without one: as the user of this process.
    token: Option<Secret>,
}

impl From<PathBuf> for Socket {
    fn from(path: PathBuf) -> Self {
        Self { path, token: None }
    }
}

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    #[error("no outlast is running here: nothing below {}", .0.display())]
    None(PathBuf),
    #[error("several are running, say which with --run-dir: {}", .0.join(", "))]
    Several(Vec<String>),
    #[error("cannot reach the agent at {}", .path.display())]
    Connect {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot read the token in {}", .path.display())]
    Token {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the agent does not answer (waited {} s)", .0.as_secs())]
    Silent(Duration),
    #[error("the agent's answer broke off")]
    Broken(#[source] io::Error),
    #[error("cannot read the agent's answer")]
    Answer(#[source] api::ReadError),
    #[error("the agent refused: {0}")]
    Refused(String),
    #[error("the agent answered another question")]
    Other,
    #[error("cannot write the answer")]
    Output(#[source] io::Error),
}

impl Instance {
    /// The control socket.
    ///
    /// # Errors
    /// When none or several run here, or the token cannot be read.
    pub fn socket(&self) -> Result<Socket, ReachError> {
        let token = self.token_file.as_ref().map(|path| {
            let text = std::fs::read_to_string(path);
            let wrong = |source| ReachError::Token { path: path.clone(), source };
            text.map(|text| Secret(text.trim().to_owned())).map_err(wrong)
        });
        Ok(Socket { path: self.path()?, token: token.transpose()? })
    }

    fn path(&self) -> Result<PathBuf, ReachError> {
        if let Some(folder) = &self.run_dir {
            return Ok(folder.join("control.sock"));
        }
        // Root's are there, also before the first one was started.
        let base = if sys::rights::is_root() || Path::new(RUN).is_dir() {
            PathBuf::from(RUN)
        } else {
            std::env::var_os("XDG_RUNTIME_DIR")
                .map_or_else(std::env::temp_dir, PathBuf::from)
                .join("outlast")
        };
        let entries = std::fs::read_dir(&base).map_err(|_| ReachError::None(base.clone()))?;
        let mut found = vec![];
        for entry in entries.flatten() {
            let socket = entry.path().join("control.sock");
            match UnixStream::connect(&socket) {
                Ok(_) => found.push(socket),
                Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
                    return Err(ReachError::Connect { path: socket, source });
                }
                // Left behind by one that ended.
                Err(_) => {}
            }
        }
        match found.len() {
            0 => Err(ReachError::None(base)),
            1 => Ok(found.remove(0)),
            _ => {
                let parent = |path: &PathBuf| path.parent().map(|dir| dir.display().to_string());
                Err(ReachError::Several(found.iter().filter_map(parent).collect()))
            }
        }
    }
}

impl Socket {
    /// The run folder of the instance.
    pub(crate) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or_else(|| Path::new("."))
    }
}

/// Asks and hands each line of the answer to `each` until it says stop or the answer ends.
///
/// # Errors
/// When the agent cannot be reached, breaks off, or refuses.
pub fn ask(
    socket: &Socket,
    ask: &Ask,
    each: impl FnMut(Answer) -> Result<(), ReachError>,
) -> Result<(), ReachError> {
    answers(&put(socket, ask)?, each)
}

/// The one answer to a question that has one.
///
/// # Errors
/// When the agent cannot be reached, breaks off, refuses, or closes without an answer.
pub fn one(socket: &Socket, ask: &Ask) -> Result<Answer, ReachError> {
    let mut found = None;
    self::ask(socket, ask, |answer| {
        found = Some(answer);
        Ok(())
    })?;
    found.ok_or_else(|| ReachError::Broken(io::ErrorKind::UnexpectedEof.into()))
}

/// What the books of the cluster say, or what came of a word written there; a commit has its content behind it.
///
/// # Errors
/// When the agent cannot be reached, breaks off, or refuses.
pub(crate) fn book(
    socket: &Socket,
    ask: BookAsk,
    content: &[u8],
) -> Result<BookAnswer, ReachError> {
    let mut stream = put(socket, &Ask::Book(ask))?;
    // Who refuses reads none of it: what matters is the answer.
    let written = stream.write_all(content);
    let mut found = None;
    answers(&stream, |answer| {
        found = Some(answer);
        Ok(())
    })?;
    match found {
        Some(Answer::Book(answer)) => Ok(answer),
        Some(_) => Err(ReachError::Other),
        None => Err(ReachError::Broken(
            written.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()),
        )),
    }
}

/// What a node knows.
///
/// # Errors
/// When the agent cannot be reached, breaks off, or refuses.
pub fn status(socket: &Socket) -> Result<Box<Status>, ReachError> {
    match one(socket, &Ask::Status)? {
        Answer::Status(status) => Ok(status),
        Answer::Event(_)
        | Answer::Why(_)
        | Answer::Under(_)
        | Answer::Intents(_)
        | Answer::Tried(_)
        | Answer::Book(_)
        | Answer::Access(_)
        | Answer::Refused(_) => Err(ReachError::Other),
    }
}

/// Has the agent write into its audit log what the tool does itself; without `came_to` it is begun.
///
/// # Errors
/// When the agent cannot be reached, or does not write it.
pub(crate) fn note(
    socket: &Socket,
    (deed, object): (ByHand, &str),
    came_to: Option<&str>,
) -> Result<(), ReachError> {
    let came_to = came_to.map(str::to_owned);
    let ask = AccessAsk::Log { deed, object: object.to_owned(), came_to };
    let answer = one(socket, &Ask::Access(ask))?;
    let is_logged = matches!(answer, Answer::Access(AccessAnswer::Logged));
    is_logged.then_some(()).ok_or(ReachError::Other)
}

/// Puts a question; the answers can be read from what is returned.
pub(crate) fn put(socket: &Socket, ask: &Ask) -> Result<UnixStream, ReachError> {
    let connect = |source| ReachError::Connect { path: socket.path.clone(), source };
    let mut stream = UnixStream::connect(&socket.path).map_err(connect)?;
    if !matches!(ask, Ask::Events { follow: true, .. } | Ask::Timeline { follow: true, .. }) {
        let waits = matches!(
            ask,
            Ask::Command(_) | Ask::Intents { .. } | Ask::NotifyTest { .. } | Ask::Book(_)
        );
        let patience = if waits { COMMAND_PATIENCE } else { PATIENCE };
        stream.set_read_timeout(Some(patience)).map_err(connect)?;
    }
    let mut line = vec![];
    match &socket.token {
        Some(token) => {
            let ask = Ask::As { token: token.clone(), ask: Box::new(ask.clone()) };
            api::encode(&ask, &mut line);
        }
        None => api::encode(ask, &mut line),
    }
    line.push(b'\n');
    stream.write_all(&line).map_err(|error| broken(error, &stream))?;
    Ok(stream)
}

/// The kernel's word for a read that took longer than its limit is no help to anybody.
fn broken(error: io::Error, stream: &UnixStream) -> ReachError {
    if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
        let limit = stream.read_timeout().ok().flatten();
        ReachError::Silent(limit.unwrap_or(PATIENCE))
    } else {
        ReachError::Broken(error)
    }
}

/// Hands each line to `each` until it says stop or the answer ends.
pub(crate) fn answers(
    stream: &UnixStream,
    mut each: impl FnMut(Answer) -> Result<(), ReachError>,
) -> Result<(), ReachError> {
    for line in BufReader::new(stream).split(b'\n') {
        let line = line.map_err(|error| broken(error, stream))?;
        match api::decode(&line).map_err(ReachError::Answer)? {
            Answer::Refused(why) => return Err(ReachError::Refused(why)),
            answer @ (Answer::Status(_)
            | Answer::Event(_)
            | Answer::Why(_)
            | Answer::Under(_)
            | Answer::Intents(_)
            | Answer::Tried(_)
            | Answer::Book(_)
            | Answer::Access(_)) => {
                each(answer)?;
            }
        }
    }
    Ok(())
}
