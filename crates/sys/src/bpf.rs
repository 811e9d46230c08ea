//! Programs for the kernel's own machine (BPF), assembled here and loaded without a library: no compiler, no
//! object files, no file system of pinned objects.
//!
//! ```text
//!   gate::Gate      which packets of a virtual IP pass, until when
//!     program       words with labels
//!     kernel        bpf(2): a map that both sides see, loading, one run of a program
//! ```

use std::error;
use std::fmt;
use std::io;

pub mod gate;
mod kernel;
mod program;

/// Why the kernel does not do it: what an operator is shown behind "not enforced:".
#[derive(Debug)]
pub enum Refused {
    /// This process lacks the right: `CAP_BPF` and `CAP_NET_ADMIN`, in the first user namespace.
    NotAllowed,
    /// The kernel has no such call, map, program, queue or filter: too old, or built without.
    Missing(io::Error),
    /// The kernel's verifier does not like the program.
    Verifier { error: io::Error, log: String },
    /// The clock of this process is not the kernel's: it is in a time namespace.
    OtherClock,
    /// Somebody else's queue or filter stands where ours has to be.
    Occupied(&'static str),
    /// Anything else, as a device that is gone.
    Failed(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EPERM) => Self::NotAllowed,
            Some(libc::ENOSYS | libc::ENOENT | libc::EOPNOTSUPP) => Self::Missing(error),
            _ => Self::Failed(error),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAllowed => f.write_str(
                "this process may not load programs into the kernel (CAP_BPF, CAP_NET_ADMIN)",
            ),
            Self::Missing(_) => f.write_str("this kernel cannot filter packets by a program"),
            Self::Verifier { log, .. } => {
                write!(f, "the kernel's verifier refuses the program: {}", reason(log))
            }
            Self::OtherClock => {
                f.write_str("the clock of this process is not the kernel's (time namespace)")
            }
            Self::Occupied(what) => write!(f, "somebody else's {what} is in its place"),
            Self::Failed(_) => f.write_str("the kernel does not take the program"),
        }
    }
}

impl error::Error for Refused {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Missing(error) | Self::Failed(error) | Self::Verifier { error, .. } => {
                Some(error)
            }
            Self::NotAllowed | Self::OtherClock | Self::Occupied(_) => None,
        }
    }
}

/// The line that says why: the last before what the verifier counted.
fn reason(log: &str) -> &str {
    let mut lines = log.lines().filter(|line| !line.starts_with("processed "));
    lines.next_back().unwrap_or("no reason given")
}
