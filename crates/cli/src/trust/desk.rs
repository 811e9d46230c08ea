//! `outlast trust serve`: answers joins.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Mutex, PoisonError};

use super::{CommandError, Filed, Place};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to answer [default: this node's address, port 7413]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    filed: Filed,
    #[command(flatten)]
    place: Place,
}

/// Answers until the process is stopped; a line for each conversation.
pub(super) fn run(args: &Args, out: &mut (impl Write + Send)) -> Result<(), CommandError> {
    let folder = args.place.folder();
    let state = folder.load()?;
    if !state.is_authority {
        return Err(trust::TrustError::NotAuthority(state.issuer()).into());
    }
    let address = args.listen.map_or_else(|| args.filed.own_desk(&state, "--listen"), Ok)?;
    let listen = |source| CommandError::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(listen)?;
    let bound = listener.local_addr().map_err(listen)?;
    writeln!(
        out,
        "answers joins of {} at {bound}, fingerprint {}",
        state.cluster,
        state.fingerprint()
    )?;
    out.flush()?;
    let out = Mutex::new(out);
    trust::serve((&folder, &trust::NoStore), (&listener, &trust::doors()), &|line| {
        let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody may read along; the audit log has it, too.
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    });
    Ok(())
}
