//! Steps that are ordered of nodes, and what comes of them.

use std::sync::Arc;

use api::{Carried, IntentStep, StepOrder};
use engine::{errand, intent};

use super::{Coordinator, Mail};
use crate::agent::hands::put;

impl Coordinator {
    pub(super) fn order(&mut self, node: &str, order: intent::Order) {
        let (token, intent::At { incarnation, number, step }) = (order.token, order.at);
        if let Some(why) = (self.place.is_gone)(node) {
            return self.lead(intent::Input::Gone { number, step, why });
        }
        let Some(office) = self.office.as_mut() else { return };
        if !office.ordered.insert((number, step)) {
            return;
        }
        let from = office.number;
        let by = office.leader.as_ref().and_then(|leader| {
            leader.open().find(|(open, _)| *open == number).map(|(_, record)| record.by.clone())
        });
        let intent::Step { node: who, verb, object } = order.what;
        let what = IntentStep { node: who, verb, object };
        let by = by.unwrap_or_default();
        let order = StepOrder { token: token.0, incarnation, number, step, what, by };
        let tell = self.box_of.clone();
        let told = move |what| {
            let _ = tell.send(Mail::Carried { office: from, number, step, what });
        };
        if node == self.place.me {
            let steps = Arc::clone(&self.place.steps);
            let work = move || told(steps.order(order));
            if std::thread::Builder::new().name("order".to_owned()).spawn(work).is_err() {
                let why = "its agent has no thread to spare".to_owned();
                self.carried(from, (number, step), Err(why));
            }
            return;
        }
        let to = self.place.names.iter().position(|name| name == node);
        let Some(to) = to.and_then(|to| u16::try_from(to).ok()) else {
            let why = format!("there is no node {node} here");
            return self.carried(from, (number, step), Ok(Carried::Failed(why)));
        };
        let name = node.to_owned();
        self.place.desk.ask_then(to, put(&api::Errand::Step(order)), move |outcome| {
            told(match outcome {
                errand::Outcome::Done(text) => api::decode::<Carried>(&text)
                    .map_err(|error| format!("{name}: {}", base::Chain(&error))),
                // Nothing was done, or nobody knows: it is ordered again.
                errand::Outcome::Refused(why) => {
                    Err(format!("{name}: {}", String::from_utf8_lossy(&why)))
                }
                errand::Outcome::Restarted => {
                    Err(format!("the agent of {name} has just been started again"))
                }
                errand::Outcome::Silence => Err(format!("{name} does not answer on any network")),
            });
        });
    }

    pub(super) fn carried(
        &mut self,
        office: u64,
        (number, step): (u64, u8),
        what: Result<Carried, String>,
    ) {
        let Some(office) = self.office.as_mut().filter(|own| own.number == office) else {
            return;
        };
        office.ordered.remove(&(number, step));
        let outcome = match what {
            Err(why) => return self.lead(intent::Input::Hindered { number, step, why }),
            Ok(Carried::Begun) => {
                return self.lead(intent::Input::Hindered { number, step, why: String::new() });
            }
            Ok(Carried::Done) => Ok(()),
            Ok(Carried::Failed(why)) => Err(why),
            Ok(Carried::Stale(_)) => return self.lead(intent::Input::Stale),
        };
        self.lead(intent::Input::Answered { number, step, outcome });
    }
}
