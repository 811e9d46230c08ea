//! What the supervisor hears: reports, and events in words.

use std::io;
use std::sync::Arc;

use api::{Event, ReadError, Report};
use base::Time;

use super::Control;
use super::logs::Saying;
use crate::view::{Admin, Outcome};

/// Servers of a node that its event names; the others are counted.
const MOST_NAMED: usize = 8;
const LOST: &str = "the lost lines are kept nowhere";

impl Control {
    pub(super) fn say(&mut self, report: &Report) {
        self.waiting.keep(report);
        self.send_waiting();
    }

    pub(super) fn send_waiting(&mut self) {
        let channel = &self.channel;
        self.waiting.send(&mut |bytes| {
            let sent = channel.send(bytes, &[]);
            // Lost if the supervisor is gone, which the next read finds.
            sent.err().is_none_or(|error| error.kind() != io::ErrorKind::WouldBlock)
        });
    }

    /// Facts about servers come to the spare, too; what it would say, the one that serves has said.
    fn explain_server(&mut self, what: &str, object: String, words: [&str; 4]) {
        if self.is_active {
            self.explain(what, object, words);
        }
    }

    fn explain(&mut self, what: &str, object: String, words: [&str; 4]) {
        let [evidence, decision, action, not_done] = words.map(str::to_owned);
        let event = Event {
            at_ms: sys::clock::wall_ms(),
            node: self.view.node.clone(),
            what: what.to_owned(),
            object,
            evidence,
            decision,
            action,
            not_done,
            ..Event::default()
        };
        self.say(&Report::Event(event));
    }

    fn object(&self, proxy: usize, server: usize) -> String {
        let proxy = &self.view.config.proxies[proxy];
        format!("server/{}/{}", proxy.name, proxy.servers[server].name)
    }

    pub(super) fn tell_check(&mut self, outcome: &Outcome, is_first: bool) {
        let (what, decision, action) = if outcome.up {
            ("server-up", "as many checks in a row passed as rise says", "gets requests again")
        } else if is_first {
            ("server-down", "the first check of a server decides alone", "gets no request")
        } else {
            ("server-down", "as many checks in a row failed as fall says", "gets no request")
        };
        let object = self.object(outcome.proxy, outcome.server);
        let evidence = crate::log::reason(&outcome.report);
        self.explain(what, object, [&evidence, decision, action, ""]);
    }

    pub(super) fn tell_suspicion(&mut self, proxy: usize, server: usize) {
        let object = self.object(proxy, server);
        let (suspect, why) = {
            let status = &self.view.board()[proxy][server];
            (status.suspect, status.why.clone())
        };
        if suspect {
            let action = "gets no new request while another server is up";
            let not_done = "not taken down: only the file's checks do that";
            self.explain_server("server-suspect", object, [&why, "suspect", action, not_done]);
        } else {
            let evidence = "nothing speaks against it any more";
            self.explain_server(
                "server-trusted",
                object,
                [evidence, "trusted", "gets requests again", ""],
            );
        }
    }

    /// One cause, one event: all servers of a node.
    pub(super) fn tell_suspicions(
        &mut self,
        node: &str,
        servers: &[(usize, usize)],
        suspect: bool,
    ) {
        let named = servers.iter().take(MOST_NAMED).map(|(proxy, server)| {
            let proxy = &self.view.config.proxies[*proxy];
            format!("{}/{}", proxy.name, proxy.servers[*server].name)
        });
        let mut names = named.collect::<Vec<_>>().join(", ");
        if servers.len() > MOST_NAMED {
            names += &format!(" and {} more", servers.len() - MOST_NAMED);
        }
        let object = format!("node/{node}");
        let count = servers.len();
        if suspect {
            let decision = format!("{count} servers on it are suspect: {names}");
            let action = "they get no new request while another server is up";
            let not_done = "not taken down: only the file's checks do that";
            let why = self.view.board()[servers[0].0][servers[0].1].why.clone();
            self.explain_server("servers-suspect", object, [&why, &decision, action, not_done]);
        } else {
            let decision = format!("{count} servers on it are trusted: {names}");
            let words =
                ["nothing speaks against them any more", &decision, "get requests again", ""];
            self.explain_server("servers-trusted", object, words);
        }
    }

    pub(super) fn tell_admin(&mut self, proxy: usize, server: usize, from: Admin, to: Admin) {
        let object = self.object(proxy, server);
        let evidence = format!("set from {from:?} to {to:?} over the statistics socket");
        self.explain_server(
            "server-set",
            object,
            [&evidence.to_lowercase(), "the operator's word", "done", ""],
        );
    }

