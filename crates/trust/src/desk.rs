//! Answers nodes that want to join, and nodes that want to know who is in.

use std::io::{self, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use base::{Doors, Guest};
use rcgen::KeyPair;
use rustls::{ServerConnection, StreamOwned};

use crate::audit::Entry;
use crate::authority::{self, fingerprint};
use crate::configuration::{Configurations, NoStore};
use crate::folder::{Folder, State, TrustError};
use crate::hurried::Hurried;
use crate::keys::{Certified, KeyError, PublicKeys};
use crate::roster::{Fingerprint, Member, RosterError, Wanted};
use crate::signed::Signed;
use crate::token::{self, Fate};
use crate::wire::{self, Answer, Ask, Join, MAX_ASK, Question, Reply, WireError};
use crate::{hex, tls};
use said::{Answers, audited, turned_away};

mod said;

/// What the audit log says of a question that was answered with what was asked for.
const DONE: &str = "done";

/// Nodes whose clocks differ by more do not agree on what has expired (milliseconds).
pub const MAX_SKEW_MS: u64 = 60_000;
/// Conversations at once, a quarter of them from one address: each takes one small signature.
const MAX_GUESTS: usize = 16;
/// How often it is written down that guests were turned away.
const TURNED_AWAY_EVERY: Duration = Duration::from_secs(10);

/// Why a question is not answered with what was asked for; the other side's operator reads it.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error(
        "the clocks of the two nodes differ by {0} s, at most {max} s are allowed: set the clock (chrony) and \
         use the same token again",
        max = MAX_SKEW_MS / 1000
    )]
    Clock(u64),
    #[error("this cluster knows no such token: it may be of another cluster, or long expired")]
    NoToken,
    #[error("the token was used by `{0}`: each node needs its own")]
    TokenUsed(String),
    #[error("the token expired {0} s ago: create another one")]
    TokenExpired(u64),
    #[error("the token was revoked")]
    TokenRevoked,
    #[error("the token is for the node `{0}`")]
    TokenFor(String),
    #[error(transparent)]
    Roster(#[from] RosterError),
    #[error("only nodes of the cluster may ask that")]
    Stranger,
    #[error("this node was revoked")]
    Revoked,
    #[error(
        "only controllers are given the keys of the cluster, and only for their present certificate: `outlast trust \
         refresh` has this node learn who is in; one whose certificate is a former one joins again with a token"
    )]
    NoController,
    #[error(
        "this node has no key of the cluster itself: another controller is asked next; if none has it, `outlast trust \
         rotate-key` on the authority's node makes another one (`outlast trust take-authority --lost` where that node is \
         gone)"
    )]
    NoKeys,
    #[error("this is a former certificate of the node: only its present one is given passwords")]
    Former,
    /// Why this node has no configuration for the guest.
    #[error("{0}")]
    NoFiles(String),
    #[error("this node does not have the authority's key: ask `{0}`")]
    Elsewhere(String),
    #[error(
        "the roster is not signed yet: start `outlast run` or `outlast trust serve` on the authority's node"
    )]
    Unsigned,
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Ours, not the guest's: its text stays here.
    #[error("the controller cannot answer; its operator sees why")]
    Trust(#[from] TrustError),
}

