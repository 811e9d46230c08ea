//! A virtual IP group as the engine wants it, whatever language it was written in.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use base::Span;

use crate::diagnostic::Diagnostic;
use crate::notify::Notify;

mod bfd;
mod hmac;
mod travel;
pub(crate) mod virtual_mac;
mod watch;
mod way;

pub use bfd::{BfdSession, TrackedBfd};
pub use hmac::{Hmac, KEY_BYTES, Key, KeyValue, Mode, Replay, WINDOW};
pub use travel::{Routed, Travel};
pub use virtual_mac::{Mac, VirtualMac};
pub use watch::{InterfaceDelay, MadeFile, Matching, TrackedFile, TrackedProcess};
pub use way::{Network, Rule, Then, Way};

/// One VRRP instance on one node: made from `outlast.toml` or from keepalived's file by
/// `effective` functions, with everything that depends on the node filled in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Vip {
    pub name: String,
    /// Device the adverts use, and the addresses unless they name another; empty: no device has the node's address
    /// on its network yet.
    pub interface: String,
    /// 1-255.
    pub router_id: u8,
    /// 1-255.
    pub priority: u8,
    /// In version 2 whole seconds up to 255 s, in version 3 hundredths up to 40.95 s.
    pub advert_interval: Duration,
    /// Adverts that have to be missing until a holder is gone, 1-100; the skew comes on top.
    pub down_timer_adverts: u8,
    pub protocol: Protocol,
    /// How long after the start of the node the silence of others counts for nothing (`vrrp_startup_delay`).
    pub startup_delay: Duration,
    /// Whether a node that starts holds the address at once (`state MASTER`).
    pub starts_as_master: bool,
    /// Whether a stronger node takes the address from a weaker holder.
    pub preempt: bool,
    /// How long it leaves a weaker holder in peace first; zero: it takes the address at once.
    pub preempt_delay: Duration,
    /// The name of those that are held together with it, or not at all.
    pub sync_group: Option<String>,
    /// First 8 bytes of the password, padded with zeros; none: no authentication, and always in version 3.
    pub password: Option<[u8; 8]>,
    /// What adverts are signed with, and judged by (`auth_hmac`); not beside a password.
    pub hmac: Option<Hmac>,
    pub addresses: Vec<Address>,
    /// Routes and rules that are made and removed with the addresses.
    pub ways: Vec<Way>,
    /// Devices of its own under the group's hardware address, which some of its addresses name (`use_vmac`). The first of
    /// its interface and kind hears adverts as well.
    pub virtual_macs: Vec<VirtualMac>,
    /// The hardware address that adverts to all of a link leave from; none: the interface's.
    pub advert_mac: Option<Mac>,
    /// Source of adverts; where none is given the first address of `interface`, over IPv6 the first that is for its link.
    pub source: Option<IpAddr>,
    /// Unicast peers; empty: multicast.
    pub unicast_peers: Vec<IpAddr>,
    /// To which group, and over how many routers.
    pub travel: Travel,
    pub track_interfaces: Vec<String>,
    /// Of those, the ones that must not have a carrier (`reverse`).
    pub reversed_interfaces: Vec<String>,
    /// Whether it is held whatever becomes of `interface` (`dont_track_primary`).
    pub ignores_interface: bool,
    /// Those that change the priority instead.
    pub weighed_interfaces: Vec<Weighed>,
    pub track_processes: Vec<TrackedProcess>,
    pub track_files: Vec<TrackedFile>,
    pub track_bfds: Vec<TrackedBfd>,
    /// Of devices of this node, whoever needs them.
    pub interface_delays: Vec<InterfaceDelay>,
    /// The kernel keeps the other addresses of a network on `interface` when the first one goes.
    pub promotes_secondaries: bool,
    /// Whether who holds it accepts packets for its addresses; the owner (priority 255) does in any case.
    pub accepts: bool,
    /// The vip waits for these; positions in the list of scripts.
    pub track_scripts: Vec<Script>,
    /// Whether a dead or frozen balancer of this node takes the address away (`check = "balancer"`).
    pub track_balancer: bool,
    /// Who holds it is decided by a vip lease, not by VRRP: it has no adverts, and hears none.
    pub has_lease: bool,
    /// With a vip lease: this node never holds it. It grants it to others, and needs no device for that.
    pub votes_only: bool,
    /// Who is told how it stands.
    pub notify: Notify,
}

/// What a group speaks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Protocol {
    /// VRRP version 2 (RFC 3768): whole seconds, the same on every router, and perhaps a password.
    #[default]
    V2,
    /// VRRP version 3 (RFC 9568): hundredths of seconds, learned from who holds, and no password.
    V3 { sends: Checksum },
}

