//! Two hundred generated small files, the same scripted bytes from clients and servers: what clients
//! and servers see and what is logged must be what Debian's haproxy gives.
//!
//! Twenty files share a process, each with a `defaults` section of its own. What differs on purpose
//! is in [`differences`], with its reason, and in `docs/reference/haproxy-differences.md`.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "../as_haproxy/bench.rs"]
mod bench;
mod differences;
mod generate;
mod origin;
mod scenes;
mod talk;

use std::sync::atomic::{AtomicUsize, Ordering};

use bench::Bench;
use generate::Small;
use origin::Origins;
use scenes::Scene;
use talk::Heard;

/// Small files in one process.
const TOGETHER: u64 = 20;

/// A conversation that came out otherwise is had again so often: both programs have timers, and the
/// machine may have been busy with something else.
const TRIES: usize = 4;

/// Conversations had again in one test of 600: more, and the judge looks away.
const AGAIN: usize = 12;

struct Pair {
    ours: Bench,
    theirs: Bench,
    origins: Origins,
    /// How many conversations were had again.
    again: AtomicUsize,
}

impl Pair {
    fn once(&self, small: &Small, scene: &Scene) -> (Heard, Heard) {
        let theirs = talk::have(&self.theirs, &self.origins, small, scene);
        let ours = talk::have(&self.ours, &self.origins, small, scene);
        (ours, theirs)
    }

    /// Nothing, or what was heard of both at last.
    fn compare(&self, small: &Small, scene: &Scene) -> Option<String> {
        for _ in 1..TRIES {
            let (mut ours, mut theirs) = self.once(small, scene);
            differences::allow(small, scene, &mut ours, &mut theirs);
            if ours == theirs {
                return None;
            }
            self.again.fetch_add(1, Ordering::Relaxed);
        }
        let (mut ours, mut theirs) = self.once(small, scene);
        differences::allow(small, scene, &mut ours, &mut theirs);
        (ours != theirs).then(|| {
            format!(
                "file {} scene {:?}\n{}\nours   {ours:#?}\ntheirs {theirs:#?}\n",
                small.number, scene.name, small.text
            )
        })
    }
}

/// What twenty files say otherwise; nothing where there is no haproxy, which it has said then.
fn group(test: &str, first: u64) -> (Vec<String>, usize) {
    let smalls: Vec<Small> = (first..first + TOGETHER).map(Small::generate).collect();
    let mut text = generate::HEAD.to_owned();
    for small in &smalls {
        text.push_str(&small.text);
    }
    let names = smalls.iter().map(|small| small.name.clone()).chain(["fence".to_owned()]);
    let names: Vec<&'static str> = names.map(|name| &*name.leak()).collect();
    let origins = Origins::start();
    let test = format!("{test}_{first}");
    let Some((ours, theirs)) = Bench::pair(&test, &text, names.leak(), &origins.ports()) else {
        return (Vec::new(), 0);
    };
    let pair = Pair { ours, theirs, origins, again: AtomicUsize::new(0) };
    let scenes = smalls.iter().flat_map(|small| small.scenes.iter().map(move |s| (small, s)));
    let found = scenes.filter_map(|(small, scene)| pair.compare(small, scene)).collect();
    (found, pair.again.into_inner())
}

/// Files wait for timers most of the time, so groups go side by side.
fn compare(test: &str, files: std::ops::Range<u64>) {
    let step = usize::try_from(TOGETHER).unwrap();
    let groups: Vec<(Vec<String>, usize)> = std::thread::scope(|scope| {
        let groups: Vec<_> =
            files.step_by(step).map(|first| scope.spawn(move || group(test, first))).collect();
        groups.into_iter().map(|group| group.join().unwrap()).collect()
    });
    let again: usize = groups.iter().map(|group| group.1).sum();
    let found: Vec<String> = groups.into_iter().flat_map(|group| group.0).collect();
    eprintln!("{test}: {again} conversations were had again");
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
    assert!(again <= AGAIN, "{again} conversations were had again, {AGAIN} at most");
}

#[test]
fn a_hundred_generated_files_say_the_same() {
    compare("proxy::a_hundred_generated_files_say_the_same", 0..100);
}

#[test]
fn another_hundred_generated_files_say_the_same() {
    compare("proxy::another_hundred_generated_files_say_the_same", 100..200);
}
