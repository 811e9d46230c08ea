//! Who is told how the virtual IPs of this node stand, and in which order (keepalived's `notify` words).
//!
//! ```text
//!   an instance is in another state ---> a line for the pipes
//!                                   +--> the program of that state, then the one of all states: into its queue
//!   queue of one instance: runs ---> ended, or killed after 30 s ---> the next one runs
//! ```
//! keepalived starts all of them at once, so that the one for BACKUP may end after the one for MASTER that came later.
//! Here an instance has one that runs; instances do not wait for each other.

use std::collections::VecDeque;
use std::time::Duration;

use base::Time;
use config::notify::{Group, Notify, Program};
use config::vip::Vip;

/// A program that runs for longer is killed: those behind it tell what is true now.
pub const LIMIT: Duration = Duration::from_secs(30);
/// Programs of one instance that wait. One that changes its state each second fills it in the time of one that hangs.
pub const WAITING: usize = 32;
/// At the end of the node, for all that still waits and for what is told of the end. A container has ten seconds.
pub const AT_THE_END: Duration = Duration::from_secs(5);

/// How an instance stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    Backup,
    Master,
    Fault,
    /// The node ends.
    Stop,
    /// It went out of the configuration.
    Deleted,
}

impl State {
    /// As keepalived writes it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Backup => "BACKUP",
            Self::Master => "MASTER",
            Self::Fault => "FAULT",
            Self::Stop => "STOP",
            Self::Deleted => "DELETED",
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// These are in force from now on. `again`: pipes are told of those that stay as they are, too.
    File {
        vips: &'a [Vip],
        groups: &'a [Group],
        again: bool,
    },
    /// How one of them stands, by the process that runs the file in force.
    Is {
        name: &'a str,
        state: State,
        priority: u8,
    },
    /// A weaker router says that it holds it, and this node goes on.
    Rival {
        name: &'a str,
    },
    /// A program ended, or could not be started.
    Ended {
        run: u32,
    },
    /// No address of this node is left, and none comes any more.
    Stop,
    Timeout,
}

/// What is to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// A line for the pipes, with its end.
    Say(String),
    Run {
        run: u32,
        name: String,
        program: Program,
        /// Behind those of the program.
        arguments: Vec<String>,
    },
    /// It ran for too long.
    Kill { run: u32 },
    /// It is not run, as too many wait.
    Lose { name: String, program: Program },
}

/// All instances of a node.
#[derive(Debug, Default)]
pub struct Notices {
    lanes: Vec<Lane>,
    next_run: u32,
    /// Until when programs may run that tell of the end.
    ends: Option<Time>,
}

/// One instance, or a group of them.
#[derive(Debug)]
struct Lane {
    name: String,
    /// Of a group; empty: it is an instance.
    members: Vec<String>,
    notify: Notify,
    /// What was told last.
    told: Option<(State, u8)>,
    /// Out of the file: told when the process that held it has made way.
    leaves: bool,
    again: bool,
    waiting: VecDeque<Job>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Job {
    program: Program,
    arguments: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    run: u32,
    kill_at: Time,
}

impl Notices {
    pub fn step(&mut self, now: Time, input: Input<'_>, out: &mut Vec<Action>) {
        match input {
            Input::File { vips, groups, again } => self.read(vips, groups, again),
            Input::Is { name, state, priority } => {
                self.bury(out);
                let is_it = |lane: &&mut Lane| lane.members.is_empty() && lane.name == name;
                if let Some(lane) = self.lanes.iter_mut().find(is_it) {
                    lane.is(state, priority, out);
                    self.regroup(name, out);
                }
            }
            Input::Rival { name } => {
                let is_it = |lane: &&mut Lane| lane.members.is_empty() && lane.name == name;
                if let Some(lane) = self.lanes.iter_mut().find(is_it) {
                    lane.meets_rival(out);
                }
            }
            Input::Ended { run } => {
                for lane in &mut self.lanes {
                    lane.running = lane.running.filter(|running| running.run != run);
                }
            }
            Input::Stop if self.ends.is_none() => {
                self.ends = Some(now + AT_THE_END);
                self.bury(out);
                for lane in &mut self.lanes {
                    if let Some((_, priority)) = lane.told.filter(|_| !lane.leaves) {
                        lane.tell(State::Stop, priority, out);
                    }
                }
            }
            Input::Stop | Input::Timeout => {}
        }
        self.turn(now, out);
    }

