//! Unreachable default routes, the last choice of a table.

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    RouteNetlinkMessage,
    route::{RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType},
};
use terway_address::Family;
use terway_node_core::{
    object::{DeadEnd, Driver},
    observed::{Ask, Observed},
    ownership,
};

use super::{
    error::{ObserveError, StepError},
    namespace::{Namespace, family_number},
    repeat::{absent, present},
    route::compact_table,
};

/// The worst metric there is.
const LAST: u32 = u32::MAX;

impl Driver<DeadEnd> for Namespace<'_> {
    /// The dump of routes shows them too (`route.rs`).
    fn observe(&mut self, _: &Ask<'_>, _: &mut Observed) -> Result<(), ObserveError> {
        Ok(())
    }

    fn put(&mut self, dead_end: &DeadEnd, (): &()) -> Result<(), StepError> {
        let new = RouteNetlinkMessage::NewRoute(message(dead_end));
        present(
            self.netlink
                .change("close a table", new, NLM_F_CREATE | NLM_F_EXCL),
        )?;
        Ok(())
    }

    fn remove(&mut self, dead_end: &DeadEnd) -> Result<(), StepError> {
        let old = RouteNetlinkMessage::DelRoute(message(dead_end));
        absent(self.netlink.change("remove the dead end of a table", old, 0))?;
        Ok(())
    }
}

fn message(dead_end: &DeadEnd) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: family_number(dead_end.family),
        table: compact_table(dead_end.table),
        protocol: RouteProtocol::from(ownership::PROTOCOL),
        scope: RouteScope::Universe,
        kind: RouteType::Unreachable,
        ..RouteHeader::default()
    };
    message.attributes = vec![
        RouteAttribute::Table(dead_end.table),
        RouteAttribute::Priority(LAST),
    ];
    message
}

/// The dead end that a message shows, if it is one of ours.
pub fn parse(message: &RouteMessage, family: Family) -> Option<DeadEnd> {
    let header = &message.header;
    let ours = ownership::owns_route(header.protocol.into()) && header.kind == RouteType::Unreachable;
    let anywhere = header.address_family == family_number(family) && header.destination_prefix_length == 0;
    let last = message.attributes.contains(&RouteAttribute::Priority(LAST));
    let table = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Table(number) => Some(*number),
        _ => None,
    });
    let table = table.unwrap_or(u32::from(header.table));
    (ours && anywhere && last).then_some(DeadEnd { family, table })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_end_is_read_as_it_was_written_and_a_strangers_is_not() {
        for family in Family::ALL {
            let dead_end = DeadEnd { family, table: 1003 };
            let mut shown = message(&dead_end);
            assert_eq!(parse(&shown, family), Some(dead_end));
            shown.header.protocol = RouteProtocol::Static;
            assert_eq!(parse(&shown, family), None);
        }
    }
}
