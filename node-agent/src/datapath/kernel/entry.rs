//! Entries of the eBPF maps.

use aya::Pod;
use terway_node_core::{
    object::{Driver, Entry, Listed, entry::Map},
    observed::{Ask, Observed},
};

use super::{
    error::{ObserveError, StepError},
    namespace::Namespace,
};

impl<M: Map> Driver<Entry<M>> for Namespace<'_>
where
    M::Key: Pod,
    M::Value: Pod,
    Entry<M>: Listed<Value = M::Value>,
{
    fn observe(&mut self, _: &Ask<'_>, seen: &mut Observed) -> Result<(), ObserveError> {
        for (key, value) in self.programs.entries::<M>()? {
            seen.state.put(Entry::<M>(key), value);
        }
        Ok(())
    }

    fn put(&mut self, entry: &Entry<M>, value: &M::Value) -> Result<(), StepError> {
        Ok(self.programs.put::<M>(entry.0, *value)?)
    }

    fn remove(&mut self, entry: &Entry<M>) -> Result<(), StepError> {
        Ok(self.programs.remove::<M>(entry.0)?)
    }
}
