//! The actions: reading the parameters of each, and having the model act.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::answer::Answer;
use super::parameters::Parameters;
use crate::model::describe::{EniFilter, EniPage, PlaceFilter};
use crate::model::error::{self, ApiError};
use crate::model::{AttachEni, Cloud, Completion, CreateEni, DeleteEni, DetachEni, NewEniKind};

/// An action this simulator knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    AttachNetworkInterface,
    CreateNetworkInterface,
    DeleteNetworkInterface,
    DescribeInstanceTypes,
    DescribeInstances,
    DescribeNetworkInterfaces,
    DescribeSecurityGroups,
    DescribeVSwitches,
    DescribeVpcs,
    DetachNetworkInterface,
}

const ECS_VERSION: &str = "2014-05-26";
const VPC_VERSION: &str = "2016-04-28";

/// Parameters that the real API has and this simulator does not act on yet. A caller that
/// relies on one of them must not believe that it worked.
const NOT_SIMULATED: [&str; 6] = [
    "Ipv6AddressCount",
    "Ipv4PrefixCount",
    "Ipv6PrefixCount",
    "Ipv6Address.1",
    "Ipv4Prefix.1",
    "Ipv6Prefix.1",
];

impl Action {
    /// The action a call names, in the product that its version belongs to.
    pub fn find(name: &str, version: &str) -> Result<Action, ApiError> {
        let found = match (version, name) {
            (ECS_VERSION, "AttachNetworkInterface") => Some(Action::AttachNetworkInterface),
            (ECS_VERSION, "CreateNetworkInterface") => Some(Action::CreateNetworkInterface),
            (ECS_VERSION, "DeleteNetworkInterface") => Some(Action::DeleteNetworkInterface),
            (ECS_VERSION, "DescribeInstanceTypes") => Some(Action::DescribeInstanceTypes),
            (ECS_VERSION, "DescribeInstances") => Some(Action::DescribeInstances),
            (ECS_VERSION, "DescribeNetworkInterfaces") => Some(Action::DescribeNetworkInterfaces),
            (ECS_VERSION, "DescribeSecurityGroups") => Some(Action::DescribeSecurityGroups),
            (ECS_VERSION, "DetachNetworkInterface") => Some(Action::DetachNetworkInterface),
            (ECS_VERSION | VPC_VERSION, "DescribeVSwitches") => Some(Action::DescribeVSwitches),
            (ECS_VERSION | VPC_VERSION, "DescribeVpcs") => Some(Action::DescribeVpcs),
            (ECS_VERSION | VPC_VERSION, _) => None,
            _ => return Err(error::INVALID_VERSION.because("Specified parameter Version is not valid.")),
        };
        found.ok_or_else(|| {
            error::ACTION_NOT_FOUND.because("Specified api is not found, please check your url and method.")
        })
    }

    /// Whether RegionId is mandatory.
    fn needs_region(self) -> bool {
        !matches!(
            self,
            Action::DescribeInstanceTypes | Action::DescribeVSwitches | Action::DescribeVpcs
        )
    }