/// Which checksum adverts of version 3 for IPv4 are sent with. Both are taken.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Checksum {
    /// Over a pseudo header, too: as keepalived, Wireshark and scapy read RFC 5798. keepalived 2.2 takes no other.
    #[default]
    Pseudo,
    /// Over the message alone, as RFC 9568 §5.2.8 says and some vendors do.
    Message,
}

impl Protocol {
    /// Of VRRP.
    #[must_use]
    pub const fn version(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 { .. } => 3,
        }
    }

    /// Whether it sends the checksum over the message alone, as version 2 does too.
    #[must_use]
    pub const fn is_as_v2(self) -> bool {
        matches!(self, Self::V3 { sends: Checksum::Message })
    }

    /// The shortest time between two adverts that it can say, of which any other is a multiple.
    #[must_use]
    pub const fn tick(self) -> Duration {
        match self {
            Self::V2 => Duration::from_secs(1),
            Self::V3 { .. } => Duration::from_millis(10),
        }
    }

    /// The longest time between two adverts that it can say.
    #[must_use]
    pub const fn longest_interval(self) -> Duration {
        match self {
            Self::V2 => Duration::from_secs(255),
            Self::V3 { .. } => Duration::from_millis(40_950),
        }
    }
}

/// An address and where it goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Address {
    pub ip: IpAddr,
    /// 32 for IPv4, 128 for IPv6 unless given.
    pub prefix: u8,
    pub device: Option<String>,
    pub label: Option<String>,
    pub broadcast: Option<Ipv4Addr>,
    /// Held, and not named in adverts (`virtual_ipaddress_excluded`).
    pub is_excluded: bool,
    /// 0: it is good everywhere; 253: on its link only (`linux/rtnetlink.h`).
    pub scope: u8,
    /// Of IPv6: for so many seconds it is a source of what this node sends by itself; none: for ever.
    pub preferred: Option<u32>,
    /// On a device under the group's hardware address (`use_vmac` of an address).
    pub uses_virtual_mac: bool,
}

/// What a node has from its start to its end, whoever holds a virtual IP.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Fixed {
    /// Each with its device.
    pub addresses: Vec<Address>,
    pub ways: Vec<Way>,
}

/// A route that goes with the addresses (`virtual_routes`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Route {
    pub destination: IpAddr,
    /// 0: everywhere else.
    pub prefix: u8,
    pub via: Option<IpAddr>,
    pub device: Option<String>,
    /// What is sent this way comes from there.
    pub source: Option<IpAddr>,
    pub table: u32,
    /// None: as the kernel has it.
    pub metric: Option<u32>,
    /// 0: it is good everywhere; 253: on its link only (`linux/rtnetlink.h`).
    pub scope: u8,
    /// Who made it: a number of `/etc/iproute2/rt_protos`.
    pub protocol: u8,
}

impl Route {
    /// `main` of `/etc/iproute2/rt_tables`.
    const MAIN: u32 = 254;
    /// keepalived, and who stands in its place (`linux/rtnetlink.h`, `RTPROT_KEEPALIVED`).
    const KEEPALIVED: u8 = 18;

    /// To everywhere else, with what keepalived writes unless it is told otherwise.
    #[must_use]
    pub const fn plain() -> Self {
        Self {
            destination: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            prefix: 0,
            via: None,
            device: None,
            source: None,
            table: Self::MAIN,
            metric: None,
            scope: 0,
            protocol: Self::KEEPALIVED,
        }
    }
}

/// As `ip route` writes it, without what is as ever.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { destination, prefix, via, device, source, table, metric, scope, protocol } =
            self;
        write!(f, "{destination}/{prefix}")?;
        let other = |number: u32, usual: u32| (number != usual).then(|| number.to_string());
        let words: [(&str, Option<String>); 7] = [
            ("via", via.map(|via| via.to_string())),
            ("dev", device.clone()),
            ("src", source.map(|source| source.to_string())),
            ("table", other(*table, Self::MAIN)),
            ("metric", metric.map(|metric| metric.to_string())),
            ("scope", other((*scope).into(), 0)),
            ("protocol", other((*protocol).into(), Self::KEEPALIVED.into())),
        ];
        let mut words = words.into_iter().filter_map(|(word, value)| Some((word, value?)));
        words.try_for_each(|(word, value)| write!(f, " {word} {value}"))
    }
}

impl Address {
    /// Alone on its network, on the device of the adverts.
    #[must_use]
    pub const fn plain(ip: IpAddr) -> Self {
        let prefix = if ip.is_ipv4() { 32 } else { 128 };
        Self {
            ip,
            prefix,
            device: None,
            label: None,
            broadcast: None,
            is_excluded: false,
            scope: 0,
            preferred: Self::preferred_by_length(ip, prefix),
            uses_virtual_mac: false,
        }
    }

    /// As keepalived has it: one of IPv6 that is alone on its network is for who asks for it, and no source of anything else.
    #[must_use]
    pub const fn preferred_by_length(ip: IpAddr, prefix: u8) -> Option<u32> {
        if ip.is_ipv6() && prefix == 128 { Some(0) } else { None }
    }
}