/// Why a conversation had no answer.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("no TLS can be spoken")]
    Tls(#[from] rustls::Error),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("the connection cannot be used")]
    Connection(#[source] io::Error),
    /// Nothing was changed for it.
    #[error("sent away before its question was read: too many waited")]
    TurnedAway,
}

/// Decides on a question. Changes `state` only where the answer is yes.
pub(crate) fn decide(
    state: &mut State,
    key: &KeyPair,
    ask: &Ask,
    guest: Option<Fingerprint>,
    now_ms: u64,
) -> Result<Answer, Refusal> {
    match &ask.question {
        Question::Roster { newer_than } => roster(state, guest, *newer_than, now_ms),
        Question::Renew(wanted) => {
            let member = known(state, guest, now_ms)?;
            let (name, role) = (member.name.clone(), member.role);
            let public =
                PublicKeys { signing: wanted.signing.clone(), agreement: wanted.agreement.clone() };
            let certified = Certified::read(&public)?;
            let signer = (state.cluster.as_str(), key);
            let certificate = authority::certify(signer, (&name, role), &certified, now_ms)?;
            let wanted = Wanted {
                fingerprint: fingerprint(&certificate),
                is_proven: public.is_proven(&wanted.proof),
                public: &public,
            };
            state.roster.renew(&name, &wanted, now_ms)?;
            let roster = signed(state, key)?;
            let certificate = hex::encode(&certificate);
            Ok(Answer::Renewed(Box::new(wire::Renewed { certificate, roster })))
        }
        // They are in files of their own.
        Question::ClusterKeys | Question::Configuration => Err(Refusal::NoKeys),
        Question::Join(join) => {
            let skew = now_ms.abs_diff(ask.now_ms);
            if skew > MAX_SKEW_MS {
                return Err(Refusal::Clock(skew / 1000));
            }
            admit(state, key, join, now_ms)
        }
    }
}

/// A guest that is in.
fn known(state: &State, guest: Option<Fingerprint>, now_ms: u64) -> Result<&Member, Refusal> {
    match guest.and_then(|guest| state.roster.of(&guest, now_ms)) {
        None => Err(Refusal::Stranger),
        Some(member) if member.revoked => Err(Refusal::Revoked),
        Some(member) => Ok(member),
    }
}

/// What any node tells another: it cannot change what the authority signed.
fn roster(
    state: &State,
    guest: Option<Fingerprint>,
    newer_than: u64,
    now_ms: u64,
) -> Result<Answer, Refusal> {
    known(state, guest, now_ms)?;
    if state.roster.generation <= newer_than {
        return Ok(Answer::Current);
    }
    state.signed.clone().map(Answer::Roster).ok_or(Refusal::Unsigned)
}

fn signed(state: &mut State, key: &KeyPair) -> Result<Signed, Refusal> {
    state.sign(key)?;
    state.signed.clone().ok_or(Refusal::Unsigned)
}

fn admit(state: &mut State, key: &KeyPair, join: &Join, now_ms: u64) -> Result<Answer, Refusal> {
    let public = PublicKeys { signing: join.signing.clone(), agreement: join.agreement.clone() };
    let certified = Certified::read(&public)?;
    let hash = token::hash(&hex::decode(&join.secret).unwrap_or_default());
    let known = state.tokens.iter().position(|token| token.id == join.token && token.hash == hash);
    let at = known.ok_or(Refusal::NoToken)?;
    let token = &state.tokens[at];
    let role = token.role;
    let again = match &token.fate {
        Fate::Revoked => return Err(Refusal::TokenRevoked),
        // Its first answer was lost on the way: who has the same keys is the same node.
        Fate::Used(by) => {
            let is_same = state.roster.find(by).is_some_and(|member| member.has(&public));
            if *by != join.node || !is_same || !public.is_proven(&join.proof) {
                return Err(Refusal::TokenUsed(by.clone()));
            }
            true
        }
        Fate::Open => false,
    };
    if now_ms > token.expires_ms {
        return Err(Refusal::TokenExpired((now_ms - token.expires_ms).div_ceil(1000)));
    }
    if let Some(node) = token.node.as_ref().filter(|node| **node != join.node) {
        return Err(Refusal::TokenFor(node.clone()));
    }
    if !again {
        state.roster.admits(&join.node, join.address)?;
    }
    let signer = (state.cluster.as_str(), key);
    let certificate = authority::certify(signer, (&join.node, role), &certified, now_ms)?;
    let member = Member {
        name: join.node.clone(),
        role,
        address: join.address,
        fingerprint: fingerprint(&certificate),
        agreement: join.agreement.clone(),
        signing: Some(public.print()),
        joined_ms: now_ms,
        revoked: false,
        epoch: 0,
        renewed_ms: 0,
        former: None,
    };
    if again {
        state.roster.members.retain(|known| known.revoked || known.name != member.name);
    }
    state.roster.add(member)?;
    state.tokens[at].fate = Fate::Used(join.node.clone());
    let roster = signed(state, key)?;
    Ok(Answer::Welcome(Box::new(wire::Welcome {
        cluster: state.cluster.clone(),
        role,
        certificate: hex::encode(&certificate),
        roster,
    })))
}

/// Has one conversation and says in a line what was done.
///
/// # Errors
/// When there was no question that could be answered.
pub fn answer_one(
    folder: &Folder,
    stream: TcpStream,
    from: IpAddr,
    now_ms: u64,
) -> Result<String, DeskError> {
    let desk = Desk { folder, files: &NoStore, answers: &Answers::default(), guest: None };
    converse(&desk, stream, from, now_ms)
}

/// Who answers, and what was answered of late.
struct Desk<'a> {
    folder: &'a Folder,
    files: &'a dyn Configurations,
    answers: &'a Answers,
    /// At a door where others wait.
    guest: Option<&'a Guest>,
}

