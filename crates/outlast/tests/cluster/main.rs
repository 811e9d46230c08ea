//! Five real nodes on three networks in namespaces: what each of them thinks while they are
//! hurt, by scenario files.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "../node/lonely.rs"]
mod lonely;

use std::path::{Path, PathBuf};

use lab::cluster::scenarios::{StageError, run_all};
use lonely::{OUTLAST, PATIENCE, contained};
use scenario::Scenario;

/// The files that the simulator keeps as well. Late is no failure here: `cargo xtask scenario` holds to the
/// times of the files.
#[test]
fn every_scenario_file_is_kept_by_real_processes() {
    contained("every_scenario_file_is_kept_by_real_processes", || {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios");
        let files = std::fs::read_dir(folder).expect("the files are there");
        let read = |file: &PathBuf| {
            let text = std::fs::read_to_string(file).expect("a file can be read");
            let scenario = Scenario::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
            (file.display().to_string(), scenario)
        };
        let mut files: Vec<PathBuf> = files.flatten().map(|file| file.path()).collect();
        files.sort();
        assert!(files.len() >= 13, "{files:?}");
        let scenarios: Vec<_> = files.iter().map(read).collect();
        let mut broken = vec![];
        let mut tell = |file: &str, outcome: Result<_, StageError>| {
            match outcome {
                Ok(record) => eprint!("{file}\n{record}"),
                Err(error) => broken.push(format!("{file}: {error}")),
            }
            Ok(())
        };
        let run =
            run_all(Path::new("/run/lab"), Path::new(OUTLAST), &scenarios, PATIENCE, &mut tell);
        run.expect("namespaces of the test's own");
        assert!(broken.is_empty(), "{broken:#?}");
    });
}
