//! A real terminal for a test: a tmux server of its own, whose screen can be read as text.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// What takes a second on an idle machine may take this long on a loaded one.
pub const PATIENCE: Duration = Duration::from_secs(40);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A terminal with one program; it ends with this value.
#[derive(Debug)]
pub struct Terminal {
    server: String,
}

impl Terminal {
    /// Starts `line` of the shell in a terminal of this size; none where there is no tmux.
    pub fn start(test: &str, size: (u16, u16), line: &str) -> Option<Self> {
        let version = Command::new("tmux").arg("-V").stdout(Stdio::null()).status();
        if !version.is_ok_and(|status| status.success()) {
            lab::skip::note(&format!("outlast::{test}"), "there is no tmux");
            return None;
        }
        let terminal = Self { server: format!("outlast-test-{}-{test}", std::process::id()) };
        let (width, height) = (size.0.to_string(), size.1.to_string());
        let line = format!("{line}; echo \"ended with $?\"; exec sleep 1000");
        let new = ["-f", "/dev/null", "new-session", "-d", "-x", &width, "-y", &height, &line];
        let output = terminal.tmux(&new);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(terminal)
    }

    fn tmux(&self, words: &[&str]) -> Output {
        let mut command = Command::new("tmux");
        command.args(["-u", "-L", &self.server]).args(words).stdin(Stdio::null());
        command.env("LC_ALL", "C.UTF-8").env_remove("TMUX").env_remove("CI");
        command.output().expect("tmux ran a moment ago")
    }

    /// What a person would see.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p"]).stdout).into_owned()
    }

    /// Presses keys, in the words of tmux: `k`, `Enter`, `Escape`.
    pub fn press(&self, keys: &[&str]) {
        let words: Vec<&str> =
            ["send-keys", "--"].into_iter().chain(keys.iter().copied()).collect();
        assert!(self.tmux(&words).status.success(), "{keys:?} cannot be pressed");
    }

    /// Waits until the screen is as wanted; a test that waits in vain shows what it saw.
    pub fn until(&self, what: &str, condition: impl Fn(&str) -> bool) -> String {
        let end = sys::clock::now() + PATIENCE;
        loop {
            let text = self.text();
            if condition(&text) {
                return text;
            }
            assert!(sys::clock::now() < end, "waited in vain: {what}; the screen:\n{text}");
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ended = self.tmux(&["kill-server"]);
    }
}
