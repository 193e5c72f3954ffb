//! Whose an object is that the library cannot decode, told from the parts of the message that never change.

use netlink_packet_core::NlasIterator;
use nix::libc;
use terway_node_core::ownership;

/// Bytes of `struct fib_rule_hdr` (linux/fib_rules.h).
const RULE_HEADER: usize = 12;
/// `FRA_PROTOCOL` (linux/fib_rules.h).
const RULE_PROTOCOL: u16 = 21;
/// Offset of `rtm_protocol` in `struct rtmsg` (linux/rtnetlink.h).
const ROUTE_PROTOCOL: usize = 5;
/// Offset of `tcm_handle` in `struct tcmsg` (linux/rtnetlink.h).
const FILTER_HANDLE: usize = 8;

/// Whether an object of route netlink is somebody else's.
pub fn route(kind: u16, body: &[u8]) -> bool {
    match kind {
        libc::RTM_NEWROUTE => {
            let protocol = body.get(ROUTE_PROTOCOL);
            protocol.is_some_and(|protocol| !ownership::owns_route(*protocol))
        }
        libc::RTM_NEWRULE => body.get(RULE_HEADER..).is_some_and(|attributes| {
            let mut attributes = NlasIterator::new(attributes).map_while(Result::ok);
            let protocol = attributes.find(|attribute| attribute.kind() == RULE_PROTOCOL);
            protocol.is_none_or(|protocol| protocol.value() != [ownership::PROTOCOL])
        }),
        libc::RTM_NEWTFILTER => {
            let handle = body.get(FILTER_HANDLE..).and_then(|rest| rest.first_chunk());
            handle.is_some_and(|handle| u32::from_ne_bytes(*handle) != ownership::FILTER_HANDLE)
        }
        // The agent never removes an object of these kinds by comparison. Putting one that is there changes nothing.
        libc::RTM_NEWADDR | libc::RTM_NEWNEIGH => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(protocol: Option<u8>) -> Vec<u8> {
        let mut body = vec![0; RULE_HEADER];
        if let Some(number) = protocol {
            body.extend([5_u16.to_ne_bytes(), RULE_PROTOCOL.to_ne_bytes()].concat());
            body.extend([number, 0, 0, 0]);
        }
        body
    }

    #[test]
    fn routes_and_rules_are_known_by_their_protocol() {
        for (protocol, anothers) in [(ownership::PROTOCOL, false), (3, true)] {
            let mut body = [0; 12];
            body[ROUTE_PROTOCOL] = protocol;
            assert_eq!(route(libc::RTM_NEWROUTE, &body), anothers);
            assert_eq!(route(libc::RTM_NEWRULE, &rule(Some(protocol))), anothers);
        }
        assert!(route(libc::RTM_NEWRULE, &rule(None)));
        assert!(!route(libc::RTM_NEWRULE, &[]), "cut short");
    }

    #[test]
    fn filters_are_known_by_their_handle() {
        for (handle, anothers) in [(ownership::FILTER_HANDLE, false), (0x8000_0001, true)] {
            let mut body = [0; 20];
            body[FILTER_HANDLE..][..4].copy_from_slice(&handle.to_ne_bytes());
            assert_eq!(route(libc::RTM_NEWTFILTER, &body), anothers);
        }
    }

    #[test]
    fn a_link_is_never_left_out() {
        assert!(!route(libc::RTM_NEWLINK, &[0; 64]));
    }
}
