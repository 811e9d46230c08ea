//! How to look around in a cloud that stays.

use std::os::fd::AsRawFd;

use crate::cloud::{Cloud, management};

/// The number of this process as the rest of the machine sees it, taken before it went into
/// namespaces of its own.
#[derive(Debug)]
pub(super) struct Outside {
    proc: Option<std::os::fd::OwnedFd>,
}

impl Outside {
    /// Call it before namespaces are made: afterwards `/proc` is another one.
    pub(super) fn remember() -> Self {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Self { proc: rustix::fs::open("/proc", flags, Mode::empty()).ok() }
    }

    /// The old `/proc` still answers `self` with the number that it knows.
    pub(super) fn pid(&self) -> Option<u32> {
        let own = rustix::fs::readlinkat(self.proc.as_ref()?, "self", Vec::new()).ok()?;
        own.to_str().ok()?.parse().ok()
    }
}

/// Lines to be typed in another terminal.
pub(super) fn invitation(cloud: &Cloud, outside: &Outside, plain: bool) -> String {
    let Some(real) = outside.pid() else {
        return "the cloud stays up until Ctrl-C".to_owned();
    };
    // A plain user is root of the demo's user namespace only by going in with their own name. The
    // demo has no control group namespace of its own, and only root may enter the machine's.
    let rights = if plain { "-U --preserve-credentials " } else { "" };
    let pid = std::process::id();
    let mut text =
        String::from("the cloud stays up until Ctrl-C; from another terminal, as the same user:\n");
    let mut line = |name: &str, fd: i32, what: &str| {
        text.push_str(&format!(
            "  nsenter -t {real} {rights}-m -u -i -n -p nsenter --net=/proc/{pid}/fd/{fd} {what}   \
             # {name}\n"
        ));
    };
    let client = cloud.client().netns().as_raw_fd();
    line("the client", client, &format!("curl http://{}/", cloud.api()));
    for (number, node) in cloud.nodes.iter().enumerate() {
        let Some(host) = node.host() else { continue };
        let run = node.folder.join("run");
        let name = format!("{} ({})", node.name, management(number));
        let fd = host.netns().as_raw_fd();
        let first = number == 0;
        let all = ["status", "events --follow --cluster", "top"];
        for what in all.into_iter().filter(|what| first || *what == "status") {
            let words = format!("/proc/{pid}/exe {what} --run-dir {}", run.display());
            line(&name, fd, &words);
        }
    }
    text
}
