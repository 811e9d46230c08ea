//! What a crash of a node's processes would leave on the disk: nothing, as they hold keys.

#[expect(unreachable_pub, dead_code, reason = "shared by test programs, each uses a part")]
#[path = "node/lonely.rs"]
mod lonely;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use api::Role;
use lonely::{CLUSTER, Lonely, OUTLAST, alone, until};

const TEST: &str = "no_process_of_a_running_node_is_written_to_a_core_dump";
/// Its user and group on every machine.
const NOBODY: u32 = 65_534;
/// The rights of a node that runs as a plain user.
const RIGHTS: &str = "+net_admin,+net_raw,+net_bind_service,+sys_nice";

/// A program as the plain user.
fn plain(program: &str) -> Command {
    let user = NOBODY.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]);
    command.args(["--inh-caps", RIGHTS, "--ambient-caps", RIGHTS, "--", program]);
    command
}

/// Whose its files in `/proc` are: of its own user, or of root if the kernel must not dump it (proc(5)).
fn owner(pid: i32) -> Option<u32> {
    let folder = Path::new("/proc").join(pid.to_string());
    fs::metadata(folder.join("environ")).ok().map(|found| found.uid())
}

/// The user as whom it runs.
fn user(pid: i32) -> Option<u32> {
    let status =
        fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// A program that keeps nothing from anybody.
struct Other(Child);

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn no_process_of_a_running_node_is_written_to_a_core_dump() {
    alone(TEST, || {
        if sys::rights::is_contained() {
            let why = "there is no other user here to become";
            return lab::skip::note(&format!("outlast::{TEST}"), why);
        }
        let mut node = Lonely::new();
        let keys = "trust_dir = \"trust\"";
        node.write(
            "outlast.toml",
            &(CLUSTER.replace("secret_file = \"secret\"", keys) + "[store]\n"),
        );
        fs::set_permissions(&node.folder, fs::Permissions::from_mode(0o777)).expect("a mode");
        let mut found = plain(OUTLAST);
        found.args(["init", "test", "--node", "node01", "--trust-dir"]).arg(node.path("trust"));
        found.arg("--key-file").arg(node.path("disk/key"));
        fs::create_dir(node.path("disk")).expect("a disk for keys");
        let all = fs::Permissions::from_mode(0o777);
        fs::set_permissions(node.path("disk"), all).expect("a mode");
        assert!(found.stdout(Stdio::null()).status().expect("the tool runs").success());

        // What a crash of it would leave is what the test must be able to see.
        let other = plain("sleep").arg("600").spawn().map(Other).expect("a program");
        let pid = i32::try_from(other.0.id()).expect("a pid");
        until("it is what it will be", || owner(pid) == Some(NOBODY) && user(pid) == Some(NOBODY));

        let mut command = plain(OUTLAST);
        command.arg("run").arg("--config").arg(node.path("outlast.toml"));
        node.start_with(command);
        until("it serves behind its virtual IP", || node.serves(node.port));
        until("its store has a leader", || {
            node.try_status().and_then(|s| s.store).is_some_and(|store| store.leader.is_some())
        });
        let roles = [Role::Vip, Role::Agent, Role::Proxy, Role::Spare, Role::Services, Role::Store];
        let mut pids: Vec<_> = roles.map(|role| (format!("{role:?}"), node.process(role))).into();
        pids.push(("the supervisor".to_owned(), node.pid()));
        for (role, pid) in pids {
            assert_eq!((user(pid), owner(pid)), (Some(NOBODY), Some(0)), "{role}");
        }
    });
}
