//! What the processes of one node say to each other, and what the operator's tool asks them.
//!
//! Every message travels as one JSON datagram `{"v":2,"msg":...}` over a sequenced-packet socket
//! pair; descriptors ride along. This is the only stable serialisation: each message has a golden
//! file in `tests/golden`, and a change of one bumps [`VERSION`].
//!
//! ```text
//!            Order                 Report
//! supervisor -----> vip, agent, proxy -----> supervisor      (the supervisor routes)
//! outlast status, events  -- Ask -->  agent  -- Answer --> (control socket, JSON lines)
//! ```

pub mod access;
pub mod catalogue;

mod ask;
pub mod bequest;
pub mod books;
mod counts;
mod event;
pub mod generation;
mod intent;
pub mod keeper;
mod listed;
pub mod maintenance;
mod majority;
mod message;
mod notify;
mod own;
pub mod proof;
mod refused;
pub mod router;
mod state;
mod store;
mod took;
mod vip;
mod voters;
mod why;

pub use ask::{Answer, Ask, Command, Errand, Has, Look, Mark, Parcel, Under, left};
pub use counts::VipCounts;
pub use event::{Event, events};
pub use intent::{Carried, Coordinator, Intent, IntentState, IntentStep, StepOrder};
pub use listed::Listed;
pub use message::{
    Break, FileKind, FileName, MAX_MESSAGE, Order, ReadError, Report, Role, SocketName, Start,
    VERSION, Wished, decode, encode,
};
pub use notify::{
    Notification, NotificationDue, NotificationFate, Notifying, ReceiverState, Tried, WebhookBody,
};
pub use own::{OwnDoubt, ReferenceLine, References, whose_fault};
pub use refused::{RefusedAdvert, RefusedAdverts, RefusedPackets, TurnedAway};
pub use state::{
    BalancerState, Cell, Change, Choice, DashboardState, Duty, Load, Mode, NodeLine, NodeState,
    Opinion, ProcessState, ProxyLine, ServerCheck, ServerState, Standing, Status, Verdict, VipLine,
};
pub use store::{StoreDisk, StoreMember, StoreSnapshot, StoreState};
pub use took::{Moved, Took, millis};
pub use vip::{
    Beats, Gained, LateStep, Lateness, LeaseLeft, LeaseState, VipCause, VipProcess, VipRole,
    VipState,
};
pub use voters::{Electorate, KeptVoters, ListNumber, Voter, VoterList, VoterWord, VotersInUse};
pub use why::{Evidence, KindLine, RuleLine, Turn, Why};
