//! `outlast.toml` as items.

use super::{Fields, Layout, Needs, receivers};
use crate::cluster::{
    Access, Cluster, Dashboard, DashboardTls, Etcd, Listen, Node, NodeRole, Service, ServiceKind,
    Store, Vip, VipCheck,
};
use crate::notify::Program;
use crate::vip::Script;

pub(super) fn lay_out(file: &Cluster, layout: &mut Layout) {
    let Cluster {
        name,
        secret_file,
        trust_dir,
        haproxy,
        keepalived,
        run_dir,
        state_dir,
        port,
        detect,
        vip_beat,
        record_mb,
        reference,
        networks,
        nodes,
        vips,
        services,
        dashboard,
        access,
        notify,
        store,
    } = file;
    layout
        .add("cluster", Needs::Node)
        .set("name", name, Needs::Vip)
        .maybe("secret_file", secret_file.as_deref().map(std::path::Path::display), Needs::Vip)
        .maybe("trust_dir", trust_dir.as_deref().map(std::path::Path::display), Needs::Vip)
        // What stands in these files has items of its own; without one, its processes are missing.
        .flag("haproxy", haproxy.is_some(), Needs::Node)
        .flag("keepalived", keepalived.is_some(), Needs::Vip)
        .set("run_dir", run_dir.display(), Needs::Node)
        .set("state_dir", state_dir.display(), Needs::Node)
        .set("port", port, Needs::Vip)
        .set("detect", format!("{detect:?}"), Needs::Vip)
        .set("vip_beat", format!("{vip_beat:?}"), Needs::Vip)
        .set("record_mb", record_mb, Needs::Agent)
        .list("reference", reference.iter().map(|point| point.address), Needs::Agent)
        .list("networks", networks, Needs::Vip)
        .list("nodes", nodes.iter().map(|node| &node.name), Needs::Vip)
        // The vip process exists where there is one.
        .flag("vips", !vips.is_empty(), Needs::Node);
    for node in nodes {
        lay_out_node(node, networks, layout);
    }
    for vip in vips {
        lay_out_vip(vip, file, layout);
    }
    for Service { name, proxy, kind, span: _ } in services {
        let kind = match kind {
            ServiceKind::Api => "api",
            ServiceKind::Database => "database",
        };
        layout.add(&format!("service/{name}"), Needs::Proxy).set("proxy", proxy, Needs::Proxy).set(
            "kind",
            kind,
            Needs::Proxy,
        );
    }
    lay_out_dashboard(dashboard, networks, layout);
    lay_out_access(access, layout);
    for receiver in notify {
        receivers::lay_out(receiver, layout);
    }
    if let Some(store) = store {
        lay_out_store(store, nodes, layout);
    }
}

fn lay_out_node(node: &Node, networks: &[String], layout: &mut Layout) {
    let Node { name, addresses, priority, role, span: _ } = node;
    let on = networks.iter().zip(addresses);
    let on = on.filter_map(|(network, address)| Some(format!("{network} {}", (*address)?)));
    layout
        .add(&format!("node/{name}"), Needs::Vip)
        .list("networks", on, Needs::Vip)
        .maybe("priority", *priority, Needs::Vip)
        // Its processes change, and the positions of others.
        .flag("compute", *role == NodeRole::Compute, Needs::Node)
        .flag("voter", *role == NodeRole::Voter, Needs::Node);
}

fn lay_out_vip(vip: &Vip, file: &Cluster, layout: &mut Layout) {
    let Vip {
        name,
        addresses,
        prefix,
        network,
        router_id,
        order,
        check,
        password,
        hmac,
        unicast,
        interface,
        source,
        advert_interval,
        protocol,
        track_interfaces: _,
        reversed_interfaces: _,
        weighed_interfaces: _,
        track_processes: _,
        track_files: _,
        sync_group,
        has_lease,
        needs_proof,
        last_man,
        has_virtual_mac,
        accepts,
        bfd,
        spread,
        apart_from,
        never_with,
        follows,
        notify,
        span: _,
    } = vip;
    let names = |others: &[usize]| {
        let others = others.iter().filter_map(|other| file.vips.get(*other));
        others.map(|vip| vip.name.clone()).collect::<Vec<_>>()
    };
    let nodes = order.iter().filter_map(|node| file.nodes.get(*node)).map(|node| &node.name);
    let mut fields = layout.add(&format!("vip/{name}"), Needs::Move);
    fields
        .list("address", addresses, Needs::Move)
        .set("prefix", prefix, Needs::Move)
        .maybe("network", file.networks.get(*network), Needs::Move)
        .set("router_id", router_id, Needs::Move)
        .list("order", nodes, Needs::Vip)
        .set("check", check_text(check), Needs::Vip)
        .secret("password", password.as_ref(), Needs::Vip)
        .maybe("hmac_keys", hmac.as_ref().map(crate::vip::Hmac::text), Needs::Vip)
        .flag("unicast", *unicast, Needs::Vip)
        .maybe("interface", interface.as_ref(), Needs::Move)
        .maybe("source", *source, Needs::Vip)
        .time("advert_interval", Some(*advert_interval), Needs::Vip)
        .set("version", protocol.version(), Needs::Vip)
        .flag("v3_checksum_as_v2", protocol.is_as_v2(), Needs::Vip)
        .maybe("sync_group", sync_group.as_ref(), Needs::Vip)
        .flag("virtual_mac", *has_virtual_mac, Needs::Move)
        .set("accept", accepts, Needs::Vip)
        .maybe("bfd", bfd.as_ref().map(|it| format!("{it:?}")), Needs::Vip)
        // On all nodes at once: those that decide by VRRP hold beside those that decide by votes.
        .flag("lease", *has_lease, Needs::Node)
        // A new vip process knows of no holder that it would have to wait for, and asks all.
        .flag("after", *needs_proof, Needs::Vip)
        .time("last_man", *last_man, Needs::Vip)
        .maybe("spread", spread.as_ref(), Needs::Vip)
        .list("apart_from", names(apart_from), Needs::Vip)
        .list("never_with", names(never_with), Needs::Vip)
        .maybe("follows", follows.then_some("coordinator"), Needs::Vip)
        .maybe("notify", notify.as_ref().map(program_text), Needs::Vip);
    lay_out_tracks(vip, &mut fields);
}

