//! The new node's side of a join, and how a node learns who is in.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};

use crate::authority::fingerprint;
use crate::configuration::Configuration;
use crate::folder::{Folder, State, TrustError};
use crate::hex;
use crate::hurried::{Hurried, PATIENCE};
use crate::keys::PublicKeys;
use crate::roster::{Fingerprint, RosterError, is_name};
use crate::tls::{self, Pinned};
use crate::token::Token;
use crate::wire::{self, Answer, Ask, Join, MAX_ANSWER, Question, Reply, WireError};

/// Who asks again by itself waits no longer for a connection: that node or network is dead, or others are asked.
const CONNECT: Duration = Duration::from_secs(1);

/// Why a node did not join. In every case this node and the cluster are as before, except that a
/// controller that had let it in already lets it in again with the same token.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("nothing was asked of the cluster, the token is as good as before")]
    Unprepared(#[source] TrustError),
    /// Its keys are in the folder, and with them it is let in again.
    #[error(
        "the cluster has let this node in, which this machine cannot keep: mend that and type the same again, with the \
         same folder; the token is still good for it"
    )]
    Unkept(#[source] TrustError),
    #[error(
        "the token expired {0} s ago by this machine's clock: create another one, or set the clock"
    )]
    Expired(u64),
    #[error("the token is of the cluster {found}, not of {expected}: nothing was sent")]
    Fingerprint { expected: Fingerprint, found: Fingerprint },
    #[error("nobody answers at {address}: is `outlast trust serve` running there?")]
    Connect {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error(
        "who answers at {address} is another cluster, whatever its name: its fingerprint is {found}, the \
         token's is {expected}; the token was not sent"
    )]
    OtherCluster { address: SocketAddr, expected: Fingerprint, found: Fingerprint },
    #[error(
        "who answers at {address} does not prove that it is a controller; the token was not sent"
    )]
    Tls {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error(
        "the certificate of {address} is not valid at the time of this machine's clock: set the clock \
         (chrony); the token was not sent"
    )]
    Clock { address: SocketAddr },
    #[error(transparent)]
    Wire(#[from] WireError),
    /// In the words of the other side.
    #[error("the cluster refuses: {0}")]
    Refused(String),
    #[error("the answer makes no sense")]
    Answer,
}

/// What a node joins with.
#[derive(Clone, Debug)]
pub struct Joining {
    pub token: Token,
    pub node: String,
    pub address: Option<IpAddr>,
    /// What the operator read on the other machine.
    pub expected: Option<Fingerprint>,
}

/// Joins the cluster of a token. `now_ms` is this machine's clock, milliseconds since 1970.
///
/// # Errors
/// When something is not as it should be; see [`JoinError`].
pub fn join(folder: &Folder, joining: &Joining, now_ms: u64) -> Result<State, JoinError> {
    let Joining { token, node, address, expected } = joining;
    if let Some(expected) = expected.filter(|expected| *expected != token.fingerprint) {
        return Err(JoinError::Fingerprint { expected, found: token.fingerprint });
    }
    if !is_name(node) {
        let name = RosterError::Name(node.chars().take(crate::roster::MAX_NAME).collect());
        return Err(TrustError::from(name).into());
    }
    if now_ms > token.expires_ms {
        return Err(JoinError::Expired((now_ms - token.expires_ms).div_ceil(1000)));
    }
    let keys = folder.pending_keys().map_err(|error| {
        let is_disk = matches!(error, TrustError::File(_) | TrustError::Secret(_));
        if is_disk { JoinError::Unprepared(error) } else { error.into() }
    })?;
    let public = keys.public().map_err(TrustError::from)?;
    let proof = keys.proof().map_err(TrustError::from)?;
    let question = Question::Join(Join {
        token: hex::encode(&token.id),
        secret: hex::encode(&token.secret),
        node: node.clone(),
        address: *address,
        signing: public.signing,
        agreement: public.agreement,
        proof,
    });
    let pinned = Pinned::new(token.fingerprint);
    let config =
        tls::client(&pinned, None, now_ms).map_err(|error| tls_error(token.address, error))?;
    let answer = converse((token.address, None), config, &pinned, question, now_ms)?;
    let authority = pinned.shown().ok_or(JoinError::Answer)?;
    let Answer::Welcome(welcome) = answer else { return Err(JoinError::Answer) };
    let certificate = hex::decode(&welcome.certificate).ok_or(JoinError::Answer)?;
    let roster = welcome.roster.open(&authority).map_err(TrustError::from)?;
    let own = roster.find(node).ok_or(JoinError::Answer)?;
    if own.fingerprint != fingerprint(&certificate) {
        return Err(JoinError::Answer);
    }
    let state = State::joined(*welcome, roster, node, &authority);
    folder.take_in(&state).map_err(|error| {
        let is_disk = matches!(error, TrustError::File(_));
        if is_disk { JoinError::Unkept(error) } else { error.into() }
    })?;
    if folder.lacks_keys(&state) {
        // Without them it is in all the same: `outlast run` asks for them again, here and elsewhere.
        let _ = ask_keys(folder, (token.address, None), now_ms);
    }
    Ok(state)
}

