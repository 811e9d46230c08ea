//! Keywords of `global_defs` and `vrrp_script`, and names of blocks that only keepalived runs.

use std::time::Duration;

use super::instance::{CHECKSUM, LISTS, LOSER, MISSING, WINNER, weight};
use super::words::shell_words;
use super::{Global, ScriptBlock, notify, protocol, strict, travel};
use crate::diagnostic::Diagnostic;
use crate::keyword::{Keyword, idle, later, now};
use crate::line::Line;

const MAIL: &str = "no mail is sent without `smtp_alert`";
const PRIORITY: &str = "the vip process always runs with real-time priority in locked memory";
const NAMES: &str = "processes have names of their own";
const LVS: &str = "no effect without `virtual_server`";
const ANNOUNCE: &str = "announcements have times of our own";
const AGAIN: &str = "pipes get the state of each instance after SIGHUP, too";
const STARTUP: &str = "after the start the silence of others counts for nothing, so long";
const CHECKS: &str = "what is wrong if an included file is missing: match, wildcard_match, brace_match; without a word all";
const SNMP: &str = "no SNMP; ask `outlast status --json`";

/// Every keyword of keepalived 2.2 in `global_defs`.
pub(crate) const GLOBAL: &[Keyword<Global>] = &[
    now(
        "enable_script_security",
        "",
        "",
        "what others than root can change does not run as root: the instance goes on without it",
        |g, line| {
            g.script_security = true;
            line.finish();
            Ok(())
        },
    ),
    now("include_check", "[[+|-]<check> ...]", "", CHECKS, |_, line| {
        line.rest();
        Ok(())
    }),
    now("router_id", "<name>", "the host's", "name of the node in messages", |global, line| {
        global.router_id = Some(line.expect("a name")?.text);
        line.finish();
        Ok(())
    }),
    now(
        "script_user",
        "<user> [<group>]",
        "keepalived_script, else root",
        "runs scripts",
        |g, line| {
            g.script_user = Some(line.expect("a user")?.text);
            g.script_group = line.take().map(|word| word.text);
            line.finish();
            Ok(())
        },
    ),
    now("vrrp_mcast_group4", "<ip>", "224.0.0.18", travel::GROUP, travel::group_v4),
    now("vrrp_mcast_group6", "<ip>", "ff02::12", travel::GROUP, travel::group_v6),
    now("v3_checksum_as_v2", "[true|false]", "false", CHECKSUM, |global, line| {
        global.checksum_as_v2 = protocol::yes_or_no(line)?;
        Ok(())
    }),
    now("vrrp_down_timer_adverts", "<1-100>", "3", MISSING, |global, line| {
        global.down_timer_adverts = Some(protocol::down_timer_adverts(line)?);
        Ok(())
    }),
    now("vrrp_strict", "", "", strict::STRICT, |global, line| {
        global.strict = true;
        line.finish();
        Ok(())
    }),
    now("vrrp_version", "2|3", "2", "of the protocol", |global, line| {
        global.version = Some(protocol::version(line)?);
        Ok(())
    }),
    now(
        "default_interface",
        "<name>",
        "eth0",
        "of static addresses without one",
        |global, line| {
            global.default_interface = Some(line.expect("the name of a device")?.text);
            line.finish();
            Ok(())
        },
    ),
    now("shutdown_script", notify::COMMAND, "", "run when all else has ended", |global, line| {
        notify::once(&mut global.shutdown.program, line)
    }),
    now("shutdown_script_timeout", "<1-1000>", "10", "seconds until it is ended", |g, line| {
        g.shutdown.timeout = script_seconds(line)?;
        Ok(())
    }),
    now("startup_script", notify::COMMAND, "", "run before all else starts", |global, line| {
        notify::once(&mut global.startup.program, line)
    }),
    now("startup_script_timeout", "<1-1000>", "10", "seconds until it is ended", |g, line| {
        g.startup.timeout = script_seconds(line)?;
        Ok(())
    }),
    now("vrrp_startup_delay", "<seconds>", "0", STARTUP, |global, line| {
        let word = line.expect("seconds")?;
        let bounds = Duration::ZERO..=Duration::from_secs(MAX_SECONDS);
        global.startup_delay = protocol::seconds(&word, bounds, "seconds up to a day")?;
        line.finish();
        Ok(())
    }),
    now("fifo_write_vrrp_states_on_reload", "", "", AGAIN, |global, line| {
        global.says_states_on_reload = true;
        line.finish();
        Ok(())
    }),
    now("notify_fifo", notify::PIPE, "", "gets a line of each change", |global, line| {
        notify::pipe(&mut global.fifo, line)
    }),
    now("notify_fifo_script", notify::COMMAND, "", notify::READER, |global, line| {
        notify::once(&mut global.fifo.reader, line)
    }),
    now("vrrp_notify_fifo", notify::PIPE, "", "gets a line of each change", |global, line| {
        notify::pipe(&mut global.vrrp_fifo, line)
    }),
    now("vrrp_notify_fifo_script", notify::COMMAND, "", notify::READER, |global, line| {
        notify::once(&mut global.vrrp_fifo.reader, line)
    }),
    now("vrrp_notify_priority_changes", "[true|false]", "false", notify::PRIORITY, |g, line| {
        g.says_priority = protocol::yes_or_no(line)?;
        Ok(())
    }),
    idle("bfd_cpu_affinity", PRIORITY),
    idle("bfd_no_swap", PRIORITY),
    idle("bfd_priority", PRIORITY),
    idle("bfd_process_name", NAMES),
    idle("bfd_rlimit_rttime", PRIORITY),
    idle("bfd_rt_priority", PRIORITY),
    idle("checker_cpu_affinity", LVS),
    idle("checker_log_all_failures", LVS),
    idle("checker_no_swap", LVS),
    idle("checker_priority", LVS),
    idle("checker_process_name", NAMES),
    idle("checker_rlimit_rttime", LVS),
    idle("checker_rt_priority", LVS),
    idle("child_wait_time", "the supervisor has limits of its own"),
    idle("config_save_dir", "only for keepalived's developers"),
    idle("data_use_instance", "only names of files with states"),
    idle("dbus_service_name", SNMP),
    idle("dynamic_interfaces", "an interface may come later in any case"),
    idle("enable_dbus", SNMP),
    idle("enable_snmp_checker", SNMP),
    idle("enable_snmp_rfc", SNMP),
    idle("enable_snmp_rfcv2", SNMP),
    idle("enable_snmp_rfcv3", SNMP),
    idle("enable_snmp_vrrp", SNMP),
    idle("enable_traps", SNMP),
    idle("linkbeat_use_polling", "the kernel tells when a carrier goes"),
    idle("log_unknown_vrids", "only a message"),
    idle("lvs_flush", LVS),
    idle("lvs_flush_on_stop", LVS),
    idle("lvs_netlink_cmd_rcv_bufs", LVS),
    idle("lvs_netlink_cmd_rcv_bufs_force", LVS),
    idle("lvs_netlink_monitor_rcv_bufs", LVS),
    idle("lvs_netlink_monitor_rcv_bufs_force", LVS),
    idle("lvs_notify_fifo", LVS),
    idle("lvs_notify_fifo_script", LVS),
    idle("lvs_sync_daemon", LVS),
    idle("lvs_timeouts", LVS),
    idle("max_auto_priority", PRIORITY),
    idle("min_auto_priority_delay", PRIORITY),
    idle("no_checker_emails", MAIL),
    idle("no_email_faults", MAIL),
    idle("notification_email", MAIL),
    idle("notification_email_from", MAIL),
    idle("process_monitor_rcv_bufs", "processes are found in /proc"),
    idle("process_monitor_rcv_bufs_force", "processes are found in /proc"),
    idle("process_name", NAMES),
    idle("process_names", NAMES),
    idle("random_seed", "only for keepalived's developers"),
    idle("reload_check_config", "a broken file never replaces a good one"),
    idle("rs_init_notifies", LVS),
    idle("smtp_connect_timeout", MAIL),
    idle("smtp_helo_name", MAIL),
    idle("smtp_server", MAIL),
    idle("snmp_socket", SNMP),
    idle("tmp_config_directory", "files are read into memory"),
    idle("umask", "files are private"),
    idle("use_pid_dir", "files of the process have a folder of their own"),
    idle("use_symlink_paths", "paths are used as written"),
    idle("vrrp_cpu_affinity", PRIORITY),
    idle("vrrp_garp_extra_if", ANNOUNCE),
    idle("vrrp_garp_interval", ANNOUNCE),
    idle("vrrp_garp_lower_prio_delay", ANNOUNCE),
    idle("vrrp_garp_lower_prio_repeat", ANNOUNCE),
    idle("vrrp_garp_master_delay", ANNOUNCE),
    idle("vrrp_garp_master_refresh", ANNOUNCE),
    idle("vrrp_garp_master_refresh_repeat", ANNOUNCE),
    idle("vrrp_garp_master_repeat", ANNOUNCE),
    idle("vrrp_gna_interval", ANNOUNCE),
    idle("vrrp_higher_prio_send_advert", LOSER),
    idle("vrrp_lower_prio_no_advert", WINNER),
    idle("vrrp_skip_check_adv_addr", LISTS),
    idle("vrrp_check_unicast_src", "adverts from others than the peers are never taken"),
    idle("vrrp_min_garp", ANNOUNCE),
    idle("vrrp_netlink_cmd_rcv_bufs", "buffers have sizes of our own"),
    idle("vrrp_netlink_cmd_rcv_bufs_force", "buffers have sizes of our own"),
    idle("vrrp_netlink_monitor_rcv_bufs", "buffers have sizes of our own"),
    idle("vrrp_netlink_monitor_rcv_bufs_force", "buffers have sizes of our own"),
    idle("vrrp_no_swap", PRIORITY),
    idle("vrrp_priority", PRIORITY),
    idle("vrrp_process_name", NAMES),
    idle("vrrp_rlimit_rttime", PRIORITY),
    idle("vrrp_rt_priority", PRIORITY),
    idle("vrrp_rx_bufs_multiplier", "one packet at a time is read"),
    idle("vrrp_rx_bufs_policy", "one packet at a time is read"),
    later("disable_local_igmp"),
    later("namespace_with_ipsets"),
    later("net_namespace_ipvs"),
    later("nftables"),
    later("nftables_counters"),
    later("nftables_ifindex"),
    later("nftables_ipvs"),
    later("nftables_ipvs_priority"),
    later("nftables_ipvs_start_fwmark"),
    later("nftables_priority"),
    later("reload_file"),
    later("reload_repeat"),
    later("reload_time_file"),
    later("smtp_alert"),
    later("smtp_alert_checker"),
    later("smtp_alert_vrrp"),
    later("vmac_addr_prefix"),
    later("vmac_prefix"),
    later("vrrp_ipsets"),
    later("vrrp_iptables"),
];

