//! Things that must have happened at least once in a sweep: a check that was never asked proves
//! nothing.

use super::script::Shape;

/// One thing that was seen to happen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mark {
    /// An agent that had not been running found peers silent and accused nobody.
    SuspectedItself,
    /// The same, for want of a carrier.
    SuspectedItselfWithoutLinks,
    /// The same, for want of reference points and of a majority.
    SuspectedItselfWithoutReference,
    Suspected,
    CameBack,
    SaidGoodbye,
    /// A connection to it was closed, so that it was asked before its time.
    AskedAlone,
    /// A recorded letter came again.
    RefusedReplay,
    /// A recorded hand-over to a process that is no more, or that was not heard of.
    RefusedOutlived,
    RefusedForgery,
    /// A letter of another network.
    RefusedNetwork,
    /// A letter for another host.
    RefusedAstray,
    /// A host whose numbers went back.
    RefusedOutdated,
    HeardOneWay,
    ClaimedBySilence,
    ClaimedByGoodbye,
    ClaimedByName,
    GaveWayToStronger,
    /// A holder that had stood still let go before it spoke.
    LetGoAfterStall,
    HandedOver,
    MovedByPlan,
    RestedAndHandedOver,
    BuriedBySupervisor,
    TwoHeldApart,
    MendedAndAgreed,
    /// A receiver refused an order of somebody who led before.
    RefusedStaleToken,
    /// A leader found intents that another one had begun.
    AnotherLeaderWentOn,
    /// A step was begun before a death: it was looked at before it was done.
    LookedAfterDeath,
    /// One more about an object, or than may be under way.
    RefusedIntent,
    EndedIntent,
    /// Its time was up before the store knew it.
    StoppedInTime,
    /// The name was taken from a holder that was called unreachable, that had said goodbye, or that was a former
    /// process or time in office of the same host.
    FollowedUnreachable,
    FollowedAtGoodbye,
    FollowedItself,
    /// One from whom it was taken led on by its own reckoning.
    TwoLedApart,
    StoreLostLeader,
    StoreRefused,
    /// Committed, and nobody was told.
    StoreUnanswered,
    CalledProvenDead,
    /// Came and went too often.
    Quarantined,
    /// Called suspect by a host that reaches no majority.
    DoubtedWithoutMajority,
    CalledUnreachable,
    CalledCutOff,
    /// Cut off though one direction was left.
    SawOneWay,
    /// All of a majority thought the same of each controller, after faults that were not mended.
    SawOneView,
    /// What a disk had said it wrote was gone after a loss of power.
    DiskLied,
    DiskTore,
    DiskWasFull,
    DiskWasSlow,
    /// One of the two copies was damaged.
    ReadOtherCopy,
    /// Both were: it looked before it did anything.
    NoCopyWhole,
    LivesTorn,
    /// Its memory had gone back behind what it had done.
    DidAgainAfterLie,
    /// A management controller gave no answer.
    BmcSilent,
    /// It said `ok`, and the host ran on, which somebody saw.
    BmcDidNothing,
    /// Proven dead, and running: its controller had said that it is off.
    BmcLied,
    /// The same, as an operator had not looked, or too early.
    OperatorErred,
    ConfirmedOff,
    /// Proven dead by mistake, it held the address, and named another when it heard of that.
    DeadHandedOver,
    /// A word that a host is off, which was heard.
    RefusedProof,
    CycledByBmc,
    /// Of gossip: one that answered nobody here answered over a third node.
    ProbedOverOthers,
    /// It heard that it is doubted, and said that it lives.
    RefutedSuspicion,
    /// Its own probes failed: it takes more time for each.
    Damped,
    /// A compute node whose probes fail doubts others, and accuses nobody.
    DoubtedItself,
    /// Controllers found a compute node gone that was.
    ConfirmedByControllers,
    CutOffCompute,
    /// What a controller found was passed on to one that does not hear it.
    PassedOnClaim,
    /// A majority thought the same of each controller, and its hosts were of different versions.
    SawOneViewOfVersions,
    /// An intent that the former version wrote went on.
    ReadFormerIntent,
    /// One that a later version wrote was ended by name.
    EndedLaterIntent,
    /// A step whose verb its host does not know.
    RefusedVerb,
    /// What a host did was kept by a later version: it looked before it did anything.
    LookedAfterLater,
    /// Of gossip: a part that nobody here knows.
    RefusedPart,
    /// A kernel kept the address, so nobody was named beside it.
    NamedNobodyBesideIt,
    /// A host was lost within its maintenance window, and recovery would have waited.
    RecoveryWaited,
    WindowEnded,
    /// A host came and went within its window as often as would have been a quarantine.
    ForgaveReturns,
    /// All controllers of a majority thought the same of each compute node, and it was true.
    AgreedOnCrowd,
}

