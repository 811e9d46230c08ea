//! What the log says when a server changes.
//!
//! The sentences are haproxy 2.6's (`srv_append_status` and its callers), because alarms of
//! operators match them.

use base::Report;
use config::haproxy::ProxyKind;

use super::{Level, Logger};
use crate::view::{Admin, Outcome, ServerStatus, View};

/// What happened to a server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ServerChange<'a> {
    Up(&'a Report),
    Down(&'a Report),
    /// `set server B/S state ...`: from this to what the board says now.
    Admin {
        from: Admin,
    },
}

/// Servers that may get new sessions.
#[derive(Clone, Copy, Debug)]
struct Available {
    active: usize,
    backup: usize,
}

impl Logger {
    /// Call it after the board was changed; `servers` are those of the proxy on it.
    pub(crate) fn server(
        &mut self,
        proxy: usize,
        server: usize,
        servers: &[ServerStatus],
        change: ServerChange<'_>,
    ) {
        let left = Available::of(&self.view, proxy, servers);
        let status = &servers[server];
        let (level, text) = match change {
            ServerChange::Up(report) => (
                Level::Notice,
                format!("is UP{}{}", self.reason_unless_told(proxy, report), left.online()),
            ),
            ServerChange::Down(report) => (
                Level::Alert,
                format!(
                    "is DOWN{}{}",
                    self.reason_unless_told(proxy, report),
                    left.left(&self.view, proxy, server)
                ),
            ),
            ServerChange::Admin { from } => self.by_operator(proxy, server, status, from, left),
        };
        let section = &self.view.config.proxies[proxy];
        let entry = &section.servers[server];
        let backup = if entry.backup { "Backup " } else { "" };
        let line = format!("{backup}Server {}/{} {text}.", section.name, entry.name);
        self.send(proxy, level, line.as_bytes());
        let was_available = match change {
            ServerChange::Up(_) => false,
            ServerChange::Down(_) => status.admin == Admin::Ready,
            ServerChange::Admin { from } => from == Admin::Ready && status.up,
        };
        if left.is_none() && was_available {
            self.nobody_left(proxy);
        }
    }

    /// `option log-health-checks`: a check that counted, whether or not it changed the state. Call it
    /// before [`Logger::server`].
    pub(crate) fn checked(&mut self, outcome: &Outcome) {
        let section = &self.view.config.proxies[outcome.proxy];
        let entry = &section.servers[outcome.server];
        let Some(check) = entry.check.as_ref().filter(|_| section.log_health_checks) else {
            return;
        };
        let count = u32::from(outcome.count);
        let (have, of, word) = if outcome.up {
            (check.fall.saturating_sub(count), check.fall, "UP")
        } else {
            (count, check.rise, "DOWN")
        };
        let line = format!(
            "Health check for {}server {}/{} {}{}, status: {have}/{of} {word}.",
            if entry.backup { "backup " } else { "" },
            section.name,
            entry.name,
            if outcome.report.passed { "succeeded" } else { "failed" },
            appended(&outcome.report),
        );
        self.send(outcome.proxy, Level::Notice, line.as_bytes());
    }

    /// Told by [`Logger::checked`] already where that option is set.
    fn reason_unless_told(&self, proxy: usize, report: &Report) -> String {
        if self.view.config.proxies[proxy].log_health_checks {
            return String::new();
        }
        appended(report)
    }

    fn by_operator(
        &self,
        proxy: usize,
        server: usize,
        status: &ServerStatus,
        from: Admin,
        left: Available,
    ) -> (Level, String) {
        match (from, status.admin) {
            (_, Admin::Maintenance) if !status.up => {
                (Level::Notice, "was DOWN and now enters maintenance".to_owned())
            }
            (_, Admin::Maintenance) => (
                Level::Alert,
                format!("is going DOWN for maintenance{}", left.left(&self.view, proxy, server)),
            ),
            (_, Admin::Drain) => (Level::Notice, format!("enters drain state{}", left.online())),
            (Admin::Maintenance, Admin::Ready) => {
                let up = if status.up { "UP" } else { "DOWN" };
                (Level::Notice, format!("is {up}/READY (leaving forced maintenance)"))
            }
            (_, Admin::Ready) => {
                let up = if status.up { "UP" } else { "DOWN" };
                (Level::Notice, format!("is {up} (leaving forced drain)"))
            }
        }
    }

    fn nobody_left(&mut self, proxy: usize) {
        let section = &self.view.config.proxies[proxy];
        let kind = match section.kind {
            ProxyKind::Listen => "proxy",
            ProxyKind::Frontend => "frontend",
            ProxyKind::Backend => "backend",
        };
        let line = format!("{kind} {} has no server available!", section.name);
        self.send(proxy, Level::Emergency, line.as_bytes());
    }
}

impl Available {
    fn of(view: &View, proxy: usize, servers: &[ServerStatus]) -> Self {
        let count = |backup: bool| {
            let entries = view.config.proxies[proxy].servers.iter().zip(servers);
            entries
                .filter(|(entry, status)| {
                    entry.backup == backup && status.up && status.admin == Admin::Ready
                })
                .count()
        };
        Self { active: count(false), backup: count(true) }
    }

    const fn is_none(self) -> bool {
        self.active == 0 && self.backup == 0
    }

    const fn on_backup(self) -> &'static str {
        if self.active == 0 && self.backup > 0 { " Running on backup." } else { "" }
    }

    fn left(self, view: &View, proxy: usize, server: usize) -> String {
        let side = &view.counters.proxies[proxy].servers[server];
        format!(
            ". {} active and {} backup servers left.{} {} sessions active, 0 requeued, {} remaining in queue",
            self.active,
            self.backup,
            self.on_backup(),
            side.current(),
            side.queued()
        )
    }

    fn online(self) -> String {
        format!(
            ". {} active and {} backup servers online.{} 0 sessions requeued, 0 total in queue",
            self.active,
            self.backup,
            self.on_backup()
        )
    }
}

/// `Layer7 wrong status, code: 503, info: "Service Unavailable"`: what a check saw, in one line.
pub(crate) fn reason(report: &Report) -> String {
    let mut text = report.layer.to_string();
    if let Some(code) = report.code {
        text.push_str(&format!(", code: {code}"));
    }
    if !report.info.is_empty() {
        text.push_str(&format!(", info: \"{}\"", escaped(&report.info)));
    }
    text
}

/// `, reason: Layer4 check passed, check duration: 3ms`.
fn appended(report: &Report) -> String {
    let duration = report.duration.as_millis();
    format!(", reason: {}, check duration: {duration}ms", reason(report))
}

/// What a server said may not end the quotes or the line: such bytes become `<XX>`.
fn escaped(info: &str) -> String {
    let mut out = String::with_capacity(info.len());
    for char in info.chars() {
        if char == '"' || char.is_control() || !char.is_ascii() {
            let mut bytes = [0; 4];
            for byte in char.encode_utf8(&mut bytes).bytes() {
                out.push_str(&format!("<{byte:02X}>"));
            }
        } else {
            out.push(char);
        }
    }
    out
}
