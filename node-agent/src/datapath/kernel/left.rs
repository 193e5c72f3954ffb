//! What upstream's agent has left on the node.

use std::convert::Infallible;

use netlink_packet_route::RouteNetlinkMessage;
use nix::libc::EINVAL;
use terway_node_core::{
    object::{Driver, Left},
    observed::{Ask, Observed},
};

use super::{
    error::{ObserveError, StepError},
    filter,
    namespace::Namespace,
    repeat::absent,
    rule,
};

impl Driver<Left> for Namespace<'_> {
    /// The census finds rules among the foreign ones, and filters by the IPvlan interface that they lead to.
    fn observe(&mut self, _: &Ask<'_>, _: &mut Observed) -> Result<(), ObserveError> {
        Ok(())
    }

    fn put(&mut self, _: &Left, never: &Infallible) -> Result<(), StepError> {
        match *never {}
    }

    fn remove(&mut self, left: &Left) -> Result<(), StepError> {
        match left {
            Left::Rule(rule) => {
                let old = RouteNetlinkMessage::DelRule(rule::upstreams(rule));
                absent(self.netlink.change("remove a left rule", old, 0))?;
            }
            Left::Filters { link } => {
                let old = RouteNetlinkMessage::DelTrafficFilter(filter::upstreams(*link));
                match absent(self.netlink.change("remove upstream's filters", old, 0)) {
                    // The kernel answers EINVAL for a link without the hook, and for a hook without such filters.
                    Err(e) if e.errno() == Some(EINVAL) => {}
                    other => other?,
                }
            }
        }
        Ok(())
    }
}