    /// Acts on the cloud. `completion` is for those actions that are asynchronous.
    pub fn act(
        self,
        cloud: &mut Cloud,
        parameters: &Parameters,
        completion: Completion,
        now: Timestamp,
    ) -> Result<Answer, ApiError> {
        check_region(self, cloud, parameters)?;
        match self {
            Action::CreateNetworkInterface => {
                let eni = cloud.create_network_interface(&read_create(parameters)?, now)?;
                Ok(Answer::Created(Box::new(eni)))
            }
            Action::AttachNetworkInterface => {
                let request = AttachEni {
                    eni_id: parameters.required("NetworkInterfaceId")?.to_owned(),
                    instance_id: parameters.required("InstanceId")?.to_owned(),
                    trunk_eni_id: parameters.text("TrunkNetworkInstanceId"),
                    network_card_index: parameters.number("NetworkCardIndex", 0..=63)?.unwrap_or(0),
                };
                cloud.attach_network_interface(&request, completion, now)?;
                Ok(Answer::Done)
            }
            Action::DetachNetworkInterface => {
                let request = DetachEni {
                    eni_id: parameters.required("NetworkInterfaceId")?.to_owned(),
                    instance_id: parameters.required("InstanceId")?.to_owned(),
                    trunk_eni_id: parameters.text("TrunkNetworkInstanceId"),
                };
                cloud.detach_network_interface(&request, completion, now)?;
                Ok(Answer::Done)
            }
            Action::DeleteNetworkInterface => {
                let eni_id = parameters.required("NetworkInterfaceId")?.to_owned();
                cloud.delete_network_interface(&DeleteEni { eni_id }, completion, now)?;
                Ok(Answer::Done)
            }
            Action::DescribeNetworkInterfaces => describe_enis(cloud, parameters),
            Action::DescribeInstanceTypes => describe_types(cloud, parameters),
            Action::DescribeInstances => {
                let filter = place_filter(parameters, parameters.list_or_json("InstanceIds")?);
                let page = numbered(parameters, 10, 100)?;
                Ok(Answer::Instances(
                    page.of(cloud.describe_instances(&filter).cloned()),
                ))
            }
            Action::DescribeSecurityGroups => {
                let mut ids = parameters.list_or_json("SecurityGroupIds")?;
                ids.extend(parameters.text("SecurityGroupId"));
                let page = numbered(parameters, 10, 100)?;
                let filter = place_filter(parameters, ids);
                Ok(Answer::Groups(page.of(cloud.describe_groups(&filter).cloned())))
            }
            Action::DescribeVSwitches => {
                let filter = place_filter(parameters, comma_list(parameters, "VSwitchId"));
                let page = numbered(parameters, 10, 50)?;
                let summary = cloud
                    .describe_vswitches(&filter)
                    .map(|state| (state.spec.clone(), state.space.available()));
                Ok(Answer::VSwitches(page.of(summary)))
            }
            Action::DescribeVpcs => {
                let ids: BTreeSet<String> = comma_list(parameters, "VpcId").into_iter().collect();
                let page = numbered(parameters, 10, 50)?;
                let vpcs = cloud.vpcs().filter(|vpc| ids.is_empty() || ids.contains(&vpc.id));
                Ok(Answer::Vpcs(page.of(vpcs.cloned())))
            }
        }
    }
}

fn check_region(action: Action, cloud: &Cloud, parameters: &Parameters) -> Result<(), ApiError> {
    match parameters.get("RegionId") {
        None if action.needs_region() => Err(error::missing("RegionId")),
        Some(region) if region != cloud.region() => {
            Err(error::REGION_NOT_FOUND.because("The specified RegionId does not exist."))
        }
        _ => Ok(()),
    }
}

fn read_create(parameters: &Parameters) -> Result<CreateEni, ApiError> {
    if let Some(name) = NOT_SIMULATED
        .iter()
        .find(|name| parameters.get(name).is_some_and(|value| value != "0"))
    {
        return Err(error::UNSUPPORTED_PARAMETER.because(format!("The parameter {name} is not supported.")));
    }
    let client_token = parameters.text("ClientToken");
    if client_token
        .as_ref()
        .is_some_and(|token| token.len() > 64 || !token.is_ascii())
    {
        return Err(error::INVALID_TOKEN.because("A ClientToken has up to 64 ASCII characters."));
    }
    let kind = match parameters.get("InstanceType") {
        None | Some("Secondary") => NewEniKind::Secondary,
        Some("Trunk") => NewEniKind::Trunk,
        Some(_) => return Err(error::invalid("InstanceType", "it must be Secondary or Trunk")),
    };
    let mut security_group_ids = parameters.list("SecurityGroupIds");
    match (parameters.text("SecurityGroupId"), security_group_ids.is_empty()) {
        (Some(_), false) => {
            return Err(error::invalid("SecurityGroupId", "it excludes SecurityGroupIds"));
        }
        (Some(id), true) => security_group_ids.push(id),
        (None, _) => {}
    }
    let tags = parameters
        .tags()?
        .into_iter()
        .map(|(key, value)| (key, value.unwrap_or_default()));
    Ok(CreateEni {
        vswitch_id: parameters.required("VSwitchId")?.to_owned(),
        security_group_ids,
        kind,
        primary_ip: parameters.address("PrimaryIpAddress")?,
        secondary_count: parameters
            .number("SecondaryPrivateIpAddressCount", 0..=49)?
            .unwrap_or(0),
        secondary_ips: parameters.addresses("PrivateIpAddress")?,
        tags: tags.collect(),
        name: parameters.text("NetworkInterfaceName").unwrap_or_default(),
        description: parameters.text("Description").unwrap_or_default(),
        resource_group_id: parameters.text("ResourceGroupId").unwrap_or_default(),
        traffic_mode: parameters
            .text("NetworkInterfaceTrafficMode")
            .unwrap_or_else(|| "Standard".to_owned()),
        delete_on_release: parameters.flag("DeleteOnRelease")?,
        source_dest_check: parameters.flag("SourceDestCheck")?,
        client_token,
        fingerprint: parameters.fingerprint(),
    })
}

