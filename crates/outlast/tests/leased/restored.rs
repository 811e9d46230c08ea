//! The store is put back from a backup: its first list of voters goes on with the one that was in use, once every controller said so.

use super::*;

/// On all members, before any of them is started.
fn restore(stage: &Stage, file: &Path) {
    let mut from = None::<String>;
    for node in 0..NODES {
        let mut command = Command::new(OUTLAST);
        command.args(["store", "restore"]).arg(file);
        command.arg("--config").arg(folder(stage, node, "outlast.toml"));
        command.args(["--node", stage.cluster.name(node)]);
        command.arg("--run-dir").arg(folder(stage, node, "run"));
        command.arg("--state-dir").arg(folder(stage, node, "state"));
        command.args(from.iter().flat_map(|from| ["--from", from.as_str()]));
        let output = command.output().expect("the tool runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        let line = said.lines().next().unwrap_or_default();
        let revision = line.rsplit(' ').next().unwrap_or_default().to_owned();
        from.get_or_insert(revision);
    }
}

#[test]
fn the_first_list_after_a_restore_waits_for_each_controller_and_goes_on_with_the_one_before() {
    let name = "voters::restored::the_first_list_after_a_restore_waits_for_each_controller_and_goes_on_with_the_one_before";
    contained(name, || {
        let Some(mut stage) = Stage::laid_out(name, &format!("{LINES}[store]\n")) else { return };
        let first = agreed(&stage, 1);
        let backup = Path::new(FOLDER).join("backup");
        let said = stage.types(0, &["store", "backup", &backup.display().to_string()]);
        assert!(backup.exists(), "{said}");
        (0..NODES).for_each(|node| stage.cluster.stop(node).expect("it can be stopped"));
        (0..NODES).for_each(|node| stage.cluster.ended(node).expect("it ends"));
        restore(&stage, &backup);

        let (since, last) = (sys::clock::now(), NODES - 1);
        (0..last).for_each(|node| stage.cluster.start(node).expect("it can be started"));
        let waits = format!("the first list of this store waits for {}", stage.cluster.name(last));
        until("it is told for whom the first list waits", || {
            (0..last).any(|node| stage.types(node, &["status"]).contains(&waits))
        });
        // Meanwhile they hold by the list of the store of before.
        let holder = stage.holds();
        until("they go by the list of the store of before", || {
            (0..last).all(|node| list(&stage, node).as_ref() == Some(&first))
        });
        stage.cluster.start(last).expect("it can be started");
        let mut found = None;
        until("all go by the first list of the new store", || {
            let all: Option<Vec<_>> = (0..NODES).map(|node| list(&stage, node)).collect();
            let all =
                all.filter(|all| all.iter().all(|it| *it == all[0] && it.store > first.store));
            found = all.and_then(|mut all| all.pop());
            found.is_some()
        });
        let next = found.expect("it was found");
        assert_eq!((next.list, next.former), (1, Some(first.number())));
        assert_eq!(next.voters, first.voters);
        if !stage.was_lost(since) {
            stage.stays(holder, "the first list of another store").expect("it stays");
        }
        stage.never_two();
        until("it is told", || {
            let told = (0..NODES).map(|node| stage.events(node, "voters-changed", since).len());
            told.sum::<usize>() == 1
        });
        let told = stage.types(0, &["status"]);
        assert!(told.contains(&format!("voters by list 1 of store {}", next.store)), "{told}");
    });
}
