//! AttachNetworkInterface. The call is accepted at once, and the ENI is InUse later. With a trunk the ENI becomes a
//! member and gets a VLAN id, which the API calls DeviceIndex.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use jiff::Timestamp;

use super::error::{self, ApiError};
use super::{Attachment, Cloud, Completion, Eni, EniKind, EniStatus, InstanceState};
use crate::world::InstanceType;

/// The traffic mode of eRDMA interfaces.
const HIGH_PERFORMANCE: &str = "HighPerformance";
const VLAN_IDS: std::ops::RangeInclusive<u16> = 1..=4094;

/// Parameters of AttachNetworkInterface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttachEni {
    pub eni_id: String,
    pub instance_id: String,
    /// The trunk that is to carry it.
    pub trunk_eni_id: Option<String>,
    pub network_card_index: u32,
}

impl Cloud {
    /// Accepts an attach, or refuses it.
    pub fn attach_network_interface(
        &mut self,
        request: &AttachEni,
        completion: Completion,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let attachment = self.plan_attachment(request)?;
        let id = self
            .enis
            .update(&request.eni_id, |eni| {
                eni.status = EniStatus::Attaching;
                if attachment.trunk_eni_id.is_some() {
                    eni.kind = EniKind::Member;
                }
                eni.attachment = Some(attachment);
                eni.id.clone()
            })
            .ok_or_else(|| not_found(&request.eni_id))?;
        self.complete_later(id, completion, now);
        Ok(())
    }

    fn plan_attachment(&self, request: &AttachEni) -> Result<Attachment, ApiError> {
        let eni = self.known_eni(&request.eni_id)?;
        let instance = self.known_instance(&request.instance_id)?;
        let limits = self.limits(instance).ok_or_else(|| {
            error::ECS_STATE.because(format!("Instance {} has an unknown type.", request.instance_id))
        })?;
        if eni.status != EniStatus::Available {
            return Err(wrong_state(eni));
        }
        if *eni.vpc_id != *instance.vpc {
            return Err(error::VPC_MISMATCH.because("The ENI and the instance are in different VPCs."));
        }
        if *eni.zone_id != *instance.zone {
            return Err(error::ZONE_MISMATCH.because("The ENI and the instance are in different zones."));
        }
        self.check_fit::<Ipv4Addr>(eni, Some(limits), 0)?;
        self.check_fit::<Ipv6Addr>(eni, Some(limits), 0)?;
        self.check_card(eni, request.network_card_index, limits)?;
        let (trunk_eni_id, device_index) = match &request.trunk_eni_id {
            Some(trunk) => {
                let vlan = self.plan_member(eni, trunk, instance, limits)?;
                (Some(Arc::from(trunk.as_str())), vlan)
            }
            None => {
                self.check_direct(eni, instance, limits)?;
                (None, 0)
            }
        };
        Ok(Attachment {
            instance_id: Arc::from(request.instance_id.as_str()),
            trunk_eni_id,
            device_index,
            network_card_index: request.network_card_index,
        })
    }

    /// The VLAN id of a new member: the smallest id that no member of the trunk has (unverified). Ids are thus used
    /// again soon, which shows stale state on a node.
    fn plan_member(
        &self,
        eni: &Eni,
        trunk_id: &str,
        instance: &InstanceState,
        limits: &InstanceType,
    ) -> Result<u16, ApiError> {
        let trunk = self.known_eni(trunk_id)?;
        if trunk.kind != EniKind::Trunk || eni.kind != EniKind::Secondary {
            return Err(
                error::ENI_TYPE.because("A trunk ENI and a secondary ENI are needed to attach a member.")
            );
        }
        if trunk.status != EniStatus::InUse
            || trunk
                .instance()
                .is_none_or(|holder| **holder != *instance.spec.id)
        {
            return Err(wrong_state(trunk));
        }
        let held: BTreeSet<u16> = self
            .enis
            .of_trunk(trunk_id)
            .filter_map(|member| {
                member
                    .attachment
                    .as_ref()
                    .map(|attachment| attachment.device_index)
            })
            .collect();
        let slots = limits.eni_total_quantity.saturating_sub(limits.eni_quantity);
        if held.len() >= slots as usize {
            return Err(per_instance_limit());
        }
        VLAN_IDS
            .into_iter()
            .find(|vlan| !held.contains(vlan))
            .ok_or_else(per_instance_limit)
    }

    fn check_direct(
        &self,
        eni: &Eni,
        instance: &InstanceState,
        limits: &InstanceType,
    ) -> Result<(), ApiError> {
        if eni.kind == EniKind::Trunk && !limits.trunk_supported {
            return Err(error::ENI_TYPE.because("The instance type does not support trunk ENIs."));
        }
        let there = |fits: &dyn Fn(&Eni) -> bool| {
            let direct = self.enis.of_instance(&instance.spec.id);
            direct.filter(|eni| eni.trunk().is_none() && fits(eni)).count()
        };
        let trunks = there(&|eni| eni.kind == EniKind::Trunk);
        if there(&|_| true) >= limits.eni_quantity as usize
            || eni.kind == EniKind::Trunk && trunks >= self.rules.trunks_per_instance as usize
        {
            return Err(per_instance_limit());
        }
        let rdma = |eni: &Eni| eni.traffic_mode == HIGH_PERFORMANCE;
        if rdma(eni) && there(&rdma) >= limits.eri_quantity as usize {
            return Err(error::ENI_TYPE.because("The instance takes no more ENIs of the RDMA mode."));
        }
        Ok(())
    }

    fn check_card(&self, eni: &Eni, card: u32, limits: &InstanceType) -> Result<(), ApiError> {
        if card < limits.network_cards.max(1) {
            return Ok(());
        }
        Err(error::invalid(
            "NetworkCardIndex",
            &format!("the instance has no network card {card} for ENI {}", eni.id),
        ))
    }

    pub(super) fn known_eni(&self, id: &str) -> Result<&Eni, ApiError> {
        self.enis.get(id).ok_or_else(|| not_found(id))
    }

    pub(super) fn known_instance(&self, id: &str) -> Result<&InstanceState, ApiError> {
        self.instances.get(id).ok_or_else(|| {
            error::ECS_NOT_FOUND.because(format!("The specified InstanceId {id} does not exist."))
        })
    }
}

/// The refusal of an unknown ENI id: malformed if it does not begin with `eni-`, else not found.
pub(super) fn not_found(id: &str) -> ApiError {
    if id.starts_with("eni-") {
        error::ENI_NOT_FOUND.because(format!("The specified NetworkInterfaceId {id} does not exist."))
    } else {
        error::ENI_MALFORMED.because(format!("The specified NetworkInterfaceId {id} is malformed."))
    }
}

pub(super) fn wrong_state(eni: &Eni) -> ApiError {
    error::ENI_STATE.because(format!(
        "The ENI {} is in status {}, which does not allow the operation.",
        eni.id,
        eni.status.name()
    ))
}

fn per_instance_limit() -> ApiError {
    error::ENIS_PER_INSTANCE.because("The maximum number of ENIs per instance is exceeded.")
}
