//! keepalived's file as items.

use super::cluster::program_text;
use super::{Fields, Layout, Needs};
use crate::keepalived::{
    Authentication, BfdBlock, FileBlock, Followed, Global, Instance, Keepalived, ProcessBlock,
    ScriptBlock, State, SyncGroup, Track, TrackGroup, VirtualMac,
};
use crate::notify::{Fifo, Hook, Notify, Program};
use crate::vip::{Address, Hmac, InterfaceDelay, Routed, Script, Travel};

pub(super) fn lay_out(file: &Keepalived, layout: &mut Layout) {
    // What they track beside scripts is laid out below.
    let Keepalived {
        global,
        scripts,
        processes: _,
        files: _,
        bfds: _,
        delays: _,
        instances,
        sync_groups,
        fixed,
    } = file;
    let Global {
        router_id,
        script_user,
        script_group,
        script_security,
        // Each instance says where its adverts go.
        multicast_group: _,
        multicast_group_v6: _,
        // Each instance says what it speaks.
        version: _,
        checksum_as_v2: _,
        fifo,
        vrrp_fifo,
        says_states_on_reload,
        // Each instance says what is told of it.
        says_priority: _,
        strict: _,
        down_timer_adverts: _,
        net_namespace,
        startup_delay,
        default_interface,
        startup,
        shutdown,
    } = global;
    layout
        .add("keepalived", Needs::Vip)
        .maybe("router_id", router_id.as_ref(), Needs::Nothing)
        .maybe("script_user", script_user.as_ref(), Needs::Vip)
        .maybe("script_group", script_group.as_ref(), Needs::Vip)
        .flag("enable_script_security", *script_security, Needs::Vip)
        .maybe("notify_fifo", fifo_text(fifo), Needs::Nothing)
        .maybe("vrrp_notify_fifo", fifo_text(vrrp_fifo), Needs::Nothing)
        .flag("fifo_write_vrrp_states_on_reload", *says_states_on_reload, Needs::Nothing)
        .time("vrrp_startup_delay", Some(*startup_delay).filter(|it| !it.is_zero()), Needs::Nothing)
        .maybe("startup_script", hook_text(startup), Needs::Nothing)
        .maybe("shutdown_script", hook_text(shutdown), Needs::Nothing)
        .maybe("default_interface", default_interface.as_ref(), Needs::Nothing)
        .list("static_ipaddress", fixed.addresses.iter().map(address_text), Needs::Nothing)
        .list("static_routes", &fixed.routes, Needs::Nothing)
        .list("static_rules", fixed.rules.iter().map(|it| it.rule.to_string()), Needs::Nothing)
        .list("track_group", fixed.groups.iter().map(track_group_text), Needs::Vip)
        .list("static track_group", fixed.followed.iter().map(followed_text), Needs::Vip)
        .maybe("net_namespace", net_namespace.as_ref(), Needs::Node)
        // The vip process exists where there is one.
        .flag("instances", !instances.is_empty(), Needs::Node);
    for block in scripts {
        lay_out_script(block, layout);
    }
    lay_out_watched(file, layout);
    for instance in instances {
        lay_out_instance(instance, layout);
    }
    for group in sync_groups {
        lay_out_group(group, layout);
    }
}

/// What instances track beside scripts.
fn lay_out_watched(file: &Keepalived, layout: &mut Layout) {
    let Keepalived { processes, files, bfds, delays, .. } = file;
    for ProcessBlock { process, is_full: _, span: _ } in processes {
        let name = format!("process/{}", process.name);
        layout.add(&name, Needs::Vip).set("process", format!("{process:?}"), Needs::Vip);
    }
    for FileBlock { file, init, span: _ } in files {
        let name = format!("file/{}", file.name);
        let init = init.map(|(number, overwrites)| match overwrites {
            true => format!("{number} overwrite"),
            false => number.to_string(),
        });
        layout.add(&name, Needs::Vip).set("file", format!("{file:?}"), Needs::Vip).maybe(
            "init_file",
            init,
            Needs::Nothing,
        );
    }
    for InterfaceDelay { name, down, up } in delays {
        layout
            .add(&format!("interface/{name}"), Needs::Vip)
            .time("down_delay", Some(*down), Needs::Vip)
            .time("up_delay", Some(*up), Needs::Vip);
    }
    for BfdBlock { session, neighbor: _, ttl: _, weight, reversed, span: _ } in bfds {
        layout
            .add(&format!("bfd/{}", session.name), Needs::Vip)
            .set("session", format!("{session:?}"), Needs::Vip)
            .set("weight", weight, Needs::Vip)
            .flag("reverse", *reversed, Needs::Vip);
    }
}

