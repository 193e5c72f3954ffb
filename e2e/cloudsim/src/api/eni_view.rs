//! An ENI as CreateNetworkInterface and DescribeNetworkInterfaces show it. The view borrows the ENI and is written
//! directly as text, because a large cluster requests pages of 500 ENIs all the time.

use serde::{Serialize, Serializer};
use serde_json::json;

use crate::model::{Eni, EniStatus, Mac};

/// The JSON form of an ENI.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct EniView<'a> {
    network_interface_id: &'a str,
    network_interface_name: &'a str,
    description: &'a str,
    #[serde(rename = "Type")]
    kind: &'static str,
    status: &'static str,
    vpc_id: &'a str,
    v_switch_id: &'a str,
    zone_id: &'a str,
    #[serde(serialize_with = "as_text")]
    mac_address: Mac,
    private_ip_address: std::net::Ipv4Addr,
    private_ip_sets: PrivateIps<'a>,
    ipv6_sets: Ipv6s<'a>,
    ipv4_prefix_sets: Ipv4Prefixes<'a>,
    ipv6_prefix_sets: Ipv6Prefixes<'a>,
    security_group_ids: Groups<'a>,
    resource_group_id: &'a str,
    network_interface_traffic_mode: &'a str,
    source_dest_check: bool,
    delete_on_release: bool,
    service_managed: bool,
    #[serde(rename = "ServiceID")]
    service_id: u64,
    owner_id: &'static str,
    tags: Tags<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_number: Option<u32>,
    /// Fields that only Describe shows.
    #[serde(flatten)]
    described: Option<Described<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Described<'a> {
    creation_time: String,
    instance_id: &'a str,
    attachment: AttachmentView<'a>,
}

/// The attachment. Its fields are empty unless the ENI is attached.
#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
struct AttachmentView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_index: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trunk_network_interface_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_card_index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    member_network_interface_ids: Option<Members<'a>>,
}

#[derive(Serialize)]
struct PrivateIps<'a> {
    #[serde(rename = "PrivateIpSet", serialize_with = "private_ips")]
    of: &'a Eni,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PrivateIp {
    private_ip_address: std::net::Ipv4Addr,
    primary: bool,
}

#[derive(Serialize)]
struct Groups<'a> {
    #[serde(rename = "SecurityGroupId")]
    ids: &'a [std::sync::Arc<str>],
}

#[derive(Serialize)]
struct Tags<'a> {
    #[serde(rename = "Tag", serialize_with = "tags")]
    of: &'a Eni,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Tag<'a> {
    tag_key: &'a str,
    tag_value: &'a str,
}

#[derive(Serialize)]
struct Ipv6s<'a> {
    #[serde(rename = "Ipv6Set", serialize_with = "ipv6s")]
    of: &'a Eni,
}

#[derive(Serialize)]
struct Ipv4Prefixes<'a> {
    #[serde(rename = "Ipv4PrefixSet", serialize_with = "ipv4_prefixes")]
    of: &'a Eni,
}

#[derive(Serialize)]
struct Ipv6Prefixes<'a> {
    #[serde(rename = "Ipv6PrefixSet", serialize_with = "ipv6_prefixes")]
    of: &'a Eni,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
struct Members<'a> {
    member_network_interface_id: &'a [std::sync::Arc<str>],
}

impl<'a> EniView<'a> {
    /// The ENI as CreateNetworkInterface answers it. A repeated ClientToken gets this view, also when the ENI has
    /// changed or is gone.
    pub fn created(eni: &'a Eni) -> EniView<'a> {
        EniView {
            network_interface_id: &eni.id,
            network_interface_name: &eni.name,
            description: &eni.description,
            kind: eni.kind.name(),
            status: eni.status.name(),
            vpc_id: &eni.vpc_id,
            v_switch_id: &eni.vswitch_id,
            zone_id: &eni.zone_id,
            mac_address: eni.mac,
            private_ip_address: eni.primary_ip,
            private_ip_sets: PrivateIps { of: eni },
            ipv6_sets: Ipv6s { of: eni },
            ipv4_prefix_sets: Ipv4Prefixes { of: eni },
            ipv6_prefix_sets: Ipv6Prefixes { of: eni },
            security_group_ids: Groups {
                ids: &eni.security_group_ids,
            },
            resource_group_id: &eni.resource_group_id,
            network_interface_traffic_mode: &eni.traffic_mode,
            source_dest_check: eni.source_dest_check,
            delete_on_release: eni.delete_on_release,
            service_managed: false,
            service_id: 0,
            owner_id: "1000000000000001",
            tags: Tags { of: eni },
            queue_number: eni.queue_number,
            described: None,
        }
    }

    /// The ENI as DescribeNetworkInterfaces answers it.
    pub fn described(eni: &'a Eni) -> EniView<'a> {
        // The attachment is shown only once the ENI is InUse.
        let attachment = match (&eni.attachment, eni.status) {
            (Some(attachment), EniStatus::InUse | EniStatus::Detaching) => AttachmentView {
                instance_id: Some(&attachment.instance_id),
                device_index: Some(attachment.device_index),
                trunk_network_interface_id: Some(attachment.trunk_eni_id.as_deref().unwrap_or_default()),
                network_card_index: Some(attachment.network_card_index),
                member_network_interface_ids: Some(Members::default()),
            },
            _ => AttachmentView::default(),
        };
        let described = Described {
            creation_time: eni.created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            instance_id: eni.instance().map(|id| &**id).unwrap_or_default(),
            attachment,
        };
        EniView {
            described: Some(described),
            ..EniView::created(eni)
        }
    }

    /// Adds the ids of the members that the ENI carries as a trunk.
    pub fn carrying(mut self, members: &'a [std::sync::Arc<str>]) -> EniView<'a> {
        let attached = self
            .described
            .as_mut()
            .and_then(|described| described.attachment.member_network_interface_ids.as_mut());
        if let Some(carried) = attached {
            carried.member_network_interface_id = members;
        }
        self
    }
}

fn as_text<S: Serializer>(mac: &Mac, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(mac)
}

fn private_ips<S: Serializer>(eni: &&Eni, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(eni.addresses().map(|private_ip_address| PrivateIp {
        private_ip_address,
        primary: private_ip_address == eni.primary_ip,
    }))
}

fn ipv6s<S: Serializer>(eni: &&Eni, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(
        eni.ipv6_addresses
            .iter()
            .map(|address| json!({"Ipv6Address": address})),
    )
}

fn ipv4_prefixes<S: Serializer>(eni: &&Eni, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(
        eni.ipv4_prefixes
            .iter()
            .map(|prefix| json!({"Ipv4Prefix": prefix})),
    )
}

fn ipv6_prefixes<S: Serializer>(eni: &&Eni, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(
        eni.ipv6_prefixes
            .iter()
            .map(|prefix| json!({"Ipv6Prefix": prefix})),
    )
}

fn tags<S: Serializer>(eni: &&Eni, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(eni.tags.iter().map(|(key, value)| Tag {
        tag_key: key,
        tag_value: value,
    }))
}
