//! `outlast node replace`: a new machine for one that is gone for good.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use api::access::ByHand;
use api::books::{BookAnswer, BookAsk};
use api::{Standing, Status, Verdict};
use base::Chain;
use config::cluster::LONGEST_DETECT;

use crate::reach::{self, Instance};
use crate::trust::{CommandError, Filed, Place, audited};

/// How long it is known that a node was put out for its successor, so that typing it again does not put that
/// one out (milliseconds).
const REMEMBERED: u64 = 24 * 3_600_000;
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Put a dead controller out and let a new machine take its place
///
/// On the node that has the authority's key (if that is the one that is gone: `outlast trust take-authority --lost` first, on
/// a controller that keeps a copy of it). The certificate of the old machine is refused from now on, the
/// store is told who votes instead, and the one command for the new machine is printed, with its token. Refused while the node
/// is heard, by nodes or by the store. Silence proves no death: where nobody has proven it, you do. It may be typed again at any time,
/// also after it was broken off: what was done is not done twice.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The node that is gone, as `outlast status` shows it
    old: String,
    /// Name of the new machine, in the cluster file of all nodes [default: that of the old one]
    #[arg(long, value_name = "NEW")]
    with: Option<String>,
    /// You know that the old machine is off, and that it will not come back as it was
    #[arg(long)]
    i_know_it_is_off: bool,
    /// The new machine's token is valid for so long, 1 to 1440
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    minutes: u64,
    /// Where this node answers joins [default: this node's address, port 7413]
    #[arg(long, value_name = "ADDRESS:PORT")]
    address: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) instance: Instance,
    #[command(flatten)]
    filed: Filed,
    #[command(flatten)]
    place: Place,
}

/// Why it was not done, or not to the end.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    #[error(transparent)]
    Reach(#[from] reach::ReachError),
    #[error(transparent)]
    Trust(#[from] CommandError),
    #[error("the cluster file of this node has no node {0}")]
    Unknown(String),
    #[error("{0}")]
    Refused(String),
}

impl ReplaceError {
    /// See [`crate::EXIT_CODES`].
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Reach(reach::ReachError::Refused(_)) => 1,
            Self::Reach(_) => 3,
            Self::Trust(error) => error.exit_code(),
            Self::Unknown(_) => 2,
            Self::Refused(_) => 1,
        }
    }
}

/// Runs the subcommand.
///
/// # Errors
/// When something speaks against it, or a step could not be done; typed again it goes on there.
pub(crate) fn run(args: &Args, out: &mut impl Write) -> Result<(), ReplaceError> {
    let socket = args.instance.socket()?;
    let status = after_listening(&socket, &args.old)?;
    let new = args.with.as_ref().unwrap_or(&args.old);
    let object = format!("{} with {new}", args.old);
    let what = (ByHand::Replace, object.as_str());
    if let Err(refused) = speaks_against(&status, args, new) {
        // Nothing was done; who asked is told no in any case.
        let _ = reach::note(&socket, what, Some(&Chain(&refused).to_string()));
        return Err(refused);
    }
    // May who types this, and does the store hear that node? A node whose agent alone is gone still votes. The
    // agent writes down that it is begun, or why not.
    let ask = BookAsk::Replace { old: args.old.clone(), new: new.clone() };
    let allowed = reach::book(&socket, ask, &[])?;
    let has_store = matches!(allowed, BookAnswer::Done(true));
    let done = replace(args, (&socket, &status), has_store, out);
    let came_to =
        done.as_ref().err().map_or_else(|| "done".to_owned(), |error| Chain(error).to_string());
    if let Err(unwritten) = reach::note(&socket, what, Some(&came_to)) {
        let unwritten = format!("its end is not in the audit log: {}", Chain(&unwritten));
        writeln!(out, "{unwritten}").map_err(CommandError::Output)?;
    }
    done
}

/// What was allowed: the trust folder, then the store, then a token.
fn replace(
    args: &Args,
    (socket, status): (&reach::Socket, &Status),
    has_store: bool,
    out: &mut impl Write,
) -> Result<(), ReplaceError> {
    let new = args.with.as_ref().unwrap_or(&args.old);
    let folder = args.place.folder();
    let state = folder.load().map_err(CommandError::from)?;
    if !state.is_authority {
        let has_copy = folder.has_authority_key();
        return Err(ReplaceError::Refused(elsewhere(&state, &args.old, has_copy)));
    }
    let address = args.address.map_or_else(|| args.filed.own_desk(&state, "--address"), Ok)?;
    let mut say = |line: String| writeln!(out, "{line}").map_err(CommandError::Output);
    put_out(&folder, &state, (&args.old, new), &mut say)?;
    if has_store {
        let store = status.store.as_ref();
        // Who is no member does not know: the store does.
        let votes = store.is_none_or(|store| store.voters().any(|voter| voter == args.old));
        if new != &args.old && votes {
            let instead_of = Some(args.old.clone());
            let ask = BookAsk::Join { nodes: vec![new.clone()], instead_of };
            reach::book(socket, ask, &[])?;
            say(format!("store: {new} votes instead of {} once it is filled up", args.old))?;
        } else if new == &args.old {
            say(format!("store: {new} votes as before, and counts once it is filled up"))?;
        }
    }
    if certificate_of_new(&folder, new)? {
        return Ok(say(format!("{new} has joined: start outlast there"))?);
    }
    let before = state.roster.members.iter().rev().find(|member| member.name == args.old);
    // Who says none now cannot let the next one in when it signs.
    let known = before.filter(|_| new == &args.old).and_then(|member| member.address);
    let reached = match known {
        Some(address) => Some(address),
        None => args.filed.address(&state.cluster, new)?,
    };
    let reached = reached.map_or_else(String::new, |address| format!(" --address {address}"));
    let role = before.map_or(trust::Role::Controller, |member| member.role);
    let token = folder.create_token(
        (role, Some(new)),
        address,
        args.minutes.saturating_mul(60_000),
        sys::clock::wall_ms(),
    );
    let object = token.as_ref().map(|token| trust::hex::encode(&token.id)).unwrap_or_default();
    let token = audited(&folder, ("token create", &object), token).map_err(CommandError::from)?;
    say(format!("on the new machine, within {} minutes:", args.minutes))?;
    // Who holds no store has none to give.
    let has_files = has_store && status.store.is_some() && is_applied(socket)?;
    let files = if has_files { " --files /etc/outlast" } else { "" };
    say(format!("  outlast join - --node {new}{reached}{files}"))?;
    say("and paste this line there, its token, which no argument shows to others:".to_owned())?;
    say(format!("  {}", token.print()))?;
    say(match has_files {
        true => "which brings its files, too; then start outlast there",
        false => {
            "then give it the cluster's outlast.toml and the files that it names, and start outlast"
        }
    }
    .to_owned())?;
    Ok(())
}