fn lay_out_tracks(vip: &Vip, fields: &mut Fields<'_>) {
    fields
        .list("track_interfaces", &vip.track_interfaces, Needs::Vip)
        .list("track_interfaces reverse", &vip.reversed_interfaces, Needs::Vip)
        .list("track_interfaces weight", shown(&vip.weighed_interfaces), Needs::Vip)
        .list("track_processes", shown(&vip.track_processes), Needs::Vip)
        .list("track_files", shown(&vip.track_files), Needs::Vip);
}

/// Each whole.
fn shown<T: std::fmt::Debug>(all: &[T]) -> impl Iterator<Item = String> {
    all.iter().map(|one| format!("{one:?}"))
}

pub(super) fn program_text(program: &Program) -> String {
    let Program { command, user, group, secure } = program;
    let mut text = format!("{command:?}");
    text.extend(user.iter().map(|user| format!(" user {user}")));
    text.extend(group.iter().map(|group| format!(" group {group}")));
    text + if *secure { " secure" } else { "" }
}

fn check_text(check: &VipCheck) -> String {
    match check {
        VipCheck::None => "none".to_owned(),
        VipCheck::Balancer => "balancer".to_owned(),
        VipCheck::Script(script) => script_text(script),
        VipCheck::All(all) => all.iter().map(check_text).collect::<Vec<_>>().join(" and "),
    }
}

/// Everything about a script in one line.
fn script_text(script: &Script) -> String {
    let Script {
        name: _,
        command,
        interval,
        timeout,
        fall,
        rise,
        weight,
        starts_failed,
        user,
        group,
        secure,
        reversed,
    } = script;
    let mut text = format!(
        "script {command:?} interval {interval:?} timeout {timeout:?} fall {fall} rise {rise} \
         weight {weight}"
    );
    let flags = [(starts_failed, " init_fail"), (secure, " secure"), (reversed, " reverse")];
    for (is_on, word) in flags {
        text.push_str(if *is_on { word } else { "" });
    }
    for (name, value) in [("user", user), ("group", group)] {
        text.extend(value.iter().map(|value| format!(" {name} {value}")));
    }
    text
}

/// Its process is there or is not.
fn lay_out_store(store: &Store, nodes: &[Node], layout: &mut Layout) {
    let Store { members, port, directory, etcd } = store;
    let names = members.iter().filter_map(|member| nodes.get(*member)).map(|node| &node.name);
    layout
        .add("store", Needs::Node)
        .list("members", names, Needs::Store)
        .set("port", port, Needs::Store)
        .maybe("directory", directory.as_deref().map(std::path::Path::display), Needs::Store);
    if let Some(etcd) = etcd {
        lay_out_etcd(etcd, layout);
    }
}

fn lay_out_etcd(etcd: &Etcd, layout: &mut Layout) {
    let Etcd { endpoints, ca_file, pair, user, prefix } = etcd;
    let (cert, key) = pair.as_ref().map(|(cert, key)| (cert.display(), key.display())).unzip();
    let (user, password) = user.as_ref().map(|(user, file)| (user, file.display())).unzip();
    layout
        .add("store etcd", Needs::Store)
        .list("endpoints", endpoints, Needs::Store)
        .maybe("ca_file", ca_file.as_deref().map(std::path::Path::display), Needs::Store)
        .maybe("cert_file", cert, Needs::Store)
        .maybe("key_file", key, Needs::Store)
        .maybe("user", user, Needs::Store)
        .maybe("password_file", password, Needs::Store)
        .set("prefix", prefix, Needs::Store);
}

fn lay_out_dashboard(dashboard: &Dashboard, networks: &[String], layout: &mut Layout) {
    let Dashboard { listen, is_asked_for, token_file, tls } = dashboard;
    let (shown, key) = match tls {
        DashboardTls::None => ("none".to_owned(), None),
        DashboardTls::Node => ("the node's".to_owned(), None),
        DashboardTls::Files { certificate, key } => {
            (certificate.display().to_string(), Some(key.display()))
        }
    };
    let places = listen.iter().map(|listen| match listen {
        Listen::Address(address) => address.to_string(),
        Listen::Network { network, port } => {
            format!("{}:{port}", networks.get(*network).map_or("?", String::as_str))
        }
    });
    layout
        .add("dashboard", Needs::Dashboard)
        .list("listen", places, Needs::Dashboard)
        // A port that is taken is then an error at a start.
        .flag("asked for", *is_asked_for, Needs::Dashboard)
        .maybe("token_file", token_file.as_deref().map(std::path::Path::display), Needs::Dashboard)
        .set("tls_cert", shown, Needs::Dashboard)
        .maybe("tls_key", key, Needs::Dashboard);
}

fn lay_out_access(access: &Access, layout: &mut Layout) {
    let Access { admin, operator, viewer } = access;
    let everybody = viewer.is_none().then(|| "everybody".to_owned());
    let viewers = viewer.iter().flatten().map(ToString::to_string).chain(everybody);
    layout
        .add("access", Needs::Agent)
        .list("admin", admin, Needs::Agent)
        .list("operator", operator, Needs::Agent)
        // The dashboard then asks for a token on loopback, too, or no longer.
        .list("viewer", viewers, Needs::Dashboard);
}
