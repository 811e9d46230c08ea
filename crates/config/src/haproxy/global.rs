//! Keywords of `global`.

use std::path::PathBuf;

use super::words::Environment;
use super::{Global, bind, log, tls};
use crate::diagnostic::Diagnostic;
use crate::duration::Unit;
use crate::keyword::{Keyword, MANY, Run, idle, later, now, renamed};
use crate::line::Line;

/// `global` while it is read.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) global: Global,
    pub(crate) environment: Environment,
    /// `ssl-server-verify none`.
    pub(crate) trusts_servers: bool,
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
        let mut words = vec![line.expect("a text")?.text];
        words.extend(line.rest().into_iter().map(|word| word.text));
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
        let time = line.time(Unit::Milliseconds)?.1;
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
    idle("busy-polling", POLLER).args(0, 0).no(),
    idle("ca-base", TLS).args(1, 1),
    idle("cpu-map", THREADS).args(1, MANY),
    idle("crt-base", TLS).args(1, 1),
    idle("fd-hard-limit", "the limit follows from `maxconn`").args(1, 1),
    idle("issuers-chain-path", TLS).args(1, 1),
    idle("localpeer", "no effect without `peers`").args(1, 1),
    idle("master-worker", "there is always a supervisor").args(0, 1),
    idle("maxsslconn", TLS).args(1, 1),
    idle("maxsslrate", TLS).args(1, 1),
    idle("mworker-max-reloads", "old generations end when they are drained").args(0, 1),
    idle("no-memory-trimming", "memory is given back by session").args(0, 0),
    idle("noepoll", POLLER).args(0, 0),
    idle("noevports", POLLER).args(0, 0),
    idle("nogetaddrinfo", "names are not looked up").args(0, 0),
    idle("nokqueue", POLLER).args(0, 0),
    idle("nopoll", POLLER).args(0, 0),
    idle("noreuseport", "sockets are passed on, not bound again").args(0, 0),
    idle("nosplice", "only how bytes are moved").args(0, 0),
    idle("numa-cpu-mapping", THREADS).no(),
    idle("profiling.tasks", "only for haproxy's developers").args(1, 1),
    idle("quiet", "nothing is printed at start").args(0, 0),
    idle("set-dumpable", "only whether a crash leaves a core file").args(0, 0).no(),
    idle("ssl-default-bind-ciphers", TLS).args(1, 1),
    idle("ssl-default-bind-ciphersuites", TLS).args(1, 1),
    idle("ssl-default-bind-curves", TLS).args(1, 1),
    Keyword {
        run: Run::Now(|_, line| tls::options(line)),
        ..idle("ssl-default-bind-options", TLS)
    },
    idle("ssl-default-server-ciphers", TLS).args(1, 1),
    idle("ssl-default-server-ciphersuites", TLS).args(1, 1),
    Keyword {
        run: Run::Now(|_, line| tls::options(line)),
        ..idle("ssl-default-server-options", TLS)
    },
    idle("ssl-dh-param-file", TLS).args(1, 1),
    idle("ssl-engine", TLS),
    idle("ssl-load-extra-del-ext", TLS),
    idle("ssl-load-extra-files", TLS).args(1, MANY),
    idle("ssl-mode-async", TLS),
    idle("ssl-propquery", TLS).args(1, MANY),
    idle("ssl-provider", TLS).args(1, MANY),
    idle("ssl-provider-path", TLS).args(1, MANY),
    Keyword {
        run: Run::Now(|draft, line| {
            let word = line.expect("none or required")?;
            draft.trusts_servers = match word.text.as_str() {
                "none" => true,
                "required" => false,
                _ => return Err(word.wrong("none or required")),
            };
            done(line)
        }),
        ..idle("ssl-server-verify", TLS)
    },
    idle("ssl-skip-self-issued-ca", TLS),
    idle("stats maxconn", "the control socket has its own limit").args(1, MANY),
    idle("strict-limits", "the limit of open files is raised as far as it goes").args(0, 0).no(),
    idle("thread-group", THREADS).args(1, MANY),
    idle("thread-groups", THREADS).args(1, 1),
    idle("tune.fd.edge-triggered", POLLER),
    idle("tune.listener.multi-queue", THREADS).args(1, 1),
    idle("tune.maxaccept", THREADS).args(1, 1),
    idle("tune.maxpollevents", POLLER).args(1, 1),
    idle("tune.runqueue-depth", THREADS).args(1, 1),
    idle("tune.sched.low-latency", THREADS).args(1, 1),
    idle("tune.ssl.cachesize", TLS).args(1, 1),
    idle("tune.ssl.capture-buffer-size", TLS).args(1, 1),
    idle("tune.ssl.capture-cipherlist-size", TLS).args(1, 1),
    Keyword {
        run: Run::Now(|_, line| {
            line.number("a size", 1024, u64::MAX)?;
            done(line)
        }),
        ..idle("tune.ssl.default-dh-param", TLS)
    },
    idle("tune.ssl.force-private-cache", TLS).args(0, 0),
    idle("tune.ssl.hard-maxrecord", TLS).args(1, 1),
    idle("tune.ssl.keylog", TLS).args(1, 1),
    idle("tune.ssl.lifetime", TLS).args(1, 1),
    idle("tune.ssl.maxrecord", TLS).args(1, 1),
    idle("tune.ssl.ssl-ctx-cache-size", TLS).args(1, 1),
    idle("ulimit-n", "the limit follows from `maxconn`").args(1, 1),
    renamed("nbproc", "# nbproc", "remove it: threads share the load"),
    later("51degrees-cache-size"),
    later("51degrees-data-file"),
    later("51degrees-property-name-list"),
    later("51degrees-property-separator"),
    later("close-spread-time").args(1, MANY),
    later("cluster-secret").args(1, 1),
    later("default-path").args(1, MANY),
    later("deviceatlas-json-file"),
    later("deviceatlas-log-level"),
    later("deviceatlas-properties-cookie"),
    later("deviceatlas-separator"),
    later("expose-experimental-directives"),
    later("external-check").args(0, 0),
    later("grace").args(1, MANY),
    later("h1-accept-payload-with-any-method").args(0, 0),
    later("h1-case-adjust").args(1, 2),
    later("h1-case-adjust-file").args(1, 1),
    later("h2-workaround-bogus-websocket-clients").args(0, 0),
    later("hard-stop-after").args(1, MANY),
    later("httpclient.resolvers.id").args(0, 1),
    later("httpclient.resolvers.prefer").args(1, 1),
    later("httpclient.ssl.ca-file").args(0, 1),
    later("httpclient.ssl.verify").args(1, 1),
    later("insecure-fork-wanted").args(0, 0).no(),
    later("insecure-setuid-wanted").args(0, 0).no(),
    later("limited-quic"),
    later("log-send-hostname"),
    later("lua-load").args(1, MANY),
    later("lua-load-per-thread").args(1, MANY),
    later("lua-prepend-path").args(1, 2),
    later("max-spread-checks").args(1, 1),
    later("maxcompcpuusage").args(1, 1),
    later("maxcomprate").args(1, 1),
    later("maxconnrate").args(1, 1),
    later("maxpipes").args(1, 1),
    later("maxsessrate").args(1, 1),
    later("maxzlibmem").args(1, 1),
    later("no-quic"),
    later("pidfile").args(1, 1),
    later("pp2-never-send-local").args(0, 0),
    later("resetenv"),
    later("server-state-base").args(1, MANY),
    later("server-state-file"),
    later("set-var").args(1, MANY),
    later("set-var-fmt").args(1, MANY),
    later("spread-checks").args(1, 1),
    later("stats bind-process"),
    later("tune.buffers.limit").args(1, 1),
    later("tune.buffers.reserve").args(1, 1),
    later("tune.bufsize").args(1, 1),
    later("tune.comp.maxlevel").args(1, 1),
    later("tune.disable-fast-forward"),
    later("tune.fail-alloc").args(0, 1),
    later("tune.h2.header-table-size").args(1, 1),
    later("tune.h2.initial-window-size").args(0, 1),
    later("tune.h2.max-concurrent-streams").args(0, 1),
    later("tune.h2.max-frame-size").args(1, 1),
    later("tune.http.cookielen").args(1, 1),
    later("tune.http.logurilen").args(1, 1),
    later("tune.http.maxhdr").args(1, 1),
    later("tune.idle-pool.shared").args(1, 1),
    later("tune.idletimer").args(1, 1),
    later("tune.lua.forced-yield"),
    later("tune.lua.maxmem").args(1, MANY),
    later("tune.lua.service-timeout"),
    later("tune.lua.session-timeout"),
    later("tune.lua.task-timeout"),
    later("tune.maxrewrite").args(1, 1),
    later("tune.pattern.cache-size").args(1, MANY),
    later("tune.peers.max-updates-at-once").args(1, 1),
    later("tune.pipesize").args(1, 1),
    later("tune.pool-high-fd-ratio").args(1, 1),
    later("tune.pool-low-fd-ratio").args(1, 1),
    later("tune.quic.frontend.conn-tx-buffers.limit"),
    later("tune.quic.frontend.max-idle-timeout"),
    later("tune.quic.frontend.max-streams-bidi"),
    later("tune.quic.retry-threshold"),
    later("tune.rcvbuf.client").args(1, 1),
    later("tune.rcvbuf.server").args(1, 1),
    later("tune.recv_enough").args(1, 1),
    later("tune.sndbuf.client").args(1, 1),
    later("tune.sndbuf.server").args(1, 1),
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
    later("zero-warning").args(0, 0),
];

const LOG: &str = "where events go; proxies refer to it with `log global`";

fn path(line: &mut Line<'_>, what: &str) -> Result<PathBuf, Diagnostic> {
    Ok(PathBuf::from(line.expect(what)?.text))
}

fn done(line: &mut Line<'_>) -> Result<(), Diagnostic> {
    line.finish();
    Ok(())
}
