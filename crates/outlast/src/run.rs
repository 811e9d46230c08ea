//! `outlast run`.

use std::path::PathBuf;
use std::process::ExitCode;

use api::{Break, Mode};
use node::Launch;

/// Run this node: virtual IPs, balancer, agent, under one supervisor (foreground)
///
/// SIGHUP reads the files again; a broken file changes nothing. SIGTERM hands the addresses over
/// and ends.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The cluster file, the same on every node
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Proxies in HAProxy's language: a file or a folder of *.cfg (may be repeated)
    #[arg(long, value_name = "FILE")]
    haproxy: Vec<PathBuf>,
    /// Virtual IPs in keepalived's language
    #[arg(long, value_name = "FILE")]
    keepalived: Option<PathBuf>,
    /// The name of which `@name` are the lines of that file [default: this machine's, up to the first dot]
    #[arg(long, value_name = "NAME")]
    config_id: Option<String>,
    /// This node's name in the cluster file [default: found by address, then by host name]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Folder for the control socket [default: run_dir of the cluster file]
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
    /// Folder for the event log [default: state_dir of the cluster file]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Break one thing on purpose, so that a test can see that it is noticed
    #[arg(long, hide = true, value_parser = parse_break)]
    r#break: Vec<Break>,
}

fn parse_break(word: &str) -> Result<Break, String> {
    serde_json::from_value(serde_json::Value::String(word.to_owned()))
        .map_err(|error| error.to_string())
}

/// Exit code 2, as for all of `outlast`, if nothing could be started.
pub(crate) fn main(args: &Args) -> ExitCode {
    let launch = Launch {
        mode: Mode::Adaptive,
        haproxy: args.haproxy.clone(),
        more_lines: String::new(),
        keepalived: args.keepalived.clone(),
        config_id: args.config_id.clone(),
        needs_all_included: false,
        network_namespace: None,
        cluster: args.config.clone(),
        node: args.node.clone(),
        run_dir: args.run_dir.clone(),
        state_dir: args.state_dir.clone(),
        pid_file: None,
        vrrp_pid_file: None,
        daemon: false,
        replaces: vec![],
        breaks: args.r#break.clone(),
    };
    match node::supervise(&launch) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => crate::wrong(&error),
    }
}
