//! CreateNetworkInterface: synchronous, the ENI is Available when the answer comes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::Timestamp;

use super::error::{self, ApiError};
use super::{Cloud, Eni, EniKind, EniStatus, VSwitchState};

const MAX_GROUPS: usize = 10;
const MAX_TAGS: usize = 20;
const MAX_SECONDARY: u32 = 49;
const MAX_LISTED_SECONDARY: usize = 10;

/// What an ENI is created as.
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
    /// Secondary addresses the cloud chooses.
    pub secondary_count: u32,
    /// Secondary addresses the caller chooses.
    pub secondary_ips: Vec<Ipv4Addr>,
    pub tags: Vec<(String, String)>,
    pub name: String,
    pub description: String,
    pub resource_group_id: String,
    pub traffic_mode: String,
    pub delete_on_release: bool,
    pub source_dest_check: bool,
    pub client_token: Option<String>,
    /// All parameters but the token, in one canonical form: what tells a repeated request
    /// from a changed one.
    pub fingerprint: String,
}

impl Cloud {
    /// Creates an ENI. A token that is remembered answers what it answered first, also when
    /// the ENI is gone since.
    pub fn create_network_interface(&mut self, request: &CreateEni, now: Timestamp) -> Result<Eni, ApiError> {
        self.tokens.forget_old(now);
        let Some(token) = &request.client_token else {
            return self.create(request, now);
        };
        if let Some(earlier) = self.tokens.recall(token, &request.fingerprint) {
            return earlier;
        }
        let outcome = self.create(request, now);
        self.tokens.remember(token, &request.fingerprint, &outcome, now);
        outcome
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

    /// Checks a request and takes its addresses. Everything that can refuse comes before
    /// the first address is taken, or gives back what was.
    pub(super) fn build_eni(
        &mut self,
        request: &CreateEni,
        id: Option<&str>,
        now: Timestamp,
    ) -> Result<Eni, ApiError> {
        let tags = check_tags(&request.tags)?;
        self.check_groups(request)?;
        let vswitch = self.vswitches.get_mut(&request.vswitch_id).ok_or_else(|| {
            error::VSWITCH_NOT_FOUND.because(format!(
                "The specified VSwitchId {} is not found.",
                request.vswitch_id
            ))
        })?;
        let mut addresses = take_addresses(vswitch, request)?.into_iter();
        let primary_ip = addresses
            .next()
            .ok_or_else(|| error::missing("PrimaryIpAddress"))?;
        let (vpc_id, zone_id) = (
            Arc::from(vswitch.spec.vpc.as_str()),
            Arc::from(vswitch.spec.zone.as_str()),
        );
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
            security_group_ids: request
                .security_group_ids
                .iter()
                .map(|id| id.as_str().into())
                .collect(),
            primary_ip,
            secondary_ips: addresses.collect(),
            tags,
            name: request.name.clone(),
            description: request.description.clone(),
            resource_group_id: request.resource_group_id.clone(),
            traffic_mode: request.traffic_mode.clone(),
            delete_on_release: request.delete_on_release,
            source_dest_check: request.source_dest_check,
            created: now,
            attachment: None,
        })
    }

    fn check_groups(&self, request: &CreateEni) -> Result<(), ApiError> {
        let ids = &request.security_group_ids;
        if ids.is_empty() {
            return Err(error::missing("SecurityGroupId"));
        }
        if ids.len() > MAX_GROUPS {
            return Err(error::TOO_MANY_GROUPS.because(format!(
                "At most {MAX_GROUPS} security groups can be specified for an ENI."
            )));
        }
        let vpc = self
            .vswitches
            .get(&request.vswitch_id)
            .map(|vswitch| &vswitch.spec.vpc);
        let wanted = 1 + request.secondary_count as usize + request.secondary_ips.len();
        for id in ids {
            let group = self.groups.get(id).ok_or_else(|| {
                error::GROUP_NOT_FOUND.because(format!("The specified SecurityGroupId {id} is not found."))
            })?;
            if vpc.is_some_and(|vpc| *vpc != group.vpc) {
                return Err(error::VPC_MISMATCH.because(format!(
                    "The security group {id} and the VSwitch are in different VPCs."
                )));
            }
            let held = self.enis.addresses_in_group(id);
            if group
                .max_addresses
                .is_some_and(|limit| held + wanted > limit as usize)
            {
                return Err(error::GROUP_FULL.because(format!(
                    "The maximum number of addresses in security group {id} is exceeded."
                )));
            }
        }
        Ok(())
    }
}

fn check_tags(tags: &[(String, String)]) -> Result<BTreeMap<Arc<str>, Arc<str>>, ApiError> {
    if tags.len() > MAX_TAGS {
        return Err(error::TOO_MANY_TAGS.because(format!("At most {MAX_TAGS} tags can be specified.")));
    }
    let mut checked = BTreeMap::new();
    for (key, value) in tags {
        if key.is_empty() || key.len() > 128 {
            return Err(error::TAG_KEY_MALFORMED.because("A tag key has 1 to 128 characters."));
        }
        if value.len() > 128 {
            return Err(error::TAG_VALUE_MALFORMED.because("A tag value has up to 128 characters."));
        }
        if checked
            .insert(Arc::from(key.as_str()), Arc::from(value.as_str()))
            .is_some()
        {
            return Err(error::TAG_KEY_TWICE.because(format!("The tag key {key} is specified twice.")));
        }
    }
    Ok(checked)
}

/// Takes the primary address and the secondary ones, or none of them.
fn take_addresses(vswitch: &mut VSwitchState, request: &CreateEni) -> Result<Vec<Ipv4Addr>, ApiError> {
    if request.secondary_count > MAX_SECONDARY {
        return Err(error::invalid(
            "SecondaryPrivateIpAddressCount",
            "it must be 1 to 49",
        ));
    }
    if request.secondary_ips.len() > MAX_LISTED_SECONDARY {
        return Err(error::invalid(
            "PrivateIpAddress",
            "at most 10 addresses can be listed",
        ));
    }
    let listed: BTreeSet<_> = request.primary_ip.iter().chain(&request.secondary_ips).collect();
    if listed.len() != request.secondary_ips.len() + usize::from(request.primary_ip.is_some()) {
        return Err(error::ADDRESS_REPEATED.because("A private IP address is specified twice."));
    }
    // `None` lets the vSwitch choose.
    let chosen = std::iter::once(request.primary_ip)
        .chain(request.secondary_ips.iter().copied().map(Some))
        .chain((0..request.secondary_count).map(|_| None));
    let mut taken = Vec::new();
    for choice in chosen {
        let address = match choice {
            None => vswitch.space.take_next(),
            Some(address) => vswitch.space.take(address).map(|()| address),
        };
        match address {
            Ok(address) => taken.push(address),
            Err(refusal) => {
                taken
                    .into_iter()
                    .for_each(|address| vswitch.space.release(address));
                return Err(refusal);
            }
        }
    }
    Ok(taken)
}