    /// When it wants [`Input::Timeout`].
    #[must_use]
    pub fn deadline(&self) -> Time {
        let runs = self.lanes.iter().filter_map(|lane| lane.running);
        let kills = runs.map(|running| running.kill_at).min().unwrap_or(Time::NEVER);
        let ends = self.ends.filter(|_| !self.is_idle()).unwrap_or(Time::NEVER);
        kills.min(ends)
    }

    /// Whether nothing runs and nothing waits, or the end of the node waits for it no longer.
    #[must_use]
    pub fn is_done(&self, now: Time) -> bool {
        self.is_idle() || self.ends.is_some_and(|ends| now >= ends)
    }

    fn is_idle(&self) -> bool {
        self.lanes.iter().all(Lane::is_idle)
    }

    fn read(&mut self, vips: &[Vip], groups: &[Group], again: bool) {
        self.lanes.retain(|lane| lane.told.is_some() || !lane.is_idle());
        for lane in &mut self.lanes {
            lane.leaves = lane.told.is_some();
        }
        let instances = vips.iter().map(|vip| (&vip.name, [].as_slice(), &vip.notify));
        let groups =
            groups.iter().map(|group| (&group.name, group.members.as_slice(), &group.notify));
        for (name, members, notify) in instances.chain(groups) {
            let is_it =
                |lane: &Lane| lane.name == *name && lane.members.is_empty() == members.is_empty();
            let at = self.lanes.iter().position(is_it);
            let at = at.unwrap_or_else(|| {
                self.lanes.push(Lane::new(name));
                self.lanes.len() - 1
            });
            let lane = &mut self.lanes[at];
            (lane.leaves, lane.again) = (false, again && lane.told.is_some());
            lane.members = members.to_vec();
            lane.notify.clone_from(notify);
        }
    }

    /// How the groups stand that this instance is in: MASTER where all of it is held, FAULT where one may not be.
    fn regroup(&mut self, name: &str, out: &mut Vec<Action>) {
        for at in 0..self.lanes.len() {
            if !self.lanes[at].members.iter().any(|member| member == name) {
                continue;
            }
            let state_of = |member: &String| {
                let is_it = |lane: &&Lane| lane.members.is_empty() && lane.name == *member;
                self.lanes.iter().find(is_it)?.told.map(|(state, _)| state)
            };
            // Until all of them are known, nothing is said.
            let states: Option<Vec<State>> = self.lanes[at].members.iter().map(state_of).collect();
            let Some(states) = states else { continue };
            let state = if states.contains(&State::Fault) {
                State::Fault
            } else if states.iter().all(|state| *state == State::Master) {
                State::Master
            } else {
                State::Backup
            };
            self.lanes[at].is(state, 0, out);
        }
    }

    /// Tells of those that are out of the file, as whoever held them has made way.
    fn bury(&mut self, out: &mut Vec<Action>) {
        for lane in self.lanes.iter_mut().filter(|lane| lane.leaves) {
            let Some((state, priority)) = lane.told.take() else { continue };
            lane.leaves = false;
            if !lane.members.is_empty() {
                lane.notify = Notify::default();
                continue;
            }
            // As keepalived has it: who stood at FAULT is told of nothing new, unless it wants to hear DELETED.
            if lane.notify.says_deleted || state != State::Fault {
                lane.tell(State::Deleted, priority, out);
                lane.told = None;
            }
            lane.notify = Notify::default();
        }
    }