fn converse(
    desk: &Desk<'_>,
    stream: TcpStream,
    from: IpAddr,
    now_ms: u64,
) -> Result<String, DeskError> {
    let folder = desk.folder;
    let state = folder.load()?;
    let config = folder.identity(&state, |identity| tls::server(identity, now_ms))??;
    let connection = ServerConnection::new(Arc::new(config))?;
    let mut guest = StreamOwned::new(connection, Hurried::new(stream));
    let bytes = wire::receive(&mut guest, MAX_ASK)?;
    // A token may be spent from here on: who asked has to hear the answer.
    if !desk.guest.is_none_or(Guest::stay) {
        return Err(DeskError::TurnedAway);
    }
    let shown = guest.conn.peer_certificates().and_then(|chain| chain.first());
    let shown = shown.map(|certificate| fingerprint(certificate));
    let (answer, done) = match Ask::decode(&bytes) {
        Ok(ask) => decided(desk, &ask, (shown, from), now_ms),
        Err(error) => (Answer::Refused(error.to_string()), error.to_string()),
    };
    wire::send(&mut guest, &Reply { version: wire::VERSION, answer })?;
    guest.conn.send_close_notify();
    // What was said has left; the other side may be gone already.
    let _ = guest.flush();
    let _ = guest.sock.stream.shutdown(Shutdown::Write);
    Ok(done)
}

fn decided(
    desk: &Desk<'_>,
    ask: &Ask,
    (guest, from): (Option<Fingerprint>, IpAddr),
    now_ms: u64,
) -> (Answer, String) {
    let (folder, files) = (desk.folder, desk.files);
    let state = folder.load().map_err(Refusal::from);
    let outcome = state.and_then(|state| match &ask.question {
        Question::Roster { newer_than } => roster(&state, guest, *newer_than, now_ms),
        Question::ClusterKeys => known(&state, guest, now_ms)
            .and_then(|member| folder.hand_keys(&state, (member, guest), now_ms)),
        Question::Configuration => configuration(&state, files, guest, now_ms),
        Question::Join(_) | Question::Renew(_) if !state.is_authority => {
            Err(Refusal::Elsewhere(state.issuer()))
        }
        Question::Join(_) | Question::Renew(_) => {
            let key = folder.authority_key()?;
            folder.change(|state| decide(state, &key, ask, guest, now_ms))
        }
    });
    let (answer, outcome) = match outcome {
        Ok(answer) => (answer, DONE.to_owned()),
        Err(refusal) => {
            let text = base::Chain(&refusal).to_string();
            (Answer::Refused(refusal.to_string()), text)
        }
    };
    let node = guest.and_then(|guest| {
        folder.load().ok()?.roster.of(&guest, now_ms).map(|member| member.name.clone())
    });
    let (command, object) = match &ask.question {
        Question::Roster { .. } => return (answer, format!("roster asked by {from}: {outcome}")),
        Question::ClusterKeys | Question::Configuration
            if matches!(answer, Answer::Refused(_)) && node.is_none() =>
        {
            return (answer, format!("secrets of the cluster asked by {from}: {outcome}"));
        }
        Question::ClusterKeys => ("trust give-keys", node.unwrap_or_default()),
        Question::Configuration => ("config give", node.unwrap_or_default()),
        Question::Join(join) => ("join", join.node.clone()),
        Question::Renew(_) => ("trust renew", node.unwrap_or_default()),
    };
    let object = if crate::roster::is_name(&object) { object.as_str() } else { "?" };
    let entry = Entry {
        at_ms: now_ms,
        by: from.to_string(),
        command: command.to_owned(),
        object: object.to_owned(),
        outcome: outcome.clone(),
    };
    let is_secret = matches!(ask.question, Question::ClusterKeys | Question::Configuration);
    let is_counted = is_secret && !desk.answers.is_news(&entry, sys::clock::now());
    let audited = if is_counted { String::new() } else { audited(folder, &entry) };
    let shown = match &answer {
        Answer::Welcome(welcome) => {
            let certificate = hex::decode(&welcome.certificate).unwrap_or_default();
            format!(", fingerprint {}", fingerprint(&certificate))
        }
        Answer::Renewed(_)
        | Answer::Roster(_)
        | Answer::ClusterKeys(_)
        | Answer::Configuration(_)
        | Answer::Current
        | Answer::Refused(_) => String::new(),
    };
    (answer, format!("{command} of {object} from {from}: {outcome}{shown}{audited}"))
}