pub const MARKS: [Mark; 79] = [
    Mark::SuspectedItself,
    Mark::SuspectedItselfWithoutLinks,
    Mark::SuspectedItselfWithoutReference,
    Mark::Suspected,
    Mark::CameBack,
    Mark::SaidGoodbye,
    Mark::AskedAlone,
    Mark::RefusedReplay,
    Mark::RefusedOutlived,
    Mark::RefusedForgery,
    Mark::RefusedNetwork,
    Mark::RefusedAstray,
    Mark::RefusedOutdated,
    Mark::HeardOneWay,
    Mark::ClaimedBySilence,
    Mark::ClaimedByGoodbye,
    Mark::ClaimedByName,
    Mark::GaveWayToStronger,
    Mark::LetGoAfterStall,
    Mark::HandedOver,
    Mark::MovedByPlan,
    Mark::RestedAndHandedOver,
    Mark::BuriedBySupervisor,
    Mark::TwoHeldApart,
    Mark::MendedAndAgreed,
    Mark::RefusedStaleToken,
    Mark::AnotherLeaderWentOn,
    Mark::LookedAfterDeath,
    Mark::RefusedIntent,
    Mark::EndedIntent,
    Mark::StoppedInTime,
    Mark::FollowedUnreachable,
    Mark::FollowedAtGoodbye,
    Mark::FollowedItself,
    Mark::TwoLedApart,
    Mark::StoreLostLeader,
    Mark::StoreRefused,
    Mark::StoreUnanswered,
    Mark::CalledProvenDead,
    Mark::Quarantined,
    Mark::DoubtedWithoutMajority,
    Mark::CalledUnreachable,
    Mark::CalledCutOff,
    Mark::SawOneWay,
    Mark::SawOneView,
    Mark::DiskLied,
    Mark::DiskTore,
    Mark::DiskWasFull,
    Mark::DiskWasSlow,
    Mark::ReadOtherCopy,
    Mark::NoCopyWhole,
    Mark::LivesTorn,
    Mark::DidAgainAfterLie,
    Mark::BmcSilent,
    Mark::BmcDidNothing,
    Mark::BmcLied,
    Mark::OperatorErred,
    Mark::ConfirmedOff,
    Mark::DeadHandedOver,
    Mark::RefusedProof,
    Mark::CycledByBmc,
    Mark::ProbedOverOthers,
    Mark::RefutedSuspicion,
    Mark::Damped,
    Mark::DoubtedItself,
    Mark::ConfirmedByControllers,
    Mark::CutOffCompute,
    Mark::PassedOnClaim,
    Mark::SawOneViewOfVersions,
    Mark::ReadFormerIntent,
    Mark::EndedLaterIntent,
    Mark::RefusedVerb,
    Mark::LookedAfterLater,
    Mark::RefusedPart,
    Mark::NamedNobodyBesideIt,
    Mark::RecoveryWaited,
    Mark::WindowEnded,
    Mark::ForgaveReturns,
    Mark::AgreedOnCrowd,
];

/// Who is silent thrice in a minute, and who is called unreachable before its time as holder of a name is up: never in
/// the cloud of the figures, where silence takes ten seconds.
const OF_SMALL_CLOUDS: [Mark; 3] =
    [Mark::Quarantined, Mark::ForgaveReturns, Mark::FollowedUnreachable];

/// How often each was seen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Marks([u64; MARKS.len()]);

impl Default for Marks {
    fn default() -> Self {
        Self([0; MARKS.len()])
    }
}

impl Marks {
    pub(crate) fn note(&mut self, mark: Mark) {
        self.0[mark as usize] += 1;
    }

    #[must_use]
    pub fn count(&self, mark: Mark) -> u64 {
        self.0[mark as usize]
    }

    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    /// Those that were never seen, of those that clouds of this shape reach.
    pub fn missing(&self, shape: Shape) -> impl Iterator<Item = Mark> + '_ {
        let is_mixed = shape == Shape::Mixed;
        let reached = MARKS.into_iter().filter(move |m| is_mixed || !OF_SMALL_CLOUDS.contains(m));
        reached.filter(|mark| self.count(*mark) == 0)
    }
}
