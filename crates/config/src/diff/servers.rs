//! Servers and how they are asked, as items.

use std::fmt::Write as _;

use super::{Layout, Needs};
use crate::haproxy::{Check, CheckKind, HttpCheck, MysqlCheck, Proxy, Server};

const NEEDS: Needs = Needs::Proxy;

pub(super) fn lay_out(proxy: &Proxy, server: &Server, layout: &mut Layout) {
    let Server { name, address, backup, disabled, weight, maxconn, check, rise, span: _ } = server;
    let mut fields = layout.add(&format!("server/{}/{name}", proxy.name), NEEDS);
    fields
        .set("address", address, NEEDS)
        .flag("backup", *backup, NEEDS)
        .flag("disabled", *disabled, NEEDS)
        .set("weight", weight, NEEDS)
        .maybe("maxconn", *maxconn, NEEDS)
        .set("rise", rise, NEEDS)
        .flag("check", check.is_some(), NEEDS);
    let Some(check) = check else { return };
    let Check { interval, fast_interval, down_interval, rise: _, fall, address, port } = check;
    fields
        .time("inter", Some(*interval), NEEDS)
        .time("fastinter", *fast_interval, NEEDS)
        .time("downinter", *down_interval, NEEDS)
        .set("fall", fall, NEEDS)
        .maybe("addr", *address, NEEDS)
        .maybe("port", *port, NEEDS);
}

pub(super) fn kind_text(kind: &CheckKind) -> String {
    match kind {
        CheckKind::Tcp => "tcp".to_owned(),
        CheckKind::Http(check) => http_text(check),
        CheckKind::Mysql(MysqlCheck { user, pre_41 }) => {
            let mut text = "mysql".to_owned();
            text.extend(user.iter().map(|user| format!(" user {user}")));
            text.push_str(if *pre_41 { " pre-41" } else { "" });
            text
        }
    }
}

fn http_text(check: &HttpCheck) -> String {
    let HttpCheck { method, uri, version, headers, body, expect_status } = check;
    let mut text = format!("{method} {uri} {version}");
    for (name, value) in headers {
        let _ = write!(text, " hdr {name} {value:?}");
    }
    if !body.is_empty() {
        let _ = write!(text, " body {body:?}");
    }
    for (from, to) in expect_status {
        let _ = write!(text, " expect {from}-{to}");
    }
    text
}