/// Asks the controller at `address` who is in, and keeps the answer. Both sides show certificates.
///
/// # Errors
/// When the controller cannot be asked or refuses.
pub fn ask_roster(folder: &Folder, address: SocketAddr, now_ms: u64) -> Result<State, JoinError> {
    pull(folder, (address, None), now_ms)
}

/// As [`ask_roster`], but any node may answer: the one of that name.
///
/// # Errors
/// When that node cannot be asked, is another one, or refuses.
pub fn pull(
    folder: &Folder,
    (address, node): (SocketAddr, Option<&str>),
    now_ms: u64,
) -> Result<State, JoinError> {
    let state = folder.load()?;
    let question = Question::Roster { newer_than: state.roster.generation };
    match asked(folder, &state, (address, node), question, now_ms)? {
        Answer::Roster(roster) => Ok(folder.learn(roster)?),
        Answer::Current => Ok(state),
        Answer::Welcome(_)
        | Answer::Renewed(_)
        | Answer::ClusterKeys(_)
        | Answer::Configuration(_)
        | Answer::Refused(_) => Err(JoinError::Answer),
    }
}

/// Asks the controller at `address`, the one of that name where one is given, for the keys of the cluster; keeps those
/// that the roster names. Whether one is new here.
///
/// # Errors
/// When it cannot be asked or refuses, or they cannot be kept.
pub fn ask_keys(
    folder: &Folder,
    (address, node): (SocketAddr, Option<&str>),
    now_ms: u64,
) -> Result<bool, JoinError> {
    let state = folder.load()?;
    match asked(folder, &state, (address, node), Question::ClusterKeys, now_ms)? {
        Answer::ClusterKeys(handed) => Ok(folder.keep_keys(&handed)?),
        Answer::Welcome(_)
        | Answer::Renewed(_)
        | Answer::Roster(_)
        | Answer::Configuration(_)
        | Answer::Current
        | Answer::Refused(_) => Err(JoinError::Answer),
    }
}

/// Asks the controller at `address` for this node's files in the newest generation. Nothing is written.
///
/// # Errors
/// When it cannot be asked or refuses: it holds no store, or no generation has files for this node.
pub fn ask_files(
    folder: &Folder,
    address: SocketAddr,
    now_ms: u64,
) -> Result<Configuration, JoinError> {
    let state = folder.load()?;
    match asked(folder, &state, (address, None), Question::Configuration, now_ms)? {
        Answer::Configuration(configuration) => Ok(configuration),
        Answer::Welcome(_)
        | Answer::Renewed(_)
        | Answer::Roster(_)
        | Answer::ClusterKeys(_)
        | Answer::Current
        | Answer::Refused(_) => Err(JoinError::Answer),
    }
}

