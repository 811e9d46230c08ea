//! Sections that HAProxy 2.6 has and we do not run: their keywords, so that a typo is still found.

use crate::keyword::{Keyword, later};

/// One kind of section.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) name: &'static str,
    /// What follows its name.
    pub(crate) argument: Argument,
    pub(crate) keywords: &'static [Keyword<()>],
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Argument {
    None,
    Required,
}

/// Everything beside `global`, `defaults`, `listen`, `frontend` and `backend`.
pub(crate) const SECTIONS: &[Section] = &[
    section(
        "cache",
        Argument::Required,
        &[
            later("max-age"),
            later("max-object-size"),
            later("max-secondary-entries"),
            later("process-vary"),
            later("total-max-size"),
        ],
    ),
    section(
        "fcgi-app",
        Argument::Required,
        &[
            later("acl"),
            later("docroot"),
            later("index"),
            later("log-stderr"),
            later("option"),
            later("pass-header"),
            later("path-info"),
            later("set-param"),
        ],
    ),
    section("http-errors", Argument::Required, &[later("errorfile")]),
    section(
        "log-forward",
        Argument::Required,
        &[
            later("backlog"),
            later("bind"),
            later("dgram-bind"),
            later("log"),
            later("maxconn"),
            later("timeout"),
        ],
    ),
    section("mailers", Argument::Required, &[later("mailer"), later("timeout")]),
    section("namespace_list", Argument::None, &[later("namespace")]),
    section(
        "peers",
        Argument::Required,
        &[
            later("bind"),
            later("default-bind"),
            later("default-server"),
            later("disabled"),
            later("enabled"),
            later("localpeer"),
            later("log"),
            later("peer"),
            later("server"),
            later("shards"),
            later("table"),
        ],
    ),
    section(
        "program",
        Argument::Required,
        &[later("command"), later("group"), later("option"), later("user")],
    ),
    section(
        "resolvers",
        Argument::Required,
        &[
            later("accepted_payload_size"),
            later("hold"),
            later("nameserver"),
            later("parse-resolv-conf"),
            later("resolve_retries"),
            later("timeout"),
        ],
    ),
    section(
        "ring",
        Argument::Required,
        &[
            later("backing-file"),
            later("description"),
            later("format"),
            later("maxlen"),
            later("server"),
            later("size"),
            later("timeout"),
        ],
    ),
    section("userlist", Argument::Required, &[later("group"), later("user")]),
];

const fn section(
    name: &'static str,
    argument: Argument,
    keywords: &'static [Keyword<()>],
) -> Section {
    Section { name, argument, keywords }
}
