//! HAProxy's language: the proxies.

pub use model::{
    Action, Balance, Bind, BindAddress, Check, CheckKind, Condition, ForwardFor, Global, Haproxy,
    HeaderRule, HttpCheck, LogFormat, LogTarget, LogTo, Mode, MysqlCheck, Proxy, ProxyKind,
    Redispatch, Server, StatsPage, StatsSocket, Timeouts,
};

mod model;