/// Whether there is a generation of the configuration, whose files come with the certificate.
fn is_applied(socket: &reach::Socket) -> Result<bool, reach::ReachError> {
    let standing = reach::book(socket, BookAsk::Standing, &[])?;
    Ok(matches!(standing, BookAnswer::Standing(standing) if standing.newest.is_some()))
}

/// Where this has to be typed, as only the node that signs can.
fn elsewhere(state: &trust::State, old: &str, has_copy: bool) -> String {
    let (here, issuer) = (&state.node, state.issuer());
    match (issuer == old, has_copy) {
        (false, _) => format!("{here} does not sign for the cluster: type this on {issuer}"),
        (true, true) => format!(
            "{old} signed for the cluster, and {here} keeps a copy of that key: `outlast trust take-authority --lost` \
             here, then type this again"
        ),
        (true, false) => format!(
            "{old} signed for the cluster, and {here} has no copy of that key: on a controller that has one (`outlast \
             trust status`) `outlast trust take-authority --lost`, then this; if none has, bring the trust folder of \
             {old} back from its backup"
        ),
    }
}

/// What this node knows of the other once it had time to hear it: an agent that has just started has heard
/// nobody yet, and that is no silence.
fn after_listening(socket: &reach::Socket, old: &str) -> Result<Box<Status>, reach::ReachError> {
    let end = sys::clock::now() + LONGEST_DETECT;
    loop {
        let status = reach::status(socket)?;
        let line = status.nodes.iter().find(|line| line.state.node == old);
        let is_unheard = line.is_some_and(|line| line.state.standing == Standing::Unknown);
        if !is_unheard || sys::clock::now() >= end {
            return Ok(status);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// A node that is heard is no dead one, and silence is no proof.
fn speaks_against(status: &Status, args: &Args, new: &str) -> Result<(), ReplaceError> {
    let line = |name: &str| status.nodes.iter().find(|line| line.state.node == name);
    let old = line(&args.old).ok_or_else(|| ReplaceError::Unknown(args.old.clone()))?;
    if line(new).is_none() {
        return Err(ReplaceError::Unknown(new.to_owned()));
    }
    let refused = |text: String| Err(ReplaceError::Refused(text));
    if args.old == status.node {
        return refused(format!("{} is this node", args.old));
    }
    if old.state.standing == Standing::Alive {
        return refused(format!("{} is heard: stop it first", args.old));
    }
    let proven = old.state.opinion.verdict == Verdict::ProvenDead;
    if !proven && !args.i_know_it_is_off {
        return refused(format!(
            "nobody has proven that {} is off: if you know it, add --i-know-it-is-off",
            args.old
        ));
    }
    Ok(())
}

/// The certificate of the old machine is refused, unless that is so; what was done is said and written down.
fn put_out(
    folder: &trust::Folder,
    state: &trust::State,
    (old, new): (&str, &str),
    say: &mut impl FnMut(String) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let deed = ("node replace", &format!("{old} with {new}")[..]);
    let certificate = state.roster.find(old).filter(|member| !member.revoked);
    match (certificate, was_put_out(folder, old)) {
        (Some(member), false) => {
            audited(folder, deed, folder.revoke(old))?;
            say(format!("{old}: its certificate {} is refused from now on", member.fingerprint))
        }
        (Some(_), true) => {
            say(format!(
                "{old}: the old machine is out already, and a new one has joined as {old}"
            ))?;
            say(format!("if that is lost, too: `outlast trust revoke {old}`, then type this again"))
        }
        (None, is_known) => {
            // It may have been broken off before that was written down.
            if !is_known {
                audited(folder, deed, Ok(()))?;
            }
            say(format!("{old}: the old machine is out already"))
        }
    }
}

/// Whether it was put out lately, by the log of the trust folder: a certificate that it has now is that of a machine
/// that has joined in its place since. Without a log nothing is known, and the operator's word counts.
fn was_put_out(folder: &trust::Folder, old: &str) -> bool {
    let since = sys::clock::wall_ms().saturating_sub(REMEMBERED);
    let log = folder.audit_log().unwrap_or_default();
    let begins = format!("{old} with ");
    let is_it = |entry: &trust::audit::Entry| {
        entry.command == "node replace" && entry.object.starts_with(&begins)
    };
    log.iter().any(|entry| entry.at_ms >= since && is_it(entry) && entry.outcome == "done")
}

fn certificate_of_new(folder: &trust::Folder, new: &str) -> Result<bool, ReplaceError> {
    let state = folder.load().map_err(CommandError::from)?;
    Ok(state.roster.find(new).is_some_and(|member| !member.revoked))
}