/// Every keyword of `vrrp_script`.
pub(crate) const SCRIPT: &[Keyword<ScriptBlock>] = &[
    now("fall", "<count>", "1", "failures in a row until it has failed", |block, line| {
        block.script.fall = line.count("a count", 1)?;
        line.finish();
        Ok(())
    }),
    now("init_fail", "", "", "counts as failed until it has passed", |block, line| {
        block.script.starts_failed = true;
        line.finish();
        Ok(())
    }),
    now("interval", "<seconds>", "1", "between two runs", |block, line| {
        block.script.interval = seconds(line)?;
        Ok(())
    }),
    now("rise", "<count>", "1", "successes in a row until it passes", |block, line| {
        block.script.rise = line.count("a count", 1)?;
        line.finish();
        Ok(())
    }),
    now("script", "<command>", "", "program and arguments; no shell", |block, line| {
        block.command_span = line.span();
        let words: Vec<String> = line.rest().into_iter().map(|word| word.text).collect();
        block.text = words.join(" ");
        block.script.command = if let [one] = words.as_slice() { arguments(one) } else { words };
        if block.script.command.is_empty() {
            line.expect("a command")?;
        }
        Ok(())
    }),
    now("timeout", "<seconds>", "interval", "a run that takes longer has failed", |block, line| {
        block.script.timeout = seconds(line)?;
        Ok(())
    }),
    now("user", "<user> [<group>]", "that of `script_user`", "runs the script", |block, line| {
        block.script.user = Some(line.expect("a user")?.text);
        block.script.group = line.take().map(|word| word.text);
        line.finish();
        Ok(())
    }),
    now(
        "weight",
        "<-253..253> [reverse]",
        "0: failure means fault",
        "changes the priority",
        |block, line| {
            block.script.weight = weight(&line.expect("a weight")?)?;
            block.reverse = line.accept("reverse");
            line.finish();
            Ok(())
        },
    ),
];

