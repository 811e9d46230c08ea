//! `server NAME ADDRESS[:PORT] [OPTIONS]`, `default-server OPTIONS`

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base::Span;

use super::address::{self, Host, Port, Target};
use super::tls;
use super::{Check, Server};
use crate::diagnostic::Diagnostic;
use crate::duration::Unit;
use crate::keyword::{Keyword, REST, checked, idle, later, later_with, now, options};
use crate::line::{Line, Word};

/// What the options of one `server` line say, from those of `default-server` on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Draft {
    checked: bool,
    backup: bool,
    disabled: bool,
    weight: u16,
    maxconn: Option<u32>,
    interval: Duration,
    fast_interval: Option<Duration>,
    down_interval: Option<Duration>,
    rise: u32,
    fall: u32,
    check_address: Option<IpAddr>,
    check_port: Option<u16>,
    tls: Tls,
}

/// What the options say about TLS to the server; only to find what HAProxy refuses.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Tls {
    sessions: bool,
    checks: bool,
    /// `verify none` or `verify required`.
    verify: Option<bool>,
    authority: bool,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            checked: false,
            backup: false,
            disabled: false,
            weight: 1,
            maxconn: None,
            interval: Duration::from_secs(2),
            fast_interval: None,
            down_interval: None,
            rise: 2,
            fall: 3,
            check_address: None,
            check_port: None,
            tls: Tls::default(),
        }
    }
}

impl Draft {
    /// Whether the server's certificate would be checked against nothing, unless `global` says not
    /// to check it.
    pub(crate) const fn verifies_nothing(&self) -> Option<bool> {
        match (self.tls.sessions || self.tls.checks, self.tls.verify, self.tls.authority) {
            (true, Some(true), false) => Some(true),
            (true, None, false) => Some(false),
            _ => None,
        }
    }
}

