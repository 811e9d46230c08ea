//! One `vrrp_instance` as one `[vip.NAME]`.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use super::nodes::Network;
use super::{Imported, listed, lose, plain, quoted};
use crate::Loaded;
use crate::effective::from_keepalived;
use crate::keepalived::{Instance, State};
use crate::lint::asks_a_socket;
use crate::notify::Program;
use crate::vip::{
    DOWN_TIMER_ADVERTS, Matching, PASSWORD_BYTES, Protocol, Script, TrackedProcess, Travel,
};

/// Writes the section of one instance.
pub(super) fn section(
    instance: &Instance,
    loaded: &Loaded,
    networks: &[Network],
    names: &[String],
    found: &mut Imported,
) {
    let name = plain(&instance.name);
    let network = networks.iter().find(|network| network.name == instance.interface);
    let _ = writeln!(found.text);
    let mut writer = Writer { instance, file: loaded.keepalived_file, found };
    let known = network.is_some_and(|network| network.addresses.iter().all(Option::is_some));
    if !known || names.is_empty() {
        // Without the nodes' addresses there the section would be refused; it waits for them.
        let message = format!(
            "the addresses of the nodes on {} are not known: give each with --node NAME=ADDRESS@{}",
            instance.interface, instance.interface
        );
        writer.lose("all", message);
        let mut aside = Imported::default();
        let mut inner = Writer { instance, file: loaded.keepalived_file, found: &mut aside };
        inner.body(&name, loaded, network);
        for line in aside.text.lines() {
            let line = line.strip_prefix("# ").unwrap_or(line);
            let _ = writeln!(found.text, "# {line}");
        }
        found.lost.append(&mut aside.lost);
        return;
    }
    writer.body(&name, loaded, network);
}

struct Writer<'a> {
    instance: &'a Instance,
    file: usize,
    found: &'a mut Imported,
}

