//! A member as bytes: where a recording begins. Keys are not in it, and what its beats say is not either:
//! both decide nothing.

use super::beat::Beat;
use super::{Member, Refused, Standing};
use crate::keep::{Keep, kept};
use crate::packet::{Body, Opened, Seal};

kept!(Refused { forged, unreadable, replay, network, stranger });

impl Keep for Standing {
    fn keep(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Unknown => 0,
            Self::Alive => 1,
            Self::Suspect => 2,
            Self::Left => 3,
        });
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        match u8::revive(bytes)? {
            0 => Some(Self::Unknown),
            1 => Some(Self::Alive),
            2 => Some(Self::Suspect),
            3 => Some(Self::Left),
            _ => None,
        }
    }
}

impl Member {
    /// Opens a packet that was sealed for this node, for [`super::Input::Opened`]. None: it is not
    /// believed, and counted; the machine wants [`super::Input::Timeout`] then.
    pub fn open<'a>(&mut self, bytes: &[u8], body: &'a mut Body) -> Option<Opened<'a>> {
        self.seal.open(bytes, body).map_err(|error| self.refused.count(error)).ok()
    }

    /// All that decides: [`Self::revived`] makes the same machine of it, which cannot seal or open.
    #[must_use]
    pub fn kept(&self) -> Vec<u8> {
        let mut bytes = vec![];
        self.keep(&mut bytes);
        bytes
    }

    /// None: these bytes are not whole, or of another version of the program.
    #[must_use]
    pub fn revived(mut bytes: &[u8]) -> Option<Self> {
        let mut member = Self::revive(&mut bytes)?;
        let nodes = member.peers.len();
        let fits = bytes.is_empty()
            && usize::from(member.me) < nodes
            && member.timeline.nodes() == nodes
            && member.watch.fits(member.me, nodes);
        member.due = member.next_due();
        fits.then_some(member)
    }
}

impl Keep for Member {
    fn keep(&self, out: &mut Vec<u8>) {
        let Self {
            me,
            networks,
            peers,
            seal,
            replay,
            timeline,
            watch,
            said,
            choices,
            own_carrier,
            own,
            beat_at,
            beaten_at,
            judge_from,
            refused,
            due: _,
        } = self;
        me.keep(out);
        networks.keep(out);
        peers.keep(out);
        seal.incarnation().keep(out);
        replay.keep(out);
        timeline.keep(out);
        watch.keep(out);
        said.leaving.keep(out);
        choices.keep(out);
        own_carrier.keep(out);
        own.keep(out);
        beat_at.keep(out);
        beaten_at.keep(out);
        judge_from.keep(out);
        refused.keep(out);
    }

    fn revive(bytes: &mut &[u8]) -> Option<Self> {
        let me = Keep::revive(bytes)?;
        let networks: arrayvec::ArrayVec<String, _> = Keep::revive(bytes)?;
        let count = u8::try_from(networks.len()).ok()?;
        Some(Self {
            me,
            networks,
            peers: Keep::revive(bytes)?,
            seal: Seal::new("", me, Keep::revive(bytes)?),
            replay: Keep::revive(bytes)?,
            timeline: Keep::revive(bytes)?,
            watch: Keep::revive(bytes)?,
            said: Beat { leaving: Keep::revive(bytes)?, networks: count, ..Beat::default() },
            choices: Keep::revive(bytes)?,
            own_carrier: Keep::revive(bytes)?,
            own: Keep::revive(bytes)?,
            beat_at: Keep::revive(bytes)?,
            beaten_at: Keep::revive(bytes)?,
            judge_from: Keep::revive(bytes)?,
            refused: Keep::revive(bytes)?,
            due: base::Time::NEVER,
        })
    }
}
