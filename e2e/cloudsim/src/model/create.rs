//! CreateNetworkInterface. The call is synchronous: the ENI is Available when the answer comes.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use jiff::Timestamp;

use super::addresses::check_unrepeated;
use super::error::{self, ApiError};
use super::family::{Held, Wanted};
use super::family_rules::{Family, MAX_PER_CALL};
use super::tags::check_tags;
use super::{Cloud, Eni, EniKind, EniStatus, Idempotency, VSwitchState};

const MAX_GROUPS: usize = 10;
const MAX_SECONDARY: u32 = 49;
const MAX_LISTED_SECONDARY: usize = 10;

/// The type of a new ENI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NewEniKind {
    #[default]
    Secondary,
    Trunk,
}

/// Parameters of CreateNetworkInterface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CreateEni {
    pub vswitch_id: String,
    pub security_group_ids: Vec<String>,
    pub kind: NewEniKind,
    pub primary_ip: Option<Ipv4Addr>,
    /// IPv4 addresses and prefixes in addition to the primary address.
    pub ipv4: Wanted<Ipv4Addr>,
    pub ipv6: Wanted<Ipv6Addr>,
    pub tags: Vec<(String, String)>,
    pub name: String,
    pub description: String,
    pub resource_group_id: String,
    pub traffic_mode: String,
    pub delete_on_release: bool,
    pub source_dest_check: bool,
    pub queue_number: Option<u32>,
    pub once: Idempotency,
}

/// The addresses of a new ENI.
struct NewAddresses {
    primary: Ipv4Addr,
    ipv4: Held<Ipv4Addr>,
    ipv6: Held<Ipv6Addr>,
}

impl Cloud {
    /// Creates an ENI. A remembered ClientToken gets the first answer again, also when the ENI is gone.
    pub fn create_network_interface(&mut self, request: &CreateEni, now: Timestamp) -> Result<Eni, ApiError> {
        self.once(
            |tokens| &mut tokens.create,
            &request.once,
            now,
            |cloud| cloud.create(request, now).map(Box::new),
        )
        .map(|eni| *eni)
    }

    fn create(&mut self, request: &CreateEni, now: Timestamp) -> Result<Eni, ApiError> {
        if self
            .account_limit
            .is_some_and(|limit| self.enis.count() >= limit as usize)
        {
            return Err(
                error::ENIS_PER_ACCOUNT.because("The maximum number of ENIs in the region is exceeded.")
            );
        }
        let eni = self.build_eni(request, None, now)?;
        self.enis.insert(eni.clone());
        Ok(eni)
    }

    /// Checks a request, takes the addresses and returns the new ENI. A refusal takes no address.
    pub(super) fn build_eni(
        &mut self,
        request: &CreateEni,
        id: Option<&str>,
        now: Timestamp,
    ) -> Result<Eni, ApiError> {
        let tags = check_tags(&request.tags)?;
        let known = self.vswitches.get(&request.vswitch_id).ok_or_else(|| {
            error::VSWITCH_NOT_FOUND.because(format!(
                "The specified VSwitchId {} is not found.",
                request.vswitch_id
            ))
        })?;
        let (vpc_id, zone_id): (Arc<str>, Arc<str>) =
            (known.spec.vpc.as_str().into(), known.spec.zone.as_str().into());
        let groups = &request.security_group_ids;
        self.check_groups(groups, &vpc_id, |_| 1 + request.ipv4.addresses())?;
        let vswitch = self
            .vswitches
            .get_mut(&request.vswitch_id)
            .ok_or_else(|| error::VSWITCH_NOT_FOUND.because("The VSwitch is not found."))?;
        let addresses = take_addresses(vswitch, request)?;
        let serial = self.ids.serial();
        let id = id.map_or_else(|| self.ids.id("eni"), str::to_owned);
        Ok(Eni {
            id: id.into(),
            serial,
            mac: self.ids.mac(serial),
            kind: match request.kind {
                NewEniKind::Secondary => EniKind::Secondary,
                NewEniKind::Trunk => EniKind::Trunk,
            },
            status: EniStatus::Available,
            vpc_id,
            vswitch_id: request.vswitch_id.as_str().into(),
            zone_id,
            security_group_ids: groups.iter().map(|id| id.as_str().into()).collect(),
            primary_ip: addresses.primary,
            secondary_ips: addresses.ipv4.addresses,
            ipv4_prefixes: addresses.ipv4.prefixes,
            ipv6_addresses: addresses.ipv6.addresses,
            ipv6_prefixes: addresses.ipv6.prefixes,
            tags,
            name: request.name.clone(),
            description: request.description.clone(),
            resource_group_id: request.resource_group_id.clone(),
            traffic_mode: request.traffic_mode.clone(),
            delete_on_release: request.delete_on_release,
            source_dest_check: request.source_dest_check,
            queue_number: request.queue_number,
            created: now,
            attachment: None,
        })
    }

