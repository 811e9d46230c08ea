//! `outlast token`: what lets one node in, for a short time.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;

use trust::{Fate, Kept, Role};

use super::{CommandError, Filed, Place, audited, write_json};

/// Make, list and revoke join tokens
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a token for one node and print it; it is shown only here
    Create(Create),
    /// Show the tokens and what became of them
    List(List),
    /// Make a token that was not used yet worthless
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
pub struct Create {
    /// What the new node is for
    #[arg(long, value_enum, default_value = "compute")]
    role: RoleWord,
    /// Only for the node of this name
    #[arg(long)]
    node: Option<String>,
    /// Valid for so long, 1 to 1440
    #[arg(long, value_name = "MINUTES", default_value_t = 15)]
    minutes: u64,
    /// Where `outlast trust serve` answers [default: this node's address, port 7413]
    #[arg(long, value_name = "ADDRESS:PORT")]
    address: Option<SocketAddr>,
    #[command(flatten)]
    filed: Filed,
    #[command(flatten)]
    place: Place,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum RoleWord {
    Controller,
    Compute,
}

#[derive(Debug, clap::Args)]
pub struct List {
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
pub struct Revoke {
    /// Number of the token, as `token list` shows it
    token: String,
    #[command(flatten)]
    place: Place,
}

/// Runs the subcommand.
///
/// # Errors
/// When it could not be done; nothing is changed then.
pub fn run(command: &Command, out: &mut impl Write) -> Result<(), CommandError> {
    match command {
        Command::Create(args) => create(args, out),
        Command::List(List { json, place }) => {
            let tokens = place.folder().load()?.tokens;
            if *json {
                let shown: Vec<_> = tokens.iter().map(shown).collect();
                return write_json(&shown, out);
            }
            for token in &tokens {
                let Shown { token, role, node, fate, .. } = shown(token);
                writeln!(out, "{token}  {role}  {}  {fate}", node.unwrap_or("any node"))?;
            }
            Ok(())
        }
        Command::Revoke(Revoke { token, place }) => {
            let folder = place.folder();
            let outcome = folder.revoke_token(token);
            audited(&folder, ("token revoke", token), outcome)?;
            Ok(writeln!(out, "the token {token} lets nobody in")?)
        }
    }
}

fn create(args: &Create, out: &mut impl Write) -> Result<(), CommandError> {
    let folder = args.place.folder();
    let state = folder.load()?;
    if !state.is_authority {
        return Err(trust::TrustError::NotAuthority(state.issuer()).into());
    }
    let address = args.address.map_or_else(|| args.filed.own_desk(&state, "--address"), Ok)?;
    let role = match args.role {
        RoleWord::Controller => Role::Controller,
        RoleWord::Compute => Role::Compute,
    };
    let (ttl, now) = (args.minutes.saturating_mul(60_000), sys::clock::wall_ms());
    let made = folder.create_token((role, args.node.as_deref()), address, ttl, now);
    let object = made.as_ref().map_or_else(
        |_| args.node.clone().unwrap_or_default(),
        |token| trust::hex::encode(&token.id),
    );
    let token = audited(&folder, ("token create", &object), made)?;
    // Programs read the token alone.
    if io::stdout().is_terminal() {
        let whose = args.node.as_deref().unwrap_or("one node");
        let (role, minutes) = (role.word(), args.minutes);
        writeln!(io::stderr(), "for {whose}, as {role}, within {minutes} minutes:")?;
    }
    writeln!(out, "{}", token.print())?;
    Ok(())
}

/// A token as it is listed: nothing of its secret.
#[derive(serde::Serialize)]
struct Shown<'a> {
    token: &'a str,
    role: &'static str,
    node: Option<&'a str>,
    expires_ms: u64,
    fate: String,
}

fn shown(token: &Kept) -> Shown<'_> {
    let now = sys::clock::wall_ms();
    let fate = match &token.fate {
        Fate::Used(by) => format!("used by {by}"),
        Fate::Revoked => "revoked".to_owned(),
        Fate::Open if token.expires_ms < now => "expired".to_owned(),
        Fate::Open => format!("open for {} s", (token.expires_ms - now) / 1000),
    };
    Shown {
        token: &token.id,
        role: token.role.word(),
        node: token.node.as_deref(),
        expires_ms: token.expires_ms,
        fate,
    }
}
