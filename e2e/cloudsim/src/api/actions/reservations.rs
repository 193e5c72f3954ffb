//! Blocks of vSwitches that are reserved for prefixes.

use ipnet::IpNet;
use jiff::Timestamp;

use super::super::answer::Answer;
use super::super::parameters::Parameters;
use super::eni::read_once;
use super::page::{part, read_next_token};
use super::refuse_unsimulated;
use crate::model::error::{self, ApiError};
use crate::model::{Cloud, Completion, NewReservation, ReservationBlock, ReservationFilter};

const CIDR: &str = "VSwitchCidrReservationCidr";
const MASK: &str = "VSwitchCidrReservationMask";
/// Number of ids that one listing may name (VPC API page ListVSwitchCidrReservations).
const MAX_IDS: usize = 10;

pub(super) fn create(
    cloud: &mut Cloud,
    parameters: &Parameters,
    completion: Completion,
    now: Timestamp,
) -> Result<Answer, ApiError> {
    refuse_unsimulated(parameters, &["DryRun", "IpPrefixNumber", "Tag"])?;
    check_type(parameters)?;
    let request = NewReservation {
        vswitch_id: parameters.required("VSwitchId")?.to_owned(),
        block: read_block(parameters)?,
        name: parameters.text("VSwitchCidrReservationName").unwrap_or_default(),
        description: parameters
            .text("VSwitchCidrReservationDescription")
            .unwrap_or_default(),
        once: read_once(parameters)?,
    };
    let reservation = cloud.create_cidr_reservation(&request, completion, now)?;
    Ok(Answer::Reserved(reservation.id))
}

fn read_block(parameters: &Parameters) -> Result<ReservationBlock, ApiError> {
    let ipv6 = read_family(parameters)?;
    let cidr: Option<IpNet> = parameters.one(CIDR, "a CIDR block")?;
    let length = parameters.number(MASK, 1..=128)?;
    match (cidr, length) {
        (Some(cidr), None) if matches!(cidr, IpNet::V6(_)) == ipv6 => Ok(ReservationBlock::Cidr(cidr)),
        (Some(_), None) => Err(error::invalid(CIDR, "it is not of the family of IpVersion")),
        (None, Some(length)) => {
            let length = u8::try_from(length).map_err(|_| error::invalid(MASK, "it is too long"))?;
            Ok(match ipv6 {
                true => ReservationBlock::Ipv6Length(length),
                false => ReservationBlock::Ipv4Length(length),
            })
        }
        (Some(_), Some(_)) => Err(error::invalid(MASK, "it excludes VSwitchCidrReservationCidr")),
        (None, None) => Err(error::missing(CIDR)),
    }
}

/// Whether a call is about IPv6. The default is IPv4.
fn read_family(parameters: &Parameters) -> Result<bool, ApiError> {
    match parameters.get("IpVersion") {
        None => Ok(false),
        Some(version) if version.eq_ignore_ascii_case("IPv4") => Ok(false),
        Some(version) if version.eq_ignore_ascii_case("IPv6") => Ok(true),
        Some(_) => Err(error::invalid("IpVersion", "it must be IPv4 or IPv6")),
    }
}

fn check_type(parameters: &Parameters) -> Result<(), ApiError> {
    match parameters.get("VSwitchCidrReservationType") {
        None => Ok(()),
        Some(kind) if kind.eq_ignore_ascii_case("prefix") => Ok(()),
        Some(_) => Err(error::invalid("VSwitchCidrReservationType", "it must be prefix")),
    }
}

pub(super) fn delete(
    cloud: &mut Cloud,
    parameters: &Parameters,
    completion: Completion,
    now: Timestamp,
) -> Result<Answer, ApiError> {
    refuse_unsimulated(parameters, &["DryRun"])?;
    let id = parameters.required("VSwitchCidrReservationId")?;
    cloud.delete_cidr_reservation(id, &read_once(parameters)?, completion, now)?;
    Ok(Answer::Done)
}

pub(super) fn list(cloud: &Cloud, parameters: &Parameters) -> Result<Answer, ApiError> {
    refuse_unsimulated(parameters, &["Tags"])?;
    check_type(parameters)?;
    let filter = ReservationFilter {
        ids: parameters.list("VSwitchCidrReservationIds")?,
        vswitch_id: parameters.text("VSwitchId"),
        ipv6: read_family(parameters)?,
    };
    if filter.ids.len() > MAX_IDS {
        return Err(error::invalid(
            "VSwitchCidrReservationIds",
            "at most 10 can be listed",
        ));
    }
    let limit = parameters.number("MaxResults", 1..=100)?.unwrap_or(10) as usize;
    let matches = cloud.cidr_reservations(&filter);
    let total = matches.len();
    let rows = matches
        .into_iter()
        .map(|reservation| (reservation.clone(), cloud.reservation_use(reservation)));
    let (rows, next) = part(rows, read_next_token(parameters)?, limit);
    Ok(Answer::Reservations {
        rows,
        next,
        total,
        limit,
    })
}
