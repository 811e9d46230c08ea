//! Every kind of event: what it means, and when a human must act.
//!
//! The page `docs/reference/events.md` is written from this table; a test finds events that are
//! told somewhere and have no row.

mod links;
mod page;
mod row;
mod votes;

pub use page::page;
pub use row::EventKind;
use row::{act, told};

const AGAIN: &str = "if it comes again: the evidence says why it ended; report a defect";
const RESTARTED: &str = "look for what the evidence names; it is started again after a pause";

/// Every kind of event, by name.
pub const EVENTS: &[EventKind] = &[
    act("agent-failed", "node", "the agent process said that it cannot go on", RESTARTED),
    act("agent-lost", "process", "the agent process ended or froze; another is started", AGAIN),
    act(
        "another-cluster",
        "node",
        "a machine of another cluster answers in the place of that node; nothing that it says is believed",
        "`outlast join` there with a token of this cluster, or give it other addresses",
    ),
    act(
        "authority-ends",
        "node",
        "the certificate of the cluster's authority ends within a year, and nobody renews it",
        "plan to found the cluster anew before then: `docs/operate/trust.md`",
    ),
    told(
        "clock-jumped",
        "node",
        "the clock of this machine was set: times of events before and after do not compare, numbers do",
    ),
    told(
        "coordinator-began",
        "node",
        "this node orders the steps of what the cluster has decided, under this token",
    ),
    told(
        "coordinator-ended",
        "node",
        "it orders nothing more under that token; another node goes on with what is open",
    ),
    act(
        "dashboard-missing",
        "process",
        "the dashboard's usual port is taken, so it is not shown",
        "say in `[dashboard]` where it is to listen, or `listen = \"none\"`",
    ),
    told("drain-began", "node", "an operator drains this node: it holds no address, its work ends"),
    act(
        "event-unreadable",
        "node",
        "an event of that node came in a form that this node does not know",
        "two versions run: bring both nodes to the same one",
    ),
    act(
        "events-lost",
        "node",
        "a numbered run of events did not reach the log",
        "make room on the disk that holds `state_dir`",
    ),
    act(
        "events-not-written",
        "node",
        "the disk did not take events for a while; how many, and from when to when",
        "make room on the disk that holds `state_dir`; the events named are in no file",
    ),
    told("events-skipped", "node", "so many older events of that node are not known here"),
    told(
        "generation-applied",
        "node",
        "the newest generation of the configuration serves, and its files are in place",
    ),
    act(
        "generation-refused",
        "node",
        "this node does not take the newest generation, and runs what it ran",
        "the evidence says why; `outlast config status` shows all nodes. It is tried again every 5 minutes",
    ),
    act(
        "journal-unwritable",
        "node",
        "events are kept in memory only",
        "make room, or `state_dir` writable: what waits is written then",
    ),
    told(
        "keys-changed",
        "node",
        "the trust folder has other keys or another roster; they are in use",
    ),
    act(
        "keys-not-renewed",
        "node",
        "new keys of this node could not be certified; those in use go on, and it is tried again",
        "see that the node with the authority's key runs; `outlast trust status` names it",
    ),
    act(
        "keys-unreadable",
        "node",
        "the trust folder changed and cannot be read; the keys in use stay",
        "make `trust_dir` readable, mode 600; until then revocations are not obeyed here",
    ),
    act(
        "lives-torn",
        "node",
        "the file `lives` in `state_dir` was cut short or changed; the number of this start comes from the clock",
        "look at the disk; see that the clock is right, or the node is silenced until it is",
    ),
    act(
        "lives-unkept",
        "node",
        "the number of this start could not be kept on disk",
        "make `state_dir` writable; a clock set back before the next start would silence the node",
    ),
    act(
        "log-lines-lost",
        "log",
        "log lines for that target were not taken by the kernel, or came back refused; how many since the last word, and why",
        "start the log server, or name another one in the balancer's file",
    ),
    told("log-lines-taken", "log", "lines for that target are taken again; how many were lost"),
    told(
        "move-asked",
        "vip",
        "an operator wants another node to hold the address, or its rules to move it again",
    ),
    told("node-alive", "node", "beats of that node arrive on at least one network"),
    told("node-left", "node", "the node said goodbye before it ended"),
    act(
        "node-outdated",
        "node",
        "for 10 s its beats carry a smaller number than one heard before, so none is believed",
        "its clock was set back and its state folder lost: set the clock, or restart the agents of the others",
    ),
    act(
        "node-suspect",
        "node",
        "no beat on any network for a second; its servers get no new request",
        "look at that machine: nothing is restarted on silence alone",
    ),
    told("node-unknown", "node", "nothing is known of the node; the checks of the file decide"),
    act(
        "node-verdict",
        "node",
        "what all nodes hear together, or other evidence than silence, became a verdict or ended one; the rule is named",
        "`outlast why NODE` prints the evidence and what would change it",
    ),
    act(
        "nodes-many",
        "node",
        "so many more compute nodes than ten had the same event within five seconds; those had a line each",
        "`outlast status` lists the compute nodes that are not well; look for what they have in common: a rack, a switch",
    ),
    act(
        "notify-dropped",
        "notify",
        "more happened at once than could be kept until it is written: so many of the oldest are not told",
        "look why the store, or the disk that holds `state_dir`, did not take what was to be told",
    ),
    act(
        "notify-failing",
        "notify",
        "a receiver of notifications did not take one; it is tried again in growing pauses",
        "the evidence says what it answered; `outlast notify test` tries it at once",
    ),
    act(
        "notify-given-up",
        "notify",
        "a notification was not told within `retry_for`, too many waited, or the receiver never said whether it keeps it: it is not tried any more",
        "see what it says; mend the receiver, or give it a longer `retry_for`",
    ),
    act(
        "notify-overtaken",
        "notify",
        "a notification was delivered by this node while another one went on with it: the receiver may have it twice, \
         under one name",
        "nothing, unless it comes again: then this machine stands still for long",
    ),
    act(
        "notify-refused",
        "notify",
        "a mail server never takes a message for these addresses; others got it",
        "correct the address in `to`, or give it a mailbox",
    ),
    told(
        "notify-sent",
        "notify",
        "a notification was delivered: which, and after how many failures",
    ),
    act(
        "order-ignored",
        "node",
        "a message of the supervisor was not understood",
        "processes of two versions run: restart outlast on this node",
    ),
    act(
        "order-unreadable",
        "node",
        "the agent got a message that it does not understand",
        "processes of two versions run: restart outlast on this node",
    ),
    act(
        "other-keys",
        "node",
        "somebody at an address of the cluster speaks for it with other keys; nothing of it is believed",
        "look at the machine that has the address: one of another cluster or with an old secret, or a forger",
    ),
    act("proxy-failed", "node", "the balancer said that it cannot go on", RESTARTED),
    act("proxy-lost", "process", "a balancer process ended or froze; the spare takes over", AGAIN),
    act(
        "reload-refused",
        "node",
        "the new files are not used; everything goes on with the old ones",
        "`outlast config check` on the files; then reload again",
    ),
    told("reloaded", "node", "the new files are in use"),
    act(
        "rights-kept",
        "node",
        "a right was missing, so the balancer goes on without what the event names",
        "give the capability, or remove the line of the file that wants it",
    ),
    told(
        "server-down",
        "server",
        "as many checks in a row failed as `fall` says, or the first one after a start",
    ),
    told("server-set", "server", "an operator changed the server over the statistics socket"),
    told(
        "server-suspect",
        "server",
        "a refused connect or the like speaks against it, before `fall` is reached: no new request while others are up; one event per node and cause, with its first server",
    ),
    told(
        "server-trusted",
        "server",
        "nothing speaks against the server any more, nor against others of its node",
    ),
    told("server-up", "server", "as many checks in a row passed as `rise` says"),
    act(
        "servers-suspect",
        "node",
        "evidence speaks against a node; its servers get no new request while others are up",
        "look at that machine: nothing is restarted on silence alone",
    ),
    told("servers-trusted", "node", "nothing speaks against the servers of that node any more"),
    act("services-failed", "node", "the dashboard said that it cannot go on", RESTARTED),
    act(
        "services-lost",
        "process",
        "the dashboard's process ended or froze; another is started",
        AGAIN,
    ),
    act(
        "session-panicked",
        "node",
        "a defect of the program closed one session; the others are untouched",
        "report it with the log of that second",
    ),
    act("spare-failed", "node", "the spare balancer said that it cannot go on", RESTARTED),
    act(
        "stale-order-refused",
        "node",
        "a step of an intent was ordered under an older token than one that is known here",
        "a former coordinator was paused or cut off and went on; nothing was done: look why it stood still",
    ),
    told("standby-began", "node", "an operator put this node on standby: it holds no address"),
    told(
        "standby-ended",
        "node",
        "an operator put this node on duty again, after a standby or a drain",
    ),
    told("started", "node", "the program begins on this node, with this configuration"),
    told("static-made", "node", "everything static that the kernel refused stands now"),
    act(
        "static-put-back",
        "node",
        "somebody removed a static address, route or rule, and it stands again; how often is told every 10 s at most",
        "find out who takes it away: a program that configures networks beside this one",
    ),
    act(
        "static-refused",
        "node",
        "the kernel does not take, or keeps, something of static_ipaddress, static_routes or static_rules",
        "look at what the evidence names: its device must be there, its gateway on a network of this node; it is tried again by itself",
    ),
    act(
        "statistics-missing",
        "node",
        "the statistics socket is not served",
        "the evidence names the cause: a folder that is missing, or rights",
    ),
    act(
        "steps-unreadable",
        "node",
        "what this node did for intents is damaged in its state folder: one of two copies, or both",
        "look after that disk; steps that are ordered again are looked at before they are done",
    ),
    act("store-failed", "node", "the store's process said that it cannot go on", RESTARTED),
    act(
        "store-leaderless",
        "process",
        "this node's store has followed nobody for a second: what needs it waits",
        "`outlast store status` on every member: a majority must run and reach each other",
    ),
    told("store-led", "process", "this node's store follows another leader, or one again"),
    act(
        "store-lost",
        "process",
        "the store's process ended or froze; another is started, no address moves",
        AGAIN,
    ),
    told("store-members", "process", "who votes in the store changed, or who is filled up by it"),
    act(
        "store-put-back",
        "process",
        "the revision of the etcd that is the store went back: somebody put an older copy in its place",
        "stop outlast on all nodes and start it again; what was decided since the copy has to be decided again",
    ),
    act(
        "store-went-back",
        "process",
        "the disk of this node's store is older than what others remember of it; it is filled up",
        "find out what put an old disk there: a copy, a snapshot of the machine, a lost write",
    ),
    act(
        "suspects-itself",
        "node",
        "this node has something against itself and accuses nobody: late timers, no carrier, no majority",
        "look at what the evidence names: this machine, its links, or the switch above it",
    ),
    told(
        "trusts-itself",
        "node",
        "nothing speaks against this node any more: it judges the others again",
    ),
    act(
        "two-machines",
        "node",
        "two machines speak with the keys of that node; the one that was started later is believed",
        "end one of them and restart outlast on the one that stays; if somebody copied its folders: revoke and join anew",
    ),
    links::ACCEPTS,
    act(
        "vip-adverts-refused",
        "vip, node",
        "adverts came that are not obeyed (with other addresses: obeyed all the same); the first of a reason, and again after ten minutes",
        "look at the address that the evidence names: another router with our router id, a file with another password, interval or list of addresses, or a forger",
    ),
    act(
        "vip-adverts-unheard",
        "vip",
        "a node holds by its sealed messages, and none of its adverts came for three intervals",
        "let multicast to 224.0.0.18 or ff02::12 through (IP protocol 112), or write `unicast = true`: our nodes follow each other all the same, routers of others do not",
    ),
    act(
        "vip-alone",
        "vip",
        "a node hears no other controller and holds the address without a majority (`last_man`): where nodes are cut from each other, two may hold it",
        "look whether the others are off, or only not reachable from there: in the second case mend the network, or stop outlast on the node that is cut off",
    ),
    told(
        "vip-answers",
        "vip",
        "the first packet left from the address since this node took it; what each stage of that took",
    ),
    act(
        "vip-beats-refused",
        "node",
        "the vip process is late too often for the beats that the file wants (`vip_beat`): all nodes beat less often",
        "find what keeps this machine's processors, or write a longer `vip_beat`",
    ),
    told("vip-beats-taken", "node", "the vip process is in time for the beats that the file wants"),
    links::BFD_OPEN,
    links::BFD_REFUSED,
    told("vip-claimed", "vip", "this node holds the address now"),
    links::DEVICE_REFUSED,
    links::DEVICE_RENAMED,
    told("vip-enforced", "node", "the kernel ends vip leases in time again"),
    act("vip-failed", "node", "the vip process said that it cannot go on", RESTARTED),
    act(
        "vip-fault",
        "vip",
        "this node cannot hold the address, and did not",
        "look at what the evidence names; another node holds meanwhile",
    ),
    act(
        "vip-foreign-router",
        "vip",
        "a router that is no node of this cluster speaks for the address; told once while it goes on, and for each router",
        "nothing, if it is meant to be in the group; else give one of the two another router id",
    ),
    act(
        "vip-gate-taken",
        "node",
        "somebody took the filter that ends vip leases off a device; it was put there again at once",
        "find who did (a script with `tc`, a network agent): while it is off, nothing but the process ends a vip lease",
    ),
    told("vip-granted", "vip", "a majority grants again what a node held without one"),
    told("vip-kept-out", "vip", "the kernel drops what is for an address of `no_accept` again"),
    act(
        "vip-lost",
        "process",
        "the vip process ended or froze; addresses go to the successor",
        AGAIN,
    ),
    votes::NOT_SUCCEEDED,
    act(
        "vip-notify-failed",
        "vip",
        "a program or pipe that is to be told how the address stands was not told",
        "look at what the evidence names: its path, its user, whether it ends, whether somebody reads the pipe",
    ),
    act(
        "vip-ordinary",
        "node",
        "the vip process runs without real-time scheduling or locked memory",
        "give CAP_SYS_NICE and CAP_IPC_LOCK: on a busy machine adverts may come late",
    ),
    told(
        "vip-other-interval",
        "vip",
        "a router of the group says another interval than this node's file (version 3): it is obeyed by its own; told once while it goes on",
    ),
    told(
        "vip-put-back",
        "vip",
        "an address, a route or a rule of a virtual IP that is held here was gone, and not by this program: it stands again",
    ),
    told("vip-recorded", "node", "what the vip process is told and decides is recorded again"),
    act(
        "vip-release-failed",
        "vip, node",
        "the kernel keeps an address that this node let go",
        "remove the address by hand (`ip address del`): two nodes may answer for it",
    ),
    told("vip-released", "vip", "this node let go of the address"),
    told("vip-rescued", "node", "addresses of a vip process that died were handed over"),
    told(
        "vip-routes-made",
        "vip",
        "the routes that go with the address are there, after some were refused",
    ),
    act(
        "vip-routes-refused",
        "vip",
        "the kernel does not take a route that goes with the address, or keeps it; the address is held, or let go, all the same",
        "look at the route that the evidence names: its gateway must be on a network of this node, its device up",
    ),
    act(
        "vip-script-disabled",
        "vip",
        "a check script is not run: as root, others could change what it does",
        "give what the evidence names to root alone, or name a plain `script_user`; then reload",
    ),
    told("vip-standby", "vip", "what kept this node from holding the address is gone"),
    votes::SUCCEEDED,
    act(
        "vip-unenforced",
        "node",
        "the kernel does not take the programs that end vip leases",
        "read the reason; until it is gone, a process that stands still while it holds may be a second holder",
    ),
    votes::UNPROVEN,
    votes::UNRECORDED,
    links::WATCH_AGAIN,
    links::WATCH_FAILED,
    votes::WORDS_LOST,
    votes::VOTERS_CHANGED,
    told(
        "writer-asked",
        "proxy",
        "an operator wants another server to be the one that is written to",
    ),
    told("writer-chosen", "proxy", "another server is the one that is written to"),
    told("writer-used", "proxy", "all sessions with the former writer are closed"),
];

/// The row of an event.
#[must_use]
pub fn kind(what: &str) -> Option<&'static EventKind> {
    EVENTS.iter().find(|kind| kind.name == what)
}

#[cfg(test)]
mod tests;
