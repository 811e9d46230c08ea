//! `bind ADDRESS:PORT[,...] [OPTIONS]` and `stats socket ADDRESS [OPTIONS]`

use std::net::SocketAddr;

use base::Span;

use super::address::{self, ANY, Host, Port, Target};
use super::tls;
use super::{Bind, BindAddress, StatsSocket};
use crate::diagnostic::Diagnostic;
use crate::keyword::{Keyword, checked, idle, later, later_with, now, options};
use crate::line::{Line, Word};

/// A `bind` line makes at most this many listeners; HAProxy has one per port too.
const MAX_PORTS: usize = 1024;

/// What the options of one line say.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Draft {
    name: Option<String>,
    maxconn: Option<u32>,
    backlog: Option<u32>,
    interface: Option<String>,
    transparent: bool,
    mode: Option<u32>,
    user: Option<String>,
    group: Option<String>,
    level: Level,
    /// `ssl`, and whether something says with which certificate.
    tls: bool,
    certificate: bool,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Level {
    User,
    #[default]
    Operator,
    Admin,
}

/// Options of `bind` and `stats socket`.
pub(crate) const KEYWORDS: &[Keyword<Draft>] = &[
    now(
        "backlog",
        "<count>",
        "maxconn",
        "connections the kernel holds until accepted",
        |d, line| {
            d.backlog = Some(line.count("a count", 0)?);
            Ok(())
        },
    ),
    now("group", "<name>", "", "group of a unix socket", |draft, line| {
        draft.group = Some(line.expect("a group")?.text);
        Ok(())
    }),
    now("interface", "<name>", "", "only connections over this device", |draft, line| {
        draft.interface = Some(line.expect("the name of an interface")?.text);
        Ok(())
    }),
    now(
        "level",
        "user|operator|admin",
        "operator",
        "what a stats socket may change",
        |draft, line| {
            let word = line.expect("user, operator or admin")?;
            draft.level = match word.text.as_str() {
                "user" => Level::User,
                "operator" => Level::Operator,
                "admin" => Level::Admin,
                _ => return Err(word.wrong("user, operator or admin")),
            };
            Ok(())
        },
    ),
    now("maxconn", "<count>", "", "connections of this line at once", |draft, line| {
        draft.maxconn = Some(line.count("a count", 0)?).filter(|count| *count > 0);
        Ok(())
    }),
    now("mode", "<octal>", "umask", "permissions of a unix socket", |draft, line| {
        let word = line.expect("permissions like 660")?;
        draft.mode = Some(
            u32::from_str_radix(&word.text, 8).map_err(|_| word.wrong("permissions like 660"))?,
        );
        Ok(())
    }),
    now("name", "<name>", "", "shown in statistics", |draft, line| {
        draft.name = Some(line.expect("a name")?.text);
        Ok(())
    }),
    now("transparent", "", "", "the address need not be on this node", |draft, _| {
        draft.transparent = true;
        Ok(())
    }),
    now("user", "<name>", "", "owner of a unix socket", |draft, line| {
        draft.user = Some(line.expect("a user")?.text);
        Ok(())
    }),
    Keyword {
        syntax: "",
        ..idle("defer-accept", "only saves a wake-up; connections are the same")
    },
    Keyword { syntax: "<number>", ..idle("id", "the number is not shown; listeners have names") },
    Keyword { syntax: "<number>", ..idle("nice", "threads serve their sessions in turn") },
    Keyword { syntax: "<set>", ..idle("process", "there is one process; threads share the load") },
    Keyword { syntax: "", ..idle("tfo", "TCP fast open only saves a round trip") },
    Keyword { syntax: "<set>", ..idle("thread", "threads share the load") },
    later_with("accept-netscaler-cip", 1),
    later("accept-proxy"),
    later("allow-0rtt"),
    later_with("alpn", 1),
    later_with("ca-file", 1),
    later_with("ca-ignore-err", 1),
    later_with("ca-sign-file", 1),
    later_with("ca-sign-pass", 1),
    later_with("ca-verify-file", 1),
    later_with("ciphers", 1),
    later_with("ciphersuites", 1),
    later_with("crl-file", 1),
    checked("crt", "<file>", |draft, line| {
        draft.certificate = true;
        line.expect("a file").map(|_| ())
    }),
    later_with("crt-ignore-err", 1),
    checked("crt-list", "<file>", |draft, line| {
        draft.certificate = true;
        line.expect("a file").map(|_| ())
    }),
    later_with("curves", 1),
    later_with("ecdhe", 1),
    later_with("expose-fd", 1),
    later("force-sslv3"),
    later("force-tlsv10"),
    later("force-tlsv11"),
    later("force-tlsv12"),
    later("force-tlsv13"),
    checked("generate-certificates", "", |draft, _| {
        draft.certificate = true;
        Ok(())
    }),
    later_with("gid", 1),
    later_with("mss", 1),
    later_with("namespace", 1),
    later("no-ca-names"),
    later("no-sslv3"),
    later("no-tls-tickets"),
    later("no-tlsv10"),
    later("no-tlsv11"),
    later("no-tlsv12"),
    later("no-tlsv13"),
    later_with("npn", 1),
    later("prefer-client-ciphers"),
    later_with("proto", 1),
    later_with("severity-output", 1),
    later_with("shards", 1),
    checked("ssl", "", |draft, _| {
        draft.tls = true;
        Ok(())
    }),
    checked("ssl-max-ver", "<version>", |_, line| tls::version(line)),
    checked("ssl-min-ver", "<version>", |_, line| tls::version(line)),
    later("strict-sni"),
    later_with("tcp-ut", 1),
    later_with("tls-ticket-keys", 1),
    later_with("uid", 1),
    later("v4v6"),
    later("v6only"),
    checked("verify", "none|optional|required", |_, line| {
        let word = line.expect("none, optional or required")?;
        match word.text.as_str() {
            "none" | "optional" | "required" => Ok(()),
            _ => Err(word.wrong("none, optional or required")),
        }
    }),
];

