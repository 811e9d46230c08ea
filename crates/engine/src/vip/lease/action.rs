//! What a vip process is told of its node, and what it orders.

/// What is tracked for one virtual IP; of those that are held together behind what the ones before it have ([`super::SeatConfig::facts_at`]).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fact {
    /// One run of `track_scripts[index]`.
    Script {
        index: usize,
        passed: bool,
    },
    /// One of `track_files`, as [`crate::vip::Input::Measure`].
    Measure {
        index: usize,
        weight: i16,
    },
    /// 0: the interface of the instance; `n`: `track_interfaces[n - 1]`.
    Carrier {
        interface: usize,
        up: bool,
    },
    NoDevice {
        interface: usize,
    },
    /// The interface of an instance that had none is known now.
    Network {
        interface: usize,
    },
}

/// What the driver does, in this order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Let nothing through for it any more. [`super::VipLease::until`] is zero.
    Close { vip: usize },
    /// Remove its addresses.
    Release { vip: usize },
    /// Add its addresses. On failure: [`super::Input::Refused`].
    Claim { vip: usize },
    /// One gratuitous ARP (or neighbour advertisement) for each of its addresses.
    Announce { vip: usize },
    /// Ask the neighbours whether somebody has one of its addresses. Answers: [`super::Input::InUse`], while [`super::VipLease::searches`].
    Probe { vip: usize },
    /// [`super::VipLease::view`] gives another answer than at the last report.
    Report { vip: usize },
    /// [`super::VipLease::beat`] for every other node, on every network: after all that is given up, so that nobody hears of
    /// it before it is so; where nothing is, before all else, as a claim takes time and what is held has to be renewed.
    Beat,
}
