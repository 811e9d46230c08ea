//! Files in HAProxy's language as items: `global`, pools, frontends, listeners.

use std::fmt::Write as _;

use super::{Fields, Layout, Needs, rules, servers};
use crate::haproxy::{
    Balance, Bind, BindAddress, ForwardFor, Global, Haproxy, LogFormat, LogTarget, LogTo, Mode,
    Proxy, ProxyKind, Redispatch, StatsPage, StatsSocket, Timeouts,
};

pub(super) fn lay_out(file: &Haproxy, layout: &mut Layout) {
    let Haproxy { global, proxies } = file;
    lay_out_global(global, layout);
    for proxy in proxies {
        lay_out_proxy(proxy, layout);
        for bind in &proxy.binds {
            lay_out_bind(proxy, bind, layout);
        }
        for server in &proxy.servers {
            servers::lay_out(proxy, server, layout);
        }
    }
}

/// What a pool, frontend or listener needs.
const NEEDS: Needs = Needs::Proxy;

fn lay_out_global(global: &Global, layout: &mut Layout) {
    let Global {
        chroot,
        user,
        group,
        uid,
        gid,
        daemon,
        pidfile,
        logs,
        log_tag,
        maxconn,
        nbthread,
        stats_sockets,
        node,
        description,
        stats_timeout,
    } = global;
    layout
        .add("global", Needs::Node)
        .maybe("chroot", chroot.as_deref().map(std::path::Path::display), NEEDS)
        .maybe("user", user.as_ref(), NEEDS)
        .maybe("group", group.as_ref(), NEEDS)
        .maybe("uid", *uid, NEEDS)
        .maybe("gid", *gid, NEEDS)
        .flag("daemon", *daemon, Needs::Nothing)
        .maybe("pidfile", pidfile.as_deref().map(std::path::Path::display), Needs::Nothing)
        .list("log", logs.iter().map(log_text), NEEDS)
        .maybe("log-tag", log_tag.as_ref(), NEEDS)
        .maybe("maxconn", *maxconn, NEEDS)
        .maybe("nbthread", *nbthread, NEEDS)
        .maybe("node", node.as_ref(), NEEDS)
        .maybe("description", description.as_ref(), NEEDS)
        .time("stats timeout", *stats_timeout, NEEDS);
    for socket in stats_sockets {
        let StatsSocket { address, mode, user, group, admin, file: _, span: _ } = socket;
        layout
            .add(&format!("stats/{}", address_text(address)), NEEDS)
            .maybe("mode", mode.map(|mode| format!("{mode:o}")), NEEDS)
            .maybe("user", user.as_ref(), NEEDS)
            .maybe("group", group.as_ref(), NEEDS)
            .set("level", if *admin { "admin" } else { "operator" }, NEEDS);
    }
}

pub(super) fn object(proxy: &Proxy) -> String {
    match proxy.kind {
        ProxyKind::Listen | ProxyKind::Backend => format!("pool/{}", proxy.name),
        ProxyKind::Frontend => format!("frontend/{}", proxy.name),
    }
}

fn lay_out_proxy(proxy: &Proxy, layout: &mut Layout) {
    let Proxy {
        name: _,
        kind,
        file: _,
        span: _,
        mode,
        // Listeners and servers are items of their own; here their order counts.
        binds: _,
        servers,
        default_backend,
        balance,
        all_backups,
        redispatch,
        retries,
        timeouts,
        forward_for,
        request_rules,
        response_rules,
        logs,
        log_format,
        no_log_null,
        no_log_normal,
        client_keepalive,
        server_keepalive,
        maxconn,
        check,
        stats,
        monitor_uri,
        disabled,
        http_close,
        http_server_close,
        abort_on_close,
        description,
        log_tag,
        backlog,
        log_health_checks,
    } = proxy;
    let mut fields = layout.add(&object(proxy), NEEDS);
    fields
        .set("section", kind.name(), NEEDS)
        .set("mode", mode_text(*mode), NEEDS)
        .list("servers", servers.iter().map(|server| &server.name), NEEDS)
        .maybe("default_backend", default_backend.as_ref(), NEEDS)
        .set("balance", balance_text(balance), NEEDS)
        .flag("option allbackups", *all_backups, NEEDS)
        .set("option redispatch", redispatch_text(*redispatch), NEEDS)
        .set("retries", retries, NEEDS)
        .maybe("option forwardfor", forward_for.as_ref().map(forward_text), NEEDS)
        .list("http-request", request_rules.iter().map(rules::text), NEEDS)
        .list("http-response", response_rules.iter().map(rules::text), NEEDS)
        .list("log", logs.iter().map(log_text), NEEDS)
        .set("log format", format_text(log_format), NEEDS)
        .flag("option dontlognull", *no_log_null, NEEDS)
        .flag("option dontlog-normal", *no_log_normal, NEEDS)
        .flag("option clitcpka", *client_keepalive, NEEDS)
        .flag("option srvtcpka", *server_keepalive, NEEDS)
        .maybe("maxconn", *maxconn, NEEDS)
        .set("check", servers::kind_text(check), NEEDS)
        .maybe("monitor-uri", monitor_uri.as_ref(), NEEDS)
        .flag("disabled", *disabled, NEEDS)
        .flag("option httpclose", *http_close, NEEDS)
        .flag("option http-server-close", *http_server_close, NEEDS)
        .flag("option abortonclose", *abort_on_close, NEEDS)
        .maybe("description", description.as_ref(), NEEDS)
        .maybe("log-tag", log_tag.as_ref(), NEEDS)
        .maybe("backlog", *backlog, NEEDS)
        .flag("option log-health-checks", *log_health_checks, NEEDS);
    set_timeouts(timeouts, &mut fields);
    set_page(stats.as_ref(), &mut fields);
}

