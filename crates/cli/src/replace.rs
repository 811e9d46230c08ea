//! `outlast node replace`: a new machine for one that is gone for good.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use api::{Standing, Status, Verdict};
use config::cluster::LONGEST_DETECT;
use store::{Store, Wish};

use crate::reach::{self, Instance};
use crate::store::{Here, StoreError, local, members};
use crate::trust::{CommandError, Place, audited, own_desk};

/// How long it is known that a node was put out for its successor, so that typing it again does not put that
/// one out (milliseconds).
const REMEMBERED: u32 = 24 * 3_600_000;
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Put a dead controller out and let a new machine take its place
///
/// On the node that has the authority's key. The certificate of the old machine is refused from now on, the
/// store is told who votes instead, and the one command for the new machine is printed. Refused while the node
/// is heard. Silence proves no death: where nobody has proven it, you do. It may be typed again at any time,
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
    place: Place,
}

/// Why it was not done, or not to the end.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    #[error(transparent)]
    Reach(#[from] reach::ReachError),
    #[error(transparent)]
    Trust(#[from] CommandError),
    #[error(transparent)]
    Store(#[from] StoreError),
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
            Self::Reach(_) => 3,
            Self::Trust(error) => error.exit_code(),
            Self::Store(error) => error.exit_code(),
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
    let status = after_listening(&args.instance.socket()?, &args.old)?;
    let new = args.with.as_ref().unwrap_or(&args.old);
    speaks_against(&status, args, new)?;
    let folder = args.place.folder();
    let state = folder.load().map_err(CommandError::from)?;
    if !state.is_authority {
        let text = format!("{} does not have the authority's key", state.node);
        return Err(ReplaceError::Refused(text));
    }
    let address = args.address.map_or_else(|| own_desk(&state, "--address"), Ok)?;
    let here = Here { run_dir: args.instance.run_dir.clone() };
    // A cluster without a store has nothing to tell it.
    let local = status.store.is_some().then(|| local(&here)).transpose()?;
    let certificate = state.roster.find(&args.old).filter(|member| !member.revoked);
    let certificate = certificate.map(|member| member.fingerprint.to_string());
    let put_out = match &local {
        None => certificate.clone(),
        Some(local) => to_put_out(local, &args.old, certificate.as_deref())?,
    };
    let mut say = |line: String| writeln!(out, "{line}").map_err(CommandError::Output);
    match put_out {
        Some(fingerprint) => {
            let outcome = folder.revoke(&args.old);
            audited(&folder, ("node replace", &format!("{} with {new}", args.old)), outcome)
                .map_err(CommandError::from)?;
            say(format!("{}: its certificate {fingerprint} is refused from now on", args.old))?;
        }
        None => say(format!("{}: the old machine is out already", args.old))?,
    }
    if let Some(local) = &local {
        let voted = status
            .store
            .as_ref()
            .is_some_and(|store| store.voters().any(|voter| voter == args.old) && new != &args.old);
        if voted {
            let instead_of = Some(args.old.clone());
            members::want(local, std::slice::from_ref(new), &Wish::Join { instead_of })?;
            say(format!("store: {new} votes instead of {} once it is filled up", args.old))?;
        } else if new == &args.old {
            say(format!("store: {new} votes as before, and counts once it is filled up"))?;
        }
    }
    if certificate_of_new(&folder, new)? {
        return Ok(say(format!("{new} has joined: start outlast there"))?);
    }
    let before = state.roster.members.iter().rev().find(|member| member.name == args.old);
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
    say(format!("  outlast join {} --node {new}", token.print()))?;
    say("then give it the cluster's outlast.toml and the files that it names, and start outlast"
        .to_owned())?;
    Ok(())
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

/// The certificate to refuse: not that of a machine that has joined in its place since. Which one it was is
/// written down before it is refused.
fn to_put_out(
    local: &::store::Local,
    old: &str,
    present: Option<&str>,
) -> Result<Option<String>, ReplaceError> {
    let key = format!("replaced/{old}");
    let asked = local.wait(local.client().get(&key)).map_err(StoreError::from)?;
    let before = asked.map(|item| String::from_utf8_lossy(&item.value).into_owned());
    let Some(present) = present else { return Ok(None) };
    if before.is_some_and(|before| before != present) {
        return Ok(None);
    }
    let kept = local.wait(local.client().put(&key, present.as_bytes(), Some(REMEMBERED)));
    kept.map_err(StoreError::from)?;
    Ok(Some(present.to_owned()))
}

fn certificate_of_new(folder: &trust::Folder, new: &str) -> Result<bool, ReplaceError> {
    let state = folder.load().map_err(CommandError::from)?;
    Ok(state.roster.find(new).is_some_and(|member| !member.revoked))
}
