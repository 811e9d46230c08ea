//! `weight` and `reverse`: the same two keys wherever something of a virtual IP may change its priority.

use toml::de::DeValue;

use super::read::{Field, Value, boolean, wrong};
use crate::diagnostic::Diagnostic;
use crate::vip::{Script, TrackedFile, TrackedProcess, Weighed};

/// As keepalived has it: 254 is the highest priority that anything may weigh.
const WEIGHTS: std::ops::RangeInclusive<i16> = -253..=253;

/// What has these two keys.
pub(super) trait Weighs: 'static {
    fn weigh(&mut self, weight: i16);
    fn reverse(&mut self, is_reversed: bool);
}

macro_rules! weighs {
    ($($of:ty),*) => {$(
        impl Weighs for $of {
            fn weigh(&mut self, weight: i16) {
                self.weight = weight.into();
            }

            fn reverse(&mut self, is_reversed: bool) {
                self.reversed = is_reversed;
            }
        }
    )*};
}

weighs!(Script, TrackedFile, TrackedProcess, Weighed);

pub(super) const fn weight<T: Weighs>(
    form: &'static str,
    default: &'static str,
    does: &'static str,
) -> Field<T> {
    Field {
        name: "weight",
        form,
        default,
        does,
        set: |weighs, value, _| {
            weighs.weigh(number(value)?);
            Ok(())
        },
    }
}

pub(super) const fn reverse<T: Weighs>(does: &'static str) -> Field<T> {
    Field {
        name: "reverse",
        form: "true",
        default: "false",
        does,
        set: |weighs, value, _| {
            weighs.reverse(boolean(value)?);
            Ok(())
        },
    }
}

fn number(value: &Value<'_>) -> Result<i16, Diagnostic> {
    let what = "a weight from -253 to 253";
    let DeValue::Integer(integer) = value.get_ref() else { return Err(wrong(value, what)) };
    let weight = i16::from_str_radix(integer.as_str(), integer.radix()).ok();
    weight.filter(|weight| WEIGHTS.contains(weight)).ok_or_else(|| wrong(value, what))
}
