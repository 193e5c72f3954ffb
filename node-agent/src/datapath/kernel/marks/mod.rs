//! The marks of symmetric routing: a connection that entered by the node's own interface is answered by it.
//!
//! A NodePort with externalTrafficPolicy Local and a hostPort translate the destination only. The pod's answer would
//! leave by the pod's ENI, in the node's name, and the VPC drops it there. So connections that enter by the node's
//! interface are marked in conntrack, their answers get the mark back as they leave the pod, and a rule sends marked
//! packets to a table whose default route is the node's own. So does what kube-proxy sends in the node's name for a
//! pod: a NodePort of the pod's own node whose backend is on another.
//!
//! The marks are three nf_tables rules, spoken over netlink: nothing in the agent's image has to fit the kernel's or
//! kube-proxy's version of a command. They are in a table of their own, under upstream's name.

mod rules;
pub(super) mod table;

use terway_node_core::{
    object::{Driver, Listed as _, Marks},
    observed::{Ask, Observed},
    symmetric::Symmetric,
};

pub use table::Marking;

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
        self.marking
            .put(to)
            .map_err(|source| match table::lacks_nf_tables(&source) {
                true => StepError::NoNfTables(source),
                false => source.into(),
            })
    }

    fn remove(&mut self, _: &Marks) -> Result<(), StepError> {
        Ok(self.marking.remove()?)
    }
}