/// Has the keys of [`Folder::begin_renewal`] certified by the authority at `address`.
///
/// # Errors
/// When it cannot be asked or refuses; the keys before stay in use.
pub fn renew(folder: &Folder, address: SocketAddr, now_ms: u64) -> Result<State, JoinError> {
    let state = folder.load()?;
    let next = folder.next()?;
    let public = next.public().map_err(TrustError::from)?;
    let proof = next.proof().map_err(TrustError::from)?;
    let PublicKeys { signing, agreement } = public;
    let question = Question::Renew(wire::Renew { signing, agreement, proof });
    match asked(folder, &state, (address, None), question, now_ms)? {
        Answer::Renewed(renewed) => {
            Ok(folder.finish_renewal(&renewed.certificate, &renewed.roster)?)
        }
        Answer::Welcome(_)
        | Answer::Roster(_)
        | Answer::ClusterKeys(_)
        | Answer::Configuration(_)
        | Answer::Current
        | Answer::Refused(_) => Err(JoinError::Answer),
    }
}

fn asked(
    folder: &Folder,
    state: &State,
    to: (SocketAddr, Option<&str>),
    question: Question,
    now_ms: u64,
) -> Result<Answer, JoinError> {
    let pinned = Pinned::new(state.fingerprint());
    let config = folder.identity(state, |own| tls::client(&pinned, Some(own), now_ms))?;
    let config = config.map_err(|error| tls_error(to.0, error))?;
    converse(to, config, &pinned, question, now_ms)
}

fn tls_error(address: SocketAddr, error: rustls::Error) -> JoinError {
    JoinError::Tls { address, source: io::Error::other(error) }
}

fn converse(
    (address, node): (SocketAddr, Option<&str>),
    config: rustls::ClientConfig,
    pinned: &Pinned,
    question: Question,
    now_ms: u64,
) -> Result<Answer, JoinError> {
    let patience = match (&question, node) {
        (Question::Join(_) | Question::Configuration, _)
        | (Question::Roster { .. } | Question::ClusterKeys, None) => PATIENCE,
        (Question::Roster { .. } | Question::ClusterKeys, Some(_)) | (Question::Renew(_), _) => {
            CONNECT
        }
    };
    let connect = TcpStream::connect_timeout(&address, patience);
    let stream = connect.map_err(|source| JoinError::Connect { address, source })?;
    let mut connection = ClientConnection::new(Arc::new(config), tls::named(node))
        .map_err(|error| tls_error(address, error))?;
    let mut stream = Hurried::new(stream);
    // Nothing is sent before it is known who is there.
    while connection.is_handshaking() {
        if let Err(source) = connection.complete_io(&mut stream) {
            return Err(handshake_error(address, pinned, source));
        }
    }
    let mut desk = StreamOwned::new(connection, stream);
    wire::send(&mut desk, &Ask { version: wire::VERSION, now_ms, question })?;
    match Reply::decode(&wire::receive(&mut desk, MAX_ANSWER)?)?.answer {
        Answer::Refused(why) => Err(JoinError::Refused(why)),
        answer @ (Answer::Welcome(_)
        | Answer::Roster(_)
        | Answer::ClusterKeys(_)
        | Answer::Configuration(_)
        | Answer::Current
        | Answer::Renewed(_)) => Ok(answer),
    }
}

fn handshake_error(address: SocketAddr, pinned: &Pinned, source: io::Error) -> JoinError {
    let cause = source.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    if cause.is_some_and(tls::is_clock) {
        return JoinError::Clock { address };
    }
    match pinned.shown().map(|authority| fingerprint(&authority)) {
        Some(found) if found != pinned.fingerprint() => {
            JoinError::OtherCluster { address, expected: pinned.fingerprint(), found }
        }
        Some(_) | None => JoinError::Tls { address, source },
    }
}
