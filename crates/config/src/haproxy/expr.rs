//! Expressions: what is taken of a connection, a request or an answer, and how it is changed before it
//! is compared or written (HAProxy's manual, 7).
//!
//! ```text
//! req.hdr(host),lower,map_dom(/etc/haproxy/names,main)
//! `- Fetch ---´ `- Converter --------------------------´
//! ```
//!
//! Names are looked up once, here; what comes of it is run without a look at any name.

use std::net::IpAddr;

pub use acl::{Acl, Condition, Term, Test};
pub use convert::{Converter, Entries, Map, Number, Operation};
pub use pattern::{How, Matcher, Network, Range};
pub use regular::Regular;

pub(crate) use acl::{acl, condition, expected_condition, keywords};
pub(crate) use convert::{CONVERTERS, OTHERS as OTHER_CONVERTERS, maps};
pub(crate) use fetch::FETCHES;
pub(crate) use read::{names, read, regular, variable_at};
pub(crate) use visit::resolve;

mod acl;
mod arguments;
mod convert;
mod fetch;
mod pattern;
mod read;
mod regular;
mod there;
mod visit;

/// `FETCH(ARGUMENTS),CONVERTER(ARGUMENTS),...`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Expr {
    pub fetch: Fetch,
    pub converters: Vec<Converter>,
    /// Of what comes out.
    pub kind: Kind,
    /// As it is written.
    pub text: String,
}

/// Types of samples.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Known at run time only: a variable.
    Any,
    Bool,
    Int,
    Ip,
    Str,
    Bin,
    Method,
}

impl Kind {
    /// As HAProxy names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Bool => "bool",
            Self::Int => "sint",
            Self::Ip => "addr",
            Self::Str => "str",
            Self::Bin => "bin",
            Self::Method => "meth",
        }
    }

    /// Whether a sample of this type can become one of the other.
    pub(crate) const fn becomes(self, other: Self) -> bool {
        match (self, other) {
            (Self::Any, _) | (_, Self::Any) => true,
            (Self::Bool, Self::Bool | Self::Int | Self::Str) => true,
            (Self::Int, Self::Bool | Self::Int | Self::Ip | Self::Str) => true,
            (Self::Ip, Self::Int | Self::Ip | Self::Str | Self::Bin) => true,
            (Self::Str, _) => true,
            (Self::Bin | Self::Method, Self::Str | Self::Bin | Self::Method) => true,
            (Self::Bool | Self::Int | Self::Ip | Self::Bin | Self::Method, _) => false,
        }
    }
}

/// When an expression is run: what there is to look at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Moment {
    /// A connection was accepted.
    Connection = 1,
    /// A request's head is there.
    Request = 2,
    /// An answer's head is there; the request's is gone.
    Response = 4,
    /// A line is logged; both are gone.
    Log = 8,
}

impl Moment {
    /// As errors say it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Connection => "when a connection is accepted",
            Self::Request => "in rules for requests",
            Self::Response => "in rules for responses",
            Self::Log => "when a line is logged",
        }
    }
}

/// Of which message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    Request,
    Response,
}

/// Constants.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Value {
    Bool(bool),
    Int(i64),
    Ip(IpAddr),
    Str(Vec<u8>),
    Bin(Vec<u8>),
}

/// How long a variable lives (HAProxy's manual, 2.8).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Life {
    /// As the process.
    Process,
    /// As the client's connection.
    Session,
    /// As request and answer.
    Transaction,
    /// Until the answer's head is there.
    Request,
    /// From then on.
    Response,
}

/// `txn.NAME` and its like.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Variable {
    pub life: Life,
    /// Of its whole name: what it is found by.
    pub id: u64,
    pub name: String,
}

/// Another proxy, by name; none: the one in which it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Where {
    pub name: Option<String>,
    /// Its position, and that of the server in it, filled in when all proxies are known.
    pub proxy: Option<usize>,
    pub server: Option<usize>,
}

/// Figures of proxies and servers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Gauge {
    UsableServers,
    Queued,
    /// Per usable server.
    AverageQueue,
    BackendSessions,
    FrontendSessions,
    ServerSessions,
    ServerIsUp,
}

/// `req.hdr(NAME,OCCURRENCE)` and its like.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Header {
    pub side: Side,
    /// Lower-case; none: every header.
    pub name: Option<String>,
    /// From 1, or from -1 for the last; 0: all in conditions, else the last.
    pub occurrence: i32,
    /// Whole lines, not what stands between commas.
    pub full: bool,
}

/// What a sample is taken from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fetch {
    Constant(Value),
    Variable(Variable),
    /// Below this number, or any of 32 bits.
    Random(Option<u32>),
    HostName,
    /// Seconds since 1970 and these.
    Date(i64),
    Source,
    SourcePort,
    Destination,
    DestinationPort,
    /// `ssl_fc`.
    Tls,
    FrontendName,
    BackendName,
    ServerName,
    /// The first request of its connection.
    FirstRequest,
    IsHttp,
    Gauge(Gauge, Where),
    Method,
    /// `1.1`.
    Version(Side),
    Url,
    Path,
    PathQuery,
    Query,
    Base,
    BaseQuery,
    /// Of the query string; none: of any name.
    UrlParameter {
        name: Option<Vec<u8>>,
        separator: u8,
    },
    Header(Header),
    /// The same as an address, and as a number.
    HeaderIp(Header),
    HeaderNumber(Header),
    HeaderCount(Header),
    HeaderNames(Side, u8),
    /// None: any.
    Cookie(Side, Option<Vec<u8>>),
    CookieCount(Side, Option<Vec<u8>>),
    CookieNumber(Side, Option<Vec<u8>>),
    Status,
    /// Parts of the request line as it came.
    CapturedMethod,
    CapturedUri,
    CapturedVersion,
}

/// FNV-1a: the same in every process and release.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}
