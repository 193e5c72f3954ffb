//! The part of this node's Node object (of our group) that matters here: the trunk.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;
use terway_crds::node::{Nic, NicStatus};
use terway_crds::{EniKind, TerwayNode, TerwayNodeStatus};

/// This node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeView {
    /// UID of the object.
    pub uid: String,
    /// The trunk ENI, when it is attached.
    pub trunk: Option<Trunk>,
    /// Why there is none, as far as the object tells; empty when there is one.
    pub trunk_missing: String,
    /// Pods that have a shared address here: UID to `namespace/name`.
    pub bound: BTreeMap<String, String>,
}

/// An attached trunk ENI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trunk {
    /// ENI id.
    pub eni_id: String,
    /// MAC address, by which the NIC is found.
    pub mac: [u8; 6],
    /// CIDR of its vSwitch.
    pub cidr: Ipv4Net,
}

impl NodeView {
    /// The view of an object.
    pub fn new(object: &TerwayNode) -> Self {
        let status = object.status.clone().unwrap_or_default();
        let ips = status
            .network_interfaces
            .values()
            .flat_map(|nic| nic.ipv4.values().chain(nic.ipv6.values()));
        let taken = ips.filter(|ip| !ip.pod_uid.is_empty());
        let bound = taken.map(|ip| (ip.pod_uid.clone(), ip.pod_id.clone())).collect();
        let uid = object.metadata.uid.clone().unwrap_or_default();
        match trunk(&status) {
            Ok(trunk) => NodeView {
                uid,
                trunk: Some(trunk),
                trunk_missing: String::new(),
                bound,
            },
            Err(why) => NodeView {
                uid,
                trunk: None,
                trunk_missing: why,
                bound,
            },
        }
    }

    /// The view of an object that cannot be decoded.
    pub fn unreadable(error: &str) -> Self {
        NodeView {
            trunk_missing: format!("its Node object cannot be decoded: {error}"),
            ..Default::default()
        }
    }
}

fn trunk(status: &TerwayNodeStatus) -> Result<Trunk, String> {
    let trunks = || {
        status
            .network_interfaces
            .values()
            .filter(|nic| nic.kind == Some(EniKind::Trunk))
    };
    if let Some(nic) = trunks().find(|nic| nic.status == NicStatus::InUse) {
        return attached(nic);
    }
    let states = trunks().map(|nic| format!("trunk ENI {} is {}", nic.id, nic.status));
    let operations = status
        .operations
        .iter()
        .map(|operation| match &operation.last_error {
            Some(failure) => format!(
                "{} failed, the cloud said {}: {}",
                operation.kind, failure.code, failure.message
            ),
            None => format!("{} is under way", operation.kind),
        });
    let known: Vec<String> = states.chain(operations).collect();
    if known.is_empty() {
        return Err("the control plane has not given it a trunk ENI (yet)".to_owned());
    }
    Err(known.join("; "))
}

fn attached(nic: &Nic) -> Result<Trunk, String> {
    let mac = parse_mac(&nic.mac_address)
        .ok_or_else(|| format!("trunk ENI {} has the MAC address {:?}", nic.id, nic.mac_address))?;
    let cidr = nic
        .ipv4_cidr
        .parse()
        .map_err(|_| format!("trunk ENI {} has the vSwitch CIDR {:?}", nic.id, nic.ipv4_cidr))?;
    Ok(Trunk {
        eni_id: nic.id.clone(),
        mac,
        cidr,
    })
}

/// `aa:bb:cc:dd:ee:ff`.
fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        let part = parts.next().filter(|part| part.len() == 2)?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn view(status: serde_json::Value) -> NodeView {
        let object = json!({ "apiVersion": "network.alibabacloud.com/v1beta1", "kind": "Node", "metadata": { "name": "n" }, "spec": {}, "status": status });
        NodeView::new(&serde_json::from_value(object).unwrap())
    }

    #[test]
    fn an_attached_trunk_is_found_among_other_enis() {
        let node = view(json!({ "networkInterfaces": {
            "eni-1": { "id": "eni-1", "status": "InUse", "networkInterfaceType": "Primary" },
            "eni-2": { "id": "eni-2", "status": "InUse", "networkInterfaceType": "Trunk",
                "macAddress": "00:16:3e:00:00:02", "ipv4CIDR": "10.0.0.0/24" },
        }}));
        let trunk = node.trunk.unwrap();
        assert_eq!(
            (trunk.eni_id.as_str(), trunk.mac),
            ("eni-2", [0, 0x16, 0x3e, 0, 0, 2])
        );
    }

    #[test]
    fn a_missing_trunk_has_a_reason() {
        assert!(view(json!({})).trunk_missing.contains("has not given it a trunk"));
        let attaching = json!({ "networkInterfaces": { "eni-2": { "id": "eni-2", "status": "Attaching", "networkInterfaceType": "Trunk" } } });
        assert!(view(attaching).trunk_missing.contains("eni-2 is Attaching"));
        let refused = json!({ "operations": [{ "kind": "CreateTrunk", "attempt": 1,
            "lastError": { "code": "InvalidVSwitchId.IpNotEnough", "message": "no IP left" } }] });
        assert!(
            view(refused)
                .trunk_missing
                .contains("InvalidVSwitchId.IpNotEnough: no IP left")
        );
    }

    #[test]
    fn mac_addresses_are_six_bytes() {
        assert_eq!(
            parse_mac("ee:ff:ff:ff:ff:ff"),
            Some([0xee, 255, 255, 255, 255, 255])
        );
        for bad in [
            "",
            "ee:ff:ff:ff:ff",
            "ee:ff:ff:ff:ff:ff:ff",
            "ee:ff:ff:ff:ff:fg",
            "e:f:f:f:f:f",
        ] {
            assert_eq!(parse_mac(bad), None, "{bad:?}");
        }
    }
}