fn describe_enis(cloud: &Cloud, parameters: &Parameters) -> Result<Answer, ApiError> {
    let ids = parameters.list("NetworkInterfaceId");
    if ids.len() > 100 {
        return Err(error::invalid(
            "NetworkInterfaceId",
            "at most 100 ids can be listed",
        ));
    }
    let filter = EniFilter {
        ids,
        instance_id: parameters.text("InstanceId"),
        kind: parameters.text("Type"),
        status: parameters.text("Status"),
        vpc_id: parameters.text("VpcId"),
        vswitch_id: parameters.text("VSwitchId"),
        security_group_id: parameters.text("SecurityGroupId"),
        resource_group_id: parameters.text("ResourceGroupId"),
        name: parameters.text("NetworkInterfaceName"),
        primary_ip: parameters.address("PrimaryIpAddress")?,
        private_ips: parameters.addresses("PrivateIpAddress")?,
        tags: parameters.tags()?,
    };
    let limit = parameters.number("MaxResults", 10..=500)?;
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
    let after = parameters.get("NextToken").map_or(Ok(0), read_next_token)?;
    let size = limit.unwrap_or(10) as usize;
    let listing = cloud.describe_network_interfaces(&filter, EniPage::After { after, limit: size });
    Ok(Answer::Enis {
        listing,
        number: 1,
        size,
    })
}

/// A NextToken is opaque to callers: here it is the serial after which to go on.
pub(super) fn next_token(serial: u64) -> String {
    format!("next-{serial:016x}")
}

fn read_next_token(token: &str) -> Result<u64, ApiError> {
    token
        .strip_prefix("next-")
        .and_then(|serial| u64::from_str_radix(serial, 16).ok())
        .ok_or_else(|| {
            error::INVALID_NEXT_TOKEN.because("The specified NextToken is not one that was handed out.")
        })
}

fn describe_types(cloud: &Cloud, parameters: &Parameters) -> Result<Answer, ApiError> {
    let ids = parameters.list("InstanceTypes").into_iter().collect();
    let limit = parameters.number("MaxResults", 1..=100)?.unwrap_or(100) as usize;
    let after = parameters.get("NextToken").map_or(Ok(0), read_next_token)? as usize;
    let mut types = cloud.describe_types(&ids).skip(after).peekable();
    let page: Vec<_> = types.by_ref().take(limit).cloned().collect();
    let next = types.peek().map(|_| next_token((after + page.len()) as u64));
    Ok(Answer::Types { types: page, next })
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

/// A numbered page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page<T> {
    pub number: usize,
    pub size: usize,
    pub total: usize,
    pub items: Vec<T>,
}

struct PageRequest {
    number: usize,
    size: usize,
}

impl PageRequest {
    fn of<T>(self, matches: impl Iterator<Item = T>) -> Page<T> {
        let (number, size) = (self.number, self.size);
        let first = (number - 1).saturating_mul(size);
        let mut page = Page {
            number,
            size,
            total: 0,
            items: Vec::new(),
        };
        for item in matches {
            if page.total >= first && page.items.len() < size {
                page.items.push(item);
            }
            page.total += 1;
        }
        page
    }
}

fn numbered(parameters: &Parameters, default: u32, max: u32) -> Result<PageRequest, ApiError> {
    let number = parameters.number("PageNumber", 1..=u32::MAX)?.unwrap_or(1) as usize;
    let size = parameters.number("PageSize", 1..=max)?.unwrap_or(default) as usize;
    Ok(PageRequest { number, size })
}
