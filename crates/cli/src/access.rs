//! `outlast access` and `outlast audit`: tokens of programs, and who ordered what.

use std::io::{self, Write};

use api::access::{AccessAnswer, AccessAsk, Audited, Grant, Role, Scope};
use api::{Answer, Ask};

use crate::reach::{self, Instance, ReachError};

/// Make, list and revoke tokens of programs
///
/// A program asks with its token instead of as its user: on the control socket by `--token-file`, of the
/// dashboard by `Authorization: Bearer`. For admins only.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Add(Add),
    List(List),
    Revoke(Revoke),
}

/// Make a token and print it; it is shown only here
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true)))]
pub struct Add {
    /// For what it is: a name of letters, digits, dots and hyphens
    name: String,
    /// What it may, as docs/reference/access.md lists; several are possible
    #[arg(long, value_enum, group = "what")]
    scope: Vec<ScopeWord>,
    /// All that a person of this role may
    #[arg(long, value_enum, group = "what")]
    role: Option<RoleWord>,
    /// Good for so many days [default: until it is revoked]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: Option<u32>,
    #[command(flatten)]
    instance: Instance,
}

/// Show the tokens, without their secrets
#[derive(Debug, clap::Args)]
pub struct List {
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    instance: Instance,
}

/// Make a token worthless; the dashboard knows within five seconds
#[derive(Debug, clap::Args)]
pub struct Revoke {
    /// As `access list` shows it
    name: String,
    #[command(flatten)]
    instance: Instance,
}

/// Show what was ordered of this node, by whom, and what came of it
///
/// Commands that were done and those that were refused, the oldest first; also what was asked without the
/// right to. For admins only. What was ordered about trust is in `outlast trust audit`.
#[derive(Debug, clap::Args)]
pub struct AuditArgs {
    /// The newest so many
    #[arg(long, default_value_t = 100)]
    last: u32,
    /// As JSON, a line each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    instance: Instance,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ScopeWord {
    /// Status, events, why, pages of the dashboard
    Read,
    /// /metrics
    Metrics,
    /// node standby and resume
    Standby,
    /// move
    Move,
    /// maintenance start and end
    Maintenance,
    /// config apply, rollback and show: as good as an admin, since [access] is in it
    Config,
    /// store members add and remove, node replace
    Members,
    /// The audit log
    Audit,
    /// Tokens, also new ones with more scopes: as good as an admin
    Access,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum RoleWord {
    Viewer,
    Operator,
    Admin,
}

impl ScopeWord {
    const fn scope(self) -> Scope {
        match self {
            Self::Read => Scope::Read,
            Self::Metrics => Scope::Metrics,
            Self::Standby => Scope::Standby,
            Self::Move => Scope::Move,
            Self::Maintenance => Scope::Maintenance,
            Self::Config => Scope::Config,
            Self::Members => Scope::Members,
            Self::Audit => Scope::Audit,
            Self::Access => Scope::Access,
        }
    }
}

impl RoleWord {
    const fn role(self) -> Role {
        match self {
            Self::Viewer => Role::Viewer,
            Self::Operator => Role::Operator,
            Self::Admin => Role::Admin,
        }
    }
}

/// Runs the subcommand.
///
/// # Errors
/// When no instance answers, or it refuses.
pub fn run(command: &Command, out: &mut impl Write) -> Result<(), ReachError> {
    sys::rights::keep_out_of_core_dumps();
    match command {
        Command::Add(args) => {
            let mut scopes: Vec<Scope> = args.scope.iter().map(|word| word.scope()).collect();
            scopes.extend(args.role.map(|word| word.role().scopes()).unwrap_or_default());
            scopes.sort_unstable();
            scopes.dedup();
            let ask = AccessAsk::Add { name: args.name.clone(), scopes, days: args.days };
            for answer in asked(&args.instance, ask)? {
                let AccessAnswer::Token(token) = answer else { return Err(ReachError::Other) };
                writeln!(out, "{}", token.0).map_err(ReachError::Output)?;
            }
            Ok(())
        }
        Command::List(args) => {
            for answer in asked(&args.instance, AccessAsk::List)? {
                let AccessAnswer::Grant(grant) = answer else { return Err(ReachError::Other) };
                if args.json { json(&grant, out) } else { listed(&grant, out) }
                    .map_err(ReachError::Output)?;
            }
            Ok(())
        }
        Command::Revoke(args) => {
            asked(&args.instance, AccessAsk::Revoke { name: args.name.clone() })?;
            writeln!(out, "the token {} is worthless now", args.name).map_err(ReachError::Output)
        }
    }
}

/// Runs `outlast audit`.
///
/// # Errors
/// When no instance answers, or it refuses.
pub fn audit(args: &AuditArgs, out: &mut impl Write) -> Result<(), ReachError> {
    for answer in asked(&args.instance, AccessAsk::Audit { last: args.last })? {
        let AccessAnswer::Audited(line) = answer else { return Err(ReachError::Other) };
        if args.json { json(&line, out) } else { told(&line, out) }.map_err(ReachError::Output)?;
    }
    Ok(())
}

fn asked(instance: &Instance, ask: AccessAsk) -> Result<Vec<AccessAnswer>, ReachError> {
    let mut answers = vec![];
    reach::ask(&instance.socket()?, &Ask::Access(ask), |answer| match answer {
        Answer::Access(answer) => {
            answers.push(answer);
            Ok(())
        }
        Answer::Status(_)
        | Answer::Event(_)
        | Answer::Why(_)
        | Answer::Under(_)
        | Answer::Intents(_)
        | Answer::Tried(_)
        | Answer::Book(_)
        | Answer::Refused(_) => Err(ReachError::Other),
    })?;
    Ok(answers)
}

fn json(value: &impl serde::Serialize, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out)
}

fn listed(grant: &Grant, out: &mut impl Write) -> io::Result<()> {
    let scopes: Vec<&str> = grant.scopes.iter().map(|scope| scope.word()).collect();
    let until = grant.until_ms.map(|until| format!("  until {}", crate::events::clock(until)));
    writeln!(out, "{}  {}{}", grant.name, scopes.join(" "), until.unwrap_or_default())
}

fn told(line: &Audited, out: &mut impl Write) -> io::Result<()> {
    let Audited { at_ms, by, command, object, outcome } = line;
    let object = if object.is_empty() { String::new() } else { format!(" {object}") };
    writeln!(out, "{}  {by}  {command}{object}: {outcome}", crate::events::clock(*at_ms))
}
