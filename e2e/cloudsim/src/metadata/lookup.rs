//! The texts of the metadata service by path. The paths are those of the ECS user guide, page "Instance metadata".

use serde_json::json;

use crate::model::describe::{EniFilter, EniPage};
use crate::model::{AddressSpace, Cloud, Eni, EniStatus, InstanceState, LookBack};
use crate::state::State;

/// The text at `path`, if there is one.
pub fn lookup(state: &State, instance_id: &str, path: &str) -> Option<String> {
    let path = path.strip_prefix("/latest/meta-data")?.trim_matches('/');
    if let Some(role_path) = path.strip_prefix("ram/security-credentials") {
        return credentials(state, instance_id, role_path.trim_matches('/'));
    }
    state.with_cloud(|cloud, now| {
        let Some(rest) = path.strip_prefix("network/interfaces/macs") else {
            return own(cloud, &state.region, cloud.instance(instance_id)?, path);
        };
        cloud.look_back(state.metadata_look_back(now));
        let nics = nics(cloud, instance_id);
        cloud.look_back(LookBack::default());
        interface(cloud, &nics, rest.trim_matches('/'))
    })
}

/// Entries about the instance itself and its primary ENI.
fn own(cloud: &Cloud, region: &str, instance: &InstanceState, path: &str) -> Option<String> {
    let primary = cloud.eni(&instance.primary)?;
    Some(match path {
        "" => {
            let entries = [
                "hostname",
                "instance-id",
                "instance/",
                "mac",
                "network/",
                "private-ipv4",
                "ram/",
                "region-id",
                "vpc-cidr-block",
                "vpc-id",
                "vswitch-cidr-block",
                "vswitch-id",
                "zone-id",
            ];
            entries.join("\n")
        }
        "hostname" | "instance-id" => instance.spec.id.clone(),
        "instance/instance-type" => instance.spec.instance_type.clone(),
        "mac" => primary.mac.to_string(),
        "private-ipv4" => primary.primary_ip.to_string(),
        "region-id" => region.to_owned(),
        "zone-id" => instance.zone.clone(),
        "vswitch-id" => primary.vswitch_id.to_string(),
        "vswitch-cidr-block" => cloud.vswitch(&primary.vswitch_id)?.spec.cidr.to_string(),
        "vpc-id" => instance.vpc.clone(),
        "vpc-cidr-block" => cloud.vpc(&instance.vpc)?.cidr.to_string(),
        _ => return None,
    })
}

/// The NICs of an instance, at the moment that reads show. Members are not NICs and are not listed.
fn nics(cloud: &Cloud, instance_id: &str) -> Vec<Eni> {
    let filter = EniFilter {
        instance_id: Some(instance_id.to_owned()),
        status: Some(EniStatus::InUse.name().to_owned()),
        ..EniFilter::default()
    };
    let all = EniPage::After {
        after: 0,
        limit: usize::MAX,
    };
    let mut nics = cloud.describe_network_interfaces(&filter, all).enis;
    nics.retain(|eni| eni.trunk().is_none());
    nics
}

/// Entries about a NIC, by its MAC.
fn interface(cloud: &Cloud, nics: &[Eni], path: &str) -> Option<String> {
    if path.is_empty() {
        let macs: Vec<String> = nics.iter().map(|eni| format!("{}/", eni.mac)).collect();
        return Some(macs.join("\n"));
    }
    let (mac, field) = path.split_once('/').unwrap_or((path, ""));
    let eni = nics.iter().find(|eni| eni.mac.to_string() == mac)?;
    interface_field(cloud, eni, field)
}

fn interface_field(cloud: &Cloud, eni: &Eni, field: &str) -> Option<String> {
    let vswitch = &cloud.vswitch(&eni.vswitch_id)?.spec;
    let (cidr, ipv6) = (vswitch.cidr, vswitch.ipv6_cidr);
    Some(match field {
        "" => {
            let entries = [
                "gateway",
                "ipv6-gateway",
                "ipv6s",
                "netmask",
                "network-interface-id",
                "primary-ip-address",
                "private-ipv4s",
                "vpc-id",
                "vswitch-cidr-block",
                "vswitch-id",
                "vswitch-ipv6-cidr-block",
            ];
            entries.join("\n")
        }
        "network-interface-id" => eni.id.to_string(),
        "primary-ip-address" => eni.primary_ip.to_string(),
        "private-ipv4s" => json!(eni.addresses().map(|ip| ip.to_string()).collect::<Vec<_>>()).to_string(),
        "gateway" => AddressSpace::gateway(cidr).to_string(),
        "ipv6s" => ipv6s(eni)?,
        "ipv6-gateway" => AddressSpace::gateway_ipv6(ipv6?).to_string(),
        "vswitch-ipv6-cidr-block" => ipv6?.to_string(),
        "netmask" => cidr.netmask().to_string(),
        "vswitch-id" => eni.vswitch_id.to_string(),
        "vswitch-cidr-block" => cidr.to_string(),
        "vpc-id" => eni.vpc_id.to_string(),
        _ => return None,
    })
}

/// The IPv6 addresses in brackets, `[a, b]`, which is not JSON. `None` without an IPv6 address.
fn ipv6s(eni: &Eni) -> Option<String> {
    let addresses: Vec<String> = eni.ipv6_addresses.iter().map(ToString::to_string).collect();
    (!addresses.is_empty()).then(|| format!("[{}]", addresses.join(", ")))
}

/// The credentials of the instance's RAM role, as JSON.
fn credentials(state: &State, instance_id: &str, role: &str) -> Option<String> {
    let own_role = state.with_cloud(|cloud, _| cloud.instance(instance_id)?.spec.ram_role.clone())?;
    let now = state.clock.gateway();
    if role.is_empty() {
        return Some(own_role);
    }
    if role != own_role {
        return None;
    }
    let credential = state.keys.lock().role_credential(role, now)?;
    let time = |at: jiff::Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    Some(
        json!({
            "AccessKeyId": credential.access_key_id,
            "AccessKeySecret": credential.access_key_secret,
            "SecurityToken": credential.security_token,
            "Expiration": time(credential.expires),
            "LastUpdated": time(now),
            "Code": "Success",
        })
        .to_string(),
    )
}
