//! `outlast join`: this node becomes one of a cluster.

use std::io::{self, Read, Write};
use std::net::IpAddr;

use trust::{Joining, Token};

use super::{CommandError, Place, audited};

/// A token has about 180 characters.
const MAX_INPUT: u64 = 1024;

/// Join the cluster of a token
///
/// The token names the cluster by its fingerprint: who answers at its address must have it. Prints the
/// fingerprint of this node, which `outlast trust serve` shows on the other side, too.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As `outlast token create` printed it; `-` reads it from standard input, so that no other user of
    /// this machine sees it
    token: String,
    /// Name of this node [default: its host name]
    #[arg(long)]
    node: Option<String>,
    /// Address under which other nodes reach this one
    #[arg(long, value_name = "ADDRESS")]
    address: Option<IpAddr>,
    /// The cluster's fingerprint as you read it elsewhere; another one is refused
    #[arg(long)]
    fingerprint: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Runs the subcommand.
///
/// # Errors
/// When this node did not join; it and the cluster are as before then.
pub fn run(args: &Args, out: &mut impl Write) -> Result<(), CommandError> {
    let folder = args.place.folder();
    let token = if args.token == "-" {
        let mut text = String::new();
        let read = io::stdin().take(MAX_INPUT).read_to_string(&mut text);
        read.map_err(CommandError::Input)?;
        Token::read(&text)?
    } else {
        Token::read(&args.token)?
    };
    let expected = args.fingerprint.as_deref().map(str::parse).transpose();
    let joining = Joining {
        token,
        node: args.node.clone().unwrap_or_else(sys::rights::host_name),
        address: args.address,
        expected: expected.map_err(CommandError::Fingerprint)?,
    };
    let state = trust::join(&folder, &joining, sys::clock::wall_ms())?;
    audited(&folder, ("join", &state.node), Ok(()))?;
    writeln!(out, "this node is {} ({}) of {}", state.node, state.role.word(), state.cluster)?;
    writeln!(out, "  fingerprint of the cluster  {}", state.fingerprint())?;
    writeln!(out, "  fingerprint of this node    {}", state.own_fingerprint())?;
    Ok(())
}
