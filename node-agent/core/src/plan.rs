//! The steps from the observed state to the desired one.

use std::fmt;

use crate::{
    object::{AllDrivers, Custody, Key, Object, Turn},
    observed::Observed,
    state::State,
};

/// A link that is to be deleted, by number and name.
pub type DoomedLink = (u32, String);

/// One change to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Put(Object),
    Remove(Key),
    /// Deletes links in one act: the kernel waits some 20 ms for each act, not for each link.
    DeleteLinks(Vec<DoomedLink>),
}

/// Steps in the order in which they are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub steps: Vec<Step>,
}

/// Deletes links in one act.
pub trait LinkDeleter: AllDrivers {
    /// Succeeds when the links are not there.
    fn delete_links(&mut self, links: &[DoomedLink]) -> Result<(), Self::ChangeError>;
}

impl Plan {
    /// The difference, with the links in `doomed` deleted on the way.
    ///
    /// What is missing is put first, in the order of the kinds, so that a changed rule or route has its successor
    /// before it goes. Then what is too much is removed, in the order of the [`Turn`]s and within a turn against the
    /// order of the kinds. What the kernel removes by itself has no step: what goes with a doomed link, and a route
    /// whose place a wanted one has taken.
    pub fn between(wanted: &State, observed: &Observed, doomed: &[DoomedLink]) -> Plan {
        let seen = &observed.state;
        let missing = wanted
            .iter()
            .filter(|(key, object)| seen.get(key) != Some(object) && !observed.has_equal(key));
        let put: Vec<&Object> = missing.map(|(_, object)| object).collect();

        let goes_anyway = |key: &Key| {
            doomed.iter().any(|(link, _)| key.goes_with(*link)) || put.iter().any(|new| new.replaces(key))
        };
        let mut unwanted: Vec<(Turn, &Key)> = Vec::new();
        for (key, _) in seen.iter().rev() {
            if let Custody::Ours(turn) = key.custody()
                && !wanted.has(key)
                && !goes_anyway(key)
            {
                unwanted.push((turn, key));
            }
        }
        // Stable: what has one turn stays in the order of the kinds.
        unwanted.sort_by_key(|(turn, _)| *turn);
        let last = unwanted.partition_point(|(turn, _)| *turn < Turn::Checks);
        let remove = |(_, key): &(Turn, &Key)| Step::Remove((*key).clone());

        let mut steps: Vec<Step> = put.into_iter().cloned().map(Step::Put).collect();
        steps.extend(unwanted[..last].iter().map(remove));
        if !doomed.is_empty() {
            steps.push(Step::DeleteLinks(doomed.to_vec()));
        }
        steps.extend(unwanted[last..].iter().map(remove));
        Plan { steps }
    }
}

impl Step {
    /// Makes the step.
    pub fn make<H: LinkDeleter>(&self, handles: &mut H) -> Result<(), H::ChangeError> {
        match self {
            Step::Put(object) => object.put(handles),
            Step::Remove(key) => key.remove(handles),
            Step::DeleteLinks(links) => handles.delete_links(links),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Put(object) => object.say_put(f),
            Step::Remove(key) => key.say_removal(f),
            Step::DeleteLinks(links) => {
                let names: Vec<&str> = links.iter().map(|(_, name)| name.as_str()).collect();
                write!(f, "delete link {}", names.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests;