/// The guest's files, passwords and all.
fn configuration(
    state: &State,
    files: &dyn Configurations,
    guest: Option<Fingerprint>,
    now_ms: u64,
) -> Result<Answer, Refusal> {
    let member = known(state, guest, now_ms)?;
    // A former key of a node may be on a disk that was thrown away.
    if Some(member.fingerprint) != guest {
        return Err(Refusal::Former);
    }
    files.of(member).map(Answer::Configuration).map_err(Refusal::NoFiles)
}

/// The doors of a desk: so many conversations at once.
#[must_use]
pub fn doors() -> Arc<Doors> {
    Doors::new(MAX_GUESTS)
}

/// Answers until the process ends; `tell` hears each conversation in a line. Where too many are there, or too
/// many of one address, who waited longest there is sent away, and the audit log has how many were; whose question was
/// read is answered.
pub fn serve(
    (folder, files): (&Folder, &(dyn Configurations + Sync)),
    (listener, doors): (&TcpListener, &Arc<Doors>),
    tell: &(dyn Fn(&str) + Sync),
) {
    let answers = Answers::default();
    let mut tell_at = sys::clock::now();
    std::thread::scope(|scope| {
        loop {
            let (stream, from): (TcpStream, SocketAddr) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) => {
                    tell(&format!("cannot accept: {error}"));
                    // Out of descriptors: the guests that have them go within their patience.
                    std::thread::sleep(Duration::from_millis(100));
                    continue;
                }
            };
            let line = stream.try_clone();
            // Without another descriptor it goes when its patience ends.
            let leave = move || drop(line.map(|line| line.shutdown(Shutdown::Both)));
            let guest = doors.enter(from.ip(), leave);
            if tell_at <= sys::clock::now()
                && let base::TurnedAway { connections: gone @ 1.., last } = doors.take_turned_away()
            {
                tell_at = sys::clock::now() + TURNED_AWAY_EVERY;
                tell(&turned_away(folder, last.unwrap_or_else(|| from.ip()), gone));
            }
            for counted in answers.counted(sys::clock::now(), sys::clock::wall_ms()) {
                let said = audited(folder, &counted);
                tell(&format!(
                    "{} of {}: {}{said}",
                    counted.command, counted.object, counted.outcome
                ));
            }
            let Some(guest) = guest else { continue };
            let answers = &answers;
            let work = move || {
                let desk = Desk { folder, files, answers, guest: Some(&guest) };
                let now_ms = sys::clock::wall_ms();
                match converse(&desk, stream, from.ip(), now_ms) {
                    Ok(line) => tell(&line),
                    Err(error) => tell(&format!("{}: {}", from.ip(), base::Chain(&error))),
                }
                drop(guest);
            };
            // Without a thread the guest leaves at once.
            drop(std::thread::Builder::new().spawn_scoped(scope, work));
        }
    });
}

#[cfg(test)]
mod tests;
