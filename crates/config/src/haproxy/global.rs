//! Keywords of `global`.

use std::path::PathBuf;

use super::words::Environment;
use super::{Global, bind, log};
use crate::diagnostic::Diagnostic;
use crate::duration::Unit;
use crate::keyword::{Keyword, gone, idle, later, now};
use crate::line::Line;

/// `global` while it is read.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) global: Global,
    pub(crate) environment: Environment,
}

// Why a keyword needs nothing to be done.
const TLS: &str = "no effect without `ssl` on a `bind` or `server` line";
const THREADS: &str = "ours are scheduled otherwise";
const POLLER: &str = "ours always polls with epoll";

/// Every keyword of HAProxy 2.6 in this section.
pub(crate) const KEYWORDS: &[Keyword<Draft>] = &[
    now("chroot", "<folder>", "", "folder the balancer locks itself into", |draft, line| {
        draft.global.chroot = Some(path(line, "a folder")?);
        done(line)
    }),
    now("daemon", "", "", "runs in the background when called as `haproxy`", |draft, line| {
        draft.global.daemon = true;
        done(line)
    }),
    now("description", "<text>", "", "shown by `show info`", |draft, line| {
        let words: Vec<String> = line.rest().into_iter().map(|word| word.text).collect();
        draft.global.description = Some(words.join(" "));
        Ok(())
    }),
    now("gid", "<number>", "", "group of the balancer", |draft, line| {
        draft.global.gid = Some(line.count("a number", 0)?);
        done(line)
    }),
    now("group", "<name>", "", "group of the balancer", |draft, line| {
        draft.global.group = Some(line.expect("a group")?.text);
        done(line)
    }),
    Keyword {
        negatable: true,
        ..now("log", "<address>[:<port>] <facility> [<level> [<minlevel>]]", "", LOG, |d, line| {
            if line.negated {
                d.global.logs.clear();
                return done(line);
            }
            d.global.logs.extend(log::parse(line)?);
            Ok(())
        })
    },
    now("log-tag", "<name>", "haproxy", "name in syslog lines", |draft, line| {
        draft.global.log_tag = Some(line.expect("a name")?.text);
        done(line)
    }),
    now(
        "maxconn",
        "<count>",
        "from the limit of open files",
        "connections at once",
        |draft, line| {
            draft.global.maxconn = Some(line.count("a count", 0)?).filter(|count| *count > 0);
            done(line)
        },
    ),
    now("nbthread", "<count>", "one per core", "threads that carry traffic", |draft, line| {
        let count = line.number("a number of threads", 1, 64)?;
        draft.global.nbthread = u16::try_from(count).ok();
        done(line)
    }),
    now("node", "<name>", "the host's", "shown by `show info`", |draft, line| {
        draft.global.node = Some(line.expect("a name")?.text);
        done(line)
    }),
    now("presetenv", "<name> <value>", "", "sets a variable that is not set", |draft, line| {
        let (name, value) = (line.expect("a name")?.text, line.expect("a value")?.text);
        let unset = std::env::var_os(&name).is_none();
        let known = &mut draft.environment.changed;
        if known.get(&name).map_or(unset, Option::is_none) {
            known.insert(name, Some(value));
        }
        done(line)
    }),
    now("setenv", "<name> <value>", "", "sets a variable", |draft, line| {
        let (name, value) = (line.expect("a name")?.text, line.expect("a value")?.text);
        draft.environment.changed.insert(name, Some(value));
        done(line)
    }),
    now("unsetenv", "<name> ...", "", "removes variables", |draft, line| {
        for word in line.rest() {
            draft.environment.changed.insert(word.text, None);
        }
        Ok(())
    }),
    now(
        "stats socket",
        "<path> [mode <octal>] [level <level>]",
        "",
        "control socket",
        |d, line| {
            let socket = bind::stats_socket(line.span(), line)?;
            d.global.stats_sockets.push(socket);
            Ok(())
        },
    ),
    now("stats timeout", "<time>", "10s", "idle time of the control socket", |draft, line| {
        let time = line.expect("a time")?.time(Unit::Milliseconds)?;
        draft.global.stats_timeout = Some(time);
        done(line)
    }),
    now("uid", "<number>", "", "user of the balancer", |draft, line| {
        draft.global.uid = Some(line.count("a number", 0)?);
        done(line)
    }),
    now("user", "<name>", "", "user of the balancer", |draft, line| {
        draft.global.user = Some(line.expect("a user")?.text);
        done(line)
    }),
    idle("busy-polling", POLLER).no(),
    idle("ca-base", TLS),
    idle("cpu-map", THREADS),
    idle("crt-base", TLS),
    idle("fd-hard-limit", "the limit follows from `maxconn`"),
    idle("issuers-chain-path", TLS),
    idle("localpeer", "no effect without `peers`"),
    idle("master-worker", "there is always a supervisor"),
    idle("maxsslconn", TLS),
    idle("maxsslrate", TLS),
    idle("mworker-max-reloads", "old generations end when they are drained"),
    idle("no-memory-trimming", "memory is given back by session"),
    idle("noepoll", POLLER),
    idle("noevports", POLLER),
    idle("nogetaddrinfo", "names are not looked up"),
    idle("nokqueue", POLLER),
    idle("nopoll", POLLER),
    idle("noreuseport", "sockets are passed on, not bound again"),
    idle("nosplice", "only how bytes are moved"),
    idle("numa-cpu-mapping", THREADS).no(),
    idle("profiling.tasks", "only for haproxy's developers"),
    idle("quiet", "nothing is printed at start"),
    idle("set-dumpable", "only whether a crash leaves a core file").no(),
    idle("ssl-default-bind-ciphers", TLS),
    idle("ssl-default-bind-ciphersuites", TLS),
    idle("ssl-default-bind-curves", TLS),
    idle("ssl-default-bind-options", TLS),
    idle("ssl-default-server-ciphers", TLS),
    idle("ssl-default-server-ciphersuites", TLS),
    idle("ssl-default-server-options", TLS),
    idle("ssl-dh-param-file", TLS),
    idle("ssl-engine", TLS),
    idle("ssl-load-extra-del-ext", TLS),
    idle("ssl-load-extra-files", TLS),
    idle("ssl-mode-async", TLS),
    idle("ssl-propquery", TLS),
    idle("ssl-provider", TLS),
    idle("ssl-provider-path", TLS),
    idle("ssl-server-verify", TLS),
    idle("ssl-skip-self-issued-ca", TLS),
    idle("stats maxconn", "the control socket has its own limit"),
    idle("strict-limits", "the limit of open files is raised as far as it goes").no(),
    idle("thread-group", THREADS),
    idle("thread-groups", THREADS),
    idle("tune.fd.edge-triggered", POLLER),
    idle("tune.listener.multi-queue", THREADS),
    idle("tune.maxaccept", THREADS),
    idle("tune.maxpollevents", POLLER),
    idle("tune.runqueue-depth", THREADS),
    idle("tune.sched.low-latency", THREADS),
    idle("tune.ssl.cachesize", TLS),
    idle("tune.ssl.capture-buffer-size", TLS),
    idle("tune.ssl.capture-cipherlist-size", TLS),
    idle("tune.ssl.default-dh-param", TLS),
    idle("tune.ssl.force-private-cache", TLS),
    idle("tune.ssl.hard-maxrecord", TLS),
    idle("tune.ssl.keylog", TLS),
    idle("tune.ssl.lifetime", TLS),
    idle("tune.ssl.maxrecord", TLS),
    idle("tune.ssl.ssl-ctx-cache-size", TLS),
    idle("ulimit-n", "the limit follows from `maxconn`"),
    gone("nbproc", "remove it: threads share the load"),
    later("51degrees-cache-size"),
    later("51degrees-data-file"),
    later("51degrees-property-name-list"),
    later("51degrees-property-separator"),
    later("close-spread-time"),
    later("cluster-secret"),
    later("default-path"),
    later("deviceatlas-json-file"),
    later("deviceatlas-log-level"),
    later("deviceatlas-properties-cookie"),
    later("deviceatlas-separator"),
    later("expose-experimental-directives"),
    later("external-check"),
    later("grace"),
    later("h1-accept-payload-with-any-method"),
    later("h1-case-adjust"),
    later("h1-case-adjust-file"),
    later("h2-workaround-bogus-websocket-clients"),
    later("hard-stop-after"),
    later("httpclient.resolvers.id"),
    later("httpclient.resolvers.prefer"),
    later("httpclient.ssl.ca-file"),
    later("httpclient.ssl.verify"),
    later("insecure-fork-wanted").no(),
    later("insecure-setuid-wanted").no(),
    later("limited-quic"),
    later("log-send-hostname"),
    later("lua-load"),
    later("lua-load-per-thread"),
    later("lua-prepend-path"),
    later("max-spread-checks"),
    later("maxcompcpuusage"),
    later("maxcomprate"),
    later("maxconnrate"),
    later("maxpipes"),
    later("maxsessrate"),
    later("maxzlibmem"),
    later("no-quic"),
    later("pidfile"),
    later("pp2-never-send-local"),
    later("resetenv"),
    later("server-state-base"),
    later("server-state-file"),
    later("set-var"),
    later("set-var-fmt"),
    later("spread-checks"),
    later("stats bind-process"),
    later("tune.buffers.limit"),
    later("tune.buffers.reserve"),
    later("tune.bufsize"),
    later("tune.comp.maxlevel"),
    later("tune.disable-fast-forward"),
    later("tune.fail-alloc"),
    later("tune.h2.header-table-size"),
    later("tune.h2.initial-window-size"),
    later("tune.h2.max-concurrent-streams"),
    later("tune.h2.max-frame-size"),
    later("tune.http.cookielen"),
    later("tune.http.logurilen"),
    later("tune.http.maxhdr"),
    later("tune.idle-pool.shared"),
    later("tune.idletimer"),
    later("tune.lua.forced-yield"),
    later("tune.lua.maxmem"),
    later("tune.lua.service-timeout"),
    later("tune.lua.session-timeout"),
    later("tune.lua.task-timeout"),
    later("tune.maxrewrite"),
    later("tune.pattern.cache-size"),
    later("tune.peers.max-updates-at-once"),
    later("tune.pipesize"),
    later("tune.pool-high-fd-ratio"),
    later("tune.pool-low-fd-ratio"),
    later("tune.quic.frontend.conn-tx-buffers.limit"),
    later("tune.quic.frontend.max-idle-timeout"),
    later("tune.quic.frontend.max-streams-bidi"),
    later("tune.quic.retry-threshold"),
    later("tune.rcvbuf.client"),
    later("tune.rcvbuf.server"),
    later("tune.recv_enough"),
    later("tune.sndbuf.client"),
    later("tune.sndbuf.server"),
    later("tune.vars.check-max-size"),
    later("tune.vars.global-max-size"),
    later("tune.vars.proc-max-size"),
    later("tune.vars.reqres-max-size"),
    later("tune.vars.sess-max-size"),
    later("tune.vars.txn-max-size"),
    later("tune.zlib.memlevel"),
    later("tune.zlib.windowsize"),
    later("unix-bind"),
    later("wurfl-cache-size"),
    later("wurfl-data-file"),
    later("wurfl-information-list"),
    later("wurfl-information-list-separator"),
    later("zero-warning"),
];

const LOG: &str = "where events go; proxies refer to it with `log global`";

fn path(line: &mut Line<'_>, what: &str) -> Result<PathBuf, Diagnostic> {
    Ok(PathBuf::from(line.expect(what)?.text))
}

fn done(line: &mut Line<'_>) -> Result<(), Diagnostic> {
    line.finish();
    Ok(())
}
