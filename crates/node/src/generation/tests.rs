use super::waits::Waiting;
use super::*;

/// A folder of this test alone, gone at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("outlast-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The cluster file has a name of its own here.
    fn place(&self) -> Place {
        Place::of(&self.0.join("node01.toml"))
    }

    /// One that dies after so many changes of the disk.
    fn mortal(&self, steps: u32) -> Place {
        Place { steps: Steps(Some(Arc::new(AtomicU32::new(steps)))), ..self.place() }
    }

    fn lies(&self) -> Files {
        let mut files = Files::new();
        let place = self.place();
        for path in [CLUSTER_FILE, "a.cfg", "conf.d/1.cfg", "conf.d/2.cfg", "conf.d/3.cfg"] {
            if let Ok(text) = fs::read_to_string(place.used(path)) {
                files.insert(path.to_owned(), text);
            }
        }
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Left behind it only takes room.
        let _ = fs::remove_dir_all(&self.0);
    }
}

const CLUSTER: &str = "[cluster]\nname = \"one\"\nhaproxy = \"conf.d\"\n[node.node01]\nnetworks = { m = \"127.0.0.2\" }\n";

fn files(texts: &[(&str, &str)]) -> Files {
    texts.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

fn old() -> Files {
    files(&[(CLUSTER_FILE, CLUSTER), ("conf.d/1.cfg", "old"), ("conf.d/2.cfg", "old, too")])
}

fn new() -> Files {
    let text = format!("{CLUSTER}# changed\n");
    files(&[(CLUSTER_FILE, &text), ("conf.d/1.cfg", "new"), ("conf.d/3.cfg", "more")])
}

fn installed(folder: &Folder) {
    let place = folder.place();
    place.stage(1, &old()).unwrap();
    place.install(1, &[]).unwrap();
    assert_eq!((folder.lies(), place.note().unwrap().number), (old(), 1));
    assert_eq!(place.lying(&old()).unwrap(), Lying::Same);
}

#[test]
fn a_node_that_dies_at_any_change_of_the_disk_starts_with_all_old_files_or_all_new_ones() {
    let (mut was_old, mut was_new) = (0, 0);
    for steps in 0..100 {
        let folder = Folder::new("dies");
        installed(&folder);
        let mortal = folder.mortal(steps);
        let outcome = mortal.stage(2, &new()).and_then(|()| mortal.install(2, &[]));
        // The next start.
        let place = folder.place();
        assert_eq!(place.before_start().unwrap(), None);
        let lies = folder.lies();
        let number = place.note().unwrap().number;
        match number {
            1 => assert_eq!(lies, old(), "after {steps}"),
            _ => assert_eq!(lies, new(), "after {steps}"),
        }
        was_old += u32::from(number == 1);
        was_new += u32::from(number == 2);
        // And the agent goes on.
        if place.lying(&new()).unwrap() != Lying::Same {
            place.stage(2, &new()).unwrap();
            place.install(2, &[]).unwrap();
        }
        assert_eq!((folder.lies(), place.note().unwrap().number), (new(), 2));
        if outcome.is_ok() {
            assert!(was_old > 4 && was_new > 4, "{was_old} {was_new}");
            return;
        }
    }
    panic!("it needs more than 100 changes of the disk");
}

#[test]
fn a_start_that_dies_while_it_finishes_is_finished_by_the_next() {
    for steps in 0..8 {
        let folder = Folder::new("finishes");
        installed(&folder);
        folder.place().stage(2, &new()).unwrap();
        fs::rename(folder.place().own(STAGED), folder.place().own(JOURNAL)).unwrap();
        let _ = folder.mortal(steps).before_start();
        folder.place().before_start().unwrap();
        assert_eq!(folder.lies(), new(), "after {steps}");
    }
}

#[test]
fn files_changed_by_hand_are_told_and_what_was_there_is_kept() {
    let folder = Folder::new("by-hand");
    let place = folder.place();
    let foreign = |paths: &[&str]| Lying::Foreign(paths.iter().map(|p| (*p).to_owned()).collect());
    // Files from before the first generation.
    fs::write(place.used(CLUSTER_FILE), CLUSTER).unwrap();
    assert_eq!(place.lying(&old()).unwrap(), Lying::Known, "what is missing is added");
    fs::create_dir(place.used("conf.d")).unwrap();
    fs::write(place.used("conf.d/1.cfg"), "by hand").unwrap();
    assert_eq!(place.lying(&old()).unwrap(), foreign(&["conf.d/1.cfg"]));
    place.stage(1, &old()).unwrap();
    place.install(1, &["conf.d/1.cfg".to_owned()]).unwrap();
    assert_eq!(folder.lies(), old());
    let kept = fs::read_dir(place.own("kept")).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::read_to_string(kept.join("conf.d/1.cfg")).unwrap(), "by hand");
    // One more in a folder that is read, and one that the next generation has not.
    fs::write(place.used("conf.d/9.cfg"), "by hand").unwrap();
    assert_eq!(place.lying(&old()).unwrap(), foreign(&["conf.d/9.cfg"]));
    fs::remove_file(place.used("conf.d/9.cfg")).unwrap();
    assert_eq!(place.lying(&new()).unwrap(), Lying::Known);
    fs::write(place.used("conf.d/2.cfg"), "by hand").unwrap();
    assert_eq!(place.lying(&new()).unwrap(), foreign(&["conf.d/2.cfg"]));
    // A link leads where others write.
    fs::remove_file(place.used("conf.d/2.cfg")).unwrap();
    std::os::unix::fs::symlink("1.cfg", place.used("conf.d/2.cfg")).unwrap();
    assert_eq!(place.lying(&old()).unwrap(), foreign(&["conf.d/2.cfg"]));
}

