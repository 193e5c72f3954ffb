//! Secondary addresses and prefixes of ENIs, in both families.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use jiff::Timestamp;

use super::super::answer::Answer;
use super::super::parameters::Parameters;
use super::eni::read_once;
use crate::model::error::{self, ApiError};
use crate::model::{AssignAddresses, Cloud, Family, Held, Prefix, UnassignAddresses, Wanted};

pub(super) fn assign_ipv4(
    cloud: &mut Cloud,
    parameters: &Parameters,
    now: Timestamp,
) -> Result<Answer, ApiError> {
    let (eni_id, held) =
        assign::<Ipv4Addr>(cloud, parameters, "SecondaryPrivateIpAddressCount", 1..=49, now)?;
    Ok(Answer::AssignedIpv4 { eni_id, held })
}

pub(super) fn assign_ipv6(
    cloud: &mut Cloud,
    parameters: &Parameters,
    now: Timestamp,
) -> Result<Answer, ApiError> {
    let (eni_id, held) = assign::<Ipv6Addr>(cloud, parameters, "Ipv6AddressCount", 1..=10, now)?;
    Ok(Answer::AssignedIpv6 { eni_id, held })
}

fn assign<A: Family>(
    cloud: &mut Cloud,
    parameters: &Parameters,
    count: &str,
    range: RangeInclusive<u32>,
    now: Timestamp,
) -> Result<(String, Held<A>), ApiError> {
    let request = AssignAddresses::<A> {
        eni_id: parameters.required("NetworkInterfaceId")?.to_owned(),
        wanted: wanted(parameters, count, range)?,
        once: read_once(parameters)?,
    };
    let held = cloud.assign_addresses(&request, now)?;
    Ok((request.eni_id, held))
}

pub(super) fn unassign<A: Family>(cloud: &mut Cloud, parameters: &Parameters) -> Result<Answer, ApiError> {
    cloud.unassign_addresses(&UnassignAddresses::<A> {
        eni_id: parameters.required("NetworkInterfaceId")?.to_owned(),
        addresses: read_addresses(parameters)?,
        prefixes: read_prefixes(parameters)?,
    })?;
    Ok(Answer::Done)
}

/// The addresses and prefixes of one family that a call requests, by number or by name.
pub(super) fn wanted<A: Family>(
    parameters: &Parameters,
    count: &str,
    range: RangeInclusive<u32>,
) -> Result<Wanted<A>, ApiError> {
    let prefix_count = format!("{}Count", A::PREFIX_PARAMETER);
    // Clients send 0 for "no prefixes".
    let prefixes_from = (*range.start()).min(1);
    Ok(Wanted {
        count: parameters.number(count, range)?.unwrap_or(0),
        listed: read_addresses(parameters)?,
        prefix_count: parameters.number(&prefix_count, prefixes_from..=10)?.unwrap_or(0),
        prefixes: read_prefixes(parameters)?,
    })
}

fn read_addresses<A: Family>(parameters: &Parameters) -> Result<Vec<A>, ApiError> {
    let name = A::ADDRESS_PARAMETER;
    let listed = parameters.list(name)?;
    let read = |text: &String| {
        text.parse().map_err(|_| {
            A::MALFORMED.because(format!("The specified ipAddress {text} of {name} is invalid."))
        })
    };
    listed.iter().map(read).collect()
}

fn read_prefixes<A: Family>(parameters: &Parameters) -> Result<Vec<Prefix<A>>, ApiError> {
    let name = A::PREFIX_PARAMETER;
    let read = |text: &String| {
        text.parse()
            .map_err(|failure: crate::model::family::PrefixError| error::invalid(name, &failure.to_string()))
    };
    parameters.list(name)?.iter().map(read).collect()
}
