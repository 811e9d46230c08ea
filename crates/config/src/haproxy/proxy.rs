//! Keywords of `defaults`, `frontend`, `listen` and `backend` that we run.

use std::sync::Arc;
use std::time::Duration;

use base::Span;

use super::lines::{balance, forward_for, log_line, mode, redispatch, request_rule, response_rule};
use super::{
    CheckKind, HttpCheck, LogFormat, LogTarget, MysqlCheck, Proxy, ProxyKind, StatsPage, bind,
    checks, format, rules, server,
};
use crate::diagnostic::Diagnostic;
use crate::duration::Unit;
use crate::keyword::places::{ALL, BACK, BACK_ONLY, FRONT, FRONT_ONLY, NAMED, SERVING, STRICT};
use crate::keyword::{self, Keyword, Parse, options};
use crate::line::{Line, Word};

/// A section while it is read.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) proxy: Proxy,
    /// For a `defaults` section; proxies have a kind.
    pub(crate) is_defaults: bool,
    pub(crate) server_defaults: server::Draft,
    /// What `http-check` lines said, whether or not `option httpchk` is there.
    pub(crate) http_check: HttpCheck,
    pub(crate) chosen_check: Chosen,
    pub(crate) stats: Option<StatsPage>,
    /// What `log global` stands for.
    pub(crate) global_logs: Vec<LogTarget>,
    pub(crate) acls: Vec<String>,
    pub(crate) default_backend: Option<Word>,
    pub(crate) use_backends: Vec<Word>,
    /// The first `use_backend` that always holds.
    pub(crate) always_backend: Option<String>,
    /// Where the format of log lines was chosen.
    pub(crate) log_format_at: Option<Span>,
    /// `log-format` and the file it stands in: read when the mode is known.
    pub(crate) log_line: Option<(Word, usize)>,
    /// Where a rule stands that needs HTTP.
    pub(crate) http_rule_at: Option<Span>,
    /// Where another check was chosen that we do not run: server checks are not judged then.
    pub(crate) foreign_check: bool,
    /// Servers whose certificates would be checked against nothing; always, or only unless `global`
    /// says `ssl-server-verify none`.
    pub(crate) unverified: Vec<(Span, bool)>,
    /// The number of the `defaults` section that this is, or that was applied.
    pub(crate) defaults_number: Option<usize>,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) enum Chosen {
    #[default]
    Tcp,
    Http,
    Mysql(MysqlCheck),
}

impl Draft {
    pub(crate) fn new() -> Self {
        Self {
            proxy: Proxy::new("", ProxyKind::Listen),
            is_defaults: true,
            server_defaults: server::Draft::default(),
            http_check: checks::http_defaults(),
            chosen_check: Chosen::Tcp,
            stats: None,
            global_logs: Vec::new(),
            acls: Vec::new(),
            default_backend: None,
            use_backends: Vec::new(),
            always_backend: None,
            log_format_at: None,
            log_line: None,
            http_rule_at: None,
            foreign_check: false,
            unverified: Vec::new(),
            defaults_number: None,
        }
    }

    /// The proxy as the engine wants it.
    pub(crate) fn finish(self) -> Proxy {
        let mut proxy = self.proxy;
        proxy.check = match self.chosen_check {
            Chosen::Tcp => CheckKind::Tcp,
            Chosen::Http => CheckKind::Http(self.http_check),
            Chosen::Mysql(check) => CheckKind::Mysql(check),
        };
        let line = self.log_line.filter(|_| proxy.is_frontend());
        if let Some((word, _)) = line
            && let Ok((Some(line), _)) = format::compile(&word, proxy.mode)
        {
            proxy.log_format = LogFormat::Custom(Arc::new(line));
        }
        proxy.stats = self.stats;
        for bind in &mut proxy.binds {
            bind.backlog = bind.backlog.or(proxy.backlog);
        }
        let default = self.default_backend.map(|word| word.text);
        proxy.default_backend = self.always_backend.or(default);
        proxy
    }

    fn page(&mut self) -> &mut StatsPage {
        self.stats.get_or_insert_with(|| StatsPage {
            uri: "/haproxy?stats".to_owned(),
            refresh: None,
            realm: "HAProxy Statistics".to_owned(),
            auth: Vec::new(),
            admin: false,
            hide_version: false,
            scope: Vec::new(),
            legends: false,
            node: None,
            description: None,
        })
    }
}

