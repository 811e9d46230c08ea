//! `user`, `group` and `secure`: the same three keys wherever a program is run.

use super::read::{Field, boolean, text};
use crate::notify::Program;
use crate::vip::Script;

/// What has these three keys.
pub(super) trait RunAs: 'static {
    fn user(&mut self) -> &mut Option<String>;
    fn group(&mut self) -> &mut Option<String>;
    fn secure(&mut self) -> &mut bool;
}

macro_rules! run_as {
    ($($of:ty),*) => {$(
        impl RunAs for $of {
            fn user(&mut self) -> &mut Option<String> {
                &mut self.user
            }

            fn group(&mut self) -> &mut Option<String> {
                &mut self.group
            }

            fn secure(&mut self) -> &mut bool {
                &mut self.secure
            }
        }
    )*};
}

run_as!(Program, Script);

pub(super) const fn user<T: RunAs>(does: &'static str) -> Field<T> {
    Field {
        name: "user",
        form: "\"nobody\"",
        default: "keepalived_script if it exists, else root",
        does,
        set: |program, value, _| {
            *program.user() = Some(text(value, "a user")?);
            Ok(())
        },
    }
}

pub(super) const fn group<T: RunAs>(does: &'static str) -> Field<T> {
    Field {
        name: "group",
        form: "\"nogroup\"",
        default: "the user's own",
        does,
        set: |program, value, _| {
            *program.group() = Some(text(value, "a group")?);
            Ok(())
        },
    }
}

pub(super) const fn secure<T: RunAs>() -> Field<T> {
    Field {
        name: "secure",
        form: "true",
        default: "false",
        does: "not run as root while others than root could change it or a part of its path",
        set: |program, value, _| {
            *program.secure() = boolean(value)?;
            Ok(())
        },
    }
}
