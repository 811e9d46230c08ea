//! `accept`: whether who holds an address is reached there.

use super::read::{Field, boolean};
use super::vips::VipDraft;

pub(super) const ACCEPT: Field<VipDraft> = Field {
    name: "accept",
    form: "false",
    default: "true",
    does: "whether the holder accepts packets for the address; without it the address is a gateway and nothing else, as RFC 9568 has it",
    set: |draft, value, _| {
        draft.accept = Some(boolean(value)?);
        Ok(())
    },
};
