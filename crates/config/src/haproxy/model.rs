//! What a file in HAProxy's language says, with its defaults applied to each proxy.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::Span;

use super::LogLine;

/// All sections of all files given.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Haproxy {
    pub global: Global,
    /// `listen`, `frontend` and `backend` in the order of the files.
    pub proxies: Vec<Proxy>,
}

/// `global`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Global {
    pub chroot: Option<PathBuf>,
    pub user: Option<String>,
    pub group: Option<String>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub daemon: bool,
    pub pidfile: Option<PathBuf>,
    pub logs: Vec<LogTarget>,
    /// Name in syslog lines, `haproxy` by default.
    pub log_tag: Option<String>,
    /// Connections of the whole process.
    pub maxconn: Option<u32>,
    /// Data threads; none: one per core.
    pub nbthread: Option<u16>,
    pub stats_sockets: Vec<StatsSocket>,
    /// `node`, `description`: shown by `show info`.
    pub node: Option<String>,
    pub description: Option<String>,
    /// `stats timeout`: idle time after which the stats socket hangs up, 10 s by default.
    pub stats_timeout: Option<Duration>,
}

/// `log ADDRESS[:PORT] FACILITY [LEVEL [MINLEVEL]]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogTarget {
    pub to: LogTo,
    /// 0-23, as in RFC 5424 6.2.1.
    pub facility: u8,
    /// Lines of higher number (less severe) are not sent; 0-7.
    pub level: u8,
    /// More severe lines are sent as this; 0-7.
    pub min_level: u8,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LogTo {
    Udp(SocketAddr),
    /// A datagram socket such as `/dev/log`.
    Unix(PathBuf),
}

/// `stats socket PATH [mode M] [user U] [group G] [level L]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StatsSocket {
    pub address: BindAddress,
    /// Octal permission bits.
    pub mode: Option<u32>,
    pub user: Option<String>,
    pub group: Option<String>,
    /// May change something (`level admin`); `operator` is the default.
    pub admin: bool,
    /// Position of its file in the list given.
    pub file: usize,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProxyKind {
    Listen,
    Frontend,
    Backend,
}

impl ProxyKind {
    /// The word that opens its section.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Listen => "listen",
            Self::Frontend => "frontend",
            Self::Backend => "backend",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mode {
    #[default]
    Tcp,
    Http,
}

/// One `listen`, `frontend` or `backend`, with the `defaults` before it applied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Proxy {
    pub name: String,
    pub kind: ProxyKind,
    /// Position of its file in the list given; all spans below are in that file.
    pub file: usize,
    pub span: Span,
    pub mode: Mode,
    pub binds: Vec<Bind>,
    pub servers: Vec<Server>,
    /// Where the sessions go: `default_backend`, or a `use_backend` that always holds.
    pub default_backend: Option<String>,
    pub balance: Balance,
    /// `option allbackups`.
    pub all_backups: bool,
    pub redispatch: Redispatch,
    /// `retries`, 3 by default.
    pub retries: u32,
    pub timeouts: Timeouts,
    pub forward_for: Option<ForwardFor>,
    /// `http-request` rules, in order.
    pub request_rules: Vec<HeaderRule>,
    /// `http-response` rules, in order.
    pub response_rules: Vec<HeaderRule>,
    pub logs: Vec<LogTarget>,
    pub log_format: LogFormat,
    /// `option dontlognull`.
    pub no_log_null: bool,
    /// `option dontlog-normal`.
    pub no_log_normal: bool,
    /// `option tcpka`, `clitcpka`.
    pub client_keepalive: bool,
    /// `option tcpka`, `srvtcpka`.
    pub server_keepalive: bool,
    /// Connections of this frontend.
    pub maxconn: Option<u32>,
    /// How servers with `check` are asked.
    pub check: CheckKind,
    pub stats: Option<StatsPage>,
    /// `monitor-uri`.
    pub monitor_uri: Option<String>,
    /// `http-request deny`-less proxies may be `disabled`.
    pub disabled: bool,
    /// `option httpclose`: the connection ends with the answer.
    pub http_close: bool,
    /// `option http-server-close`: the server's connection does, the client's stays.
    pub http_server_close: bool,
    /// `option abortonclose`: a client that closes while it waits gets no server, or leaves it.
    pub abort_on_close: bool,
    /// `description`: shown on the stats page.
    pub description: Option<String>,
    /// `log-tag` of this proxy.
    pub log_tag: Option<String>,
    /// `backlog` of its listeners.
    pub backlog: Option<u32>,
    /// `option log-health-checks`: every check that changes something is logged.
    pub log_health_checks: bool,
}

impl Proxy {
    /// An empty proxy with HAProxy's own defaults.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: ProxyKind) -> Self {
        Self {
            name: name.into(),
            kind,
            file: 0,
            span: Span::default(),
            mode: Mode::Tcp,
            binds: Vec::new(),
            servers: Vec::new(),
            default_backend: None,
            balance: Balance::RoundRobin,
            all_backups: false,
            redispatch: Redispatch::Never,
            retries: 3,
            timeouts: Timeouts::default(),
            forward_for: None,
            request_rules: Vec::new(),
            response_rules: Vec::new(),
            logs: Vec::new(),
            log_format: LogFormat::Plain,
            no_log_null: false,
            no_log_normal: false,
            client_keepalive: false,
            server_keepalive: false,
            maxconn: None,
            check: CheckKind::Tcp,
            stats: None,
            monitor_uri: None,
            disabled: false,
            http_close: false,
            http_server_close: false,
            abort_on_close: false,
            description: None,
            log_tag: None,
            backlog: None,
            log_health_checks: false,
        }
    }

    /// Whether clients can connect to it.
    #[must_use]
    pub const fn is_frontend(&self) -> bool {
        matches!(self.kind, ProxyKind::Listen | ProxyKind::Frontend)
    }

    /// Whether it has servers.
    #[must_use]
    pub const fn is_backend(&self) -> bool {
        matches!(self.kind, ProxyKind::Listen | ProxyKind::Backend)
    }
}

