//! `interface_up_down_delays`: how long a change of a device has to last.

use std::time::Duration;

use super::Keepalived;
use super::instance::entries;
use super::protocol::seconds;
use crate::diagnostic::Diagnostic;
use crate::line::Line;
use crate::vip::InterfaceDelay;

/// As keepalived has it.
const LONGEST: Duration = Duration::from_secs(255);
const WHAT: &str = "seconds from 0 to 255";

/// `{ <device> <down> [<up>] ... }`
pub(super) fn read(read: &mut Keepalived, line: &mut Line<'_>) -> Result<(), Diagnostic> {
    line.finish();
    for words in entries(line, "interface_up_down_delays")? {
        let time = |at: usize| {
            let word = words.get(at);
            word.map(|word| seconds(word, Duration::ZERO..=LONGEST, WHAT)).transpose()
        };
        let found = time(1).and_then(|down| Ok((down, time(2)?)));
        let name = &words[0];
        match found {
            Err(finding) => line.report(finding),
            Ok((None, _)) => {
                let message = format!("expected seconds behind `{}`", name.text);
                line.report(Diagnostic::error(name.span, "missing-word", message));
            }
            Ok((Some(down), up)) => {
                if let Some(more) = words.get(3) {
                    line.report(more.wrong("the end of the line"));
                }
                let (name, up) = (name.text.clone(), up.unwrap_or(down));
                // The last line of a device counts.
                read.delays.retain(|known| known.name != name);
                read.delays.push(InterfaceDelay { name, down, up });
            }
        }
    }
    Ok(())
}

/// A delay that lasts longer than others wait for adverts makes two holders.
pub(super) fn verify(read: &Keepalived, found: &mut Vec<Diagnostic>) {
    for instance in &read.instances {
        let waits = u32::from(instance.down_timer_adverts).saturating_sub(1);
        let longest = instance.advert_interval * waits;
        let own = read.delays.iter().find(|known| known.name == instance.interface);
        let Some(own) = own.filter(|own| own.down.max(own.up) >= longest) else { continue };
        let message = format!(
            "the delays of `{}` are not shorter than {} adverts of `{}`: others take the address before they are over",
            own.name, waits, instance.name
        );
        found.push(
            Diagnostic::warning(instance.span, "delays", message)
                .help(format!("write less than {} s", longest.as_secs_f64())),
        );
    }
}