/// Options of `server` and `default-server`.
pub(crate) const KEYWORDS: &[Keyword<Draft>] = &[
    now("addr", "<ip>", "the server's", "checks go to this address", |draft, line| {
        let word = line.expect("an address")?;
        match address::parse(&word, &word.text)? {
            Target::Inet { host: Host::Ip(ip), port } => {
                draft.check_address = Some(ip);
                if let Port::One(port) = port {
                    draft.check_port = Some(port);
                }
            }
            Target::Inet { .. } | Target::Unix(_) | Target::Descriptor(_) | Target::Later(_) => {
                return Err(word.wrong("an IP address"));
            }
        }
        Ok(())
    }),
    now("backup", "", "", "used only while no server without `backup` is up", |draft, _| {
        draft.backup = true;
        Ok(())
    }),
    now("no-backup", "", "", "undoes `backup` of `default-server`", |draft, _| {
        draft.backup = false;
        Ok(())
    }),
    now("check", "", "", "the server is asked regularly whether it is well", |draft, _| {
        draft.checked = true;
        Ok(())
    }),
    now("no-check", "", "", "undoes `check` of `default-server`", |draft, _| {
        draft.checked = false;
        Ok(())
    }),
    now("disabled", "", "", "starts in maintenance", |draft, _| {
        draft.disabled = true;
        Ok(())
    }),
    now("enabled", "", "", "undoes `disabled` of `default-server`", |draft, _| {
        draft.disabled = false;
        Ok(())
    }),
    now("inter", "<time>", "2s", "between two checks", |draft, line| {
        draft.interval = interval(line)?;
        Ok(())
    }),
    now(
        "fastinter",
        "<time>",
        "inter",
        "between two checks while the state changes",
        |draft, line| {
            draft.fast_interval = Some(interval(line)?);
            Ok(())
        },
    ),
    now("downinter", "<time>", "inter", "between two checks while down", |draft, line| {
        draft.down_interval = Some(interval(line)?);
        Ok(())
    }),
    now("rise", "<count>", "2", "passed checks in a row until up", |draft, line| {
        draft.rise = line.count("a count", 1)?;
        Ok(())
    }),
    now("fall", "<count>", "3", "failed checks in a row until down", |draft, line| {
        draft.fall = line.count("a count", 1)?;
        Ok(())
    }),
    now("maxconn", "<count>", "0 (no limit)", "sessions at once, the rest waits", |draft, line| {
        draft.maxconn = Some(line.count("a count", 0)?).filter(|count| *count > 0);
        Ok(())
    }),
    now("port", "<port>", "the server's", "checks go to this port", |draft, line| {
        let port = line.number("a port", 1, 65_535)?;
        draft.check_port = u16::try_from(port).ok();
        Ok(())
    }),
    now("weight", "<0-256>", "1", "share of the requests; 0: none", |draft, line| {
        let weight = line.number("a weight", 0, 256)?;
        draft.weight = u16::try_from(weight).unwrap_or(256);
        Ok(())
    }),
    Keyword { syntax: "<number>", ..idle("id", "the number is not shown; servers have names") },
    later_with("agent-addr", 1),
    later("agent-check"),
    later_with("agent-inter", 1),
    later_with("agent-port", 1),
    later_with("agent-send", 1),
    later("allow-0rtt"),
    later_with("alpn", 1),
    checked("ca-file", "<file>", |draft, line| {
        draft.tls.authority = true;
        line.expect("a file").map(|_| ())
    }),
    later_with("check-alpn", 1),
    later_with("check-proto", 1),
    later("check-send-proxy"),
    later_with("check-sni", 1),
    checked("check-ssl", "", |draft, _| {
        draft.tls.checks = true;
        Ok(())
    }),
    later("check-via-socks4"),
    later_with("ciphers", 1),
    later_with("ciphersuites", 1),
    later_with("cookie", 1),
    later_with("crl-file", 1),
    later_with("crt", 1),
    later_with("error-limit", 1),
    later("force-sslv3"),
    later("force-tlsv10"),
    later("force-tlsv11"),
    later("force-tlsv12"),
    later("force-tlsv13"),
    later_with("init-addr", 1),
    later_with("log-proto", 1),
    later_with("max-reuse", 1),
    later_with("maxqueue", 1),
    later_with("minconn", 1),
    later_with("namespace", 1),
    later("no-agent-check"),
    later("no-check-send-proxy"),
    checked("no-check-ssl", "", |draft, _| {
        draft.tls.checks = false;
        Ok(())
    }),
    later("no-send-proxy"),
    later("no-send-proxy-v2"),
    later("no-send-proxy-v2-ssl"),
    later("no-send-proxy-v2-ssl-cn"),
    checked("no-ssl", "", |draft, _| {
        draft.tls.sessions = false;
        Ok(())
    }),
    later("no-ssl-reuse"),
    later("no-sslv3"),
    later("no-tfo"),
    later("no-tls-tickets"),
    later("no-tlsv10"),
    later("no-tlsv11"),
    later("no-tlsv12"),
    later("no-tlsv13"),
    later("non-stick"),
    later_with("npn", 1),
    later_with("observe", 1),
    later_with("on-error", 1),
    later_with("on-marked-down", 1),
    later_with("on-marked-up", 1),
    later_with("pool-low-conn", 1),
    later_with("pool-max-conn", 1),
    later_with("pool-purge-delay", 1),
    later_with("proto", 1),
    later_with("proxy-v2-options", 1),
    later_with("redir", 1),
    later_with("resolve-net", 1),
    later_with("resolve-opts", 1),
    later_with("resolve-prefer", 1),
    later_with("resolvers", 1),
    later("send-proxy"),
    later("send-proxy-v2"),
    later("send-proxy-v2-ssl"),
    later("send-proxy-v2-ssl-cn"),
    later_with("slowstart", 1),
    later_with("sni", 1),
    later_with("socks4", 1),
    later_with("source", REST),
    checked("ssl", "", |draft, _| {
        draft.tls.sessions = true;
        Ok(())
    }),
    checked("ssl-max-ver", "<version>", |_, line| tls::version(line)),
    checked("ssl-min-ver", "<version>", |_, line| tls::version(line)),
    later("ssl-reuse"),
    later("stick"),
    later_with("tcp-ut", 1),
    later("tfo"),
    later("tls-tickets"),
    later_with("track", 1),
    checked("verify", "none|required", |draft, line| {
        let word = line.expect("none or required")?;
        draft.tls.verify = Some(match word.text.as_str() {
            "none" => false,
            "required" => true,
            _ => return Err(word.wrong("none or required")),
        });
        Ok(())
    }),
    later_with("verifyhost", 1),
    later_with("ws", 1),
];

