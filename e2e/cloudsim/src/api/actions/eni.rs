//! The life of an ENI: create, attach, detach, modify, delete.

use jiff::Timestamp;

use super::super::answer::Answer;
use super::super::parameters::Parameters;
use super::addresses::wanted;
use super::refuse_unsimulated;
use crate::model::error::{self, ApiError};
use crate::model::{
    AttachEni, Cloud, Completion, CreateEni, DeleteEni, DetachEni, Idempotency, ModifyEni, NewEniKind,
};

/// Parameters about queues and networks that are not simulated.
const UNSIMULATED: [&str; 6] = [
    "EnablePrimaryIPv6",
    "EnhancedNetwork",
    "NetworkInterfaceTrafficConfig",
    "QueuePairNumber",
    "RxQueueSize",
    "TxQueueSize",
];

pub(super) fn create(cloud: &mut Cloud, parameters: &Parameters, now: Timestamp) -> Result<Answer, ApiError> {
    let eni = cloud.create_network_interface(&read_create(parameters)?, now)?;
    Ok(Answer::Created(Box::new(eni)))
}

fn read_create(parameters: &Parameters) -> Result<CreateEni, ApiError> {
    refuse_unsimulated(parameters, &UNSIMULATED)?;
    let kind = match parameters.get("InstanceType") {
        None | Some("Secondary") => NewEniKind::Secondary,
        Some("Trunk") => NewEniKind::Trunk,
        Some(_) => return Err(error::invalid("InstanceType", "it must be Secondary or Trunk")),
    };
    let traffic_mode = parameters
        .get("NetworkInterfaceTrafficMode")
        .unwrap_or("Standard");
    if !matches!(traffic_mode, "Standard" | "HighPerformance") {
        return Err(error::invalid(
            "NetworkInterfaceTrafficMode",
            "it must be Standard or HighPerformance",
        ));
    }
    let tags = parameters.tags()?.into_iter();
    Ok(CreateEni {
        vswitch_id: parameters.required("VSwitchId")?.to_owned(),
        security_group_ids: read_groups(parameters)?,
        kind,
        primary_ip: parameters.one("PrimaryIpAddress", "an IPv4 address")?,
        ipv4: wanted(parameters, "SecondaryPrivateIpAddressCount", 0..=49)?,
        ipv6: wanted(parameters, "Ipv6AddressCount", 0..=10)?,
        tags: tags
            .map(|(key, value)| (key, value.unwrap_or_default()))
            .collect(),
        name: read_name(parameters)?.unwrap_or_default(),
        description: read_description(parameters)?.unwrap_or_default(),
        resource_group_id: parameters.text("ResourceGroupId").unwrap_or_default(),
        traffic_mode: traffic_mode.to_owned(),
        delete_on_release: parameters.flag("DeleteOnRelease")?.unwrap_or_default(),
        source_dest_check: parameters.flag("SourceDestCheck")?.unwrap_or_default(),
        queue_number: parameters.number("QueueNumber", 1..=2048)?,
        once: read_once(parameters)?,
    })
}

fn read_groups(parameters: &Parameters) -> Result<Vec<String>, ApiError> {
    let mut ids = parameters.list("SecurityGroupIds")?;
    match (parameters.text("SecurityGroupId"), ids.is_empty()) {
        (Some(_), false) => return Err(error::invalid("SecurityGroupId", "it excludes SecurityGroupIds")),
        (Some(id), true) => ids.push(id),
        (None, _) => {}
    }
    Ok(ids)
}

fn read_name(parameters: &Parameters) -> Result<Option<String>, ApiError> {
    let name = parameters.text("NetworkInterfaceName");
    let good = |name: &String| {
        let ends = name.chars().next().is_some_and(char::is_alphabetic);
        let known = |c: char| c.is_alphanumeric() || ":_.-".contains(c);
        (2..=128).contains(&name.chars().count()) && ends && name.chars().all(known)
    };
    match name.as_ref().is_none_or(good) {
        true => Ok(name),
        false => Err(error::invalid(
            "NetworkInterfaceName",
            "it has 2 to 128 letters, digits and :_.- and begins with a letter",
        )),
    }
}

fn read_description(parameters: &Parameters) -> Result<Option<String>, ApiError> {
    let description = parameters.text("Description");
    let good = |text: &String| {
        let link = text.starts_with("http://") || text.starts_with("https://");
        (2..=256).contains(&text.chars().count()) && !link
    };
    match description.as_ref().is_none_or(good) {
        true => Ok(description),
        false => Err(error::invalid(
            "Description",
            "it has 2 to 256 characters and is no link",
        )),
    }
}

/// The ClientToken of a call, and the fingerprint that tells whether the call repeats an earlier one.
pub(super) fn read_once(parameters: &Parameters) -> Result<Idempotency, ApiError> {
    let client_token = parameters.text("ClientToken");
    let too_odd = |token: &String| token.len() > 64 || !token.is_ascii();
    if client_token.as_ref().is_some_and(too_odd) {
        return Err(error::INVALID_TOKEN.because("A ClientToken has up to 64 ASCII characters."));
    }
    Ok(Idempotency {
        client_token,
        fingerprint: parameters.fingerprint(),
    })
}

pub(super) fn attach(
    cloud: &mut Cloud,
    parameters: &Parameters,
    completion: Completion,
    now: Timestamp,
) -> Result<Answer, ApiError> {
    let request = AttachEni {
        eni_id: parameters.required("NetworkInterfaceId")?.to_owned(),
        instance_id: parameters.required("InstanceId")?.to_owned(),
        trunk_eni_id: parameters.text("TrunkNetworkInstanceId"),
        network_card_index: parameters.number("NetworkCardIndex", 0..=63)?.unwrap_or(0),
    };
    cloud.attach_network_interface(&request, completion, now)?;
    Ok(Answer::Done)
}

pub(super) fn detach(
    cloud: &mut Cloud,
    parameters: &Parameters,
    completion: Completion,
    now: Timestamp,
) -> Result<Answer, ApiError> {
    let request = DetachEni {
        eni_id: parameters.required("NetworkInterfaceId")?.to_owned(),
        instance_id: parameters.required("InstanceId")?.to_owned(),
        trunk_eni_id: parameters.text("TrunkNetworkInstanceId"),
    };
    cloud.detach_network_interface(&request, completion, now)?;
    Ok(Answer::Done)
}

pub(super) fn delete(
    cloud: &mut Cloud,
    parameters: &Parameters,
    completion: Completion,
    now: Timestamp,
) -> Result<Answer, ApiError> {
    let eni_id = parameters.required("NetworkInterfaceId")?.to_owned();
    cloud.delete_network_interface(&DeleteEni { eni_id }, completion, now)?;
    Ok(Answer::Done)
}

pub(super) fn modify(cloud: &mut Cloud, parameters: &Parameters) -> Result<Answer, ApiError> {
    refuse_unsimulated(parameters, &UNSIMULATED)?;
    cloud.modify_network_interface(&ModifyEni {
        eni_id: parameters.required("NetworkInterfaceId")?.to_owned(),
        name: read_name(parameters)?,
        description: read_description(parameters)?,
        security_group_ids: parameters.list("SecurityGroupId")?,
        delete_on_release: parameters.flag("DeleteOnRelease")?,
        source_dest_check: parameters.flag("SourceDestCheck")?,
        queue_number: parameters.number("QueueNumber", 1..=2048)?,
    })?;
    Ok(Answer::Done)
}