#[test]
fn staged_files_are_private_and_keep_the_mode_of_those_that_are_used() {
    let folder = Folder::new("modes");
    installed(&folder);
    let place = folder.place();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(place.used("conf.d/1.cfg")), mode(place.own(""))), (0o600, 0o700));
    fs::set_permissions(place.used("conf.d/1.cfg"), fs::Permissions::from_mode(0o640)).unwrap();
    place.stage(2, &new()).unwrap();
    assert!(place.has_staged(2, &new()) && !place.has_staged(2, &old()));
    place.install(2, &[]).unwrap();
    assert_eq!(mode(place.used("conf.d/1.cfg")), 0o640);
    // Made for others to read by somebody else.
    fs::set_permissions(place.own(""), fs::Permissions::from_mode(0o755)).unwrap();
    let owner = |path: PathBuf| fs::metadata(path).map(|found| (found.uid(), found.gid())).unwrap();
    let given = std::os::unix::fs::chown(place.used("conf.d/1.cfg"), Some(1), Some(1)).is_ok();
    place.stage(3, &old()).unwrap();
    place.install(3, &[]).unwrap();
    assert_eq!(mode(place.own("")), 0o700);
    // Only root may give files away.
    assert_eq!(given, owner(place.used("conf.d/1.cfg")) == (1, 1) && sys::rights::is_root());
}

#[test]
fn what_only_a_start_can_take_on_waits_for_it_unless_somebody_changed_a_file() {
    let folder = Folder::new("at-start");
    installed(&folder);
    let place = folder.place();
    place.stage(2, &new()).unwrap();
    assert_eq!(place.before_start().unwrap(), None, "nobody said so");
    place.want_at_start(2, &[]).unwrap();
    fs::write(place.used("conf.d/1.cfg"), "by hand").unwrap();
    assert_eq!(place.before_start().unwrap(), None);
    fs::write(place.used("conf.d/1.cfg"), "old").unwrap();
    let waits = |foreign| Some(Waiting { number: 2, foreign });
    assert_eq!(place.before_start().unwrap(), waits(vec![]));
    // By force, what was changed by hand is replaced, too: as it was when that was said.
    let mine = ["conf.d/1.cfg".to_owned()];
    fs::write(place.used("conf.d/1.cfg"), "by hand").unwrap();
    place.want_at_start(2, &mine).unwrap();
    assert_eq!(place.before_start().unwrap(), waits(mine.to_vec()));
    fs::write(place.used("conf.d/1.cfg"), "by hand, again").unwrap();
    assert_eq!(place.before_start().unwrap(), None);
    fs::write(place.used("conf.d/1.cfg"), "by hand").unwrap();
    place.install(2, &mine).unwrap();
    assert_eq!(place.before_start().unwrap(), None);
    assert_eq!(folder.lies(), new());
}

#[test]
fn a_used_file_has_its_name_in_a_generation_and_one_from_elsewhere_has_none() {
    let place = Place::of(Path::new("/etc/outlast/node01.toml"));
    assert_eq!(place.name_of("/etc/outlast/node01.toml").as_deref(), Some(CLUSTER_FILE));
    assert_eq!(place.name_of("/etc/outlast/conf.d/1.cfg").as_deref(), Some("conf.d/1.cfg"));
    assert_eq!(place.name_of("/etc/haproxy/haproxy.cfg"), None);
    assert_eq!(place.name_of("command line"), None);
    // Started in the folder itself.
    let place = Place::of(Path::new("node01.toml"));
    assert_eq!(place.used(CLUSTER_FILE), Path::new("./node01.toml"));
    for used in ["conf.d/1.cfg", "./conf.d/1.cfg"] {
        assert_eq!(place.name_of(used).as_deref(), Some("conf.d/1.cfg"));
    }
}

/// As an agent leaves it that died after the one rename.
fn begun(folder: &Folder) {
    let place = folder.place();
    place.stage(2, &new()).unwrap();
    place.copy_used(&place.read(STAGED).unwrap()).unwrap();
    fs::rename(place.own(STAGED), place.own(JOURNAL)).unwrap();
}