    /// Whether an ENI of `vpc` can be in these groups, each of which gets `more` addresses.
    pub(super) fn check_groups(
        &self,
        ids: &[String],
        vpc: &str,
        more: impl Fn(&str) -> usize,
    ) -> Result<(), ApiError> {
        if ids.is_empty() {
            return Err(error::missing("SecurityGroupId"));
        }
        if ids.len() > MAX_GROUPS {
            return Err(error::TOO_MANY_GROUPS.because(format!(
                "At most {MAX_GROUPS} security groups can be specified for an ENI."
            )));
        }
        for id in ids {
            let group = self.groups.get(id).ok_or_else(|| {
                error::GROUP_NOT_FOUND.because(format!("The specified SecurityGroupId {id} is not found."))
            })?;
            if group.vpc != vpc {
                return Err(error::VPC_MISMATCH.because(format!(
                    "The security group {id} and the VSwitch are in different VPCs."
                )));
            }
            self.check_group_room(id, more(id))?;
        }
        Ok(())
    }

    /// Whether a group has room for `more` addresses.
    pub(super) fn check_group_room(&self, id: &str, more: usize) -> Result<(), ApiError> {
        let limit = self.groups.get(id).and_then(|group| group.max_addresses);
        let held = self.enis.addresses_in_group(id);
        if limit.is_some_and(|limit| more > 0 && held + more > limit as usize) {
            return Err(error::GROUP_FULL.because(format!(
                "The maximum number of addresses in security group {id} is exceeded."
            )));
        }
        Ok(())
    }
}

/// Takes the primary address and all other addresses, or none of them.
fn take_addresses(vswitch: &mut VSwitchState, request: &CreateEni) -> Result<NewAddresses, ApiError> {
    let (ipv4, ipv6) = (&request.ipv4, &request.ipv6);
    if ipv4.count > MAX_SECONDARY {
        return Err(error::invalid(
            "SecondaryPrivateIpAddressCount",
            "it must be 1 to 49",
        ));
    }
    if ipv4.listed.len() > MAX_LISTED_SECONDARY {
        return Err(error::invalid(
            "PrivateIpAddress",
            "at most 10 addresses can be listed",
        ));
    }
    if ipv6.addresses() > MAX_PER_CALL {
        return Err(error::invalid(
            "Ipv6Address",
            "at most 10 addresses can be had in one call",
        ));
    }
    let listed: Vec<Ipv4Addr> = request
        .primary_ip
        .into_iter()
        .chain(ipv4.listed.iter().copied())
        .collect();
    check_unrepeated(&listed, &[], error::ADDRESS_REPEATED)?;
    check_wanted(ipv4)?;
    check_wanted(ipv6)?;
    let own = u32::from(request.primary_ip.is_none());
    let mut held = vswitch.space.claim(&Wanted {
        count: ipv4.count + own,
        listed: listed.clone(),
        ..ipv4.clone()
    })?;
    // If the request names no primary address, the first address that the vSwitch chose is the primary one.
    let primary_at = if own == 0 { 0 } else { listed.len() };
    let primary = held.addresses.remove(primary_at);
    let more = if ipv6.slots() == 0 {
        Ok(Held::default())
    } else {
        Ipv6Addr::space(vswitch).and_then(|space| space.claim(ipv6))
    };
    match more {
        Ok(more) => Ok(NewAddresses {
            primary,
            ipv4: held,
            ipv6: more,
        }),
        Err(refusal) => {
            vswitch.space.release(primary);
            vswitch.space.give_back(&held.addresses, &held.prefixes);
            Err(refusal)
        }
    }
}

fn check_wanted<A: Family>(wanted: &Wanted<A>) -> Result<(), ApiError> {
    wanted.check_choices()?;
    if wanted.prefix_count as usize + wanted.prefixes.len() > MAX_PER_CALL {
        return Err(error::invalid(
            A::PREFIX_PARAMETER,
            "at most 10 prefixes can be had in one call",
        ));
    }
    check_unrepeated(&[], &wanted.prefixes, error::ADDRESS_LISTED_TWICE)
}
