//! The priorities of calls, and the calls a minute of each action.

use std::collections::BTreeMap;

use crate::action::Action;

/// The priority of a call, from the most urgent on. Releasing and finishing come before beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    Release,
    Attach,
    Create,
    Fill,
    Read,
}

impl Priority {
    pub(crate) const ALL: [Priority; 5] = [
        Priority::Release,
        Priority::Attach,
        Priority::Create,
        Priority::Fill,
        Priority::Read,
    ];

    pub(super) fn index(self) -> usize {
        self as usize
    }
}

/// Calls a minute of every action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotas([u32; Action::ALL.len()]);

impl Default for Quotas {
    fn default() -> Self {
        Quotas(Action::ALL.map(Action::default_per_minute))
    }
}

impl Quotas {
    /// The defaults, with the entries of a `rateLimit` map. Names of actions that this product does not call are
    /// ignored, because the map is upstream's and may list more actions.
    pub fn with_overrides(overrides: &BTreeMap<String, u32>) -> Self {
        let mut quotas = Quotas::default();
        for (name, per_minute) in overrides {
            if let Some(action) = Action::from_name(name) {
                quotas.0[action.index()] = *per_minute;
            }
        }
        quotas
    }

    /// Calls a minute of this action.
    pub fn per_minute(&self, action: Action) -> u32 {
        self.0[action.index()]
    }
}
