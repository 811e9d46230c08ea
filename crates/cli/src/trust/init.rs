//! `outlast init`: a cluster with its authority and its first node.

use std::io::Write;
use std::net::IpAddr;

use trust::Founding;

use super::{CommandError, Place, audited};

/// Found a cluster: its authority, and this node as its first controller
///
/// Prints the fingerprint by which every other node, and you, know this cluster.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the cluster; another cluster may have the same one, the fingerprint differs
    cluster: String,
    /// Name of this node [default: its host name]
    #[arg(long)]
    node: Option<String>,
    /// Address under which other nodes reach this one
    #[arg(long, value_name = "ADDRESS")]
    address: Option<IpAddr>,
    #[command(flatten)]
    place: Place,
}

/// Runs the subcommand.
///
/// # Errors
/// When the folder belongs to a cluster already, or cannot be written.
pub fn run(args: &Args, out: &mut impl Write) -> Result<(), CommandError> {
    let folder = args.place.folder();
    let founding = Founding {
        cluster: args.cluster.clone(),
        node: args.node.clone().unwrap_or_else(sys::rights::host_name),
        address: args.address,
    };
    let state = folder.init(&founding, sys::clock::wall_ms())?;
    audited(&folder, ("init", &state.cluster), Ok(()))?;
    writeln!(
        out,
        "founded the cluster {} with this node as controller {}",
        state.cluster, state.node
    )?;
    writeln!(out, "  fingerprint of the cluster  {}", state.fingerprint())?;
    writeln!(out, "  fingerprint of this node    {}", state.own_fingerprint())?;
    writeln!(
        out,
        "  kept in {}; its secrets are sealed: back it up with its key",
        folder.path().display()
    )?;
    writeln!(
        out,
        "next: `outlast run` here (or `outlast trust serve`, where there is no outlast.toml yet), which answers joins; \
         `outlast token create` (`--role controller` for another controller), and `outlast join -` there"
    )?;
    Ok(())
}
