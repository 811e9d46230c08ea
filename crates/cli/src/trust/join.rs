//! `outlast join`: this node becomes one of a cluster.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use trust::{Joining, Token};

use super::fetch::fetch;
use super::{CommandError, Place, audited};

/// A token has about 180 characters.
const MAX_INPUT: u64 = 1024;

/// Join the cluster of a token
///
/// The token names the cluster by its fingerprint: who answers at its address must have it. Prints the
/// fingerprint of this node, which `outlast trust serve` shows on the other side, too.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As `outlast token create` printed it; `-` reads a line of standard input, so that no other user of
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
    /// Also write this node's files in the cluster's newest generation into this folder, outlast.toml and what it names;
    /// files that are there with another content are kept, and told
    #[arg(long, value_name = "FOLDER")]
    files: Option<PathBuf>,
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
        let mut line = String::new();
        let read = BufReader::new(io::stdin().take(MAX_INPUT)).read_line(&mut line);
        read.map_err(CommandError::Input)?;
        Token::read(&line)?
    } else {
        let token = Token::read(&args.token)?;
        again_without_token(&args.token).map_err(CommandError::Hide)?;
        token
    };
    let expected = args.fingerprint.as_deref().map(str::parse).transpose();
    let desk = token.address;
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
    let Some(into) = &args.files else { return Ok(()) };
    let again = format!("outlast trust fetch {} --from {desk}", into.display());
    fetch(&folder, desk, into, out)
        .map_err(|source| CommandError::Unfetched { again, source: Box::new(source) })
}

/// Becomes `outlast join -` with the token on its standard input: other users of this machine read the arguments of
/// a process for as long as it runs, and a join may wait. Returns only what went wrong, or where the token is in no
/// argument of this process.
fn again_without_token(token: &str) -> io::Result<()> {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    let Some(at) = words.iter().position(|word| word == token) else {
        return Ok(());
    };
    words[at] = "-".into();
    let (reader, mut writer) = io::pipe()?;
    // Less than a page: a pipe takes it whole, nobody has to read yet.
    writer.write_all(token.as_bytes())?;
    drop(writer);
    let mut command = Command::new("/proc/self/exe");
    command.arg0(&words[0]).args(&words[1..]).stdin(Stdio::from(reader));
    Err(command.exec())
}
