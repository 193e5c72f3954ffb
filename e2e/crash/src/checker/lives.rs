//! No intent makes two ENIs that exist together.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Facts, Intent, Violation};

/// The time in which an ENI existed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Life<'a> {
    eni: &'a str,
    from: Timestamp,
    until: Option<Timestamp>,
}

/// Intents with two ENIs at a time, of the same or of different attempts. A later attempt is right only when the
/// earlier attempt made nothing, or when its ENI is gone.
pub fn duplicates(facts: &Facts) -> Vec<Violation> {
    let mut by_intent: BTreeMap<(&str, &str), Vec<(&Intent, Life<'_>)>> = BTreeMap::new();
    for (intent, life) in lives(facts) {
        let key = (intent.owner.as_str(), intent.index.as_str());
        by_intent.entry(key).or_default().push((intent, life));
    }
    let mut found = Vec::new();
    for lives in by_intent.into_values() {
        for (at, (_, first)) in lives.iter().enumerate() {
            for (intent, second) in &lives[at + 1..] {
                if overlap(first, second) {
                    found.push(Violation::Duplicate {
                        intent: (*intent).clone(),
                        first: first.eni.to_owned(),
                        second: second.eni.to_owned(),
                    });
                }
            }
        }
    }
    found
}

/// The ENIs of intents in the order of their creation. A Create that is answered again with the same ENI makes none.
fn lives(facts: &Facts) -> Vec<(&Intent, Life<'_>)> {
    let mut lives: Vec<(&Intent, Life<'_>)> = Vec::new();
    for call in facts.calls.iter().filter(|call| call.done()) {
        let Some(eni) = call.eni.as_deref() else { continue };
        match (call.action.as_str(), &call.intent) {
            ("CreateNetworkInterface", Some(intent)) if lives.iter().all(|(_, life)| life.eni != eni) => {
                let life = Life {
                    eni,
                    from: call.acted,
                    until: None,
                };
                lives.push((intent, life));
            }
            ("DeleteNetworkInterface", _) => end(&mut lives, eni, call.acted),
            _ => {}
        }
    }
    for removed in facts.removed.iter().filter(|removed| removed.deleted) {
        end(&mut lives, &removed.eni, removed.at);
    }
    lives
}

fn end(lives: &mut [(&Intent, Life<'_>)], eni: &str, at: Timestamp) {
    for (_, life) in lives.iter_mut().filter(|(_, life)| life.eni == eni) {
        life.until = Some(life.until.map_or(at, |known| known.min(at)));
    }
}

fn overlap(one: &Life<'_>, other: &Life<'_>) -> bool {
    let ended_before = |a: &Life<'_>, b: &Life<'_>| a.until.is_some_and(|until| until <= b.from);
    !ended_before(one, other) && !ended_before(other, one)
}
