//! Fetches: what samples are taken from (HAProxy's manual, 7.3.2 to 7.3.6).

use super::arguments::{Call, Wrong};
use super::{Fetch, Gauge, Header, Kind, Moment, Side, Value, Where, read};

/// One row of the table.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) arguments: &'static str,
    pub(crate) kind: Kind,
    /// Sum of [`Moment`]s.
    pub(crate) moments: u8,
    pub(crate) does: &'static str,
    pub(crate) make: fn(&Call<'_>, Moment) -> Made,
}

type Made = Result<Fetch, Wrong>;

const fn row(
    name: &'static str,
    arguments: &'static str,
    kind: Kind,
    moments: u8,
    does: &'static str,
    make: fn(&Call<'_>, Moment) -> Made,
) -> Row {
    Row { name, arguments, kind, moments, does, make }
}

use Kind::{Bool, Int, Ip, Str};

/// While the request's head is there.
const HEAD: u8 = Moment::Request as u8;
/// While the answer's head is there.
const ANSWER: u8 = Moment::Response as u8;
/// From the request on.
const KEPT: u8 = HEAD | ANSWER | Moment::Log as u8;
/// From the answer on.
const LATE: u8 = ANSWER | Moment::Log as u8;
const ALWAYS: u8 = KEPT | Moment::Connection as u8;

const NAME: &str = "[<name>]";
const HEADER: &str = "[<name>[,<occurrence>]]";
const BACKEND: &str = "[<backend>]";

/// Those that we run.
pub(crate) const FETCHES: &[Row] = &[
    row("always_false", "", Bool, ALWAYS, "false", |_, _| constant(Value::Bool(false))),
    row("always_true", "", Bool, ALWAYS, "true", |_, _| constant(Value::Bool(true))),
    row("avg_queue", BACKEND, Int, ALWAYS, "who waits for a server, by usable server", |c, _| {
        gauge(c, Gauge::AverageQueue)
    }),
    row("base", "", Str, HEAD, "host and path", |_, _| Ok(Fetch::Base)),
    row("baseq", "", Str, HEAD, "host, path and query string", |_, _| Ok(Fetch::BaseQuery)),
    row("be_conn", BACKEND, Int, ALWAYS, "sessions of a backend", |c, _| {
        gauge(c, Gauge::BackendSessions)
    }),
    row("be_name", "", Str, KEPT, "name of the backend", |_, _| Ok(Fetch::BackendName)),
    row("bin", "<hexadecimal>", Kind::Bin, ALWAYS, "these bytes", binary),
    row("bool", "<bool>", Bool, ALWAYS, "this", boolean),
    row("capture.req.method", "", Str, KEPT, "the method as it came", |_, _| {
        Ok(Fetch::CapturedMethod)
    }),
    row("capture.req.uri", "", Str, KEPT, "the target as it came", |_, _| Ok(Fetch::CapturedUri)),
    row("capture.req.ver", "", Str, KEPT, "the version as it came", |_, _| {
        Ok(Fetch::CapturedVersion)
    }),
    row("cook", NAME, Str, HEAD, "a cookie", |c, _| cookie(c, Side::Request)),
    row("cook_cnt", NAME, Int, HEAD, "how many cookies", |c, _| cookies(c, Side::Request)),
    row("cook_val", NAME, Int, HEAD, "a cookie as a number", |c, _| number(c, Side::Request)),
    row("date", "[<offset>]", Int, ALWAYS, "seconds since 1970", date),
    row("dst", "", Ip, ALWAYS, "the address that the client connected to", |_, _| {
        Ok(Fetch::Destination)
    }),
    row("dst_port", "", Int, ALWAYS, "its port", |_, _| Ok(Fetch::DestinationPort)),
    row("env", "<name>", Str, ALWAYS, "a variable of the process, at the start", env),
    row("fe_conn", "[<frontend>]", Int, ALWAYS, "sessions of a frontend", |c, _| {
        gauge(c, Gauge::FrontendSessions)
    }),
    row("fe_name", "", Str, ALWAYS, "name of the frontend", |_, _| Ok(Fetch::FrontendName)),
    row("hdr", HEADER, Str, HEAD | ANSWER, "a value of a header", |c, m| header(c, side(m), false)),
    row("hdr_cnt", NAME, Int, HEAD | ANSWER, "how many values", |c, m| count(c, side(m), false)),
    row("hdr_ip", HEADER, Ip, HEAD | ANSWER, "a value as an address", |c, m| ip(c, side(m))),
    row("hdr_val", HEADER, Int, HEAD | ANSWER, "a value as a number", |c, m| value(c, side(m))),
    row("hostname", "", Str, ALWAYS, "name of this machine", |_, _| Ok(Fetch::HostName)),
    row("http_first_req", "", Bool, KEPT, "the first request of its connection", |_, _| {
        Ok(Fetch::FirstRequest)
    }),
    row("int", "<number>", Int, ALWAYS, "this number", |c, _| {
        c.required(0, "a number")?;
        constant(Value::Int(c.number(0)?.unwrap_or(0)))
    }),
    row("ipv4", "<address>", Ip, ALWAYS, "this address", address),
    row("ipv6", "<address>", Ip, ALWAYS, "this address", address),
    row("meth", "<method>", Kind::Method, ALWAYS, "this method", |c, _| text(c)),
    row("method", "", Kind::Method, KEPT, "the method", |_, _| Ok(Fetch::Method)),
    row("nbproc", "", Int, ALWAYS, "1", |_, _| constant(Value::Int(1))),
    row("nbsrv", BACKEND, Int, ALWAYS, "usable servers of a backend", |c, _| {
        gauge(c, Gauge::UsableServers)
    }),
    row("path", "", Str, HEAD, "the path", |_, _| Ok(Fetch::Path)),
    row("pathq", "", Str, HEAD, "path and query string", |_, _| Ok(Fetch::PathQuery)),
    row("proc", "", Int, ALWAYS, "1", |_, _| constant(Value::Int(1))),
    row("query", "", Str, HEAD, "the query string", |_, _| Ok(Fetch::Query)),
    row("queue", BACKEND, Int, ALWAYS, "who waits for a server", |c, _| gauge(c, Gauge::Queued)),
    row("rand", "[<below>]", Int, ALWAYS, "a random number", random),
    row("req.cook", NAME, Str, HEAD, "a cookie", |c, _| cookie(c, Side::Request)),
    row("req.cook_cnt", NAME, Int, HEAD, "how many cookies", |c, _| cookies(c, Side::Request)),
    row("req.cook_val", NAME, Int, HEAD, "a cookie as a number", |c, _| number(c, Side::Request)),
    row("req.fhdr", HEADER, Str, HEAD, "a header's whole line", |c, _| {
        header(c, Side::Request, true)
    }),
    row("req.fhdr_cnt", NAME, Int, HEAD, "how many lines", |c, _| count(c, Side::Request, true)),
    row("req.hdr", HEADER, Str, HEAD, "a value of a header", |c, _| {
        header(c, Side::Request, false)
    }),
    row("req.hdr_cnt", NAME, Int, HEAD, "how many values", |c, _| count(c, Side::Request, false)),
    row("req.hdr_ip", HEADER, Ip, HEAD, "a value as an address", |c, _| ip(c, Side::Request)),
    row("req.hdr_names", "[<separator>]", Str, HEAD, "names of all headers", |c, _| {
        names(c, Side::Request)
    }),
    row("req.hdr_val", HEADER, Int, HEAD, "a value as a number", |c, _| value(c, Side::Request)),
    row("req.proto_http", "", Bool, KEPT, "it is HTTP", |_, _| Ok(Fetch::IsHttp)),
    row("req.ver", "", Str, HEAD, "the version", |_, _| Ok(Fetch::Version(Side::Request))),
    row("req_proto_http", "", Bool, KEPT, "it is HTTP", |_, _| Ok(Fetch::IsHttp)),
    row("req_ver", "", Str, HEAD, "the version", |_, _| Ok(Fetch::Version(Side::Request))),
    row("res.cook", NAME, Str, ANSWER, "a cookie that is set", |c, _| cookie(c, Side::Response)),
    row("res.cook_cnt", NAME, Int, ANSWER, "how many cookies", |c, _| cookies(c, Side::Response)),
    row("res.cook_val", NAME, Int, ANSWER, "a cookie as a number", |c, _| {
        number(c, Side::Response)
    }),
    row("res.fhdr", HEADER, Str, ANSWER, "a header's whole line", |c, _| {
        header(c, Side::Response, true)
    }),
    row("res.fhdr_cnt", NAME, Int, ANSWER, "how many lines", |c, _| count(c, Side::Response, true)),
    row("res.hdr", HEADER, Str, ANSWER, "a value of a header", |c, _| {
        header(c, Side::Response, false)
    }),
    row("res.hdr_cnt", NAME, Int, ANSWER, "how many values", |c, _| {
        count(c, Side::Response, false)
    }),
    row("res.hdr_ip", HEADER, Ip, ANSWER, "a value as an address", |c, _| ip(c, Side::Response)),
    row("res.hdr_names", "[<separator>]", Str, ANSWER, "names of all headers", |c, _| {
        names(c, Side::Response)
    }),
    row("res.hdr_val", HEADER, Int, ANSWER, "a value as a number", |c, _| value(c, Side::Response)),
    row("res.ver", "", Str, ANSWER, "the version", |_, _| Ok(Fetch::Version(Side::Response))),
    row("resp_ver", "", Str, ANSWER, "the version", |_, _| Ok(Fetch::Version(Side::Response))),
    row("scook", NAME, Str, ANSWER, "a cookie that is set", |c, _| cookie(c, Side::Response)),
    row("scook_cnt", NAME, Int, ANSWER, "how many cookies", |c, _| cookies(c, Side::Response)),
    row("scook_val", NAME, Int, ANSWER, "a cookie as a number", |c, _| number(c, Side::Response)),
    row("shdr", HEADER, Str, ANSWER, "a value of a header", |c, _| {
        header(c, Side::Response, false)
    }),
    row("shdr_cnt", NAME, Int, ANSWER, "how many values", |c, _| count(c, Side::Response, false)),
    row("shdr_ip", HEADER, Ip, ANSWER, "a value as an address", |c, _| ip(c, Side::Response)),
    row("shdr_val", HEADER, Int, ANSWER, "a value as a number", |c, _| value(c, Side::Response)),
    row("src", "", Ip, ALWAYS, "the client's address", |_, _| Ok(Fetch::Source)),
    row("src_port", "", Int, ALWAYS, "its port", |_, _| Ok(Fetch::SourcePort)),
    row("srv_conn", "[<backend>/]<server>", Int, ALWAYS, "sessions of a server", |c, _| {
        server(c, Gauge::ServerSessions)
    }),
    row("srv_is_up", "[<backend>/]<server>", Bool, ALWAYS, "whether a server is usable", |c, _| {
        server(c, Gauge::ServerIsUp)
    }),
    row("srv_name", "", Str, LATE, "name of the server", |_, _| Ok(Fetch::ServerName)),
    row("ssl_fc", "", Bool, ALWAYS, "whether the client speaks TLS to us", |_, _| Ok(Fetch::Tls)),
    row("status", "", Int, LATE, "the answer's status", |_, _| Ok(Fetch::Status)),
    row("str", "<text>", Str, ALWAYS, "this text", |c, _| text(c)),
    row("url", "", Str, HEAD, "the target", |_, _| Ok(Fetch::Url)),
    row("url_param", "[<name>[,<separator>]]", Str, HEAD, "a parameter of the query string", param),
    row("urlp", "[<name>[,<separator>]]", Str, HEAD, "a parameter of the query string", param),
    row("var", "<variable>", Kind::Any, ALWAYS, "what a variable holds", |c, _| {
        Ok(Fetch::Variable(read::variable(c.required(0, "a variable")?)?))
    }),
];

const fn side(moment: Moment) -> Side {
    match moment {
        Moment::Connection | Moment::Request => Side::Request,
        Moment::Response | Moment::Log => Side::Response,
    }
}

fn constant(value: Value) -> Made {
    Ok(Fetch::Constant(value))
}

fn text(call: &Call<'_>) -> Made {
    constant(Value::Str(call.required(0, "a text")?.as_bytes().to_vec()))
}

fn boolean(call: &Call<'_>, _: Moment) -> Made {
    match call.required(0, "true or false")? {
        "true" | "1" => constant(Value::Bool(true)),
        "false" | "0" => constant(Value::Bool(false)),
        other => Err(format!("`bool` wants true, false, 1 or 0, found `{other}`").into()),
    }
}

fn binary(call: &Call<'_>, _: Moment) -> Made {
    let text = call.required(0, "hexadecimal digits")?;
    let wrong = || Wrong::from(format!("`{text}` is not made of pairs of hexadecimal digits"));
    let pair = |pair: &[u8]| {
        let digits = std::str::from_utf8(pair).ok().filter(|digits| digits.len() == 2)?;
        digits.bytes().all(|b| b.is_ascii_hexdigit()).then_some(digits)?;
        u8::from_str_radix(digits, 16).ok()
    };
    let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(pair).collect();
    constant(Value::Bin(bytes.ok_or_else(wrong)?))
}

fn address(call: &Call<'_>, _: Moment) -> Made {
    let text = call.required(0, "an address")?;
    let wrong = |_| Wrong::from(format!("`{text}` is no address"));
    constant(Value::Ip(text.parse().map_err(wrong)?))
}

fn env(call: &Call<'_>, _: Moment) -> Made {
    let name = call.required(0, "the name of a variable")?;
    constant(Value::Str(std::env::var(name).unwrap_or_default().into_bytes()))
}

fn date(call: &Call<'_>, _: Moment) -> Made {
    match call.text(1) {
        None | Some("s") => Ok(Fetch::Date(call.number(0)?.unwrap_or(0))),
        Some(unit) => Err(Wrong::NotYet(format!("the unit `{unit}` of `date`"))),
    }
}

fn random(call: &Call<'_>, _: Moment) -> Made {
    let below = call.number(0)?.map(u32::try_from).transpose();
    let below = below.map_err(|_| Wrong::from("`rand` wants a number of 32 bits".to_owned()))?;
    Ok(Fetch::Random(below.filter(|below| *below > 0)))
}

fn gauge(call: &Call<'_>, gauge: Gauge) -> Made {
    let name = call.text(0).map(str::to_owned);
    Ok(Fetch::Gauge(gauge, Where { name, proxy: None, server: None }))
}

fn server(call: &Call<'_>, gauge: Gauge) -> Made {
    let name = Some(call.required(0, "a server like BACKEND/NAME")?.to_owned());
    Ok(Fetch::Gauge(gauge, Where { name, proxy: None, server: None }))
}

fn of_header(call: &Call<'_>, side: Side, full: bool) -> Result<Header, Wrong> {
    /// Further back HAProxy does not look, either.
    const FARTHEST: i32 = -10;
    let occurrence = call.small(1)?.unwrap_or(0);
    if occurrence < FARTHEST {
        return Err(format!("a header is looked for from {FARTHEST} on").into());
    }
    let name = call.text(0).map(str::to_ascii_lowercase);
    if name.is_none() && occurrence != 0 {
        return Err(format!("`{}` wants the name of a header", call.name).into());
    }
    Ok(Header { side, name, occurrence, full })
}

fn header(call: &Call<'_>, side: Side, full: bool) -> Made {
    of_header(call, side, full).map(Fetch::Header)
}

fn count(call: &Call<'_>, side: Side, full: bool) -> Made {
    of_header(call, side, full).map(Fetch::HeaderCount)
}

fn ip(call: &Call<'_>, side: Side) -> Made {
    of_header(call, side, false).map(Fetch::HeaderIp)
}

fn value(call: &Call<'_>, side: Side) -> Made {
    of_header(call, side, false).map(Fetch::HeaderNumber)
}

fn names(call: &Call<'_>, side: Side) -> Made {
    let separator = call.text(0).and_then(|text| text.bytes().next()).unwrap_or(b',');
    Ok(Fetch::HeaderNames(side, separator))
}

fn of_cookie(call: &Call<'_>) -> Option<Vec<u8>> {
    call.text(0).map(|name| name.as_bytes().to_vec())
}

fn cookie(call: &Call<'_>, side: Side) -> Made {
    Ok(Fetch::Cookie(side, of_cookie(call)))
}

fn cookies(call: &Call<'_>, side: Side) -> Made {
    Ok(Fetch::CookieCount(side, of_cookie(call)))
}

fn number(call: &Call<'_>, side: Side) -> Made {
    Ok(Fetch::CookieNumber(side, of_cookie(call)))
}

fn param(call: &Call<'_>, _: Moment) -> Made {
    let name = call.text(0).map(|name| name.as_bytes().to_vec());
    if call.text(2).is_some() {
        return Err(Wrong::NotYet(format!("the third argument of `{}`", call.name)));
    }
    let separator = match call.text(1).map(str::as_bytes) {
        None => b'?',
        Some(&[separator]) => separator,
        Some(_) => return Err(format!("`{}` wants one character", call.name).into()),
    };
    Ok(Fetch::UrlParameter { name, separator })
}
