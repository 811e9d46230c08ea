//! Asks the agent over its control socket: one question per connection, answers as JSON lines.

use std::io;
use std::path::Path;
use std::time::Duration;

use api::access::{AccessAnswer, AccessAsk, Grant, Secret};
use api::{Answer, Ask, Status, Why};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;

/// An agent that takes longer is not well, and the page says so rather than waits.
const PATIENCE: Duration = Duration::from_secs(1);
/// No answer is longer (bytes): some thousand servers fit.
const MAX_ANSWER: u64 = 8 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("cannot reach the agent")]
    Connect(#[source] io::Error),
    #[error("the agent's answer broke off")]
    Broken(#[source] io::Error),
    #[error("the agent did not answer within {} s", PATIENCE.as_secs())]
    Silent,
    #[error("cannot read the agent's answer")]
    Answer(#[source] api::ReadError),
    #[error("the agent refused: {0}")]
    Refused(String),
    #[error("the agent answered something else")]
    Other,
}

pub(crate) async fn status(control: &Path) -> Result<Status, AskError> {
    match one(control, &Ask::Status).await? {
        Answer::Status(status) => Ok(*status),
        Answer::Event(_)
        | Answer::Why(_)
        | Answer::Under(_)
        | Answer::Intents(_)
        | Answer::Tried(_)
        | Answer::Book(_)
        | Answer::Access(_)
        | Answer::Refused(_) => Err(AskError::Other),
    }
}

pub(crate) async fn why(control: &Path, object: &str) -> Result<Why, AskError> {
    match one(control, &Ask::Why { object: object.to_owned() }).await? {
        Answer::Why(why) => Ok(*why),
        Answer::Event(_)
        | Answer::Status(_)
        | Answer::Under(_)
        | Answer::Intents(_)
        | Answer::Tried(_)
        | Answer::Book(_)
        | Answer::Access(_)
        | Answer::Refused(_) => Err(AskError::Other),
    }
}

/// What may who has this token do? None: nobody has it. A refusal is no answer to that.
pub(crate) async fn grant(control: &Path, token: &str) -> Result<Option<Grant>, AskError> {
    let ask = Ask::Access(AccessAsk::Show { token: Secret(token.to_owned()) });
    match one(control, &ask).await {
        Ok(Answer::Access(AccessAnswer::Grant(grant))) => Ok(Some(grant)),
        Ok(Answer::Access(AccessAnswer::NoSuchToken)) => Ok(None),
        Ok(
            Answer::Access(_)
            | Answer::Event(_)
            | Answer::Status(_)
            | Answer::Why(_)
            | Answer::Under(_)
            | Answer::Intents(_)
            | Answer::Tried(_)
            | Answer::Book(_)
            | Answer::Refused(_),
        ) => Err(AskError::Other),
        Err(error) => Err(error),
    }
}

/// Events as they come; the stream never ends by itself.
#[derive(Debug)]
pub(crate) struct Timeline(Lines<BufReader<UnixStream>>);

impl Timeline {
    /// The newest `last` events first, then all that follow.
    pub(crate) async fn begin(control: &Path, last: u32) -> Result<Self, AskError> {
        let ask = Ask::Timeline { last, follow: true };
        let stream = patiently(question(control, &ask)).await?;
        Ok(Self(BufReader::new(stream).lines()))
    }

    pub(crate) async fn next(&mut self) -> Result<api::Event, AskError> {
        let line = self.0.next_line().await.map_err(AskError::Broken)?;
        let Some(line) = line else {
            return Err(AskError::Broken(io::ErrorKind::UnexpectedEof.into()));
        };
        match api::decode(line.as_bytes()).map_err(AskError::Answer)? {
            Answer::Event(event) => Ok(event),
            Answer::Refused(why) => Err(AskError::Refused(why)),
            Answer::Status(_)
            | Answer::Why(_)
            | Answer::Under(_)
            | Answer::Intents(_)
            | Answer::Tried(_)
            | Answer::Book(_)
            | Answer::Access(_) => Err(AskError::Other),
        }
    }
}

async fn one(control: &Path, ask: &Ask) -> Result<Answer, AskError> {
    patiently(async {
        let stream = question(control, ask).await?;
        let mut line = vec![];
        let mut reader = BufReader::new(stream.take(MAX_ANSWER));
        reader.read_until(b'\n', &mut line).await.map_err(AskError::Broken)?;
        if line.is_empty() {
            return Err(AskError::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        match api::decode(&line).map_err(AskError::Answer)? {
            Answer::Refused(why) => Err(AskError::Refused(why)),
            answer @ (Answer::Status(_)
            | Answer::Event(_)
            | Answer::Why(_)
            | Answer::Under(_)
            | Answer::Intents(_)
            | Answer::Tried(_)
            | Answer::Book(_)
            | Answer::Access(_)) => Ok(answer),
        }
    })
    .await
}

async fn question(control: &Path, ask: &Ask) -> Result<UnixStream, AskError> {
    let mut stream = UnixStream::connect(control).await.map_err(AskError::Connect)?;
    let mut line = vec![];
    api::encode(ask, &mut line);
    line.push(b'\n');
    stream.write_all(&line).await.map_err(AskError::Broken)?;
    Ok(stream)
}

async fn patiently<T>(work: impl Future<Output = Result<T, AskError>>) -> Result<T, AskError> {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or(Err(AskError::Silent))
}
