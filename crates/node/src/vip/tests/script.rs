//! A check script that is not safe to run, in a file of keepalived's language.

use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn a_script_that_others_could_change_is_told_and_the_address_goes_on_without_it() {
    let test =
        "script::a_script_that_others_could_change_is_told_and_the_address_goes_on_without_it";
    if !may_make_networks(test) {
        return;
    }
    let network = Network::new();
    let program = std::env::temp_dir().join(format!("outlast-unsafe-{}", std::process::id()));
    // It would keep this node out of the race.
    std::fs::write(&program, "#!/bin/sh\nexit 1\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o777)).unwrap();
    let text = format!(
        "global_defs {{\n enable_script_security\n script_user root\n}}\nvrrp_script alive {{\n \
         script \"{}\"\n}}\nvrrp_instance internal {{\n interface eth0\n virtual_router_id 121\n \
         virtual_ipaddress {{\n 10.79.0.40\n }}\n track_script {{\n alive\n }}\n}}\n",
        program.display()
    );
    let keepalived = Some(Source { path: "keepalived.conf".to_owned(), text });
    let texts = Texts { keepalived, ..Texts::default() };
    let start = Start { mode: Mode::Strict, ..start() };
    let (supervisor, channel) = Channel::pair().unwrap();
    std::thread::scope(|scope| {
        let node = network.node.as_fd();
        let run = move || netns::within(node, || run(&channel, start, texts, vec![])).unwrap();
        let process = scope.spawn(run);
        let event = disabled(&supervisor);
        assert_eq!(event.object, "vip/internal");
        let told = "script alive: it would run as root, and others than root can change";
        assert!(event.evidence.starts_with(told), "{}", event.evidence);
        let state = report(&supervisor, |state| state.role == VipRole::Master);
        assert_eq!(state.disabled_scripts, ["alive"]);
        drop(supervisor);
        process.join().unwrap().unwrap();
    });
    std::fs::remove_file(&program).unwrap();
}

fn disabled(channel: &Channel) -> api::Event {
    let mut bytes = vec![0; MAX_MESSAGE];
    loop {
        wait_for(channel.as_fd());
        let length = channel.receive(&mut bytes, &mut Vec::new()).unwrap();
        assert_ne!(length, 0, "the process ended");
        if let Report::Event(event) = api::decode::<Report>(&bytes[..length]).unwrap()
            && event.what == "vip-script-disabled"
        {
            return event;
        }
    }
}
