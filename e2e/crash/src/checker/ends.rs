//! The end of a run, when every pod and every node is gone: nothing is left, and nothing is missing.

use std::collections::BTreeMap;

use super::{EniInCloud, Violation};

/// What is there after everything was given up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remains {
    pub enis: Vec<EniInCloud>,
    /// ENIs that were there before the run, with their state then.
    pub before: BTreeMap<String, String>,
    /// Objects of our kinds, by kind and name.
    pub objects: Vec<String>,
    /// Calls that could change something, made after the last thing was gone.
    pub late_calls: usize,
    /// Whether calls of any kind came to an end.
    pub silent: bool,
}

/// Checks the end of a run.
pub fn at_the_end(remains: &Remains) -> Vec<Violation> {
    let mut found = Vec::new();
    for eni in &remains.enis {
        match remains.before.get(&eni.id) {
            Some(status) if *status == eni.status => {}
            Some(status) => found.push(Violation::Lost {
                pod: "nobody of ours".into(),
                eni: eni.id.clone(),
                wanted: status.clone(),
                found: eni.status.clone(),
            }),
            None => found.push(Violation::Leaked {
                eni: eni.id.clone(),
                state: format!("{} after everything was gone", eni.status),
            }),
        }
    }
    let here = |id: &String| remains.enis.iter().any(|eni| eni.id == *id);
    for (id, status) in remains.before.iter().filter(|(id, _)| !here(id)) {
        found.push(Violation::Lost {
            pod: "nobody of ours".into(),
            eni: id.clone(),
            wanted: status.clone(),
            found: "gone".into(),
        });
    }
    found.extend(remains.objects.iter().map(|object| Violation::LeftOver {
        object: object.clone(),
    }));
    if remains.late_calls > 0 {
        found.push(Violation::Restless {
            calls: remains.late_calls,
        });
    }
    if !remains.silent {
        found.push(Violation::NeverSilent);
    }
    found
}