impl Writer<'_> {
    fn lose(&mut self, part: &'static str, message: String) {
        let at = match part {
            "priority" => self.instance.priority_span,
            "starts_as_master" | "preempt" => self.instance.state_span,
            "preempt_delay" => self.instance.preempt_delay_span,
            _ => None,
        };
        let span = at.unwrap_or(self.instance.span);
        lose(self.found, Some(&self.instance.name), part, message, self.file, span);
    }

    fn put(&mut self, key: &str, value: &str) {
        let _ = writeln!(self.found.text, "{key} = {value}");
    }

    fn body(&mut self, name: &str, loaded: &Loaded, network: Option<&Network>) {
        let instance = self.instance;
        let _ = writeln!(self.found.text, "[vip.{name}]");
        if name != instance.name {
            let _ = writeln!(self.found.text, "# keepalived's name of it was {:?}", instance.name);
        }
        self.addresses();
        self.put("network", &quoted(&instance.interface));
        self.put("interface", &quoted(&instance.interface));
        self.put("router_id", &instance.router_id.to_string());
        self.adverts();
        self.virtual_mac();
        self.timers();
        if let Some(authentication) = &instance.authentication {
            let password = &authentication.password;
            let used = password.get(..PASSWORD_BYTES).unwrap_or(password);
            self.put("password", &quoted(used));
        }
        if instance.hmac.is_some() {
            let message = "adverts were signed: give the files of its keys in `hmac_keys`";
            self.lose("hmac", message.to_owned());
        }
        let group = loaded.keepalived.as_ref().and_then(|file| file.sync_group(&instance.name));
        if let Some(group) = group {
            self.put("sync_group", &quoted(&group.name));
        }
        self.tracks(loaded);
        for delay in loaded.keepalived.iter().flat_map(|file| &file.delays) {
            let message = format!("changes of the device {} had to last", delay.name);
            self.lose("interface_delays", message);
        }
        if instance.promotes_secondaries {
            let message = "the kernel kept other addresses of a network".to_owned();
            self.lose("promotes_secondaries", message);
        }
        for track in &instance.track_bfds {
            self.lose("track_bfds", format!("the way {} was tracked", track.name));
        }
        self.check(loaded);
        self.notify(loaded);
        self.peers(network);
        self.roles();
    }

    fn tracks(&mut self, loaded: &Loaded) {
        let Some(file) = &loaded.keepalived else { return };
        let vip = from_keepalived(self.instance, file, false);
        let fatal =
            vip.track_interfaces.iter().map(|name| match vip.reversed_interfaces.contains(name) {
                true => format!("{{ name = {}, reverse = true }}", quoted(name)),
                false => quoted(name),
            });
        let weighed = vip.weighed_interfaces.iter().map(|it| {
            let weight = if it.reversed { -it.weight } else { it.weight };
            format!("{{ name = {}{} }}", quoted(&it.name), weight_keys(weight.into(), it.reversed))
        });
        self.put_list("track_interfaces", fatal.chain(weighed));
        self.put_list("track_processes", vip.track_processes.iter().map(process_table));
        let files = vip.track_files.iter();
        for file in files.clone().filter(|file| !(-253..=253).contains(&file.weight)) {
            let message = format!("the number in {} weighed {} times", file.path, file.weight);
            self.lose("track_files", message);
        }
        self.put_list(
            "track_files",
            files.map(|file| {
                let (name, path) = (quoted(&file.name), quoted(&file.path));
                let keys = weight_keys(file.weight.clamp(-253, 253), file.reversed);
                format!("{{ file = {path}, name = {name}{keys} }}")
            }),
        );
    }

    fn put_list(&mut self, key: &str, tables: impl Iterator<Item = String>) {
        let tables: Vec<String> = tables.collect();
        if !tables.is_empty() {
            self.put(key, &format!("[{}]", tables.join(", ")));
        }
    }

    fn adverts(&mut self) {
        let (protocol, interval) = (self.instance.protocol, self.instance.advert_interval);
        if protocol != Protocol::V2 {
            self.put("version", &protocol.version().to_string());
        }
        if protocol.is_as_v2() {
            self.put("v3_checksum_as_v2", "true");
        }
        if interval != Duration::from_secs(1) {
            let text = match interval.subsec_millis() {
                0 => format!("\"{}s\"", interval.as_secs()),
                _ => format!("\"{}ms\"", interval.as_millis()),
            };
            self.put("advert_interval", &text);
        }
    }

    fn virtual_mac(&mut self) {
        if !self.instance.accepts {
            self.put("accept", "false");
        }
        let written = &self.instance.virtual_mac;
        if written.at.is_none() {
            return;
        }
        let (device, mac) = (written.device.clone(), written.mac);
        self.put("virtual_mac", "true");
        if let Some(device) = device {
            let id = self.instance.router_id;
            let message = format!("the device {device} is called vrrp.{id} here");
            self.lose("virtual_macs", message);
        }
        if mac.is_some() {
            let message = "it had a hardware address of its own choice".to_owned();
            self.lose("advert_mac", message);
        }
    }

    fn timers(&mut self) {
        let adverts = self.instance.down_timer_adverts;
        if adverts != DOWN_TIMER_ADVERTS {
            let message = format!(
                "a holder was gone after {adverts} adverts, here after {DOWN_TIMER_ADVERTS}"
            );
            self.lose("down_timer_adverts", message);
        }
        if self.instance.dont_track_primary {
            let message = format!("it was held whatever became of {}", self.instance.interface);
            self.lose("ignores_interface", message);
        }
    }

    fn addresses(&mut self) {
        let instance = self.instance;
        let all: Vec<_> = instance.addresses.iter().chain(&instance.excluded).collect();
        let ips: Vec<String> = all.iter().map(|address| address.ip.to_string()).collect();
        match ips.as_slice() {
            [one] => self.put("address", &quoted(one)),
            several => self.put("address", &listed(several)),
        }
        let shared = all.iter().map(|address| address.prefix).collect::<Vec<_>>();
        let longest = |ip: &IpAddr| if ip.is_ipv4() { 32 } else { 128 };
        if let Some(first) = all.first().filter(|first| first.prefix != longest(&first.ip)) {
            self.put("prefix", &first.prefix.to_string());
        }
        if shared.windows(2).any(|pair| pair[0] != pair[1]) {
            let told: Vec<String> =
                all.iter().map(|address| format!("{}/{}", address.ip, address.prefix)).collect();
            let message =
                format!("addresses of one virtual IP have one prefix: {}", told.join(", "));
            self.lose("prefix", message);
        }
        for address in all {
            let other = address.device.as_ref().filter(|device| **device != instance.interface);
            if let Some(device) = other {
                self.lose("device", format!("{} was put on the device {device}", address.ip));
            }
            if let Some(label) = &address.label {
                self.lose("label", format!("{} had the label {label}", address.ip));
            }
            if let Some(broadcast) = address.broadcast {
                let message = format!("{} had the broadcast address {broadcast}", address.ip);
                self.lose("broadcast", message);
            }
            if address.scope != 0 {
                let message = format!("{} had the scope {}", address.ip, address.scope);
                self.lose("scope", message);
            }
        }
        for route in &instance.routes {
            self.lose("ways", format!("the route {route} came and went with the addresses"));
        }
        for rule in &instance.rules {
            self.lose("ways", format!("the {} came and went with the addresses", rule.rule));
        }
        if !instance.excluded.is_empty() {
            let told: Vec<String> =
                instance.excluded.iter().map(|address| address.ip.to_string()).collect();
            let message = format!("adverts did not name {}, now they do", told.join(", "));
            self.lose("excluded", message);
        }
    }

    /// A script that asks the balancer's socket is what `outlast` knows by itself.
    fn check(&mut self, loaded: &Loaded) {
        let has_balancer = loaded.haproxy.is_some();
        let Some(file) = &loaded.keepalived else { return };
        let vip = from_keepalived(self.instance, file, has_balancer);
        let mut checks: Vec<String> = Vec::new();
        if has_balancer {
            checks.push("\"balancer\"".to_owned());
        }
        for script in &vip.track_scripts {
            let block = file.scripts.iter().find(|block| block.script.name == script.name);
            let asks = block.is_some_and(|block| asks_a_socket(block, loaded));
            if has_balancer && script.weight == 0 && !script.reversed && asks {
                let text = &mut self.found.text;
                let told = script.command.join(" ").replace(['\n', '\r'], " ");
                let _ =
                    writeln!(text, "# `balancer` instead of the script {}: {told}", script.name);
                continue;
            }
            checks.push(table(script));
        }
        match checks.as_slice() {
            [] => self.put("check", "\"none\""),
            [one] => self.put("check", one),
            several => self.put("check", &format!("[{}]", several.join(", "))),
        }
    }

    fn notify(&mut self, loaded: &Loaded) {
        let Some(file) = &loaded.keepalived else { return };
        let mut notify = file.notify_of(self.instance);
        if let Some(program) = notify.every.take() {
            self.put("notify", &format!("{{ {} }}", program_keys(&program)));
        }
        let lost: Vec<String> =
            notify.programs().flatten().map(|program| program.command.join(" ")).collect();
        if !lost.is_empty() {
            let message = format!(
                "programs of one state alone were {}; `notify` is told of all states",
                lost.join(", ")
            );
            self.lose("notify", message);
        }
    }

    fn peers(&mut self, network: Option<&Network>) {
        let instance = self.instance;
        let addresses: Vec<IpAddr> = network
            .iter()
            .flat_map(|network| network.addresses.iter().flatten().copied())
            .collect();
        if let Some(source) = instance.source.filter(|ip| !addresses.contains(ip)) {
            let message = format!("adverts came from {source}, which is no node's address");
            self.lose("source", message);
        }
        if let Some(group) = instance.travel.group {
            let message = format!("adverts went to {group}; here they go to all VRRP routers");
            self.lose("travel", message);
        }
        if instance.unicast_peers.is_empty() {
            return;
        }
        if instance.travel != Travel::default() {
            let message = "adverts went over other routers; here they go as far as their link";
            self.lose("travel", message.to_owned());
        }
        self.put("unicast", "true");
        let mut expected: Vec<IpAddr> = instance.unicast_peers.clone();
        expected.extend(instance.source);
        expected.sort_unstable();
        expected.dedup();
        let mut nodes = addresses;
        nodes.sort_unstable();
        if instance.source.is_none() || expected != nodes {
            let told: Vec<String> =
                instance.unicast_peers.iter().map(ToString::to_string).collect();
            let message =
                format!("adverts went to {}; here they go to every other node", told.join(", "));
            self.lose("unicast_peers", message);
        }
    }

    fn roles(&mut self) {
        let instance = self.instance;
        let message = format!(
            "this node's priority was {}; here `order` says who comes first, at a cold start only",
            instance.priority
        );
        self.lose("priority", message);
        if instance.state == State::Master {
            let message = "`state MASTER` took the address at every start; here nobody does";
            self.lose("starts_as_master", message.to_owned());
        }
        if !instance.nopreempt {
            let message = "without `nopreempt` the address went back to a stronger node that \
                           returned; here it stays";
            self.lose("preempt", message.to_owned());
            let delay = instance.preempt_delay;
            if !delay.is_zero() {
                let message = format!("it went back after {} s", delay.as_secs_f64());
                self.lose("preempt_delay", message);
            }
        }
    }
}

