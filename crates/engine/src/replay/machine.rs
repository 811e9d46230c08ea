//! The machines that are recorded, brought back to play them again.

use base::Time;

use super::{CASES, Decision, Fact, LEADER, MEMBER, Names, VIPS};
use crate::Buffer;
use crate::intent::Leader;
use crate::keep::Keep;
use crate::member::Member;
use crate::vip::Vip;

/// What a recording begins with.
#[derive(Debug)]
pub enum Machine {
    Member(Box<Member>),
    /// All instances of a vip process, in their order.
    Vips(Vec<Vip>),
    /// None: it does not coordinate.
    Leader(Box<Option<Leader>>),
    /// The table of verdicts.
    Cases,
}

impl Machine {
    /// None: these bytes are not whole, or of another version of the program.
    pub(super) fn revived(number: u8, mut bytes: &[u8]) -> Option<Self> {
        match number {
            MEMBER => Member::revived(bytes).map(|member| Self::Member(Box::new(member))),
            VIPS => {
                let vips = Keep::revive(&mut bytes)?;
                bytes.is_empty().then_some(Self::Vips(vips))
            }
            LEADER => {
                let leads = Keep::revive(&mut bytes)?;
                bytes.is_empty().then(|| Self::Leader(Box::new(leads)))
            }
            CASES => bytes.is_empty().then_some(Self::Cases),
            _ => None,
        }
    }

    /// All that decides, as it stands in a recording that begins now.
    #[must_use]
    pub fn kept(&self) -> Vec<u8> {
        match self {
            Self::Member(member) => member.kept(),
            Self::Vips(vips) => {
                let mut bytes = vec![];
                vips.keep(&mut bytes);
                bytes
            }
            Self::Leader(leads) => {
                let mut bytes = vec![];
                leads.keep(&mut bytes);
                bytes
            }
            Self::Cases => vec![],
        }
    }

    /// A second one, from the bytes of this one; none is a mistake in what is kept.
    #[must_use]
    pub fn again(&self) -> Option<Self> {
        let number = match self {
            Self::Member(_) => MEMBER,
            Self::Vips(_) => VIPS,
            Self::Leader(_) => LEADER,
            Self::Cases => CASES,
        };
        Self::revived(number, &self.kept())
    }

    /// What it decides; nothing where the input is for another kind of machine.
    pub(super) fn step(&mut self, now: Time, fact: &Fact, names: &Names) -> Vec<Decision> {
        match (self, fact) {
            (Self::Member(member), Fact::Member(fact)) => {
                let mut out = Buffer::new();
                member.step(now, fact.input(), &mut out);
                out.iter().map(|action| Decision::of(action, names)).collect()
            }
            (Self::Vips(vips), Fact::Vip(instance, fact)) => {
                let Some(vip) = vips.get_mut(usize::from(*instance)) else { return vec![] };
                let mut out = Buffer::new();
                vip.step(now, fact.input(), &mut out);
                out.iter().map(|action| Decision::of_vip(action, vip, names)).collect()
            }
            (Self::Leader(leads), Fact::Leader(fact)) => fact.feed(now, leads),
            (Self::Cases, Fact::Case(fact)) => fact.feed(names),
            (Self::Member(_) | Self::Vips(_) | Self::Leader(_) | Self::Cases, _) => vec![],
        }
    }
}
