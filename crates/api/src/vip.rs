//! Virtual IPs, as the vip process says.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Electorate, Took, millis};

/// One instance of the vip process.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct VipState {
    /// Position in the effective configuration.
    pub instance: u16,
    pub role: VipRole,
    /// Whether the kernel has the addresses because of us.
    pub holding: bool,
    /// Who takes over when this node hands over: position in the cluster file.
    pub successor: Option<u16>,
    /// The vip process there that would be named; none from a process that does not say it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor_life: Option<u64>,
    /// What keeps the instance out of the race, or moved it last.
    pub cause: Option<VipCause>,
    /// Counts holders; grows with each hand-over or election known to this node.
    pub term: u64,
    /// Scripts that are not run, since others than root could change what root would run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disabled_scripts: Vec<String>,
    /// The device of its adverts; none: no device has this node's address on its network yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The hardware address of who has the address, where that keeps this node from holding it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_use_by: Option<String>,
    /// Of one with a vip lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vip_lease: Option<LeaseState>,
    /// With all weights, 1-255.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// Of a holder: what its take-over took; none: it was adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<Took>,
}

/// The vip process, about itself.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct VipProcess {
    pub late: Lateness,
    /// None: it votes for nothing, or is of a release that beats each 10 ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beats: Option<Beats>,
    /// Of each virtual IP that this node holds by votes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<LeaseLeft>,
    /// How long ago all of this was so, in milliseconds: an agent says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
    /// By whose votes virtual IPs are held; none: by nobody's here, or a release that does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voters: Option<Electorate>,
}

/// How much of a vip lease was left when the process looked.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LeaseLeft {
    /// Position in the effective configuration.
    pub instance: u16,
    pub left_us: u64,
    /// The least since it was told before, at most a second earlier.
    pub least_us: u64,
    /// How often it had run out when it was renewed, since the process began: until then the kernel dropped what came.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub lapses: u64,
    /// For how long at most.
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub lapsed_us: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_none_yet(count: &u64) -> bool {
    *count == 0
}

impl LeaseLeft {
    /// For an operator.
    #[must_use]
    pub fn words(&self) -> String {
        let (left, least) = (millis(self.left_us), millis(self.least_us));
        let words = format!("{left} of it were left, never less than {least} in the second before");
        if self.lapses == 0 {
            return words;
        }
        let (lapses, lapsed) = (self.lapses, millis(self.lapsed_us));
        format!(
            "{words}; renewed too late {lapses} time(s) since the vip process began, by {lapsed} at most: what came meanwhile was dropped"
        )
    }
}

impl VipProcess {
    /// Of that instance; none: it is not held here by votes.
    #[must_use]
    pub fn left(&self, instance: u16) -> Option<&LeaseLeft> {
        self.left.iter().find(|left| left.instance == instance)
    }
}

/// How often it beats, for the virtual IPs that are held by votes. In microseconds.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Beats {
    /// As the file has it.
    pub wanted_us: u64,
    /// What this process can keep; more than `wanted_us` until it was measured.
    pub wish_us: u64,
    /// As all do that hear each other.
    pub beat_us: u64,
    pub lease_us: u64,
    /// So late it is once in a thousand times; none: that is not known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_us: Option<u64>,
    /// The node that can keep no shorter beat, if this one could.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowest: Option<String>,
}

impl Beats {
    /// Why they are not as short as the file says; none: they are.
    #[must_use]
    pub fn refused(&self) -> Option<String> {
        if self.beat_us <= self.wanted_us {
            return None;
        }
        let (wanted, beat) = (millis(self.wanted_us), millis(self.beat_us));
        let why = match (&self.slowest, self.late_us) {
            (Some(node), _) => format!("{node} keeps no shorter ones"),
            (None, Some(late)) => {
                let (late, least) = (millis(late), millis(late.saturating_mul(5)));
                format!(
                    "this process is {late} late once in a thousand times, and five times that are {least}"
                )
            }
            (None, None) => {
                "how late this process is once in a thousand times is not known yet".to_owned()
            }
        };
        Some(format!("beats come each {beat} and not each {wanted}: {why}"))
    }

    /// For an operator.
    #[must_use]
    pub fn words(&self) -> String {
        let (beat, span) = (millis(self.beat_us), millis(self.lease_us));
        let plain = || format!("beats come each {beat}");
        format!("{}; a vip lease is {span}", self.refused().unwrap_or_else(plain))
    }
}

/// How late it did what was due at a moment, over the last ten to twenty minutes.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Lateness {
    /// How often something was due.
    pub waits: u64,
    /// Half of them were at most so late, in microseconds, as all of the following.
    pub p50_us: u64,
    pub p99_us: u64,
    /// All but one in a thousand.
    pub p999_us: u64,
    pub max_us: u64,
    /// The least late first; those of which there were none are left out.
    pub steps: Vec<LateStep>,
}

/// How many were at most so late, and later than the step before.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LateStep {
    /// Number of the step, so that those that are left out have their place.
    pub step: u8,
    /// In microseconds; none: the last one, which has no end.
    pub upto_us: Option<u64>,
    pub waits: u64,
}

impl Lateness {
    /// For an operator.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { waits, p50_us, p99_us, p999_us, max_us, .. } = self;
        format!(
            "of the last {waits} times that something was due, half were at most {} late, 99 in 100 {}, 999 in 1000 {}, all {}",
            millis(*p50_us),
            millis(*p99_us),
            millis(*p999_us),
            millis(*max_us)
        )
    }
}

