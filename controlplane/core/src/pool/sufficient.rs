//! Whether a node's pods can still get addresses.

use terway_crds::node::NicStatus;
use terway_crds::{EniKind, TerwayNode, TrafficMode};

use crate::binding;
use crate::vswitch::Candidate;

/// Whether there is a free address, or a place for one: on an ENI in a vSwitch that has some, or of a new
/// ENI. `vswitches` are those of the node and of its ENIs.
pub fn is_sufficient(record: &TerwayNode, vswitches: &[Candidate]) -> bool {
    let default = terway_crds::TerwayNodeStatus::default();
    let status = record.status.as_ref().unwrap_or(&default);
    if !binding::free_addresses(status).is_empty() {
        return true;
    }
    let has_some = |id: &String| vswitches.iter().any(|v| v.id == *id && v.available > 0);
    let per_adapter = usize::try_from(record.spec.node_cap.ipv4_per_adapter).unwrap_or(0);
    let nics = status.network_interfaces.values();
    let room = |nic: &&terway_crds::node::Nic| {
        let comes = matches!(nic.status, NicStatus::InUse | NicStatus::Attaching);
        comes && binding::is_shared(nic) && nic.ipv4.len() < per_adapter && has_some(&nic.vswitch_id)
    };
    if nics.clone().filter(room).count() > 0 {
        return true;
    }
    let flavors = record.spec.flavor.iter();
    let places: i32 = flavors
        .filter(|flavor| flavor.traffic_mode == TrafficMode::Standard)
        .filter(|flavor| matches!(flavor.kind, EniKind::Secondary | EniKind::Trunk))
        .map(|flavor| flavor.count)
        .sum();
    let taken = nics.filter(|nic| !nic.unschedulable).count();
    let options = record.spec.eni.iter().flat_map(|eni| &eni.vswitch_options);
    taken < usize::try_from(places).unwrap_or(0) && options.into_iter().any(has_some)
}