fn lay_out_group(group: &SyncGroup, layout: &mut Layout) {
    let SyncGroup {
        name,
        members,
        track_scripts,
        track_interfaces,
        track_processes,
        track_files,
        track_bfds,
        tracking_weight,
        notify,
        says_priority,
        span: _,
    } = group;
    let mut fields = layout.add(&format!("group/{name}"), Needs::Vip);
    fields
        .list("group", members.iter().map(|(member, _)| member), Needs::Vip)
        .list("track_script", track_scripts.iter().map(track_text), Needs::Vip)
        .list("track_interface", track_interfaces.iter().map(track_text), Needs::Vip)
        .list("track_process", track_processes.iter().map(track_text), Needs::Vip)
        .list("track_file", track_files.iter().map(track_text), Needs::Vip)
        .list("track_bfd", track_bfds.iter().map(track_text), Needs::Vip)
        .flag("sync_group_tracking_weight", *tracking_weight, Needs::Vip)
        .maybe("notify_priority_changes", *says_priority, Needs::Vip);
    lay_out_notify(notify, &mut fields);
}

fn lay_out_script(block: &ScriptBlock, layout: &mut Layout) {
    let ScriptBlock { script, text: _, command_span: _, reverse, span: _ } = block;
    let Script {
        name,
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
        reversed: _,
    } = script;
    layout
        .add(&format!("script/{name}"), Needs::Vip)
        .set("script", format!("{command:?}"), Needs::Vip)
        .time("interval", Some(*interval), Needs::Vip)
        .time("timeout", Some(*timeout), Needs::Vip)
        .set("fall", fall, Needs::Vip)
        .set("rise", rise, Needs::Vip)
        .set("weight", weight, Needs::Vip)
        .flag("reverse", *reverse, Needs::Vip)
        .flag("init_fail", *starts_failed, Needs::Vip)
        .maybe("user", user.as_ref(), Needs::Vip)
        .maybe("group", group.as_ref(), Needs::Vip)
        .flag("secure", *secure, Needs::Vip);
}

const fn state_text(state: State) -> &'static str {
    match state {
        State::Master => "MASTER",
        State::Backup => "BACKUP",
    }
}

fn lay_out_instance(instance: &Instance, layout: &mut Layout) {
    let Instance {
        name,
        state,
        nopreempt,
        preempt_delay,
        interface,
        router_id,
        priority,
        advert_interval,
        down_timer_adverts,
        protocol,
        addresses,
        excluded,
        routes,
        rules,
        virtual_mac,
        accepts: _,
        authentication,
        hmac,
        track_scripts: _,
        track_interfaces: _,
        track_processes: _,
        track_files: _,
        track_bfds: _,
        promotes_secondaries: _,
        dont_track_primary,
        source,
        unicast_peers,
        travel,
        notify,
        says_priority,
        // Where it stands.
        span: _,
        state_span: _,
        preempt_delay_span: _,
        priority_span: _,
        address_spans: _,
        written: _,
    } = instance;
    let password =
        authentication.as_ref().map(|Authentication { password, span: _ }| password.as_str());
    let mut fields = layout.add(&format!("vip/{name}"), Needs::Move);
    fields
        .set("state", state_text(*state), Needs::Vip)
        .flag("nopreempt", *nopreempt, Needs::Vip)
        .time("preempt_delay", Some(*preempt_delay).filter(|it| !it.is_zero()), Needs::Vip)
        .set("interface", interface, Needs::Move)
        .set("virtual_router_id", router_id, Needs::Move)
        .set("priority", priority, Needs::Vip)
        .time("advert_int", Some(*advert_interval), Needs::Vip)
        .set("down_timer_adverts", down_timer_adverts, Needs::Vip)
        .set("version", protocol.version(), Needs::Vip)
        .flag("v3_checksum_as_v2", protocol.is_as_v2(), Needs::Vip)
        .list("virtual_ipaddress", addresses.iter().map(address_text), Needs::Move)
        .list("virtual_ipaddress_excluded", excluded.iter().map(address_text), Needs::Vip)
        .list("virtual_routes", routes, Needs::Vip)
        .list("virtual_rules", rules.iter().map(|it| it.rule.to_string()), Needs::Vip)
        .secret("auth_pass", password, Needs::Vip)
        .secret("auth_hmac", hmac.as_ref().map(Hmac::text), Needs::Vip)
        .flag("dont_track_primary", *dont_track_primary, Needs::Vip)
        .maybe("unicast_src_ip", *source, Needs::Vip)
        .list("unicast_peer", unicast_peers, Needs::Vip)
        .maybe("notify_priority_changes", *says_priority, Needs::Vip);
    lay_out_travel(travel, &mut fields);
    lay_out_virtual_mac(virtual_mac, &mut fields);
    lay_out_tracks(instance, &mut fields);
    lay_out_notify(notify, &mut fields);
}