/// `bind ADDRESS:PORT[,...] [interface I] [transparent]`; one value per address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bind {
    pub address: BindAddress,
    pub maxconn: Option<u32>,
    pub backlog: Option<u32>,
    pub interface: Option<String>,
    /// Shown in statistics.
    pub name: Option<String>,
    /// The address need not be on this node; ours never need to be.
    pub transparent: bool,
    /// Octal permission bits of a unix socket.
    pub mode: Option<u32>,
    pub user: Option<String>,
    pub group: Option<String>,
    pub span: Span,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum BindAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
    /// A listening socket inherited under this number.
    Descriptor(i32),
}

/// `server NAME ADDRESS:PORT ...`, with `default-server` applied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Server {
    pub name: String,
    pub address: SocketAddr,
    pub backup: bool,
    pub disabled: bool,
    /// 0-256.
    pub weight: u16,
    /// Concurrent sessions; the rest waits in a queue.
    pub maxconn: Option<u32>,
    pub check: Option<Check>,
    /// `rise`, whether or not there is a check: haproxy shows it as the health of a server without.
    pub rise: u32,
    pub span: Span,
}

/// The counting part of a check.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Check {
    /// 2 s by default.
    pub interval: Duration,
    /// Interval while the state is changing.
    pub fast_interval: Option<Duration>,
    /// Interval while down.
    pub down_interval: Option<Duration>,
    /// 2 by default.
    pub rise: u32,
    /// 3 by default.
    pub fall: u32,
    /// Where the check goes, if not to the server's address.
    pub address: Option<IpAddr>,
    pub port: Option<u16>,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum CheckKind {
    /// Connect, and that is all.
    #[default]
    Tcp,
    /// `option httpchk`.
    Http(HttpCheck),
    /// `option mysql-check`.
    Mysql(MysqlCheck),
}

/// `option httpchk [METHOD] URI [VERSION]`, `http-check send`, `http-check expect status`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HttpCheck {
    pub method: String,
    pub uri: String,
    /// `HTTP/1.0` by default.
    pub version: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// Ranges of status codes that pass; empty: 200-399.
    pub expect_status: Vec<(u16, u16)>,
}

/// `option mysql-check [user NAME [pre-41|post-41]]`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MysqlCheck {
    pub user: Option<String>,
    pub pre_41: bool,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Balance {
    #[default]
    RoundRobin,
    Source,
    LeastConnections,
    First,
}

/// `option redispatch [N]`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Redispatch {
    /// Every retry goes to the same server.
    #[default]
    Never,
    /// Every N-th retry goes to another server.
    Every(u32),
    /// The N-th retry before the last does; plain `option redispatch` is 1: the last.
    BeforeLast(u32),
}

/// All `timeout`s; none: no limit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Timeouts {
    pub client: Option<Duration>,
    pub server: Option<Duration>,
    pub connect: Option<Duration>,
    pub queue: Option<Duration>,
    pub http_request: Option<Duration>,
    pub http_keep_alive: Option<Duration>,
    pub check: Option<Duration>,
    pub tunnel: Option<Duration>,
    pub client_fin: Option<Duration>,
    pub server_fin: Option<Duration>,
}

/// `option forwardfor [except NET] [header NAME] [if-none]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ForwardFor {
    pub header: String,
    pub except: Option<(IpAddr, u8)>,
    pub if_none: bool,
}

/// One `http-request` or `http-response` rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HeaderRule {
    pub action: Action,
    /// All must hold; an empty list always does.
    pub condition: Option<Condition>,
    pub span: Span,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    DeleteHeader(String),
    SetHeader(String, String),
    AddHeader(String, String),
    Deny { status: u16 },
}

/// `if { ssl_fc }` or `unless { ssl_fc }`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Condition {
    /// The client speaks TLS to us.
    SslFrontend,
    NotSslFrontend,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum LogFormat {
    /// Neither option: haproxy's short "Connect from" line.
    #[default]
    Plain,
    /// `option tcplog`.
    Tcp,
    /// `option httplog`.
    Http,
    /// `log-format`.
    Custom(Arc<LogLine>),
}

/// `stats enable`, `uri`, `refresh`, `realm`, `auth`, `scope` and what the page shows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StatsPage {
    /// `/haproxy?stats` by default.
    pub uri: String,
    pub refresh: Option<Duration>,
    pub realm: String,
    /// `user:password`; empty: open to all.
    pub auth: Vec<(String, String)>,
    pub admin: bool,
    pub hide_version: bool,
    /// Names of the proxies shown, `.` for the page's own; empty: all.
    pub scope: Vec<String>,
    /// Addresses of servers, algorithms and the like are shown.
    pub legends: bool,
    /// `stats show-node`: the node's name is shown; this one, or the machine's.
    pub node: Option<Option<String>>,
    /// `stats show-desc`: a text is shown; this one, or `description`.
    pub description: Option<Option<String>>,
}
