//! No memory is asked for once a process has begun: of addresses by VRRP, of those that are held together, of devices that come and
//! go, of check scripts, of what is recorded.

use std::path::PathBuf;

use super::*;

/// Nodes of a network of their own; `text`: the cluster file, or (`Err`) one of keepalived's language.
fn staged(test: &str, text: Result<&str, &str>, start: Start, work: impl FnOnce(Quiet<'_>) + Send) {
    if !may_make_networks(&format!("quiet::{test}")) {
        return;
    }
    let network = Network::new();
    let (supervisor, channel) = Channel::pair().unwrap();
    let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let texts = match text {
        Ok(text) => Texts {
            cluster: Some(source("outlast.toml", text)),
            secret: Some(SECRET.to_vec()),
            ..Texts::default()
        },
        Err(text) => {
            Texts { keepalived: Some(source("keepalived.conf", text)), ..Texts::default() }
        }
    };
    let driven = netns::within(network.node.as_fd(), || {
        if texts.keepalived.as_ref().is_some_and(|source| source.text.contains("fe80::")) {
            // Adverts over IPv6 leave from the address that the kernel makes.
            network::wait_until(has_one_of_link);
        }
        let mut driver = Driver::new(&channel, &start, &texts).unwrap();
        driver.begin(&start);
        work(Quiet { driver, supervisor: &supervisor, ready: Vec::with_capacity(32) });
    });
    driven.unwrap();
}

fn has_one_of_link(netlink: &Netlink) -> bool {
    let is_of_link = |ip| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    netlink.addresses().unwrap().iter().any(|address| is_of_link(address.ip))
}

/// A process that has begun.
struct Quiet<'a> {
    driver: Driver<'a>,
    supervisor: &'a Channel,
    ready: Vec<Ready>,
}

impl Quiet<'_> {
    /// How often it asked for memory until that was so.
    fn count_until(&mut self, what: &str, fits: impl Fn(&Driver<'_>) -> bool) -> u64 {
        let (end, mut count) = (sys::clock::now() + PATIENCE, 0);
        let mut bytes = [0; MAX_MESSAGE];
        while !fits(&self.driver) {
            assert!(sys::clock::now() < end, "in vain: {what}");
            count += sys::counted::during(|| self.driver.turn(&mut self.ready).unwrap()).1;
            // The supervisor reads what it is told.
            while self.supervisor.receive(&mut bytes, &mut Vec::new()).is_ok() {}
        }
        count
    }

    fn count_for(&mut self, span: Duration) -> u64 {
        let end = sys::clock::now() + span;
        self.count_until("time passes", |_| sys::clock::now() > end)
    }

    fn tell(&mut self, input: Input<'_>) -> u64 {
        sys::counted::during(|| self.driver.step_all(input)).1
    }

    /// It holds all, goes on, gives all up, and takes all again by timers.
    fn comes_and_goes(&mut self, rounds: u32) {
        let holds = |driver: &Driver<'_>| driver.instances.iter().all(|it| it.held);
        let none = |driver: &Driver<'_>| driver.instances.iter().all(|it| !it.held);
        assert_eq!(self.count_until("nobody else holds", holds), 0, "from the start to a claim");
        for round in 0..rounds {
            assert_eq!(self.count_for(Duration::from_millis(1100)), 0, "while it holds, {round}");
            assert_eq!(self.tell(Input::Standby(true)), 0, "it gives up, {round}");
            assert_eq!(self.count_until("it holds none", none), 0, "it has given up, {round}");
            assert_eq!(self.tell(Input::Standby(false)), 0, "it may again, {round}");
            assert_eq!(self.count_until("it holds again", holds), 0, "it takes, {round}");
        }
    }
}

/// In keepalived's language, with adverts ten times a second.
fn instance(name: &str, router_id: u8, address: &str, more: &str) -> String {
    format!(
        "vrrp_instance {name} {{\n interface eth0\n virtual_router_id {router_id}\n advert_int 0.1\n version 3\n \
         virtual_ipaddress {{\n {address}\n }}\n{more}}}\n"
    )
}

fn strict() -> Start {
    Start { mode: Mode::Strict, ..start() }
}

#[test]
fn addresses_by_vrrp_come_and_go_without_memory() {
    let test = "addresses_by_vrrp_come_and_go_without_memory";
    staged(test, Ok(CLUSTER), start(), |mut quiet| quiet.comes_and_goes(1));
}

#[test]
fn addresses_over_ipv6_come_and_go_without_memory() {
    let test = "addresses_over_ipv6_come_and_go_without_memory";
    let text = instance("six", 121, "fe80::40\n fd79::40", "");
    staged(test, Err(&text), strict(), |mut quiet| quiet.comes_and_goes(2));
}

#[test]
fn addresses_that_are_held_together_come_and_go_without_memory() {
    let test = "addresses_that_are_held_together_come_and_go_without_memory";
    let group = "vrrp_sync_group both {\n group {\n one\n two\n }\n}\n";
    let text = [
        instance("one", 121, "10.79.0.40", ""),
        instance("two", 122, "10.79.0.39", ""),
        group.to_owned(),
    ];
    staged(test, Err(&text.concat()), strict(), |mut quiet| quiet.comes_and_goes(3));
}

