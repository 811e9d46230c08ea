//! Every option of keepalived 2.2.7, and what becomes of it.

use std::fmt::Write as _;

/// One of them.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) short: Option<char>,
    pub(super) long: &'static str,
    pub(super) takes: Takes,
    pub(super) does: Does,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Takes {
    Nothing,
    /// A word behind it, or glued on.
    Value,
    /// A word, if one is glued on.
    Glued,
}

#[derive(Debug)]
pub(super) enum Does {
    Sets(Which),
    /// Accepted: it is so, or it says nothing to us; for that reason.
    Nothing(&'static str),
    /// Accepted and not obeyed, which is told.
    Told(&'static str),
    Refused(&'static str),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    File,
    PidFile,
    VrrpPidFile,
    ConfigId,
    Namespace,
    AllIncluded,
    Foreground,
    Check,
    Help,
    Version,
    Signal,
}

const fn option(short: char, long: &'static str, takes: Takes, does: Does) -> Named {
    Named { short: Some(short), long, takes, does }
}

const LOGS: &str = "what happens is told on standard error and in the event log";
const LVS: &str = "there is no IPVS";
const CORE: &str = "memory has passwords in it: no core is written";

/// In the order of `keepalived --help`.
pub(super) const OPTIONS: &[Named] = &[
    option('f', "use-file", Takes::Value, Does::Sets(Which::File)),
    option('P', "vrrp", Takes::Nothing, Does::Nothing("nothing else is run")),
    option(
        'C',
        "check",
        Takes::Nothing,
        Does::Refused(
            "-C runs health checks of virtual servers only, and there are none: `outlast run --haproxy` balances",
        ),
    ),
    option('B', "no_bfd", Takes::Nothing, Does::Nothing("nothing else is run")),
    Named {
        short: None,
        long: "all",
        takes: Takes::Nothing,
        does: Does::Nothing("nothing else is run"),
    },
    option('l', "log-console", Takes::Nothing, Does::Nothing(LOGS)),
    option('D', "log-detail", Takes::Nothing, Does::Nothing(LOGS)),
    option('S', "log-facility", Takes::Value, Does::Nothing(LOGS)),
    option(
        'g',
        "log-file",
        Takes::Glued,
        Does::Refused("-g requires configure option --enable-log-file"),
    ),
    option('G', "no-syslog", Takes::Nothing, Does::Nothing(LOGS)),
    option('u', "umask", Takes::Value, Does::Nothing("files are private")),
    option('X', "release-vips", Takes::Nothing, Does::Nothing("addresses are always released")),
    option(
        'V',
        "dont-release-vrrp",
        Takes::Nothing,
        Does::Told(
            "-V is not obeyed: at the end addresses and routes are removed, so that no two nodes have them",
        ),
    ),
    option('I', "dont-release-ipvs", Takes::Nothing, Does::Nothing(LVS)),
    option(
        'R',
        "dont-respawn",
        Takes::Nothing,
        Does::Told("-R is not obeyed: a process that dies is started again"),
    ),
    option('n', "dont-fork", Takes::Nothing, Does::Sets(Which::Foreground)),
    option('d', "dump-conf", Takes::Nothing, Does::Nothing(LOGS)),
    option('p', "pid", Takes::Value, Does::Sets(Which::PidFile)),
    option('r', "vrrp_pid", Takes::Value, Does::Sets(Which::VrrpPidFile)),
    option(
        'T',
        "genhash",
        Takes::Nothing,
        Does::Refused("-T makes hashes for checks of virtual servers, and there are none"),
    ),
    option('c', "checkers_pid", Takes::Value, Does::Nothing(LVS)),
    option('a', "address-monitoring", Takes::Nothing, Does::Nothing(LOGS)),
    option('b', "bfd_pid", Takes::Value, Does::Nothing("there is no process for BFD")),
    option(
        'x',
        "snmp",
        Takes::Nothing,
        Does::Told("-x is not obeyed: there is no SNMP; ask `outlast status --json`"),
    ),
    option('A', "snmp-agent-socket", Takes::Value, Does::Nothing("there is no SNMP")),
    option('s', "namespace", Takes::Value, Does::Sets(Which::Namespace)),
    option('m', "core-dump", Takes::Nothing, Does::Nothing(CORE)),
    option('M', "core-dump-pattern", Takes::Glued, Does::Nothing(CORE)),
    option('e', "all-config", Takes::Nothing, Does::Sets(Which::AllIncluded)),
    option('i', "config-id", Takes::Value, Does::Sets(Which::ConfigId)),
    Named { short: None, long: "signum", takes: Takes::Value, does: Does::Sets(Which::Signal) },
    option('t', "config-test", Takes::Glued, Does::Sets(Which::Check)),
    option('v', "version", Takes::Nothing, Does::Sets(Which::Version)),
    option('h', "help", Takes::Nothing, Does::Sets(Which::Help)),
];

/// The option of that name, or the only one that begins so.
pub(super) fn long(name: &str) -> Result<&'static Named, String> {
    if let Some(exact) = OPTIONS.iter().find(|option| option.long == name) {
        return Ok(exact);
    }
    let mut near =
        OPTIONS.iter().filter(|option| !name.is_empty() && option.long.starts_with(name));
    match (near.next(), near.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(format!("Unknown option --{name}")),
    }
}

pub(super) fn usage() -> String {
    let mut text = String::from("Usage: keepalived [OPTION...]\n");
    for Named { short, long, takes, does } in OPTIONS {
        let short = short.map_or_else(|| "   ".to_owned(), |letter| format!("-{letter},"));
        let value = match takes {
            Takes::Nothing => "",
            Takes::Value => "=VALUE",
            Takes::Glued => "[=VALUE]",
        };
        let does = match does {
            Does::Sets(which) => which.says(),
            Does::Nothing(why) | Does::Told(why) | Does::Refused(why) => why,
        };
        let long = format!("--{long}{value}");
        let _ = writeln!(text, "  {short} {long:<28} {does}");
    }
    text
}

impl Which {
    const fn says(self) -> &'static str {
        match self {
            Self::File => "the file that is read [default: /etc/keepalived/keepalived.conf]",
            Self::PidFile => "gets the number of the process that signals are for",
            Self::VrrpPidFile => "gets the same number",
            Self::ConfigId => {
                "whose lines `@name` are [default: the host's name up to its first dot]"
            }
            Self::Namespace => "the network namespace that it runs in",
            Self::AllIncluded => "each file that is included must be there",
            Self::Foreground => "stays in the foreground",
            Self::Check => {
                "checks the file: 0 well, 4 no file, 5 mistakes, 6 scripts without security"
            }
            Self::Help => "this text",
            Self::Version => "the version",
            Self::Signal => "the number of STOP, RELOAD, DATA, STATS, STATS_CLEAR or JSON",
        }
    }
}
