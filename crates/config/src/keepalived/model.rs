//! What a file in keepalived's language says about virtual IPs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use base::Span;

use super::bfd::BfdBlock;
use super::fixed::FixedBlocks;
use super::protocol::Written;
use super::rules::WrittenRule;
use super::vmac::VirtualMac;
use super::watch::{FileBlock, ProcessBlock};
use crate::notify::{Fifo, Hook, Notify};
use crate::vip::{Address, Hmac, InterfaceDelay, Protocol, Route, Script, Travel};

/// The whole file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Keepalived {
    pub global: Global,
    pub scripts: Vec<ScriptBlock>,
    /// `vrrp_track_process`.
    pub processes: Vec<ProcessBlock>,
    /// `vrrp_track_file`.
    pub files: Vec<FileBlock>,
    /// `bfd_instance`.
    pub bfds: Vec<BfdBlock>,
    /// `interface_up_down_delays`.
    pub delays: Vec<InterfaceDelay>,
    pub instances: Vec<Instance>,
    /// `vrrp_sync_group`.
    pub sync_groups: Vec<SyncGroup>,
    /// `static_ipaddress`, `static_routes`, `static_rules`.
    pub fixed: FixedBlocks,
}

/// `global_defs`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Global {
    /// Name of the node in messages.
    pub router_id: Option<String>,
    pub script_user: Option<String>,
    pub script_group: Option<String>,
    /// Refuses scripts that somebody else than root could change.
    pub script_security: bool,
    pub multicast_group: Option<Ipv4Addr>,
    pub multicast_group_v6: Option<Ipv6Addr>,
    /// `vrrp_version`, 2 or 3: of instances that name none.
    pub version: Option<u8>,
    /// `v3_checksum_as_v2`, of instances that do not say.
    pub checksum_as_v2: bool,
    /// `vrrp_startup_delay`.
    pub startup_delay: Duration,
    /// Where static addresses go that name no device.
    pub default_interface: Option<String>,
    /// `startup_script` and `shutdown_script`, with their timeouts; without a program: none.
    pub startup: Hook,
    pub shutdown: Hook,
    /// The network namespace that all of it is in.
    pub net_namespace: Option<String>,
    /// `notify_fifo`; without a path: none.
    pub fifo: Fifo,
    /// `vrrp_notify_fifo`, the same.
    pub vrrp_fifo: Fifo,
    /// `fifo_write_vrrp_states_on_reload`
    pub says_states_on_reload: bool,
    /// `vrrp_notify_priority_changes`, of instances that do not say.
    pub says_priority: bool,
    /// `vrrp_strict`, of instances that do not say.
    pub strict: bool,
    /// `vrrp_down_timer_adverts`, of instances that do not say.
    pub down_timer_adverts: Option<u8>,
}

/// `vrrp_script NAME`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ScriptBlock {
    pub script: Script,
    /// The command as written, before it was cut into words.
    pub text: String,
    pub command_span: Span,
    /// `weight ... reverse`: `script` is as written, and is run reversed.
    pub reverse: bool,
    pub span: Span,
}

/// `vrrp_instance NAME`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Instance {
    pub name: String,
    pub span: Span,
    pub state: State,
    pub state_span: Option<Span>,
    pub nopreempt: bool,
    /// How long a weaker holder is left in peace; zero where keepalived makes it so.
    pub preempt_delay: Duration,
    pub preempt_delay_span: Option<Span>,
    pub interface: String,
    pub router_id: u8,
    pub priority: u8,
    pub priority_span: Option<Span>,
    /// Rounded to what `protocol` can say.
    pub advert_interval: Duration,
    pub down_timer_adverts: u8,
    pub protocol: Protocol,
    /// What these two were made of.
    pub written: Written,
    pub addresses: Vec<Address>,
    /// Where each of `addresses` stands.
    pub address_spans: Vec<Span>,
    /// `virtual_ipaddress_excluded`: held, not named in adverts.
    pub excluded: Vec<Address>,
    /// `virtual_routes`.
    pub routes: Vec<Route>,
    /// `virtual_rules`.
    pub rules: Vec<WrittenRule>,
    pub virtual_mac: VirtualMac,
    /// Whether who holds it accepts packets for its addresses.
    pub accepts: bool,
    pub authentication: Option<Authentication>,
    /// `auth_hmac`.
    pub hmac: Option<Hmac>,
    pub track_scripts: Vec<Track>,
    pub track_interfaces: Vec<Track>,
    pub track_processes: Vec<Track>,
    pub track_files: Vec<Track>,
    pub track_bfds: Vec<Track>,
    /// `promote_secondaries`.
    pub promotes_secondaries: bool,
    /// It is held whatever becomes of `interface`.
    pub dont_track_primary: bool,
    /// `unicast_src_ip` or `mcast_src_ip`.
    pub source: Option<IpAddr>,
    pub unicast_peers: Vec<IpAddr>,
    pub travel: Travel,
    /// As written: [`Keepalived`] knows the user where none is named.
    pub notify: Notify,
    /// `notify_priority_changes`
    pub says_priority: Option<bool>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum State {
    Master,
    #[default]
    Backup,
}

/// `authentication { auth_type PASS auth_pass ... }`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Authentication {
    /// As written; only 8 bytes are sent, and none in version 3.
    pub password: String,
    pub span: Span,
}

/// One name in `track_script`, `track_interface`, `track_process` or `track_file`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Track {
    pub name: String,
    /// In place of the script's own weight.
    pub weight: Option<i16>,
    /// Whether it weighs the other way; in place of the script's own.
    pub reverse: Option<bool>,
    pub span: Span,
}

impl Track {
    /// Of an interface: without it the address goes.
    pub(crate) fn is_fatal(&self) -> bool {
        self.weight.is_none_or(|weight| weight == 0)
    }
}

/// `vrrp_sync_group NAME`: instances that are held together, or not at all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SyncGroup {
    pub name: String,
    /// Names of instances, and where they stand.
    pub members: Vec<(String, Span)>,
    /// Of each member.
    pub track_scripts: Vec<Track>,
    pub track_interfaces: Vec<Track>,
    pub track_processes: Vec<Track>,
    pub track_files: Vec<Track>,
    pub track_bfds: Vec<Track>,
    /// Whether weights that the members have of their own count.
    pub tracking_weight: bool,
    /// As written: [`Keepalived`] knows the user where none is named.
    pub notify: Notify,
    /// `notify_priority_changes`, of its instances that do not say.
    pub says_priority: Option<bool>,
    pub span: Span,
}
