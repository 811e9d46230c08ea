//! `outlast config import`: files of HAProxy and keepalived as an outlast.toml.

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;

use ::config::import::{Wishes, import};
use ::config::{Kind, Source, recognise};
use serde::Serialize;

use super::check;
use super::files;
use crate::EXIT_CODES;

/// Print the outlast.toml that means the same as keepalived.conf and haproxy.cfg
///
/// The files stay as they are; outlast.toml names haproxy.cfg. What outlast.toml cannot say is a
/// comment in it, and a warning on stderr. Nodes are the unicast peers, else the servers that most
/// proxies have, else those given with --node.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES, after_long_help = EXIT_CODES)]
pub struct Args {
    /// One file in keepalived's language, and files or folders in HAProxy's
    #[arg(required = true)]
    pub(super) files: Vec<PathBuf>,
    /// Name of the cluster
    #[arg(long, default_value = "cloud")]
    pub(super) name: String,
    /// A node and its address; behind @ the device that has it (may be repeated)
    #[arg(long, value_name = "NAME=ADDRESS[@DEVICE]", value_parser = node)]
    pub(super) node: Vec<Node>,
    /// One JSON object with the text and the warnings
    #[arg(long)]
    pub(super) json: bool,
}

/// A node as given: name, address, device.
pub(super) type Node = (String, IpAddr, Option<String>);

fn node(word: &str) -> Result<Node, String> {
    let wrong = || "write NAME=ADDRESS or NAME=ADDRESS@DEVICE".to_owned();
    let (name, rest) = word.split_once('=').ok_or_else(wrong)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || !name.chars().all(fits) {
        return Err("names are made of letters, digits and - _ .".to_owned());
    }
    let (address, device) = match rest.split_once('@') {
        Some((address, device)) => (address, Some(device.to_owned())),
        None => (rest, None),
    };
    let ip = address.parse().map_err(|_| format!("`{address}` is no IP address; {}", wrong()))?;
    Ok((name.to_owned(), ip, device))
}

/// Runs the subcommand; the exit code: 0 printed, 1 a file is wrong, 2 a file cannot
/// be read or the files do not fit.
pub(super) fn run(args: &Args, out: &mut impl Write) -> u8 {
    let mut complaints = io::stderr();
    match imported(args, out, &mut complaints) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => 2,
        Err(_) => 0,
        Ok(code) => code,
    }
}

/// The same, with warnings to `complaints`.
pub(super) fn imported(
    args: &Args,
    out: &mut impl Write,
    complaints: &mut impl Write,
) -> io::Result<u8> {
    let here = files::Here::new(None);
    let files = files::read_all(&args.files, files::Folder::Proxies, &here);
    if !files.unreadable.is_empty() {
        for file in &files.unreadable {
            let path = file.path.display();
            writeln!(complaints, "error[unreadable]: cannot read {path}: {}", file.why)?;
        }
        return Ok(2);
    }
    if files.sources.is_empty() {
        for (path, why) in &files.skipped {
            writeln!(complaints, "{}: {why}", path.display())?;
        }
        writeln!(complaints, "there is nothing to import")?;
        return Ok(2);
    }
    if check::has(&files.sources, Kind::Cluster) {
        writeln!(complaints, "there is an outlast.toml among the files: nothing to import")?;
        return Ok(2);
    }
    let loaded = ::config::load_with(files.sources, here.around());
    if loaded.has_errors() {
        check::findings(complaints, &loaded, false)?;
        writeln!(complaints, "nothing is imported from files with errors; --repair may help")?;
        return Ok(1);
    }
    let wishes = Wishes {
        name: args.name.clone(),
        haproxy: proxies(args, &loaded.sources),
        nodes: args.node.clone(),
    };
    let imported = import(&loaded, &wishes);
    let findings = imported.findings();
    if args.json {
        let lost = imported.lost.iter().map(|lost| Warning {
            instance: lost.instance.as_deref(),
            part: lost.part,
            file: loaded.sources.get(lost.file).map(|source| source.path.as_str()),
            line: loaded
                .sources
                .get(lost.file)
                .map(|source| ::config::place(&source.text, lost.span.start).line),
            message: &lost.message,
        });
        let (text, refused) = (imported.text.as_str(), ::config::refusal(&loaded));
        let report = Report { text, refused, warnings: lost.collect() };
        serde_json::to_writer_pretty(&mut *out, &report)?;
        writeln!(out)?;
        return Ok(0);
    }
    out.write_all(imported.text.as_bytes())?;
    complaints.write_all(::config::render(&loaded.sources, &findings).as_bytes())?;
    if let Some(refused) = ::config::refused(&loaded) {
        writeln!(complaints, "{}", refused.shown)?;
    }
    Ok(0)
}

/// Files and folders in HAProxy's language, as they were given.
fn proxies(args: &Args, sources: &[Source]) -> Vec<String> {
    let is_proxies = |path: &&PathBuf| {
        path.is_dir()
            || sources.iter().any(|source| {
                source.path == path.display().to_string() && recognise(source) == Kind::Haproxy
            })
    };
    args.files.iter().filter(is_proxies).map(|path| path.display().to_string()).collect()
}

#[derive(Serialize)]
struct Report<'a> {
    text: &'a str,
    /// Why `outlast run` refuses the files as they are, or null.
    refused: Option<String>,
    warnings: Vec<Warning<'a>>,
}

#[derive(Serialize)]
struct Warning<'a> {
    instance: Option<&'a str>,
    /// What differs.
    part: &'a str,
    file: Option<&'a str>,
    line: Option<usize>,
    message: &'a str,
}
