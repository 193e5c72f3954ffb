//! Which limits of a pod's bandwidth this node does not serve. The plugin `bandwidth` of the chain serves them, not the
//! agent; the agent tells the pod's owner when nobody does.

/// The limits that a pod's annotations ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// `kubernetes.io/egress-bandwidth`.
    pub sends: bool,
    /// `kubernetes.io/ingress-bandwidth`.
    pub receives: bool,
}

/// Why this node does not serve a limit. `chain`: the plugin `bandwidth` runs after this one. `room`: the check of
/// sources leaves the place where the plugin puts its ingress qdisc.
pub fn not_served(limits: Limits, chain: bool, room: bool) -> Option<&'static str> {
    match limits {
        Limits {
            sends: false,
            receives: false,
        } => None,
        _ if !chain => Some(
            "the annotations kubernetes.io/ingress-bandwidth and egress-bandwidth have no effect on this node: no CNI \
             plugin \"bandwidth\" runs after Terway; add it to terway.cniChain",
        ),
        Limits { sends: true, .. } if !room => Some(
            "the CNI plugin \"bandwidth\" cannot serve kubernetes.io/egress-bandwidth on this node and will refuse the \
             pod: that needs Linux 6.6 or later; remove the annotation, or run the pod on a node with a newer kernel",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_nobody_serves_is_told() {
        let limits = |sends, receives| Limits { sends, receives };
        for (limits, chain, room, words) in [
            (limits(false, false), false, false, None),
            (limits(true, false), true, true, None),
            (limits(false, true), true, false, None),
            (limits(true, true), true, false, Some("Linux 6.6")),
            (limits(false, true), false, true, Some("terway.cniChain")),
            (limits(true, false), false, false, Some("terway.cniChain")),
        ] {
            let why = not_served(limits, chain, room);
            assert_eq!(why.is_some(), words.is_some(), "{limits:?} {chain} {room}");
            assert!(
                why.is_none_or(|why| why.contains(words.unwrap_or_default())),
                "{why:?}"
            );
        }
    }
}
