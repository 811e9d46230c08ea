//! Who does not answer is replaced, and who cannot live is not started.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::fs;
use std::process::Command;

use api::Role;
use lonely::{Lonely, alone, has_vip, kill, run_to_end, runs, until};

#[test]
fn a_frozen_agent_is_replaced_and_nobody_else_notices() {
    alone("a_frozen_agent_is_replaced_and_nobody_else_notices", || {
        frozen(Role::Agent, "agent-lost", &[Role::Proxy, Role::Vip, Role::Services]);
    });
}

#[test]
fn a_frozen_dashboard_is_replaced_and_nobody_else_notices() {
    alone("a_frozen_dashboard_is_replaced_and_nobody_else_notices", || {
        frozen(Role::Services, "services-lost", &[Role::Proxy, Role::Vip, Role::Agent]);
    });
}

fn frozen(role: Role, event: &str, others: &[Role]) {
    let mut node = Lonely::new();
    node.start();
    let before = node.process(role);
    let others_before: Vec<i32> = others.iter().map(|role| node.process(*role)).collect();
    // Judged by its silence only since its first answer, which comes with the first status.
    std::thread::sleep(std::time::Duration::from_secs(1));
    kill(before, "STOP");
    until("the frozen one is gone", || !runs(before));
    until("there is a new one", || node.process(role) != before);
    let lost = |event_of: &api::Event| event_of.what == event;
    until("it is told", || node.events().iter().any(lost));
    let lost = node.events().into_iter().find(lost).expect("it was told");
    assert!(lost.evidence.starts_with("frozen: no answer for 2.0 s"), "{}", lost.evidence);
    let others_now: Vec<i32> = others.iter().map(|role| node.process(*role)).collect();
    assert_eq!(others_now, others_before);
    assert!(node.serves(node.port) && has_vip());
}

#[test]
fn a_stopped_proxy_is_replaced_by_the_kernels_word() {
    alone("a_stopped_proxy_is_replaced_by_the_kernels_word", || {
        let mut node = Lonely::new();
        node.start();
        let before = node.process(Role::Proxy);
        let spare = node.process(Role::Spare);
        kill(before, "STOP");
        until("the stopped one is gone", || !runs(before));
        until("its spare serves", || node.process(Role::Proxy) == spare);
        let lost = |event: &api::Event| event.what == "proxy-lost";
        until("it is told", || node.events().iter().any(lost));
        let lost = node.events().into_iter().find(lost).expect("it was told");
        assert!(lost.evidence.starts_with("stopped (SIGSTOP) for 50 ms"), "{}", lost.evidence);
        assert!(node.serves(node.port) && has_vip());
    });
}

/// Of the processor, as nice counts it; by its name in /proc.
fn share(who: impl std::fmt::Display) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{who}/stat")).expect("it runs");
    let (_, rest) = stat.rsplit_once(')').expect("a name is in brackets");
    rest.split_whitespace().nth(16).and_then(|word| word.parse().ok()).expect("a number")
}

#[test]
fn proxies_have_room_for_their_descriptors_before_they_serve() {
    alone("proxies_have_room_for_their_descriptors_before_they_serve", || {
        let room = |pid: i32| -> u64 {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
            let size = status.lines().find_map(|line| line.strip_prefix("FDSize:"));
            size.and_then(|size| size.trim().parse().ok()).expect("a size")
        };
        let mut node = Lonely::new();
        node.write(
            "haproxy.cfg",
            &format!("global\n maxconn 2000\n{}", node.haproxy(&[node.port])),
        );
        node.start();
        let (proxy, spare) = (node.process(Role::Proxy), node.process(Role::Spare));
        // Both sides of each session.
        until("the proxies have room", || room(proxy) > 4000 && room(spare) > 4000);
    });
}

#[test]
fn supervisor_and_proxies_are_prompt_and_others_are_ordinary() {
    alone("supervisor_and_proxies_are_prompt_and_others_are_ordinary", || {
        let may = std::thread::spawn(|| sys::schedule::nice(-1).is_ok()).join().expect("a thread");
        // Tests may run at another one, which a node that they start would keep.
        let own = sys::schedule::nice(0).map_or_else(|_| share("thread-self"), |()| 0);
        let prompt = if may && own == 0 { -10 } else { own };
        let mut node = Lonely::new();
        node.start();
        let (proxy, spare) = (node.process(Role::Proxy), node.process(Role::Spare));
        until("the proxies are prompt", || share(proxy) == prompt && share(spare) == prompt);
        assert_eq!(share(node.process(Role::Supervisor)), prompt);
        assert_eq!(share(node.process(Role::Agent)), own);
        assert_eq!(share(node.process(Role::Services)), own);
    });
}

/// What `run` says; it must end by itself.
fn refused(command: &mut Command) -> String {
    let (code, said) = run_to_end(command);
    assert!(code.is_some_and(|code| code != 0), "it started: {said}");
    said
}

fn with_global(node: &Lonely, lines: &str) {
    node.write("haproxy.cfg", &format!("global\n{lines}{}", node.haproxy(&[node.port])));
}

#[test]
fn a_balancer_without_its_user_or_folder_is_refused_with_the_line() {
    alone("a_balancer_without_its_user_or_folder_is_refused_with_the_line", || {
        if sys::rights::is_contained() {
            return lab::skip::note(
                "outlast::a_balancer_without_its_user_or_folder_is_refused_with_the_line",
                "without root chroot is not applied",
            );
        }
        let mut node = Lonely::new();
        with_global(&node, "  user nobody-of-ours\n  group none-of-ours\n  chroot FOLDER/jail\n");
        let said = refused(&mut node.command());
        let jail = node.path("jail").display().to_string();
        for wanted in [
            "haproxy.cfg:2: `user nobody-of-ours`",
            "haproxy.cfg:3: `group none-of-ours`",
            &format!("haproxy.cfg:4: `chroot {jail}`"),
            &format!("mkdir -p {jail}"),
        ] {
            assert!(said.contains(wanted), "{wanted} is not in: {said}");
        }
        with_global(&node, "  user nobody\n  chroot FOLDER/jail\n");
        fs::create_dir(jail).expect("a folder can be made");
        node.start();
        with_global(&node, "  user nobody-of-ours\n");
        node.signal("HUP");
        let refusal = |event: &api::Event| {
            event.what == "reload-refused" && event.evidence.contains("nobody-of-ours")
        };
        until("the reload is refused", || node.events().iter().any(refusal));
        assert!(node.serves(node.port));
    });
}

#[test]
fn two_with_one_state_folder_are_one_too_many() {
    alone("two_with_one_state_folder_are_one_too_many", || {
        let mut node = Lonely::new();
        node.start();
        let mut second = node.command();
        second.arg("--run-dir").arg(node.path("other-run"));
        let said = refused(&mut second);
        assert!(said.contains(&format!("as pid {}", node.pid())), "{said}");
        assert!(said.contains("state.lock"), "{said}");
        assert!(node.serves(node.port) && has_vip());
    });
}