fn lay_out_travel(travel: &Travel, fields: &mut Fields<'_>) {
    let Travel { group, hops, routed } = travel;
    fields
        .list("unicast_peer hops", routed.iter().map(routed_text), Needs::Vip)
        .maybe("unicast_ttl", Some(*hops).filter(|hops| *hops != 255), Needs::Vip)
        .maybe("mcast_dst_ip", *group, Needs::Move);
}

fn lay_out_virtual_mac(written: &VirtualMac, fields: &mut Fields<'_>) {
    fields
        .maybe("use_vmac", written.text(), Needs::Move)
        .flag("use_vmac_addr", written.elsewhere, Needs::Move)
        .flag("vmac_xmit_base", written.speaks_from_base, Needs::Vip);
}

/// What it tracks, and switches.
fn lay_out_tracks(instance: &Instance, fields: &mut Fields<'_>) {
    fields
        .set("accept", instance.accepts, Needs::Vip)
        .flag("promote_secondaries", instance.promotes_secondaries, Needs::Vip)
        .list("track_script", instance.track_scripts.iter().map(track_text), Needs::Vip)
        .list("track_interface", instance.track_interfaces.iter().map(track_text), Needs::Vip)
        .list("track_process", instance.track_processes.iter().map(track_text), Needs::Vip)
        .list("track_file", instance.track_files.iter().map(track_text), Needs::Vip)
        .list("track_bfd", instance.track_bfds.iter().map(track_text), Needs::Vip);
}

fn lay_out_notify(notify: &Notify, fields: &mut Fields<'_>) {
    let Notify {
        every,
        master,
        backup,
        fault,
        stop,
        deleted,
        weaker_rival,
        says_deleted,
        // As it is in force: [`lay_out_instance`] has it as it is written.
        priority_changes: _,
    } = notify;
    let text = |program: &Option<Program>| program.as_ref().map(program_text);
    fields
        .maybe("notify", text(every), Needs::Vip)
        .maybe("notify_master", text(master), Needs::Vip)
        .maybe("notify_backup", text(backup), Needs::Vip)
        .maybe("notify_fault", text(fault), Needs::Vip)
        .maybe("notify_stop", text(stop), Needs::Vip)
        .maybe("notify_deleted script", text(deleted), Needs::Vip)
        .maybe("notify_master_rx_lower_pri", text(weaker_rival), Needs::Vip)
        .flag("notify_deleted", *says_deleted, Needs::Vip);
}

fn hook_text(hook: &Hook) -> Option<String> {
    let Hook { program, timeout } = hook;
    let program = program.as_ref().map(program_text)?;
    Some(match timeout.as_secs() {
        0 => program,
        seconds => format!("{program} for {seconds} s at most"),
    })
}

fn fifo_text(fifo: &Fifo) -> Option<String> {
    let Fifo { path, user, group, reader } = fifo;
    let mut text = Some(path.clone()).filter(|path| !path.is_empty())?;
    text.extend(user.iter().map(|user| format!(" {user}")));
    text.extend(group.iter().map(|group| format!(" {group}")));
    text.extend(reader.iter().map(|reader| format!(" read by {}", program_text(reader))));
    Some(text)
}

fn routed_text(routed: &Routed) -> String {
    let Routed { peer, least, most } = routed;
    format!("{peer} {least}-{most}")
}

fn address_text(address: &Address) -> String {
    let Address {
        ip,
        prefix,
        device,
        label,
        broadcast,
        is_excluded: _,
        scope,
        preferred,
        uses_virtual_mac,
    } = address;
    let mut text = format!("{ip}/{prefix}");
    text.extend(device.iter().map(|device| format!(" dev {device}")));
    text.extend(label.iter().map(|label| format!(" label {label}")));
    text.extend(broadcast.iter().map(|broadcast| format!(" brd {broadcast}")));
    if *scope != 0 {
        text += &format!(" scope {scope}");
    }
    match preferred {
        preferred if *preferred == Address::preferred_by_length(*ip, *prefix) => {}
        Some(seconds) => text += &format!(" preferred_lft {seconds}"),
        None => text += " preferred_lft forever",
    }
    text += if *uses_virtual_mac { " use_vmac" } else { "" };
    text
}

fn track_group_text(group: &TrackGroup) -> String {
    let TrackGroup { name, members, span: _ } = group;
    members.iter().fold(format!("{name}:"), |text, (member, _)| format!("{text} {member}"))
}

fn followed_text(followed: &Followed) -> String {
    let Followed { group, span: _, device } = followed;
    format!("{group} {}", device.as_deref().unwrap_or("default_interface"))
}

fn track_text(track: &Track) -> String {
    let Track { name, weight, reverse, span: _ } = track;
    let mut text = name.clone();
    text.extend(weight.map(|weight| format!(" weight {weight}")));
    text.extend(reverse.map(|reverse| if reverse { " reverse" } else { " noreverse" }));
    text
}