#[test]
fn a_device_that_comes_and_goes_takes_no_memory() {
    let test = "a_device_that_comes_and_goes_takes_no_memory";
    let text = instance("internal", 121, "10.79.0.40", "");
    staged(test, Err(&text), strict(), |mut quiet| {
        let netlink = Netlink::open().unwrap();
        let index = netlink.link("eth0").unwrap().unwrap().index;
        let holds = |driver: &Driver<'_>| driver.instances.iter().all(|it| it.held);
        let faulty = |driver: &Driver<'_>| {
            let role = |it: &Instance| it.role() == engine::vip::Role::Fault;
            driver.instances.iter().all(role)
        };
        assert_eq!(quiet.count_until("nobody else holds", holds), 0);
        for round in 0..2 {
            netlink.set_up(index, false).unwrap();
            let asked = quiet.count_until("it is in fault", faulty);
            assert_eq!(asked, 0, "the device goes, round {round}");
            netlink.set_up(index, true).unwrap();
            let asked = quiet.count_until("it holds again", holds);
            assert_eq!(asked, 0, "the device comes, round {round}");
            let asked = quiet.count_for(Duration::from_millis(300));
            assert_eq!(asked, 0, "what the kernel tells behind it, round {round}");
        }
    });
}

#[test]
fn a_check_script_takes_no_memory_of_the_process_of_addresses() {
    let test = "a_check_script_takes_no_memory_of_the_process_of_addresses";
    let flag = folder(test).join("flag");
    std::fs::write(&flag, "").unwrap();
    let script = format!(
        "vrrp_script alive {{\n script \"/usr/bin/test -e {}\"\n interval 0.1\n fall 1\n rise 1\n user root\n}}\n",
        flag.display()
    );
    let text = script + &instance("internal", 121, "10.79.0.40", " track_script {\n alive\n }\n");
    staged(test, Err(&text), strict(), |mut quiet| {
        let holds = |driver: &Driver<'_>| driver.instances.iter().all(|it| it.held);
        let faulty = |driver: &Driver<'_>| {
            let cause = |it: &Instance| it.machine.cause() == Some(engine::vip::Cause::Script);
            driver.instances.iter().all(|it| !it.held && cause(it))
        };
        assert_eq!(quiet.count_until("it holds", holds), 0);
        for round in 0..2 {
            std::fs::remove_file(&flag).unwrap();
            assert_eq!(quiet.count_until("the script fails", faulty), 0, "round {round}");
            std::fs::write(&flag, "").unwrap();
            assert_eq!(quiet.count_until("it holds again", holds), 0, "round {round}");
        }
    });
    std::fs::remove_dir_all(folder(test)).unwrap();
}

#[test]
fn what_is_recorded_takes_no_memory_though_files_are_begun() {
    let test = "what_is_recorded_takes_no_memory_though_files_are_begun";
    let state = folder(test);
    let text = CLUSTER.replace("record_mb = 0", "record_mb = 1");
    let start = Start { state_dir: state.display().to_string(), ..start() };
    staged(test, Ok(&text), start, |mut quiet| {
        let files = || {
            let entries = std::fs::read_dir(state.join("record")).into_iter().flatten().flatten();
            entries.filter(|it| it.file_name().to_string_lossy().starts_with("vip-")).count()
        };
        let mut hello = engine::vip::Hello {
            group: Group::of(&vip()),
            node: 1,
            source: PEER.into(),
            priority: 150,
            role: engine::vip::Role::Backup,
            eligible: true,
            term: 1,
            life: 3,
        };
        let end = sys::clock::now() + PATIENCE;
        while files() < 4 {
            assert!(sys::clock::now() < end, "{} files", files());
            for _ in 0..200 {
                hello.priority = 150 + u8::from(hello.priority == 150);
                assert_eq!(quiet.tell(Input::Hello { network: 0, hello }), 0);
            }
            let turned = sys::counted::during(|| {
                quiet.driver.turn_after(Some(Duration::from_millis(1)), &mut quiet.ready).unwrap();
            });
            assert_eq!(turned.1, 0);
        }
        quiet.driver.tape.close();
    });
    // Each of them can be played by itself.
    for entry in std::fs::read_dir(folder(test).join("record")).into_iter().flatten().flatten() {
        let bytes = std::fs::read(entry.path()).unwrap();
        let recording = engine::replay::Recording::open(&bytes).unwrap();
        let mut play = recording.play().unwrap();
        assert!(play.by_ref().all(|step| step.is_same()), "{:?}", entry.path());
        assert_eq!(play.end(), engine::replay::End::Whole);
    }
    std::fs::remove_dir_all(folder(test)).unwrap();
}

#[test]
fn a_script_that_runs_and_what_it_started_end_with_the_process() {
    use std::os::unix::fs::PermissionsExt;

    let test = "a_script_that_runs_and_what_it_started_end_with_the_process";
    let (program, pids) = (folder(test).join("check"), folder(test).join("pids"));
    let lines = format!("#!/bin/sh\nsleep 1000 &\necho $$ $! > {}\nwait\n", pids.display());
    std::fs::write(&program, lines).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let script = format!(
        "vrrp_script alive {{\n script \"{}\"\n interval 100\n timeout 100\n user root\n}}\n",
        program.display()
    );
    let text = script + &instance("internal", 121, "10.79.0.40", " track_script {\n alive\n }\n");
    let started = || -> Vec<i32> {
        let text = std::fs::read_to_string(&pids).unwrap_or_default();
        text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
    };
    staged(test, Err(&text), strict(), |mut quiet| {
        quiet.count_until("it runs", |_| started().len() == 2);
        let Quiet { driver, .. } = quiet;
        drop(driver);
        let end = sys::clock::now() + PATIENCE;
        let runs = |pid: &i32| sys::process::table::all().iter().any(|it| it.pid == *pid);
        while started().iter().any(runs) {
            assert!(sys::clock::now() < end, "{:?} go on", started());
            std::thread::yield_now();
        }
    });
    std::fs::remove_dir_all(folder(test)).unwrap();
}

fn folder(test: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("outlast-{test}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