/// RFC 3768 and 9568 §6.1.
pub const DOWN_TIMER_ADVERTS: u8 = 3;

impl Vip {
    /// What no file says is as keepalived has it: priority 100, an advert a second, by multicast, no password.
    #[must_use]
    pub fn plain(name: &str, interface: &str, router_id: u8, addresses: Vec<Address>) -> Self {
        Self {
            name: name.to_owned(),
            interface: interface.to_owned(),
            router_id,
            priority: 100,
            advert_interval: Duration::from_secs(1),
            down_timer_adverts: DOWN_TIMER_ADVERTS,
            protocol: Protocol::V2,
            startup_delay: Duration::ZERO,
            starts_as_master: false,
            preempt: false,
            preempt_delay: Duration::ZERO,
            sync_group: None,
            password: None,
            hmac: None,
            addresses,
            ways: Vec::new(),
            virtual_macs: Vec::new(),
            advert_mac: None,
            source: None,
            unicast_peers: Vec::new(),
            travel: Travel::default(),
            track_interfaces: Vec::new(),
            reversed_interfaces: Vec::new(),
            ignores_interface: false,
            weighed_interfaces: Vec::new(),
            track_processes: Vec::new(),
            track_files: Vec::new(),
            track_bfds: Vec::new(),
            interface_delays: Vec::new(),
            promotes_secondaries: false,
            accepts: true,
            track_scripts: Vec::new(),
            track_balancer: false,
            has_lease: false,
            votes_only: false,
            notify: Notify::default(),
        }
    }

    /// Whether its adverts go over IPv6: as the first address that they name.
    #[must_use]
    pub fn is_v6(&self) -> bool {
        self.advertised().next().is_some_and(|first| first.ip.is_ipv6())
    }

    /// What adverts name: by these a group is known, here and by routers of others.
    pub fn advertised(&self) -> impl Iterator<Item = &Address> {
        self.addresses.iter().filter(|address| !address.is_excluded)
    }

    /// Its addresses with their lengths and devices.
    pub fn places(&self) -> impl Iterator<Item = (IpAddr, u8, &str)> {
        self.addresses.iter().map(|address| {
            let device = address.device.as_deref().unwrap_or(&self.interface);
            (address.ip, address.prefix, device)
        })
    }
}

/// An interface that changes the priority and takes the address from nobody.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Weighed {
    pub name: String,
    /// A positive one is added while the interface is good, a negative one taken while it is not; not 0.
    pub weight: i16,
    /// It is good while it has no carrier (`reverse`).
    pub reversed: bool,
}

/// A check script, run as keepalived runs it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Script {
    pub name: String,
    /// Program and arguments; no shell.
    pub command: Vec<String>,
    pub interval: Duration,
    pub timeout: Duration,
    pub fall: u32,
    pub rise: u32,
    /// 0: failure means fault; otherwise added to or taken from the priority.
    pub weight: i16,
    /// `init_fail`.
    pub starts_failed: bool,
    pub user: Option<String>,
    pub group: Option<String>,
    /// Not run as root while others than root could change it (`enable_script_security`).
    pub secure: bool,
    /// A run that fails counts as passed, one that passes as failed (`reverse`).
    pub reversed: bool,
}

impl Script {
    /// As keepalived's `reverse` has it: its weight is taken where it was added, and what was its failing is its
    /// passing. `init_fail` says nothing then: nothing is known of it before its first run.
    #[must_use]
    pub fn reverse(self) -> Self {
        Self {
            weight: -self.weight,
            fall: self.rise,
            rise: self.fall,
            starts_failed: false,
            reversed: !self.reversed,
            ..self
        }
    }
}

/// Bytes of a password that travel in a packet of VRRP version 2 (RFC 2338 5.3.10).
pub const PASSWORD_BYTES: usize = 8;

/// The password as it is sent: cut, or padded with zeros.
#[must_use]
pub fn password(text: &str) -> [u8; PASSWORD_BYTES] {
    let mut bytes = [0; PASSWORD_BYTES];
    for (to, from) in bytes.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    bytes
}

pub(crate) fn cut_password(at: Span, password: &str) -> Diagnostic {
    let bytes = password.len();
    let message = format!("only 8 bytes of this password are used, not {bytes}");
    let finding = Diagnostic::warning(at, "password-cut", message)
        .help("it travels readable anyway; name a `secret_file` in outlast.toml instead");
    let quotes = match (at.end - at.start).checked_sub(bytes) {
        Some(0) => 0,
        Some(2) => 1,
        _ => return finding,
    };
    match password.get(..PASSWORD_BYTES) {
        Some(used) => finding.fix(Span::new(at.start + quotes, at.end - quotes), used),
        None => finding,
    }
}
