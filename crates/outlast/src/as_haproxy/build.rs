//! What this program says about itself when it is called `haproxy` (`-v`, `-vv`, `-cc`).

use std::fmt::Write;

/// The version whose language and texts we follow: programs parse it.
pub(super) const VERSION: &str = "2.6.12";

/// Parts of haproxy 2.6, and whether we have the same: a program that asks must not be told of
/// something that is not there.
const PARTS: [(&str, bool); 32] = [
    ("51DEGREES", false),
    ("ACCEPT4", true),
    ("BACKTRACE", false),
    ("CPU_AFFINITY", false),
    ("CRYPT_H", false),
    ("DEVICEATLAS", false),
    ("DL", false),
    ("ENGINE", false),
    ("EPOLL", true),
    ("EVPORTS", false),
    ("GETADDRINFO", false),
    ("KQUEUE", false),
    ("LIBCRYPT", false),
    ("LINUX_SPLICE", false),
    ("LINUX_TPROXY", true),
    ("LUA", false),
    ("NETFILTER", false),
    ("NS", false),
    ("OPENSSL", false),
    ("OT", false),
    ("PCRE", false),
    ("PCRE2", false),
    ("POLL", false),
    ("PRCTL", true),
    ("PROMEX", false),
    ("QUIC", false),
    ("SLZ", false),
    ("SYSTEMD", false),
    ("TFO", false),
    ("THREAD", true),
    ("TPROXY", true),
    ("ZLIB", false),
];

pub(super) fn features() -> Vec<&'static str> {
    PARTS.iter().filter(|(_, here)| *here).map(|(name, _)| *name).collect()
}

/// `-v`.
pub(super) fn short() -> String {
    let ours = env!("CARGO_PKG_VERSION");
    format!(
        "HAProxy version {VERSION} (outlast {ours} in strict mode)\n\
         Status: not HAProxy, a program that takes its files and arguments.\n"
    )
}

/// `-vv`: the lines that programs look for.
pub(super) fn long() -> String {
    let mut text = short();
    text.push_str("Build options :\n  TARGET  = linux-glibc\n\nFeature list :");
    for (name, here) in PARTS {
        let sign = if here { '+' } else { '-' };
        // Into a string: cannot fail.
        let _ = write!(text, " {sign}{name}");
    }
    text.push_str(
        "\n\nBuilt with multi-threading support.\n\nAvailable polling systems :\n\
         \x20     epoll : pref=300,  test result OK\nTotal: 1 (1 usable), will use epoll.\n\n\
         Available services : none\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn haproxys_own_test_script_understands_it() {
        let long = long();
        let line = |start: &str| long.lines().find(|line| line.starts_with(start)).unwrap();
        assert_eq!(line("HAProxy version").split(' ').nth(2), Some(VERSION));
        assert!(line("  TARGET").ends_with("= linux-glibc"));
        assert!(line("Feature list :").contains(" -OPENSSL"));
        assert!(features().contains(&"EPOLL") && !features().contains(&"OPENSSL"));
        assert!(line("Available services :").ends_with(" none"));
    }
}