/// Reads what follows `bind`.
pub(crate) fn parse(span: Span, line: &mut Line<'_>) -> Result<Vec<Bind>, Diagnostic> {
    let word = line.expect("an address like 10.0.0.1:80")?;
    let addresses = addresses(&word, line);
    let mut draft = Draft::default();
    options(KEYWORDS, "`bind`", &mut draft, line)?;
    let addresses = addresses?;
    if draft.tls && !draft.certificate {
        let finding = Diagnostic::error(span, "no-certificate", "no certificate is given");
        line.report(finding.help("add `crt FILE`"));
    }
    let rights = draft.mode.is_some() || draft.user.is_some() || draft.group.is_some();
    if rights && addresses.iter().any(|address| matches!(address, BindAddress::Unix(_))) {
        line.report(Diagnostic::not_yet(span, "owner and mode of a proxy's unix socket"));
    }
    let bind = |address| Bind {
        address,
        maxconn: draft.maxconn,
        backlog: draft.backlog,
        interface: draft.interface.clone(),
        name: draft.name.clone(),
        transparent: draft.transparent,
        mode: draft.mode,
        user: draft.user.clone(),
        group: draft.group.clone(),
        span,
    };
    Ok(addresses.into_iter().map(bind).collect())
}

/// Reads what follows `stats socket`.
pub(crate) fn stats_socket(span: Span, line: &mut Line<'_>) -> Result<StatsSocket, Diagnostic> {
    let word = line.expect("the path of the socket")?;
    let mut addresses = addresses(&word, line)?;
    let mut draft = Draft::default();
    options(KEYWORDS, "`stats socket`", &mut draft, line)?;
    let address = match addresses.len() {
        1 => addresses.remove(0),
        _ => return Err(word.wrong("one address")),
    };
    let (mode, user, group) = (draft.mode, draft.user, draft.group);
    let admin = draft.level == Level::Admin;
    Ok(StatsSocket { address, mode, user, group, admin, file: line.file(), span })
}

fn addresses(word: &Word, line: &mut Line<'_>) -> Result<Vec<BindAddress>, Diagnostic> {
    let mut found = Vec::new();
    for part in word.text.split(',') {
        match address::parse(word, part)? {
            Target::Unix(path) => found.push(BindAddress::Unix(path)),
            Target::Descriptor(number) => found.push(BindAddress::Descriptor(number)),
            Target::Later(prefix) => {
                line.report(Diagnostic::not_yet(word.span, format!("listening at `{prefix}`")));
            }
            Target::Inet { host, port } => {
                let (first, last) = ports(port, part, word)?;
                let ip = match host {
                    Host::Any => ANY,
                    Host::Ip(ip) => ip,
                    Host::Name(name) if name == "localhost" => [127, 0, 0, 1].into(),
                    Host::Name(name) => {
                        let what = format!("looking up the name `{name}`");
                        line.report(Diagnostic::not_yet(word.span, what));
                        continue;
                    }
                };
                let ports = first..=last;
                if ports.len() + found.len() > MAX_PORTS {
                    let what = format!("listening on more than {MAX_PORTS} ports with one line");
                    line.report(Diagnostic::not_yet(word.span, what));
                    continue;
                }
                found.extend(ports.map(|port| BindAddress::Tcp(SocketAddr::new(ip, port))));
            }
        }
    }
    Ok(found)
}

fn ports(port: Port, part: &str, word: &Word) -> Result<(u16, u16), Diagnostic> {
    match port {
        Port::One(0) | Port::Range(0, _) => Err(word.wrong("a port from 1 to 65535")),
        Port::One(port) => Ok((port, port)),
        Port::Range(first, last) => Ok((first, last)),
        Port::None => {
            let message = format!("`{part}` has no port");
            let help = format!("write `{}:80`", part.trim_end_matches(':'));
            Err(Diagnostic::error(word.span, "bad-address", message).help(help))
        }
        Port::Offset => Err(word.wrong("a port that is not relative")),
    }
}