/// A number that may be none, and whether it is the other way round.
fn weight_keys(weight: i32, reversed: bool) -> String {
    let mut text = String::new();
    if weight != 0 {
        let _ = write!(text, ", weight = {weight}");
    }
    text + if reversed { ", reverse = true" } else { "" }
}

fn process_table(process: &TrackedProcess) -> String {
    let TrackedProcess {
        name, command, matching, least, most, fork_delay, terminate_delay, ..
    } = process;
    let matching = match matching {
        Matching::Name => "name",
        Matching::Program => "program",
        Matching::Exact => "exact",
        Matching::Initial => "initial",
        Matching::Partial => "partial",
    };
    let mut text = format!(
        "{{ process = {}, name = {}, match = \"{matching}\", least = {least}",
        listed(command),
        quoted(name)
    );
    if let Some(most) = most {
        let _ = write!(text, ", most = {most}");
    }
    for (key, delay) in [("up_delay", fork_delay), ("down_delay", terminate_delay)] {
        if !delay.is_zero() {
            let _ = write!(text, ", {key} = \"{}ms\"", delay.as_millis());
        }
    }
    text + &weight_keys(process.weight.clamp(-253, 253).into(), process.reversed) + " }"
}

/// A check script as a table of TOML in one line.
fn table(script: &Script) -> String {
    if script.reversed {
        let plain = table(&Script { starts_failed: false, ..script.clone().reverse() });
        return format!("{}, reverse = true }}", plain.trim_end_matches(" }"));
    }
    let mut text = format!("{{ script = {}", listed(&script.command));
    let seconds = |time: Duration| format!("\"{}s\"", time.as_secs());
    let _ = write!(text, ", interval = {}", seconds(script.interval));
    let _ = write!(text, ", timeout = {}", seconds(script.timeout));
    let _ = write!(text, ", fall = {}, rise = {}", script.fall, script.rise);
    if script.weight != 0 {
        let _ = write!(text, ", weight = {}", script.weight);
    }
    if script.starts_failed {
        text.push_str(", init_fail = true");
    }
    runs_as(script.user.as_ref(), script.group.as_ref(), script.secure, &mut text);
    text.push_str(" }");
    text
}

fn program_keys(program: &Program) -> String {
    let Program { command, user, group, secure } = program;
    let mut text = format!("script = {}", listed(command));
    runs_as(user.as_ref(), group.as_ref(), *secure, &mut text);
    text
}

fn runs_as(user: Option<&String>, group: Option<&String>, secure: bool, text: &mut String) {
    if let Some(user) = user {
        let _ = write!(text, ", user = {}", quoted(user));
    }
    if let Some(group) = group {
        let _ = write!(text, ", group = {}", quoted(group));
    }
    if secure {
        text.push_str(", secure = true");
    }
}
