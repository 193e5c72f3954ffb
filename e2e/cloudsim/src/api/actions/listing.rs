//! Describe actions: their filters and their pages.

use std::collections::BTreeSet;

use super::super::answer::Answer;
use super::super::parameters::Parameters;
use super::page::{PageRequest, part, read_next_token};
use crate::model::Cloud;
use crate::model::describe::{EniFilter, EniPage, PlaceFilter};
use crate::model::error::{self, ApiError};

/// Number of ids and addresses that one call may list (ECS API page DescribeNetworkInterfaces).
const MAX_LISTED: usize = 100;

pub(super) fn enis(cloud: &Cloud, parameters: &Parameters) -> Result<Answer, ApiError> {
    let filter = eni_filter(parameters)?;
    let limit = parameters.number("MaxResults", 0..=u32::MAX)?;
    let numbered = parameters.get("PageNumber").is_some() || parameters.get("PageSize").is_some();
    if numbered && limit.is_none() && parameters.get("NextToken").is_none() {
        let number = parameters.number("PageNumber", 1..=u32::MAX)?.unwrap_or(1) as usize;
        let size = parameters.number("PageSize", 1..=500)?.unwrap_or(10) as usize;
        let listing = cloud.describe_network_interfaces(&filter, EniPage::Number { number, size });
        return Ok(Answer::Enis {
            listing,
            number,
            size,
        });
    }
    let after = read_next_token(parameters)?;
    // A size beyond the limits 10 and 500 is moved to the nearer limit and not refused (unverified).
    let size = limit.unwrap_or(10).clamp(10, 500) as usize;
    let listing = cloud.describe_network_interfaces(&filter, EniPage::After { after, limit: size });
    Ok(Answer::Enis {
        listing,
        number: 1,
        size,
    })
}

fn eni_filter(parameters: &Parameters) -> Result<EniFilter, ApiError> {
    let filter = EniFilter {
        ids: parameters.list("NetworkInterfaceId")?,
        instance_id: parameters.text("InstanceId"),
        kind: parameters.text("Type"),
        status: parameters.text("Status"),
        vpc_id: parameters.text("VpcId"),
        vswitch_id: parameters.text("VSwitchId"),
        security_group_id: parameters.text("SecurityGroupId"),
        resource_group_id: parameters.text("ResourceGroupId"),
        name: parameters.text("NetworkInterfaceName"),
        primary_ip: parameters.one("PrimaryIpAddress", "an IPv4 address")?,
        private_ips: parameters.all("PrivateIpAddress", "an IPv4 address")?,
        ipv6_addresses: parameters.all("Ipv6Address", "an IPv6 address")?,
        service_managed: parameters.flag("ServiceManaged")?,
        tags: parameters.tags()?,
    };
    for (name, listed) in [
        ("NetworkInterfaceId", filter.ids.len()),
        ("PrivateIpAddress", filter.private_ips.len()),
        ("Ipv6Address", filter.ipv6_addresses.len()),
    ] {
        if listed > MAX_LISTED {
            return Err(error::invalid(name, "at most 100 can be listed"));
        }
    }
    Ok(filter)
}

pub(super) fn instance_types(cloud: &Cloud, parameters: &Parameters) -> Result<Answer, ApiError> {
    let ids = parameters.list("InstanceTypes")?.into_iter().collect();
    let limit = parameters.number("MaxResults", 1..=100)?.unwrap_or(100) as usize;
    let after = read_next_token(parameters)?;
    let (types, next) = part(cloud.describe_types(&ids).cloned(), after, limit);
    Ok(Answer::Types { types, next })
}

pub(super) fn instances(cloud: &Cloud, parameters: &Parameters) -> Result<Answer, ApiError> {
    let filter = place_filter(parameters, parameters.list_or_json("InstanceIds")?);
    let tags = parameters.tags()?;
    let tagged = cloud.describe_instances(&filter).filter(|instance| {
        tags.iter().all(|(key, value)| {
            let held = instance.spec.tags.get(key);
            held.is_some_and(|held| value.as_ref().is_none_or(|wanted| wanted == held))
        })
    });
    let page = PageRequest::read(parameters, 10, 100)?;
    Ok(Answer::Instances(page.of(tagged.cloned())))
}

pub(super) fn groups(cloud: &Cloud, parameters: &Parameters) -> Result<Answer, ApiError> {
    let mut ids = parameters.list_or_json("SecurityGroupIds")?;
    ids.extend(parameters.text("SecurityGroupId"));
    let page = PageRequest::read(parameters, 10, 100)?;
    let filter = place_filter(parameters, ids);
    Ok(Answer::Groups(page.of(cloud.describe_groups(&filter).cloned())))
}

pub(super) fn vswitches(cloud: &Cloud, parameters: &Parameters) -> Result<Answer, ApiError> {
    let filter = place_filter(parameters, comma_list(parameters, "VSwitchId"));
    let page = PageRequest::read(parameters, 10, 50)?;
    let summary = cloud
        .describe_vswitches(&filter)
        .map(|state| (state.spec.clone(), cloud.available_seen(&state.spec.id)));
    Ok(Answer::VSwitches(page.of(summary)))
}

pub(super) fn vpcs(cloud: &Cloud, parameters: &Parameters) -> Result<Answer, ApiError> {
    let ids: BTreeSet<String> = comma_list(parameters, "VpcId").into_iter().collect();
    let page = PageRequest::read(parameters, 10, 50)?;
    let vpcs = cloud.vpcs().filter(|vpc| ids.is_empty() || ids.contains(&vpc.id));
    let with_vswitches = vpcs.map(|vpc| {
        let mine = cloud.vswitches().filter(|vswitch| vswitch.spec.vpc == vpc.id);
        let ids = mine.map(|vswitch| vswitch.spec.id.clone()).collect();
        (vpc.clone(), ids)
    });
    Ok(Answer::Vpcs(page.of(with_vswitches)))
}

fn place_filter(parameters: &Parameters, ids: Vec<String>) -> PlaceFilter {
    PlaceFilter {
        ids: ids.into_iter().collect(),
        vpc: parameters.text("VpcId"),
        zone: parameters.text("ZoneId"),
    }
}

fn comma_list(parameters: &Parameters, name: &str) -> Vec<String> {
    parameters
        .get(name)
        .map(|ids| ids.split(',').map(str::to_owned).collect())
        .unwrap_or_default()
}