    /// For the audit log; also where it was so already.
    pub(super) fn tell_wish(&mut self, (proxy, server): (usize, usize), to: Admin, by: String) {
        let to = match to {
            Admin::Ready => "ready",
            Admin::Drain => "drain",
            Admin::Maintenance => "maint",
        };
        let proxy = &self.view.config.proxies[proxy];
        let server = format!("{}/{}", proxy.name, proxy.servers[server].name);
        if let Some(wished) = self.wishes.wished(by, server, to, self.now) {
            self.say(&Report::Wished(wished));
        }
    }

    /// Of those that were not told singly, the number.
    pub(super) fn tell_wishes(&mut self, now: Time) {
        let lost = self.waiting.take_lost_wishes();
        for wished in self.wishes.counted(lost, now) {
            self.say(&Report::Wished(wished));
        }
    }

    pub(super) fn tell_choice(
        &mut self,
        proxy: usize,
        former: Option<usize>,
        (server, term): (usize, u64),
        is_asked: bool,
    ) {
        let names = &self.view.config.proxies[proxy];
        let object = format!("proxy/{}", names.name);
        let name = |server: usize| names.servers[server].name.as_str();
        let evidence = match former {
            Some(former) if is_asked => {
                format!("{} was in use; an operator wants {}", name(former), name(server))
            }
            Some(former) => match self.view.board()[proxy][former].why.as_str() {
                "" => format!("{} was in use; a newer choice was told", name(former)),
                why => format!("{}: {why}", name(former)),
            },
            None => "no choice was known".to_owned(),
        };
        let decision = format!("{} is the writer, term {term}", name(server));
        let action = "sessions with every other server are closed before it is used";
        self.explain_server("writer-chosen", object, [&evidence, &decision, action, ""]);
    }

    pub(super) fn tell_closed(&mut self, proxy: usize, server: usize, closed: usize) {
        let names = &self.view.config.proxies[proxy];
        let object = format!("proxy/{}", names.name);
        let evidence = format!("{closed} sessions with other servers were closed");
        let action = format!("new sessions go to {}", names.servers[server].name);
        self.explain_server(
            "writer-used",
            object,
            [&evidence, "every data thread answered", &action, ""],
        );
    }

    pub(super) fn panicked(&mut self, worker: usize) {
        let evidence = format!("data thread {worker} met a defect of the program");
        let words = [evidence.as_str(), "contained", "that session was closed", ""];
        self.explain("session-panicked", format!("node/{}", self.view.node), words);
    }

    pub(super) fn not_understood(&mut self, error: &ReadError) {
        let evidence = base::Chain(error).to_string();
        let words = [evidence.as_str(), "an order was not understood", "it was ignored", ""];
        self.explain("order-ignored", format!("node/{}", self.view.node), words);
    }

    pub(super) fn cannot_show(&mut self, error: &io::Error) {
        let evidence = error.to_string();
        let words =
            [evidence.as_str(), "goes on without", "", "the statistics socket is not served"];
        self.explain("statistics-missing", format!("node/{}", self.view.node), words);
    }

    /// Speaks of log lines that were lost since the last look.
    pub(super) fn watch_logs(&mut self) {
        self.logs.listen();
        let view = Arc::clone(&self.view);
        for (number, tally) in view.logs.iter().enumerate() {
            let watch = &mut self.log_watches[number];
            let Some(saying) = watch.look(self.now, tally.lost(), tally.taken()) else { continue };
            let object = format!("log/{}", tally.name());
            let why = tally.error().map_or_else(String::new, |error| format!(": {error}"));
            match saying {
                Saying::Lost(lines) => {
                    let noun = if lines == 1 { "line" } else { "lines" };
                    let evidence = format!("{lines} {noun} lost{why}");
                    let action = "serves on; what is lost is counted";
                    let words = [&evidence, "nobody waits for a log server", action, LOST];
                    self.explain("log-lines-lost", object, words);
                }
                Saying::Well(lines) => {
                    let evidence = format!("lines were taken for 10 s; {lines} were lost before");
                    let words = [&evidence, "the log is whole again", "", LOST];
                    self.explain("log-lines-taken", object, words);
                }
            }
        }
    }

    /// What could not be done for want of rights.
    pub(crate) fn note_limits(&mut self, limits: &[String]) {
        for limit in limits {
            let words = ["the process has too few rights", "goes on without", "", limit.as_str()];
            self.explain("rights-kept", format!("node/{}", self.view.node), words);
        }
    }
}