pub(crate) type Parsed = Result<(), Diagnostic>;

/// What we run; `later.rs` has what only HAProxy runs.
pub(crate) const KEYWORDS: &[Keyword<Draft>] = &[
    now(
        "backlog",
        "<count>",
        "maxconn",
        "connections the kernel holds until accepted",
        |d, line| {
            d.proxy.backlog = Some(line.count("a count", 0)?);
            done(line)
        },
    )
    .at(FRONT),
    now("balance", "roundrobin|source|leastconn|first", "roundrobin", BALANCE, balance).at(BACK),
    now("bind", "<address>:<port>[,...] [<options>]", "", "listens there", |draft, line| {
        let binds = bind::parse(line.whole(), line)?;
        draft.proxy.binds.extend(binds);
        Ok(())
    })
    .at(FRONT_ONLY),
    now("default-server", "<options>", "", "options of the `server` lines below", |draft, line| {
        let mut options_of = draft.server_defaults.clone();
        if line.peek().is_none() {
            line.expect("an option of `server`")?;
        }
        options(server::KEYWORDS, "`default-server`", &mut options_of, line)?;
        draft.server_defaults = options_of;
        Ok(())
    })
    .at(BACK | STRICT),
    now("default_backend", "<name>", "", "the backend of this frontend", |draft, line| {
        draft.default_backend = Some(line.expect("the name of a backend")?);
        done(line)
    })
    .at(FRONT),
    now("description", "<text>", "", "shown on the stats page", |draft, line| {
        let mut words = vec![line.expect("a text")?.text];
        words.extend(line.rest().into_iter().map(|word| word.text));
        draft.proxy.description = Some(words.join(" "));
        Ok(())
    })
    .at(SERVING),
    now("disabled", "", "", "the proxy does not start", |draft, line| {
        draft.proxy.disabled = true;
        done(line)
    })
    .at(ALL),
    now("enabled", "", "", "undoes `disabled` of `defaults`", |draft, line| {
        draft.proxy.disabled = false;
        done(line)
    })
    .at(ALL),
    now("http-check expect", "status <codes>", "200-399", "what passes", checks::expect).at(BACK),
    now("http-check send", "[meth|uri|ver|hdr|body ...]", "", "what is asked", checks::send)
        .at(BACK),
    now("http-request", "<action> [if|unless <condition>]", "", "rule for requests", request_rule)
        .at(SERVING | NAMED),
    now(
        "http-response",
        "<action> [if|unless <condition>]",
        "",
        "rule for responses",
        response_rule,
    )
    .at(SERVING | NAMED),
    now("log", "global | <address>[:<port>] <facility> [<level>]", "", "where lines go", log_line)
        .at(ALL)
        .no(),
    now("log-format", "<format>", "", "what log lines tell, with `%variables`", |draft, line| {
        let word = line.expect("a format like \"%ci:%cp %b/%s\"")?;
        if word.text.is_empty() {
            return Err(word.wrong("a format like \"%ci:%cp %b/%s\""));
        }
        if line.peek().is_some() {
            let message = "a format is one word";
            let finding = Diagnostic::error(line.span(), "extra-word", message);
            line.rest();
            return Err(finding.help("write it in double quotes, or `\\ ` for a blank"));
        }
        draft.log_format_at = Some(line.whole());
        draft.log_line = Some((word, line.file()));
        Ok(())
    })
    .at(FRONT),
    now("log-tag", "<name>", "that of `global`", "name in syslog lines", |draft, line| {
        draft.proxy.log_tag = Some(line.expect("a name")?.text);
        done(line)
    })
    .at(ALL),
    now(
        "maxconn",
        "<count>",
        "that of `global`",
        "connections of this proxy at once",
        |d, line| {
            d.proxy.maxconn = Some(line.count("a count", 0)?).filter(|count| *count > 0);
            done(line)
        },
    )
    .at(FRONT),
    now("mode", "tcp|http", "tcp", "what the proxy understands of its traffic", mode).at(ALL),
    now("monitor-uri", "<uri>", "", "answered with 200 by the proxy itself", |draft, line| {
        draft.proxy.monitor_uri = Some(line.expect("a URI like /status")?.text);
        done(line)
    })
    .at(FRONT),
    now("retries", "<count>", "3", "further attempts to connect to a server", |draft, line| {
        draft.proxy.retries = line.count("a count", 0)?;
        done(line)
    })
    .at(BACK),
    now("server", "<name> <address>:<port> [<options>]", "", "one server", |draft, line| {
        let span = line.whole();
        let read = server::parse(&draft.server_defaults, span, line)?;
        draft.proxy.servers.extend(read.server);
        draft.unverified.extend(read.verifies_nothing.map(|always| (span, always)));
        Ok(())
    })
    .at(BACK_ONLY | STRICT),
    flag("option abortonclose", "who closes while it waits is let go", |d| {
        &mut d.proxy.abort_on_close
    })
    .at(BACK),
    flag("option allbackups", "all backup servers are used, not only the first", |d| {
        &mut d.proxy.all_backups
    })
    .at(BACK),
    flag("option clitcpka", "TCP keep-alives to the client", |d| &mut d.proxy.client_keepalive)
        .at(FRONT),
    flag("option dontlog-normal", "only failures are logged", |d| &mut d.proxy.no_log_normal)
        .at(FRONT),
    flag("option dontlognull", "connections without a byte are not logged", |d| {
        &mut d.proxy.no_log_null
    })
    .at(FRONT),
    now("option forwardfor", FORWARD, "", "tells the server who asks", forward_for).at(ALL),
    now("option http-keep-alive", "", "", "undoes the other two modes", |draft, line| {
        draft.proxy.http_close = false;
        draft.proxy.http_server_close = false;
        done(line)
    })
    .at(ALL)
    .no(),
    now("option httpchk", "[[<method>] <uri> [<version>]]", "", "checks ask HTTP", checks::http)
        .at(BACK),
    flag("option http-server-close", "the server's connection ends with the answer", |d| {
        d.proxy.http_close = false;
        &mut d.proxy.http_server_close
    })
    .at(ALL),
    flag("option httpclose", "connections end with the answer", |d| {
        d.proxy.http_server_close = false;
        &mut d.proxy.http_close
    })
    .at(ALL),
    now("option httplog", "", "", "log lines tell the request", |draft, line| {
        draft.log_format_at = Some(line.whole());
        draft.proxy.log_format = LogFormat::Http;
        draft.log_line = None;
        if line.look(0) == Some("clf") {
            let span = line.span();
            line.take();
            line.report(Diagnostic::not_yet(span, "`clf` of `option httplog`"));
        }
        done(line)
    })
    .at(FRONT),
    flag("option log-health-checks", "checks that change something are logged", |d| {
        &mut d.proxy.log_health_checks
    })
    .at(BACK),
    now(
        "option mysql-check",
        "[user <name> [post-41|pre-41]]",
        "",
        "checks ask MySQL",
        checks::mysql,
    )
    .at(BACK),
    now(
        "option redispatch",
        "[<n>]",
        "off: a retry goes to the same server; without a number: -1",
        "a retry goes to another server: -1 the last one, 1 every one",
        |draft, line| {
            draft.proxy.redispatch = redispatch(line)?;
            done(line)
        },
    )
    .at(BACK)
    .no(),
    flag("option srvtcpka", "TCP keep-alives to the server", |d| &mut d.proxy.server_keepalive)
        .at(BACK),
    now("option tcpka", "", "", "TCP keep-alives on both sides", |draft, line| {
        draft.proxy.client_keepalive = true;
        draft.proxy.server_keepalive = true;
        done(line)
    })
    .at(ALL),
    now("option tcplog", "", "", "log lines tell times and bytes", |draft, line| {
        draft.log_format_at = Some(line.whole());
        draft.proxy.log_format = LogFormat::Tcp;
        draft.log_line = None;
        done(line)
    })
    .at(ALL),
    now("stats admin", "if TRUE", "", "the page may change servers", |draft, line| {
        let condition = line.span();
        if !matches!(line.look(0), Some("if" | "unless")) {
            let word = line.expect("`if` and a condition")?;
            return Err(word.wrong("`if` and a condition"));
        }
        let is_empty = line.look(1).is_none();
        match rules::condition(&draft.acls, line)? {
            Some(None) if !is_empty => draft.page().admin = true,
            Some(_) => {
                line.report(Diagnostic::not_yet(condition, "`stats admin` with a condition"));
            }
            None => {} // it has been said
        }
        Ok(())
    })
    .at(SERVING),
    now("stats auth", "<user>:<password>", "open to all", "who may see the page", |draft, line| {
        let word = line.expect("user:password")?;
        let Some((user, password)) = word.text.split_once(':') else {
            return Err(word.wrong("user:password"));
        };
        let pair = (user.to_owned(), password.to_owned());
        draft.page().auth.push(pair);
        done(line)
    })
    .at(ALL),
    now("stats enable", "", "", "serves the statistics page", |draft, line| {
        draft.page();
        done(line)
    })
    .at(ALL),
    now("stats hide-version", "", "", "the page does not tell the version", |draft, line| {
        draft.page().hide_version = true;
        done(line)
    })
    .at(ALL),
    now(
        "stats realm",
        "<text>",
        "HAProxy Statistics",
        "what the browser asks with",
        |draft, line| {
            let realm = line.expect("a text")?.text;
            draft.page().realm = realm;
            done(line)
        },
    )
    .at(ALL),
    now("stats refresh", "<time>", "never", "the page loads itself anew", |draft, line| {
        let refresh = line.time(Unit::Seconds)?.1;
        draft.page().refresh = Some(refresh).filter(|time| !time.is_zero());
        done(line)
    })
    .at(ALL),
    now("stats scope", "<name>|.", "all", "proxies that the page shows", |draft, line| {
        let name = line.expect("the name of a proxy, or `.`")?.text;
        draft.page().scope.push(name);
        done(line)
    })
    .at(ALL),
    now("stats show-desc", "[<text>]", "", "the page shows a description", |draft, line| {
        let words: Vec<String> = line.rest().into_iter().map(|word| word.text).collect();
        draft.page().description = Some(Some(words.join(" ")).filter(|text| !text.is_empty()));
        Ok(())
    })
    .at(ALL),
    now("stats show-legends", "", "", "the page shows addresses and algorithms", |draft, line| {
        draft.page().legends = true;
        done(line)
    })
    .at(ALL),
    now("stats show-node", "[<name>]", "", "the page shows the node's name", |draft, line| {
        draft.page().node = Some(line.take().map(|word| word.text));
        done(line)
    })
    .at(ALL),
    now("stats uri", "<prefix>", "/haproxy?stats", "where the page is", |draft, line| {
        let uri = line.expect("a URI like /stats")?.text;
        draft.page().uri = uri;
        done(line)
    })
    .at(ALL),
    time("timeout check", "after connecting, for the answer to a check", |d| {
        &mut d.proxy.timeouts.check
    })
    .at(BACK),
    time("timeout client", "silence of the client", |d| &mut d.proxy.timeouts.client).at(FRONT),
    time("timeout client-fin", "silence of a client that has closed", |d| {
        &mut d.proxy.timeouts.client_fin
    })
    .at(FRONT),
    time("timeout connect", "for a connection to a server", |d| &mut d.proxy.timeouts.connect)
        .at(BACK),
    time("timeout http-keep-alive", "for the next request", |d| {
        &mut d.proxy.timeouts.http_keep_alive
    })
    .at(ALL),
    time("timeout http-request", "for a whole request head", |d| {
        &mut d.proxy.timeouts.http_request
    })
    .at(ALL),
    time("timeout queue", "for a free server", |d| &mut d.proxy.timeouts.queue).at(BACK),
    time("timeout server", "silence of the server", |d| &mut d.proxy.timeouts.server).at(BACK),
    time("timeout server-fin", "silence of a server that has closed", |d| {
        &mut d.proxy.timeouts.server_fin
    })
    .at(BACK),
    time("timeout tunnel", "silence of both after an upgrade", |d| &mut d.proxy.timeouts.tunnel)
        .at(BACK),
];

// The constructors with the type filled in, so that closures in rows know what they read into.

const fn now(
    name: &'static str,
    syntax: &'static str,
    default: &'static str,
    does: &'static str,
    parse: Parse<Draft>,
) -> Keyword<Draft> {
    keyword::now(name, syntax, default, does, parse)
}

const fn flag(
    name: &'static str,
    does: &'static str,
    field: fn(&mut Draft) -> &mut bool,
) -> Keyword<Draft> {
    keyword::flag(name, does, field)
}

const fn time(
    name: &'static str,
    does: &'static str,
    field: fn(&mut Draft) -> &mut Option<Duration>,
) -> Keyword<Draft> {
    keyword::time(name, does, field)
}

const BALANCE: &str = "how a server is chosen";
const FORWARD: &str = "[except <net>] [header <name>] [if-none]";

pub(crate) fn done(line: &mut Line<'_>) -> Parsed {
    line.finish();
    Ok(())
}