    fn turn(&mut self, now: Time, out: &mut Vec<Action>) {
        let is_over = self.ends.is_some_and(|ends| now >= ends);
        for lane in &mut self.lanes {
            if is_over {
                let lost = lane.waiting.drain(..);
                let name = &lane.name;
                out.extend(
                    lost.map(|job| Action::Lose { name: name.clone(), program: job.program }),
                );
            }
            if let Some(running) = &mut lane.running {
                if now >= running.kill_at || (is_over && running.kill_at != Time::NEVER) {
                    out.push(Action::Kill { run: running.run });
                    // One that cannot be killed blocks its own instance alone.
                    running.kill_at = Time::NEVER;
                }
                continue;
            }
            let Some(job) = lane.waiting.pop_front() else { continue };
            let run = self.next_run;
            self.next_run = run.wrapping_add(1);
            lane.running = Some(Running { run, kill_at: now + LIMIT });
            let (program, arguments) = (job.program, job.arguments);
            out.push(Action::Run { run, name: lane.name.clone(), program, arguments });
        }
    }
}

impl Lane {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            members: Vec::new(),
            notify: Notify::default(),
            told: None,
            leaves: false,
            again: false,
            waiting: VecDeque::new(),
            running: None,
        }
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_none()
    }

    fn is(&mut self, state: State, priority: u8, out: &mut Vec<Action>) {
        let again = std::mem::take(&mut self.again);
        match self.told {
            Some((told, before)) if told == state => {
                self.told = Some((state, priority));
                if self.notify.priority_changes && before != priority {
                    let word =
                        if state == State::Master { "MASTER_PRIORITY" } else { "BACKUP_PRIORITY" };
                    out.push(Action::Say(self.line(word, priority)));
                }
                if again {
                    out.push(Action::Say(self.line(state.word(), priority)));
                }
            }
            Some(_) | None => self.tell(state, priority, out),
        }
    }

    fn tell(&mut self, state: State, priority: u8, out: &mut Vec<Action>) {
        self.told = Some((state, priority));
        let notify = &self.notify;
        let own = match state {
            State::Backup => &notify.backup,
            State::Master => &notify.master,
            State::Fault => &notify.fault,
            State::Stop => &notify.stop,
            State::Deleted => &notify.deleted,
        };
        // The others are told of it as they always were.
        let is_hidden = state == State::Deleted && !notify.says_deleted;
        let word = if is_hidden { State::Fault.word() } else { state.word() };
        let own = own.iter().map(|program| (program.clone(), Vec::new()));
        let arguments = [self.kind(), &self.name, word, &priority.to_string()].map(str::to_owned);
        let every = notify.every.iter().map(|program| (program.clone(), arguments.to_vec()));
        let jobs: Vec<_> = own.chain(every).collect();
        for (program, arguments) in jobs {
            self.wait(program, arguments, out);
        }
        out.push(Action::Say(self.line(word, priority)));
    }

    /// Of one that is held, as keepalived tells it: its own program without arguments, and the pipes.
    fn meets_rival(&mut self, out: &mut Vec<Action>) {
        let Some((State::Master, priority)) = self.told else { return };
        // One that waits already says the same, and rivals speak often: words of states are not lost for that.
        let waits = |program: &Program| self.waiting.iter().any(|job| job.program == *program);
        let program = self.notify.weaker_rival.clone().filter(|program| !waits(program));
        if let Some(program) = program {
            self.wait(program, Vec::new(), out);
        }
        out.push(Action::Say(self.line("MASTER_RX_LOWER_PRI", priority)));
    }

    fn wait(&mut self, program: Program, arguments: Vec<String>, out: &mut Vec<Action>) {
        // What is true now is worth more than what was.
        if self.waiting.len() == WAITING
            && let Some(Job { program, .. }) = self.waiting.pop_front()
        {
            out.push(Action::Lose { name: self.name.clone(), program });
        }
        self.waiting.push_back(Job { program, arguments });
    }

    fn line(&self, word: &str, priority: u8) -> String {
        format!("{} \"{}\" {word} {priority}\n", self.kind(), self.name)
    }

    const fn kind(&self) -> &'static str {
        if self.members.is_empty() { "INSTANCE" } else { "GROUP" }
    }
}

#[cfg(test)]
mod tests;
