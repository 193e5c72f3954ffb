//! Values for the tests of several planners.

use std::collections::BTreeMap;

use crate::cloud::{CloudEni, EniKind, EniStatus, PrivateIp};

/// A free secondary ENI.
pub(crate) fn cloud_eni(id: &str) -> CloudEni {
    CloudEni {
        id: id.into(),
        status: EniStatus::Available,
        kind: EniKind::Secondary,
        mac: "00:16:3e:00:00:01".into(),
        zone_id: "cn-hangzhou-h".into(),
        vpc_id: "vpc-lab".into(),
        vswitch_id: "vsw-pod-h".into(),
        security_group_ids: vec!["sg-web".into()],
        resource_group_id: String::new(),
        instance_id: None,
        trunk_eni_id: None,
        device_index: None,
        network_card_index: None,
        primary_ip: Some([10, 0, 16, 5].into()),
        private_ips: vec![PrivateIp::primary([10, 0, 16, 5])],
        tags: BTreeMap::new(),
        creation_time: "2026-01-01T00:00:00Z".into(),
    }
}

/// A table of `|` and lines, without the spaces that make its columns even.
pub(crate) fn without_padding(table: &str) -> String {
    let lines = table.trim().lines().map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        cells.join(" | ")
    });
    lines.collect::<Vec<_>>().join("\n")
}