fn set_timeouts(timeouts: &Timeouts, fields: &mut Fields<'_>) {
    let Timeouts {
        client,
        server,
        connect,
        queue,
        http_request,
        http_keep_alive,
        check,
        tunnel,
        client_fin,
        server_fin,
    } = timeouts;
    fields
        .time("timeout client", *client, NEEDS)
        .time("timeout server", *server, NEEDS)
        .time("timeout connect", *connect, NEEDS)
        .time("timeout queue", *queue, NEEDS)
        .time("timeout http-request", *http_request, NEEDS)
        .time("timeout http-keep-alive", *http_keep_alive, NEEDS)
        .time("timeout check", *check, NEEDS)
        .time("timeout tunnel", *tunnel, NEEDS)
        .time("timeout client-fin", *client_fin, NEEDS)
        .time("timeout server-fin", *server_fin, NEEDS);
}

fn set_page(page: Option<&StatsPage>, fields: &mut Fields<'_>) {
    let Some(page) = page else { return };
    let StatsPage {
        uri,
        refresh,
        realm,
        auth,
        admin,
        hide_version,
        scope,
        legends,
        node,
        description,
    } = page;
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "on".to_owned());
    let users: Vec<String> = auth.iter().map(|(user, word)| format!("{user}:{word}")).collect();
    fields
        .set("stats uri", uri, NEEDS)
        .time("stats refresh", *refresh, NEEDS)
        .set("stats realm", realm, NEEDS)
        .secret("stats auth", (!users.is_empty()).then(|| users.join(", ")), NEEDS)
        .flag("stats admin", *admin, NEEDS)
        .flag("stats hide-version", *hide_version, NEEDS)
        .list("stats scope", scope, NEEDS)
        .flag("stats show-legends", *legends, NEEDS)
        .maybe("stats show-node", node.as_ref().map(text), NEEDS)
        .maybe("stats show-desc", description.as_ref().map(text), NEEDS);
}

fn lay_out_bind(proxy: &Proxy, bind: &Bind, layout: &mut Layout) {
    let Bind {
        address,
        maxconn,
        backlog,
        interface,
        name,
        transparent,
        mode,
        user,
        group,
        span: _,
    } = bind;
    layout
        .add(&format!("listener/{}/{}", proxy.name, address_text(address)), NEEDS)
        .maybe("maxconn", *maxconn, NEEDS)
        .maybe("backlog", *backlog, NEEDS)
        .maybe("interface", interface.as_ref(), NEEDS)
        .maybe("name", name.as_ref(), NEEDS)
        // Ours need not find the address on the node in any case.
        .flag("transparent", *transparent, Needs::Nothing)
        .maybe("mode", mode.map(|mode| format!("{mode:o}")), NEEDS)
        .maybe("user", user.as_ref(), NEEDS)
        .maybe("group", group.as_ref(), NEEDS);
}

fn address_text(address: &BindAddress) -> String {
    match address {
        BindAddress::Tcp(address) => address.to_string(),
        BindAddress::Unix(path) => path.display().to_string(),
        BindAddress::Descriptor(number) => format!("fd@{number}"),
    }
}

fn log_text(target: &LogTarget) -> String {
    let LogTarget { to, facility, level, min_level } = target;
    let to = match to {
        LogTo::Udp(address) => address.to_string(),
        LogTo::Unix(path) => path.display().to_string(),
    };
    format!("{to} facility {facility} level {level} to {min_level}")
}

const fn mode_text(mode: Mode) -> &'static str {
    match mode {
        Mode::Tcp => "tcp",
        Mode::Http => "http",
    }
}

const fn balance_text(balance: &Balance) -> &'static str {
    match balance {
        Balance::RoundRobin => "roundrobin",
        Balance::Source => "source",
        Balance::LeastConnections => "leastconn",
        Balance::First => "first",
    }
}

fn redispatch_text(redispatch: Redispatch) -> String {
    match redispatch {
        Redispatch::Never => "off".to_owned(),
        Redispatch::Every(retries) => format!("every {retries}"),
        Redispatch::BeforeLast(retries) => format!("-{retries}"),
    }
}

fn forward_text(forward: &ForwardFor) -> String {
    let ForwardFor { header, except, if_none } = forward;
    let mut text = format!("header {header}");
    if let Some((network, prefix)) = except {
        let _ = write!(text, " except {network}/{prefix}");
    }
    text.push_str(if *if_none { " if-none" } else { "" });
    text
}

fn format_text(format: &LogFormat) -> String {
    match format {
        LogFormat::Plain => "plain".to_owned(),
        LogFormat::Tcp => "tcplog".to_owned(),
        LogFormat::Http => "httplog".to_owned(),
        LogFormat::Custom(line) => rules::line_text(line),
    }
}
