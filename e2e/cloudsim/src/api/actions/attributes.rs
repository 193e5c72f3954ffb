//! Actions that describe one object in full: an ENI, a security group, a vSwitch.

use super::super::answer::Answer;
use super::super::parameters::Parameters;
use super::page::{part, read_next_token};
use crate::model::Cloud;
use crate::model::describe::{EniFilter, EniPage};
use crate::model::error::{self, ApiError};

pub(super) fn eni(cloud: &Cloud, parameters: &Parameters) -> Result<Answer, ApiError> {
    let id = parameters.required("NetworkInterfaceId")?;
    let filter = EniFilter {
        ids: vec![id.to_owned()],
        ..EniFilter::default()
    };
    let listing = cloud.describe_network_interfaces(&filter, EniPage::After { after: 0, limit: 1 });
    let eni = listing.enis.into_iter().next().ok_or_else(|| {
        error::ENI_NOT_FOUND.because(format!("The specified NetworkInterfaceId {id} does not exist."))
    })?;
    let members = cloud.members_of(id).map(|member| member.id.clone()).collect();
    Ok(Answer::Eni {
        eni: Box::new(eni),
        members,
    })
}

pub(super) fn group(cloud: &Cloud, parameters: &Parameters) -> Result<Answer, ApiError> {
    let id = parameters.required("SecurityGroupId")?;
    let group = cloud.groups().find(|group| group.id == id).ok_or_else(|| {
        error::GROUP_NOT_FOUND.because(format!("The specified SecurityGroupId {id} is not found."))
    })?;
    let (ingress, egress) = match parameters.get("Direction") {
        None | Some("all") => (true, true),
        Some("ingress") => (true, false),
        Some("egress") => (false, true),
        Some(_) => return Err(error::invalid("Direction", "it must be ingress, egress or all")),
    };
    let rules = group
        .ingress
        .iter()
        .filter(|_| ingress)
        .map(|rule| ("ingress", rule.clone()))
        .chain(
            group
                .egress
                .iter()
                .filter(|_| egress)
                .map(|rule| ("egress", rule.clone())),
        );
    let limit = parameters.number("MaxResults", 10..=1000)?.unwrap_or(500) as usize;
    let (rules, next) = part(rules, read_next_token(parameters)?, limit);
    Ok(Answer::Group {
        group: Box::new(group.clone()),
        rules,
        next,
    })
}

pub(super) fn vswitch(cloud: &Cloud, parameters: &Parameters) -> Result<Answer, ApiError> {
    let id = parameters.required("VSwitchId")?;
    let filter = crate::model::describe::PlaceFilter {
        ids: [id.to_owned()].into(),
        ..Default::default()
    };
    let state = cloud.describe_vswitches(&filter).next().ok_or_else(|| {
        error::VSWITCH_NOT_FOUND.because(format!("The specified VSwitchId {id} is not found."))
    })?;
    Ok(Answer::VSwitch(
        Box::new(state.spec.clone()),
        cloud.available_seen(id),
    ))
}