/// Blocks and single words at the top of a file that we do not run; nothing inside is looked at.
pub(crate) const TOP: [&str; 5] = [
    "SSL",
    "namespace_with_ipsets",
    "net_namespace_ipvs",
    "virtual_server",
    "virtual_server_group",
];

/// Blocks of what is tracked, each by both of its names.
pub(crate) const TOP_TRACKS: [&str; 6] = [
    "bfd_instance",
    "interface_up_down_delays",
    "track_file",
    "track_process",
    "vrrp_track_file",
    "vrrp_track_process",
];

/// Words at the top of a file that change nothing for us, as in `global_defs`.
pub(crate) const TOP_IDLE: [&str; 6] = [
    "child_wait_time",
    // Announcements have times of our own.
    "garp_group",
    "instance",
    "linkbeat_interfaces",
    "linkbeat_use_polling",
    "use_pid_dir",
];

/// Words at the top of a file with a value that we run.
pub(crate) const TOP_RUN: [(&str, &str, &str); 1] = [(
    "net_namespace",
    "<name>",
    "the network namespace that everything runs in, from the start on",
)];

/// A check that may run once a day is none.
const MAX_SECONDS: u64 = 86_400;

fn seconds(line: &mut Line<'_>) -> Result<Duration, Diagnostic> {
    let seconds = line.number("seconds", 1, MAX_SECONDS)?;
    line.finish();
    Ok(Duration::from_secs(seconds))
}

fn script_seconds(line: &mut Line<'_>) -> Result<Duration, Diagnostic> {
    let seconds = line.number("seconds", 1, 1000)?;
    line.finish();
    Ok(Duration::from_secs(seconds))
}

/// Program and arguments of a command that stands in quotes: it is read a second time.
pub(super) fn arguments(command: &str) -> Vec<String> {
    shell_words(command).0.into_iter().map(|(word, ..)| word).collect()
}
