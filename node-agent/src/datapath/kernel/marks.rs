//! The marks of symmetric routing.

use terway_node_core::{
    object::{Driver, Listed as _, Marks},
    observed::{Ask, Observed},
    symmetric::Symmetric,
};

use super::{
    error::{ObserveError, StepError},
    namespace::Namespace,
};

impl Driver<Marks> for Namespace<'_> {
    /// Looks only where marks are wanted: without them nothing here needs nf_tables.
    fn observe(&mut self, ask: &Ask<'_>, seen: &mut Observed) -> Result<(), ObserveError> {
        if ask.wanted.has(&Marks.key())
            && let Some(made_by) = self.marking.observe()?
        {
            seen.state.put(Marks, made_by);
        }
        Ok(())
    }

    fn put(&mut self, _: &Marks, to: &Symmetric) -> Result<(), StepError> {
        Ok(self.marking.put(to)?)
    }

    fn remove(&mut self, _: &Marks) -> Result<(), StepError> {
        Ok(self.marking.remove()?)
    }
}
