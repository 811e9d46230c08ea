//! `outlast trust export-authority`, `import-authority`, `take-authority`: the cluster's key on a second node.

use std::fs;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use trust::{Folder, Passphrase, TrustError};

use super::{CommandError, PORT, Place, audited};

/// An exported key has some 300 bytes.
const MAX_FILE: u64 = 4096;

#[derive(Debug, clap::Args)]
pub struct Moved {
    /// The sealed key
    file: PathBuf,
    /// File whose first line is the passphrase, readable for its owner alone [default: ask on the terminal]
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
pub struct Take {
    /// The node that signs now is gone for good: do not ask it for what it signed last
    #[arg(long)]
    lost: bool,
    /// Where the node that signs now answers [default: its address, port 7413]
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "lost")]
    from: Option<SocketAddr>,
    #[command(flatten)]
    place: Place,
}

fn passphrase(from: Option<&Path>, twice: bool) -> Result<Passphrase, CommandError> {
    if let Some(path) = from {
        return Ok(Passphrase::read(path).map_err(TrustError::from)?);
    }
    let ask = |prompt| sys::terminal::ask_hidden(prompt).map_err(CommandError::Passphrase);
    let text = ask("passphrase of the exported key: ")?;
    if twice && ask("the same once more: ")? != text {
        return Err(CommandError::Differ);
    }
    Ok(Passphrase::new(text).map_err(TrustError::from)?)
}

/// Nothing is asked for, and nothing read, where it could not be done anyway.
fn ready(folder: &Folder, command: &str, is_export: bool) -> Result<(), CommandError> {
    let state = folder.load()?;
    let refused = match (is_export, folder.has_authority_key()) {
        (true, false) => Some(TrustError::NotAuthority(state.issuer())),
        (false, true) => Some(trust::SpareError::Has.into()),
        (true, true) | (false, false) => None,
    };
    refused.map_or(Ok(()), |refused| Ok(audited(folder, (command, "-"), Err(refused))?))
}

pub(super) fn export(args: &Moved, out: &mut impl Write) -> Result<(), CommandError> {
    let (folder, command) = (args.place.folder(), "trust export-authority");
    ready(&folder, command, true)?;
    let passphrase = passphrase(args.passphrase_file.as_deref(), true)?;
    let done = folder.export_authority(&args.file, &passphrase);
    let file = args.file.display().to_string();
    let state = audited(&folder, (command, &file), done)?;
    writeln!(out, "{file} has the authority's key of {}, {}", state.cluster, state.fingerprint())?;
    writeln!(out, "  sealed under the passphrase: bring it to another controller, then remove it")?;
    Ok(())
}

pub(super) fn import(args: &Moved, out: &mut impl Write) -> Result<(), CommandError> {
    let (folder, command) = (args.place.folder(), "trust import-authority");
    ready(&folder, command, false)?;
    let file = args.file.display().to_string();
    let exported = read(&args.file).map_err(CommandError::Exported)?;
    let passphrase = passphrase(args.passphrase_file.as_deref(), false)?;
    let done = folder.import_authority(&exported, &passphrase);
    let state = audited(&folder, (command, &file), done)?;
    let issuer = state.issuer();
    writeln!(out, "{} keeps a copy of the authority's key; {issuer} signs on", state.node)?;
    writeln!(out, "  `outlast trust take-authority` here when {issuer} is to do so no more")?;
    Ok(())
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = vec![];
    fs::File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub(super) fn take(args: &Take, out: &mut impl Write) -> Result<(), CommandError> {
    let (folder, command) = (args.place.folder(), "trust take-authority");
    let state = folder.load()?;
    let before = state.issuer();
    if !args.lost && before != state.node && folder.has_authority_key() {
        heard_last(&folder, &before, args.from)?;
    }
    let state = audited(&folder, (command, &before), folder.take_authority())?;
    writeln!(out, "{} signs for {} from now on, in place of {before}", state.node, state.cluster)?;
    writeln!(out, "  tokens of {before} let nobody in any more: `outlast token create` here")?;
    if args.lost {
        writeln!(out, "  {before} may still be in: `outlast trust revoke {before}` puts it out")?;
    }
    Ok(())
}

/// What the node that signs now signed last is known here.
fn heard_last(folder: &Folder, before: &str, from: Option<SocketAddr>) -> Result<(), CommandError> {
    let state = folder.load()?;
    let own = || state.roster.find(before)?.address.map(|ip| SocketAddr::new(ip, PORT));
    let address = from.or_else(own).ok_or(CommandError::Address("--from"))?;
    let asked = trust::pull(folder, (address, Some(before)), sys::clock::wall_ms());
    let unheard = |source| CommandError::Unheard { before: before.to_owned(), source };
    asked.map(drop).map_err(unheard)
}
