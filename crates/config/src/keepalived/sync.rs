//! Keywords of `vrrp_sync_group`, and what its instances have of it.

use super::instance::{OF_ALL, TRACKED, entries, tracks};
use super::{Instance, Keepalived, SyncGroup, Track, notify, protocol};
use crate::diagnostic::Diagnostic;
use crate::guess;
use crate::keyword::{Keyword, later, now};
use crate::line::Word;
use crate::notify::Notify;

/// Every keyword of keepalived 2.2 in this block.
pub(crate) const SYNC_GROUP: &[Keyword<SyncGroup>] = &[
    now("global_tracking", "", "", "the old word for `sync_group_tracking_weight`", |g, line| {
        g.tracking_weight = true;
        line.finish();
        Ok(())
    }),
    now("group", "{ <instance> ... }", "", "held together, or not at all", |group, line| {
        for entry in entries(line, "group")? {
            group.members.extend(entry.into_iter().map(|Word { text, span }| (text, span)));
        }
        Ok(())
    }),
    now("sync_group_tracking_weight", "", "", WEIGHTS, |group, line| {
        group.tracking_weight = true;
        line.finish();
        Ok(())
    }),
    now("track_bfd", TRACKED, "", OF_EACH, |group, line| {
        group.track_bfds.extend(tracks(line)?);
        Ok(())
    }),
    now("track_file", TRACKED, "", OF_EACH, |group, line| {
        group.track_files.extend(tracks(line)?);
        Ok(())
    }),
    now("track_interface", TRACKED, "", OF_EACH, |group, line| {
        group.track_interfaces.extend(tracks(line)?);
        Ok(())
    }),
    now("track_process", TRACKED, "", OF_EACH, |group, line| {
        group.track_processes.extend(tracks(line)?);
        Ok(())
    }),
    now("track_script", TRACKED, "", OF_EACH, |group, line| {
        group.track_scripts.extend(tracks(line)?);
        Ok(())
    }),
    now("notify", notify::COMMAND, "", EVERY, |group, line| {
        notify::once(&mut group.notify.every, line)
    }),
    now(
        "notify_backup",
        notify::COMMAND,
        "",
        "run when it is not held, and could be",
        |group, line| notify::once(&mut group.notify.backup, line),
    ),
    now(
        "notify_fault",
        notify::COMMAND,
        "",
        "run when one of it may not be held",
        |group, line| notify::once(&mut group.notify.fault, line),
    ),
    now("notify_master", notify::COMMAND, "", "run when all of it is held", |group, line| {
        notify::once(&mut group.notify.master, line)
    }),
    now("notify_stop", notify::COMMAND, "", "run at the end of the node", |group, line| {
        notify::once(&mut group.notify.stop, line)
    }),
    now("notify_priority_changes", "[true|false]", OF_ALL, PRIORITY, |group, line| {
        group.says_priority = Some(protocol::yes_or_no(line)?);
        Ok(())
    }),
    later("notify_deleted"),
    later("smtp_alert"),
];

/// Who owns the address, whatever it tracks.
const OWNER: u8 = 255;
const EVERY: &str = "run at each of these, with `GROUP`, name, state and 0 as more arguments";
const PRIORITY: &str = "of its instances that do not say";
const OF_EACH: &str = "of each of its instances";
const WEIGHTS: &str = "weights that its instances have of their own count as well";

pub(super) fn new(name: Word) -> SyncGroup {
    SyncGroup {
        name: name.text,
        members: Vec::new(),
        track_scripts: Vec::new(),
        track_interfaces: Vec::new(),
        track_processes: Vec::new(),
        track_files: Vec::new(),
        track_bfds: Vec::new(),
        tracking_weight: false,
        notify: Notify::default(),
        says_priority: None,
        span: name.span,
    }
}

impl Keepalived {
    /// The group that the instance of that name is in.
    pub(crate) fn sync_group(&self, instance: &str) -> Option<&SyncGroup> {
        self.sync_groups.iter().find(|group| group.has(instance))
    }

    /// What an instance tracks, its group's with its own. In a group its own weights do not count, as with keepalived: an interface that
    /// had one takes the address away, a script that had one is not looked at.
    pub(crate) fn tracked(&self, instance: &Instance) -> (Vec<Track>, Vec<Track>) {
        let (mut scripts, mut interfaces) =
            (instance.track_scripts.clone(), instance.track_interfaces.clone());
        let Some(group) = self.sync_group(&instance.name) else { return (scripts, interfaces) };
        if !group.tracking_weight {
            scripts.retain(|track| !self.has_weight(track));
            for track in interfaces.iter_mut().filter(|track| !track.is_fatal()) {
                track.weight = None;
            }
        }
        add(&mut scripts, &group.track_scripts);
        add(&mut interfaces, &group.track_interfaces);
        (scripts, interfaces)
    }

    /// The same of processes, whose weights count in any case.
    pub(crate) fn tracked_processes(&self, instance: &Instance) -> Vec<Track> {
        let mut all = instance.track_processes.clone();
        if let Some(group) = self.sync_group(&instance.name) {
            add(&mut all, &group.track_processes);
        }
        all
    }

    /// The same of files. Where weights do not count, the weight 1, which is that of a file that is written without one, is none: any number but 0
    /// takes the address. With another one the file is not looked at.
    pub(crate) fn tracked_files(&self, instance: &Instance) -> Vec<Track> {
        let mut all = instance.track_files.clone();
        if self.ignores_weights(instance) {
            all.retain(|track| matches!(self.file_weight(track), 0 | 1));
            all.iter_mut().for_each(|track| track.weight = Some(0));
        }
        if let Some(group) = self.sync_group(&instance.name) {
            add(&mut all, &group.track_files);
        }
        all
    }

