//! `outlast routers`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use node::routers::{self, Settings};

use crate::answer::Answer;

/// Serve neutron's routers of this host in one process (foreground)
///
/// While it runs, `keepalived` and `neutron-keepalived-state-change` (this executable under those names) that are started in
/// another network namespace hand their work on to it. SIGTERM ends it and leaves all addresses; another one adopts them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where stand-ins connect to [default: OUTLAST_ROUTERS, else /run/outlast/routers.sock]
    #[arg(long, value_name = "FILE")]
    socket: Option<PathBuf>,
    /// What neutron's agent calls the router that forwards: primary, or master before 2021
    #[arg(long, value_name = "WORD", default_value = "primary")]
    primary: String,
    /// List the routers that are served, and end
    #[arg(long)]
    list: bool,
    /// The list as one JSON object per router
    #[arg(long, requires = "list")]
    json: bool,
}

pub(crate) fn main(args: &Args) -> ExitCode {
    let socket = args.socket.clone().unwrap_or_else(routers::socket);
    let outcome = if args.list {
        routers::list(&socket).map(|all| write(&all, args.json))
    } else {
        let words = (args.primary.clone(), "backup".to_owned());
        routers::serve(Settings { socket, words }).map(|()| ExitCode::SUCCESS)
    };
    outcome.unwrap_or_else(|error| {
        crate::complain(&error);
        ExitCode::from(if args.list { 3 } else { 2 })
    })
}

fn write(all: &[api::router::RouterLine], json: bool) -> ExitCode {
    let mut out = Answer::new();
    for line in all {
        let text = if json {
            serde_json::to_string(line).unwrap_or_default()
        } else {
            let role = format!("{:?}", line.role).to_lowercase();
            let told = match line.told {
                Some(true) => "neutron knows it as primary",
                Some(false) => "neutron knows it as backup",
                None => "neutron was told nothing",
            };
            format!("{}  {role}  pid {}  {told}", line.router, line.pid)
        };
        if writeln!(out, "{text}").is_err() {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
