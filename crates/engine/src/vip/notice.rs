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
use config::notify::{Notify, Program};
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
        again: bool,
    },
    /// How one of them stands, by the process that runs the file in force.
    Is {
        name: &'a str,
        state: State,
        priority: u8,
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

/// One instance.
#[derive(Debug)]
struct Lane {
    name: String,
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
            Input::File { vips, again } => self.read(vips, again),
            Input::Is { name, state, priority } => {
                self.bury(out);
                if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.name == name) {
                    lane.is(state, priority, out);
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

    fn read(&mut self, vips: &[Vip], again: bool) {
        self.lanes.retain(|lane| lane.told.is_some() || !lane.is_idle());
        for lane in &mut self.lanes {
            lane.leaves = lane.told.is_some();
        }
        for vip in vips {
            let at = self.lanes.iter().position(|lane| lane.name == vip.name);
            let at = at.unwrap_or_else(|| {
                self.lanes.push(Lane::new(&vip.name));
                self.lanes.len() - 1
            });
            let lane = &mut self.lanes[at];
            (lane.leaves, lane.again) = (false, again && lane.told.is_some());
            lane.notify.clone_from(&vip.notify);
        }
    }

    /// Tells of those that are out of the file, as whoever held them has made way.
    fn bury(&mut self, out: &mut Vec<Action>) {
        for lane in self.lanes.iter_mut().filter(|lane| lane.leaves) {
            let Some((state, priority)) = lane.told.take() else { continue };
            lane.leaves = false;
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
        let arguments = ["INSTANCE", &self.name, word, &priority.to_string()].map(str::to_owned);
        let every = notify.every.iter().map(|program| (program.clone(), arguments.to_vec()));
        let jobs: Vec<_> = own.chain(every).collect();
        for (program, arguments) in jobs {
            // What is true now is worth more than what was.
            if self.waiting.len() == WAITING
                && let Some(Job { program, .. }) = self.waiting.pop_front()
            {
                out.push(Action::Lose { name: self.name.clone(), program });
            }
            self.waiting.push_back(Job { program, arguments });
        }
        out.push(Action::Say(self.line(word, priority)));
    }

    fn line(&self, word: &str, priority: u8) -> String {
        format!("INSTANCE \"{}\" {word} {priority}\n", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(name: &str) -> Option<Program> {
        Some(Program { command: vec![name.to_owned()], ..Program::default() })
    }

    fn all() -> Notify {
        Notify {
            every: program("every"),
            master: program("master"),
            backup: program("backup"),
            fault: program("fault"),
            stop: program("stop"),
            deleted: program("deleted"),
            says_deleted: true,
            priority_changes: false,
        }
    }

    fn vip(name: &str, notify: Notify) -> Vip {
        Vip { notify, ..Vip::plain(name, "eth0", 7, vec![]) }
    }

    /// Notices, and the time.
    struct Told(Notices, Time);

    impl Told {
        fn of(vips: &[Vip]) -> Self {
            let mut told = Self(Notices::default(), Time::ZERO);
            assert_eq!(told.step(Input::File { vips, again: false }), "");
            told
        }

        /// What is to be done, in words.
        fn step(&mut self, input: Input<'_>) -> String {
            let mut out = Vec::new();
            self.0.step(self.1, input, &mut out);
            let word = |action| match action {
                Action::Say(line) => line.trim_end().replace("INSTANCE ", "say "),
                Action::Run { run, program, arguments, .. } => {
                    let words = program.command.into_iter().chain(arguments);
                    format!("{run}: {}", words.collect::<Vec<_>>().join(" "))
                }
                Action::Kill { run } => format!("kill {run}"),
                Action::Lose { program, .. } => format!("lose {}", program.command.join(" ")),
            };
            out.into_iter().map(word).collect::<Vec<_>>().join("; ")
        }

        fn is(&mut self, name: &str, state: State) -> String {
            self.step(Input::Is { name, state, priority: 100 })
        }
    }

    #[test]
    fn the_program_of_the_state_runs_before_the_one_of_all_states_and_one_at_a_time() {
        let mut told = Told::of(&[vip("a", all())]);
        assert_eq!(told.is("a", State::Backup), "say \"a\" BACKUP 100; 0: backup");
        assert_eq!(told.is("a", State::Backup), "", "it is known");
        assert_eq!(told.is("a", State::Master), "say \"a\" MASTER 100");
        assert_eq!(told.step(Input::Ended { run: 0 }), "1: every INSTANCE a BACKUP 100");
        assert_eq!(told.step(Input::Ended { run: 0 }), "", "that one is over");
        assert_eq!(told.step(Input::Ended { run: 1 }), "2: master");
        assert_eq!(told.step(Input::Ended { run: 2 }), "3: every INSTANCE a MASTER 100");
        assert!(!told.0.is_done(told.1));
        assert_eq!(told.step(Input::Ended { run: 3 }), "");
        assert!(told.0.is_done(told.1));
    }

    #[test]
    fn instances_do_not_wait_for_each_other() {
        let mut told = Told::of(&[vip("a", all()), vip("b", all())]);
        assert_eq!(told.is("a", State::Fault), "say \"a\" FAULT 100; 0: fault");
        assert_eq!(told.is("b", State::Master), "say \"b\" MASTER 100; 1: master");
    }

    #[test]
    fn one_that_runs_for_30_seconds_is_killed_and_the_next_runs_when_it_is_gone() {
        let mut told = Told::of(&[vip("a", all())]);
        told.is("a", State::Backup);
        assert_eq!(told.0.deadline(), Time::ZERO + LIMIT);
        told.1 = told.0.deadline();
        assert_eq!(told.step(Input::Timeout), "kill 0");
        assert_eq!(told.0.deadline(), Time::NEVER, "killed once");
        assert_eq!(told.step(Input::Ended { run: 0 }), "1: every INSTANCE a BACKUP 100");
    }

    #[test]
    fn of_too_many_that_wait_the_oldest_is_lost_and_told() {
        let notify = Notify { every: program("every"), ..Notify::default() };
        let mut told = Told::of(&[vip("a", notify)]);
        let states = [State::Master, State::Backup];
        for at in 0..=WAITING {
            assert!(!told.is("a", states[at % 2]).contains("lose"));
        }
        assert_eq!(told.is("a", states[(WAITING + 1) % 2]), "lose every; say \"a\" BACKUP 100");
    }

    #[test]
    fn one_that_left_the_file_is_told_when_its_process_has_made_way() {
        let quiet = Notify { says_deleted: false, ..all() };
        let mut told = Told::of(&[vip("a", all()), vip("b", quiet.clone()), vip("c", quiet)]);
        told.is("a", State::Backup);
        told.is("b", State::Backup);
        told.is("c", State::Fault);
        (0..3).for_each(|run| drop(told.step(Input::Ended { run })));
        (3..6).for_each(|run| drop(told.step(Input::Ended { run })));
        let vips = [vip("d", Notify::default())];
        assert_eq!(told.step(Input::File { vips: &vips, again: false }), "");
        assert_eq!(
            told.is("d", State::Backup),
            "say \"a\" DELETED 100; say \"b\" FAULT 100; say \"d\" BACKUP 100; 6: deleted; 7: deleted"
        );
        // As keepalived: the program of the state is the one for DELETED, what it is called is FAULT.
        assert_eq!(told.step(Input::Ended { run: 6 }), "8: every INSTANCE a DELETED 100");
        assert_eq!(told.step(Input::Ended { run: 7 }), "9: every INSTANCE b FAULT 100");
    }

    #[test]
    fn the_end_is_told_once_and_waited_for_five_seconds() {
        let mut told = Told::of(&[vip("a", all()), vip("b", all())]);
        told.is("a", State::Master);
        told.step(Input::Ended { run: 0 });
        told.step(Input::Ended { run: 1 });
        // Nothing was said of the other one, so there is nothing to end.
        assert_eq!(told.step(Input::Stop), "say \"a\" STOP 100; 2: stop");
        assert_eq!(told.step(Input::Stop), "");
        assert!(!told.0.is_done(told.1));
        assert_eq!(told.0.deadline(), Time::ZERO + AT_THE_END);
        told.1 = told.0.deadline();
        assert_eq!(told.step(Input::Timeout), "lose every; kill 2");
        assert!(told.0.is_done(told.1));
    }

    #[test]
    fn pipes_hear_of_priorities_and_of_reloads_where_the_file_says_so() {
        let notify = Notify { priority_changes: true, ..Notify::default() };
        let vips = [vip("a", notify), vip("b", Notify::default())];
        let mut told = Told::of(&vips);
        told.is("a", State::Master);
        told.is("b", State::Backup);
        let is = |name, priority| Input::Is { name, state: State::Master, priority };
        assert_eq!(told.step(is("a", 90)), "say \"a\" MASTER_PRIORITY 90");
        assert_eq!(told.step(Input::File { vips: &vips, again: true }), "");
        assert_eq!(told.step(is("a", 90)), "say \"a\" MASTER 90");
        assert_eq!(told.step(is("a", 90)), "");
        let is = |priority| Input::Is { name: "b", state: State::Backup, priority };
        assert_eq!(told.step(is(7)), "say \"b\" BACKUP 7");
        assert_eq!(told.step(is(8)), "");
    }
}