/// What only an instance with a vip lease has.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct LeaseState {
    /// Who holds it, as this node hears: position in the cluster file.
    pub holder: Option<u16>,
    /// Whether this node grants it to anybody: not in the first quarter of a second of a vip process.
    pub votes: bool,
    /// Why the kernel does not end it by itself; none: it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_enforced: Option<String>,
    /// Of a holder: what went before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gained: Option<Gained>,
    /// This node grants it to others, and never holds it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub votes_only: bool,
    /// Whom it waits to be proven dead, or heard: position in the cluster file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaits: Option<u16>,
    /// It is held without a majority: at a cut two nodes may.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alone: bool,
    /// An operator moved it to its holder, and no rule (`spread`, `apart_from`, `follows`) moves it from there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stays: bool,
}

/// What went before a node held an address by votes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Gained {
    /// Who held it before, position in the cluster file; none: nobody else, as far as that node knows.
    pub from: Option<u16>,
    /// For how long that one was not heard when this node asked for it, in microseconds.
    pub unheard_us: u64,
    /// From its asking until a majority had granted it, in microseconds.
    pub granted_us: u64,
    /// Where an operator had moved it, position in the cluster file: that word ended with what that one held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lapsed: Option<u16>,
}

impl Gained {
    /// For an operator. `from`: the name of who held it before.
    #[must_use]
    pub fn words(&self, from: Option<&str>) -> String {
        self.shown(from).to_string()
    }

    /// The same, for who has a text to write it into.
    #[must_use]
    pub const fn shown<'a>(&self, from: Option<&'a str>) -> impl fmt::Display + use<'a> {
        GainedFrom { gained: *self, from }
    }
}

impl Gained {
    /// What became of an operator's word. `of`: the name of the node where he had moved the address.
    #[must_use]
    pub fn lapse(of: &str) -> impl fmt::Display {
        Lapse(of)
    }
}

struct Lapse<'a>(&'a str);

impl fmt::Display for Lapse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(of) = self;
        write!(
            f,
            "an operator had moved it to {of}, and that word ended with what {of} held: its rules say again where it is"
        )
    }
}

struct GainedFrom<'a> {
    gained: Gained,
    from: Option<&'a str>,
}

impl fmt::Display for GainedFrom<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = |micros: u64| (micros / 1000, micros % 1000 / 100);
        let ((whole, tenth), (late, of_late)) =
            (tenths(self.gained.granted_us), tenths(self.gained.unheard_us));
        match self.from {
            Some(from) => write!(
                f,
                "the last beat of {from} came {late}.{of_late} ms before this node asked for it, and a majority granted it \
                 {whole}.{tenth} ms later"
            ),
            None => write!(
                f,
                "nobody held it before, as far as this node knows, and a majority granted it {whole}.{tenth} ms after it asked"
            ),
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum VipRole {
    Backup,
    Master,
    Fault,
}

/// Why a vip instance moved or may not hold.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum VipCause {
    /// Nobody advertised for the master-down interval.
    Silence,
    /// The holder said goodbye (priority 0).
    Goodbye,
    /// The holder named this node.
    Named,
    /// A stronger advert.
    Stronger,
    /// The vip process did not run for as long as others wait.
    Stalled,
    /// `track_script` failed.
    Script,
    /// Not as many processes run as have to (`track_process`).
    Process,
    /// The number in a tracked file takes it (`track_file`).
    File,
    /// The way to another system fails (`track_bfd`).
    Way,
    /// A tracked or own interface lost its carrier or is missing.
    Carrier,
    /// Its own or a tracked interface is not there.
    NoDevice,
    /// No interface of this node has its address on the network of this one yet.
    NoNetwork,
    /// The balancer of this node does not serve.
    Balancer,
    /// The kernel did not take the address.
    Refused,
    /// The program is ending.
    Stopping,
    /// Taken over from the process before.
    Adopted,
    /// An operator put this node on standby.
    Standby,
    /// An operator moved it to another node.
    Moved,
    /// With a vip lease: what it had granted another node ended.
    Expired,
    /// With a vip lease: no majority of the controllers granted it in time.
    Majority,
    /// An operator confirmed that this node is off.
    ProvenDead,
    /// With a vip lease: on the network of the address the others hear each other, and not this node.
    Unheard,
    /// With a vip lease: no reference point on the network of the address answers this node, and one answers another.
    Unreached,
    /// With a vip lease: a router that does not vote holds it.
    Foreign,
    /// With a vip lease: it is not proven that the node which may hold it is dead.
    Unproven,
    /// With a vip lease: no other controller is heard, and the file lets it hold without a majority.
    LastMan,
    /// With a vip lease: a majority grants again what it held without one.
    Granted,
    /// Somebody who is no router of the group has the address.
    InUse,
    /// Another address of its sync group cannot be held here, or was lost.
    Together,
    /// With a vip lease: another node holds fewer of the addresses that it is spread with.
    Spread,
    /// With a vip lease: it was on one node with an address that it should be apart from.
    Apart,
    /// With a vip lease: one that is never on a node with it had none left.
    Room,
    /// With a vip lease: another node coordinates, which it follows.
    Follows,
    /// With a vip lease: this node holds an address that is never on one node with it.
    Barred,
}