#[test]
fn a_file_that_cannot_be_replaced_leaves_all_as_they_were_and_the_node_starts_with_them() {
    // At once, and at the next start of a node that died.
    for dies in [false, true] {
        let folder = Folder::new("cannot-replace");
        installed(&folder);
        let place = folder.place();
        // No rename of a file replaces a folder; the file before it in the order is replaced then.
        if dies {
            begun(&folder);
            fs::create_dir(place.used("conf.d/3.cfg")).unwrap();
            assert_ne!(place.finish().unwrap_err().kind(), io::ErrorKind::NotFound);
            assert_eq!(folder.lies()["conf.d/1.cfg"], "new");
        } else {
            place.stage(2, &new()).unwrap();
            fs::create_dir(place.used("conf.d/3.cfg")).unwrap();
            let error = place.install(2, &[]).unwrap_err();
            assert!(error.to_string().contains("conf.d/3.cfg"), "{error}");
        }
        assert_eq!(place.before_start().unwrap(), None);
        assert_eq!((folder.lies(), place.note().unwrap().number), (old(), 1));
        let said = place.undone().unwrap();
        assert!(said.contains("generation 2") && said.contains("conf.d/3.cfg"), "{said}");
        // What was in the way is gone.
        fs::remove_dir(place.used("conf.d/3.cfg")).unwrap();
        place.stage(2, &new()).unwrap();
        place.install(2, &[]).unwrap();
        assert_eq!((folder.lies(), place.undone()), (new(), None));
    }
}

#[test]
fn a_way_back_that_is_interrupted_goes_on_at_the_next_start() {
    for steps in 0..20 {
        let folder = Folder::new("back");
        installed(&folder);
        begun(&folder);
        fs::create_dir(folder.place().used("conf.d/3.cfg")).unwrap();
        let is_back = folder.mortal(steps).before_start().is_ok();
        assert_eq!(folder.place().before_start().unwrap(), None);
        assert_eq!(folder.lies(), old(), "after {steps}");
        if is_back {
            return;
        }
    }
    panic!("it needs more than 20 changes of the disk");
}

#[test]
fn a_generation_that_was_rolled_back_does_not_come_back_at_the_next_start() {
    let folder = Folder::new("rolled-back");
    installed(&folder);
    let place = folder.place();
    place.stage(2, &new()).unwrap();
    place.want_at_start(2, &[]).unwrap();
    assert!(place.before_start().unwrap().is_some(), "it waits");
    // Generation 3 says what 1 did, which runs.
    place.note_down(3, &old()).unwrap();
    assert_eq!(place.before_start().unwrap(), None);
    // Nor does one that is older than what lies there, whoever left it.
    place.stage(2, &new()).unwrap();
    place.want_at_start(2, &[]).unwrap();
    assert_eq!(place.before_start().unwrap(), None);
    // Nor one that is not the newest any more.
    place.stage(4, &new()).unwrap();
    place.want_at_start(4, &[]).unwrap();
    place.forget_start(4).unwrap();
    assert!(place.before_start().unwrap().is_some(), "it waits");
    place.forget_start(5).unwrap();
    assert_eq!((place.before_start().unwrap(), folder.lies()), (None, old()));
}

#[test]
fn what_a_dead_agent_began_is_finished_before_the_next_one_stages() {
    let folder = Folder::new("stages-again");
    installed(&folder);
    begun(&folder);
    let place = folder.place();
    place.stage(3, &old()).unwrap();
    assert_eq!((folder.lies(), place.note().unwrap().number), (new(), 2));
    assert!(place.has_staged(3, &old()));
    // What was written over what the journal tells is not put in place.
    place.install(3, &[]).unwrap();
    begun(&folder);
    fs::write(place.staged().join("conf.d/1.cfg"), "of another generation").unwrap();
    assert_eq!(place.before_start().unwrap(), None);
    assert_eq!((folder.lies(), place.note().unwrap().number), (old(), 3));
    assert!(place.undone().unwrap().contains("damaged"));
}

#[test]
fn who_changes_the_folder_is_alone_there() {
    let folder = Folder::new("alone");
    let place = folder.place();
    drop(place.settled(Duration::ZERO).unwrap());
    installed(&folder);
    let held = place.settled(Duration::ZERO).unwrap();
    let error = folder.place().settled(Duration::ZERO).unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    drop(held);
    drop(folder.place().settled(Duration::ZERO).unwrap());
}

#[test]
fn force_is_about_files_as_they_were_when_the_generation_was_first_seen() {
    let folder = Folder::new("forced");
    installed(&folder);
    let mine = ["conf.d/1.cfg".to_owned()];
    let write = |text| fs::write(folder.place().used("conf.d/1.cfg"), text).unwrap();
    let is_forced = |number| folder.place().is_forced(number, &mine).unwrap();
    write("by hand");
    assert!(is_forced(2) && is_forced(2));
    write("later");
    assert!(!is_forced(2));
    assert!(!folder.place().is_forced(2, &["conf.d/9.cfg".to_owned()]).unwrap());
    assert!(is_forced(3), "it was said again");
    // Nothing was changed when it was seen.
    assert!(folder.place().is_forced(4, &[]).unwrap() && !is_forced(4));
}