fn interval(line: &mut Line<'_>) -> Result<Duration, Diagnostic> {
    let (word, time) = line.time(Unit::Milliseconds)?;
    if time.is_zero() {
        return Err(Diagnostic::error(word.span, "bad-value", "the interval cannot be 0"));
    }
    Ok(time)
}

/// A `server` line.
#[derive(Debug)]
pub(crate) struct Read {
    /// None if the address is of a kind that we do not run yet.
    pub(crate) server: Option<Server>,
    /// See [`Draft::verifies_nothing`].
    pub(crate) verifies_nothing: Option<bool>,
}

/// Reads what follows `server`.
pub(crate) fn parse(defaults: &Draft, span: Span, line: &mut Line<'_>) -> Result<Read, Diagnostic> {
    let name = line.expect("the server's name")?;
    check_name(&name)?;
    let word = line.expect("the server's address, like 10.0.0.1:80,")?;
    let address = endpoint(&word, line);
    let mut draft = defaults.clone();
    options(KEYWORDS, "`server`", &mut draft, line)?;
    let verifies_nothing = draft.verifies_nothing();
    let Some(address) = address? else { return Ok(Read { server: None, verifies_nothing }) };
    if draft.checked && address.port() == 0 && draft.check_port.is_none() {
        let message = format!("server `{}` is checked and has no port", name.text);
        let help = format!("write `{}:80` or `check port 80`", word.text);
        return Err(Diagnostic::error(word.span, "bad-address", message).help(help));
    }
    let server = Some(draft.into_server(name.text, address, span));
    Ok(Read { server, verifies_nothing })
}

/// Characters of names, as HAProxy's `invalid_char` has them.
pub(crate) fn check_name(name: &Word) -> Result<(), Diagnostic> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
    match name.text.chars().find(|c| !fits(*c)) {
        None => Ok(()),
        Some(wrong) => {
            let message = format!("`{wrong}` cannot stand in a name");
            Err(Diagnostic::error(name.span, "bad-name", message)
                .help("names are made of letters, digits and _ - . :"))
        }
    }
}

fn endpoint(word: &Word, line: &mut Line<'_>) -> Result<Option<SocketAddr>, Diagnostic> {
    let mut not_yet = |what: String| {
        line.report(Diagnostic::not_yet(word.span, what));
        Ok(None)
    };
    match address::parse(word, &word.text)? {
        Target::Inet { host: Host::Name(name), .. } if name != "localhost" => {
            not_yet(format!("looking up the name `{name}`"))
        }
        Target::Inet { host, port } => {
            let ip = match host {
                Host::Ip(ip) => ip,
                Host::Name(_) => IpAddr::from([127, 0, 0, 1]),
                Host::Any => return not_yet("a server at the client's destination address".into()),
            };
            match port {
                Port::One(port) => Ok(Some(SocketAddr::new(ip, port))),
                Port::None => {
                    line.report(Diagnostic::not_yet(
                        word.span,
                        "a server at the port that the client chose",
                    ));
                    Ok(Some(SocketAddr::new(ip, 0)))
                }
                Port::Offset => not_yet("a port relative to the client's".into()),
                Port::Range(..) => Err(Diagnostic::error(
                    word.span,
                    "bad-address",
                    "a server has one port, not a range",
                )),
            }
        }
        Target::Unix(_) => not_yet("a server at a unix socket".into()),
        Target::Descriptor(_) => Err(word.wrong("an address like 10.0.0.1:80")),
        Target::Later(prefix) => not_yet(format!("a server at `{prefix}`")),
    }
}

impl Draft {
    fn into_server(self, name: String, address: SocketAddr, span: Span) -> Server {
        let check = self.checked.then_some(Check {
            interval: self.interval,
            fast_interval: self.fast_interval,
            down_interval: self.down_interval,
            rise: self.rise,
            fall: self.fall,
            address: self.check_address,
            port: self.check_port,
        });
        Server {
            name,
            address,
            backup: self.backup,
            disabled: self.disabled,
            weight: self.weight,
            maxconn: self.maxconn,
            check,
            rise: self.rise,
            span,
        }
    }
}