    /// The same of ways. Where weights do not count, one that has a weight is not looked at.
    pub(crate) fn tracked_ways(&self, instance: &Instance) -> Vec<Track> {
        let mut all = instance.track_bfds.clone();
        if self.ignores_weights(instance) {
            all.retain(|track| self.way_weight(track) == 0);
        }
        if let Some(group) = self.sync_group(&instance.name) {
            add(&mut all, &group.track_bfds);
        }
        all
    }

    /// Whether weights of what an instance tracks by itself do not count: it is held together with others, or is its address's owner.
    fn ignores_weights(&self, instance: &Instance) -> bool {
        let group = self.sync_group(&instance.name);
        group.is_some_and(|group| !group.tracking_weight) || instance.priority == OWNER
    }

    fn file_weight(&self, track: &Track) -> i32 {
        let block = self.files.iter().find(|block| block.file.name == track.name);
        track.weight.map(i32::from).or_else(|| block.map(|it| it.file.weight)).unwrap_or_default()
    }

    fn way_weight(&self, track: &Track) -> i16 {
        let block = self.bfds.iter().find(|block| block.session.name == track.name);
        track.weight.or_else(|| block.map(|block| block.weight)).unwrap_or_default()
    }

    /// Of a script.
    fn has_weight(&self, track: &Track) -> bool {
        let block = self.scripts.iter().find(|block| block.script.name == track.name);
        track.weight.or_else(|| block.map(|it| it.script.weight)).is_some_and(|weight| weight != 0)
    }
}

impl SyncGroup {
    fn has(&self, instance: &str) -> bool {
        self.members.iter().any(|(name, _)| name == instance)
    }
}

/// What an instance tracks already is its own.
fn add(own: &mut Vec<Track>, of_group: &[Track]) {
    let new = of_group.iter().filter(|track| !own.iter().any(|known| known.name == track.name));
    let new: Vec<Track> = new.cloned().collect();
    own.extend(new);
}

/// What does not go together.
pub(super) fn verify(read: &Keepalived, found: &mut Vec<Diagnostic>) {
    for (at, group) in read.sync_groups.iter().enumerate() {
        let name = &group.name;
        if read.sync_groups[..at].iter().any(|other| other.name == *name) {
            let message = format!("there is a sync group `{name}` already");
            found.push(Diagnostic::error(group.span, "duplicate-name", message));
        }
        members(read, at, group, found);
        if let [_] = group.members.as_slice() {
            let message =
                format!("sync group `{name}` has one instance: there is nothing to hold together");
            found.push(Diagnostic::warning(group.span, "sync-group", message));
        }
        if group.members.is_empty() {
            let message = format!("sync group `{name}` has no instances");
            let finding = Diagnostic::error(group.span, "missing-key", message);
            found.push(finding.help("add `group {`, the names of instances and `}`"));
        }
        for track in &group.track_scripts {
            super::parse::known_script(track, read, found);
        }
    }
    for instance in &read.instances {
        ignored(read, instance, found);
    }
}

fn members(read: &Keepalived, at: usize, group: &SyncGroup, found: &mut Vec<Diagnostic>) {
    for (position, (member, span)) in group.members.iter().enumerate() {
        let names = read.instances.iter().map(|instance| instance.name.as_str());
        if !names.clone().any(|known| known == member) {
            let message = format!("there is no `vrrp_instance {member}`");
            let finding = Diagnostic::error(*span, "unknown-name", message);
            found.push(guess::suggest(finding, member, names.collect::<Vec<_>>()));
            continue;
        }
        let earlier = read.sync_groups[..at].iter().find(|other| other.has(member));
        let twice = group.members[..position].iter().any(|(other, _)| other == member);
        if let Some(other) = earlier.or_else(|| twice.then_some(group)) {
            let message = format!("`{member}` is in the sync group `{}` already", other.name);
            found.push(Diagnostic::error(*span, "duplicate-name", message));
        }
    }
}

/// Weights that are written and do not count.
fn ignored(read: &Keepalived, instance: &Instance, found: &mut Vec<Diagnostic>) {
    let group = read.sync_group(&instance.name).filter(|group| !group.tracking_weight);
    let is_owner = instance.priority == OWNER;
    let name = &instance.name;
    let (code, because, help) = match group {
        Some(group) => (
            "sync-group",
            format!("`{name}` is in the sync group `{}`", group.name),
            "write it in the group, or `sync_group_tracking_weight` there",
        ),
        None if is_owner => (
            "owner-weight",
            format!("`{name}` owns its address (priority 255)"),
            "write `weight 0`, or a lower priority",
        ),
        None => return,
    };
    let mut tell = |track: &Track, what: &str| {
        let message = format!("`{}` has a weight, and {because}: {what}", track.name);
        found.push(Diagnostic::warning(track.span, code, message).help(help));
    };
    if group.is_some() {
        for track in instance.track_scripts.iter().filter(|track| read.has_weight(track)) {
            tell(track, "the script is not looked at");
        }
        for track in instance.track_interfaces.iter().filter(|track| !track.is_fatal()) {
            tell(track, "the address goes with its carrier");
        }
    }
    for track in &instance.track_files {
        match read.file_weight(track) {
            0 => {}
            1 => tell(track, "any number but 0 takes the address"),
            _ => tell(track, "the file is not looked at"),
        }
    }
    for track in instance.track_bfds.iter().filter(|track| read.way_weight(track) != 0) {
        tell(track, "the way is not looked at");
    }
}
