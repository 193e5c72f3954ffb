//! Degradation: the work that an operator stops while the cloud or the cluster is in trouble.

/// A level of degradation. Results of calls to the cloud are recorded at every level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Degradation {
    #[default]
    None,
    /// Nothing is begun in the cloud, nothing is compared with the cloud, and nothing is given back. Pods get the
    /// addresses that exist.
    L0,
    /// Nothing is compared with the cloud, and nothing is given back.
    L1,
}

impl Degradation {
    /// Whether no new call that changes something is begun.
    pub fn begins_nothing(self) -> bool {
        self == Degradation::L0
    }

    /// Whether nothing is compared with the cloud, and no address, attachment or ENI is given back.
    pub fn keeps_everything(self) -> bool {
        self != Degradation::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_leaves_more_undone_than_the_one_before() {
        for (level, begins_nothing, keeps_everything) in [
            (Degradation::None, false, false),
            (Degradation::L1, false, true),
            (Degradation::L0, true, true),
        ] {
            let found = (level.begins_nothing(), level.keeps_everything());
            assert_eq!(found, (begins_nothing, keeps_everything), "{level:?}");
        }
        assert_eq!(Degradation::default(), Degradation::None);
    }
}
