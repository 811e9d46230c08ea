//! How busy this machine is, as the kernel counts it.

use std::fs;
use std::path::Path;

use engine::member::Load;

/// Reads once per second what changed since the last time.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    before: Option<Ticks>,
}

/// Time of all cores since the start of the machine, in the kernel's ticks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Ticks {
    busy: u64,
    all: u64,
}

impl Sampler {
    /// None at first (a share needs two looks), and where the kernel does not tell.
    pub(crate) fn sample(&mut self) -> Option<Load> {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        let now = ticks(&stat)?;
        let before = self.before.replace(now)?;
        let memory = fs::read_to_string("/proc/meminfo").ok()?;
        let (fibre_online, fibre_ports) = fibre(port_states(Path::new("/sys/class/fc_host")));
        Some(Load {
            cpu_percent: busy_percent(before, now),
            memory_percent: memory_percent(&memory)?,
            fibre_online,
            fibre_ports,
        })
    }
}

/// The line of all cores: `cpu  user nice system idle iowait irq softirq steal guest guest_nice`. The
/// two of guests are in `user` and `nice` already.
fn ticks(stat: &str) -> Option<Ticks> {
    let numbers = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let numbers: Vec<u64> =
        numbers.split_whitespace().take(8).map_while(|number| number.parse().ok()).collect();
    let [_, _, _, idle, ..] = numbers[..] else { return None };
    let waiting = numbers.get(4).copied().unwrap_or(0);
    let all: u64 = numbers.iter().sum();
    Some(Ticks { busy: all.saturating_sub(idle + waiting), all })
}

fn busy_percent(before: Ticks, now: Ticks) -> u8 {
    // Counters of single cores may go back when a core is taken out.
    let busy = now.busy.saturating_sub(before.busy);
    percent(busy, now.all.saturating_sub(before.all))
}

fn memory_percent(meminfo: &str) -> Option<u8> {
    let kilobytes = |name: &str| -> Option<u64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let (all, available) = (kilobytes("MemTotal")?, kilobytes("MemAvailable")?);
    Some(percent(all.saturating_sub(available), all))
}

fn percent(part: u64, whole: u64) -> u8 {
    let share = part.min(whole).saturating_mul(100).checked_div(whole);
    share.and_then(|share| u8::try_from(share).ok()).unwrap_or(0)
}

/// How many of these ports are online, and how many there are.
fn fibre(states: impl Iterator<Item = String>) -> (u8, u8) {
    states.fold((0, 0_u8), |(online, ports), state| {
        let is_online = u8::from(state.trim() == "Online");
        (u8::saturating_add(online, is_online), ports.saturating_add(1))
    })
}

/// The state of each fibre channel port; a machine without them has no such folder.
fn port_states(folder: &Path) -> impl Iterator<Item = String> {
    let hosts = fs::read_dir(folder).into_iter().flatten().flatten();
    hosts.filter_map(|host| fs::read_to_string(host.path().join("port_state")).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "cpu  1000 50 200 8000 700 10 40 0 300 0\ncpu0 500 25 100 4000 350 5 20 0 150 0\nintr 1 2 3\n";
    const NOW: &str =
        "cpu  1060 50 220 8100 710 10 50 0 340 0\ncpu0 530 25 110 4050 355 5 25 0 170 0\n";

    #[test]
    fn cores_that_wait_for_a_disk_are_not_busy() {
        let (before, now) = (ticks(BEFORE).unwrap(), ticks(NOW).unwrap());
        assert_eq!(before, Ticks { busy: 1300, all: 10_000 });
        // 90 of 200 ticks.
        assert_eq!(busy_percent(before, now), 45);
        assert_eq!(busy_percent(now, before), 0, "counters that go back");
        assert_eq!(busy_percent(now, now), 0);
    }

    #[test]
    fn memory_that_a_program_can_have_is_not_used() {
        let text =
            "MemTotal:       16000 kB\nMemFree:          100 kB\nMemAvailable:    12000 kB\n";
        assert_eq!(memory_percent(text), Some(25));
        assert_eq!(memory_percent("MemTotal: 16000 kB\n"), None);
        assert_eq!(memory_percent("MemTotal: 0 kB\nMemAvailable: 0 kB\n"), Some(0));
    }

    #[test]
    fn ports_of_fibre_channel_are_counted() {
        let states = ["Online\n", "Linkdown\n", "Online\n"].map(str::to_owned);
        assert_eq!(fibre(states.into_iter()), (2, 3));
        assert_eq!(fibre(port_states(Path::new("/nowhere"))), (0, 0));
    }

    #[test]
    fn what_cannot_be_read_is_no_load() {
        for text in ["", "cpu", "cpu  1 2 3\n", "cpu  a b c d\n", "cpu0 1 2 3 4\n"] {
            assert_eq!(ticks(text), None, "{text}");
        }
    }

    #[test]
    fn this_machine_has_a_load_at_the_second_look() {
        let mut sampler = Sampler::default();
        assert_eq!(sampler.sample(), None);
        let load = sampler.sample().unwrap();
        assert!(load.cpu_percent <= 100 && load.memory_percent <= 100);
    }
}
