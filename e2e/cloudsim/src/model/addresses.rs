//! AssignPrivateIpAddresses, AssignIpv6Addresses and the Unassign actions. They are synchronous and work for ENIs that
//! are free or in use.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::attach::{not_found, wrong_state};
use super::error::{self, ApiError, Code};
use super::family::{Address, Held, Prefix, Wanted};
use super::family_rules::{Family, MAX_PER_CALL};
use super::{Change, Cloud, Eni, EniStatus, Idempotency};
use crate::world::InstanceType;

/// Parameters of the actions that give addresses to an ENI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignAddresses<A> {
    pub eni_id: String,
    pub wanted: Wanted<A>,
    pub once: Idempotency,
}

/// Parameters of the actions that take addresses from an ENI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnassignAddresses<A> {
    pub eni_id: String,
    pub addresses: Vec<A>,
    pub prefixes: Vec<Prefix<A>>,
}

impl Cloud {
    /// Gives all requested addresses or prefixes to an ENI, or none.
    pub fn assign_addresses<A: Family>(
        &mut self,
        request: &AssignAddresses<A>,
        now: Timestamp,
    ) -> Result<Held<A>, ApiError> {
        self.once(A::ledger, &request.once, now, |cloud| cloud.assign(request))
    }

    fn assign<A: Family>(&mut self, request: &AssignAddresses<A>) -> Result<Held<A>, ApiError> {
        let wanted = &request.wanted;
        let eni = self.known_eni(&request.eni_id)?;
        check_assign(wanted)?;
        check_state(eni)?;
        self.check_room::<A>(eni, wanted.slots())?;
        if A::COUNTED_IN_GROUPS {
            for group in &eni.security_group_ids {
                self.check_group_room(group, wanted.addresses())?;
            }
        }
        let vswitch_id = eni.vswitch_id.clone();
        let vswitch = self
            .vswitches
            .get_mut(&*vswitch_id)
            .ok_or_else(|| error::VSWITCH_NOT_FOUND.because("The VSwitch of the ENI is not found."))?;
        let given = A::space(vswitch)?.claim(wanted)?;
        self.alter(&request.eni_id, |eni| {
            let (addresses, prefixes) = A::held_mut(eni);
            addresses.extend(&given.addresses);
            prefixes.extend(&given.prefixes);
        })?;
        Ok(given)
    }

    /// Whether an ENI may have `more` addresses and prefixes of a family at its present instance, or while it is free.
    fn check_room<A: Family>(&self, eni: &Eni, more: usize) -> Result<(), ApiError> {
        let instance = eni.instance().and_then(|id| self.instances.get(&**id));
        let kind = instance.and_then(|instance| self.limits(instance));
        self.check_fit::<A>(eni, kind, more)
    }

    /// Whether an ENI may have `more` addresses and prefixes of a family on an instance of type `kind`, or, without a
    /// type, while it is free.
    pub(super) fn check_fit<A: Family>(
        &self,
        eni: &Eni,
        kind: Option<&InstanceType>,
        more: usize,
    ) -> Result<(), ApiError> {
        let limit = A::limit(kind, &self.rules) as usize;
        let (addresses, prefixes) = A::held(eni);
        let held = addresses.len() + prefixes.len();
        if held + more <= limit {
            return Ok(());
        }
        let code = if limit == 0 {
            A::UNSUPPORTED
        } else {
            A::COUNT_EXCEEDED
        };
        Err(code.because(format!(
            "The number of {} addresses of ENI {} exceeds the limit ({limit}). Assigned: {held}. Expecting assign: {more}.",
            A::FAMILY,
            eni.id
        )))
    }

    /// Takes all listed addresses or prefixes from an ENI, or none.
    pub fn unassign_addresses<A: Family>(&mut self, request: &UnassignAddresses<A>) -> Result<(), ApiError> {
        let eni = self.known_eni(&request.eni_id)?;
        if request.addresses.is_empty() && request.prefixes.is_empty() {
            return Err(nothing_asked(A::ADDRESS_PARAMETER, A::PREFIX_PARAMETER));
        }
        if request.addresses.len().max(request.prefixes.len()) > A::per_call() {
            return Err(error::invalid(
                A::ADDRESS_PARAMETER,
                "at most 10 can be listed in one call",
            ));
        }
        check_unrepeated(&request.addresses, &request.prefixes, error::ADDRESS_LISTED_TWICE)?;
        check_state(eni)?;
        let (addresses, prefixes) = A::held(eni);
        let unassigned = |ip: String| {
            error::ADDRESS_UNASSIGNED.because(format!("The specified IP {ip} is not assigned on this ENI."))
        };
        // The list of held addresses does not contain the primary address, so the primary address is refused too.
        if let Some(foreign) = request.addresses.iter().find(|ip| !addresses.contains(ip)) {
            return Err(unassigned(foreign.to_string()));
        }
        if let Some(foreign) = request.prefixes.iter().find(|prefix| !prefixes.contains(prefix)) {
            return Err(unassigned(foreign.to_string()));
        }
        let vswitch_id = eni.vswitch_id.clone();
        if let Some(vswitch) = self.vswitches.get_mut(&*vswitch_id) {
            A::space(vswitch)?.give_back(&request.addresses, &request.prefixes);
        }
        self.alter(&request.eni_id, |eni| {
            let (addresses, prefixes) = A::held_mut(eni);
            addresses.retain(|ip| !request.addresses.contains(ip));
            prefixes.retain(|prefix| !request.prefixes.contains(prefix));
        })
    }

    /// Changes an ENI. If the ENI is in use, the fabric follows.
    pub(super) fn alter(&mut self, id: &str, change: impl FnOnce(&mut Eni)) -> Result<(), ApiError> {
        self.enis.update(id, change).ok_or_else(|| not_found(id))?;
        let plugged = |eni: &&Eni| matches!(eni.status, EniStatus::InUse | EniStatus::Detaching);
        if let Some(eni) = self.enis.get(id).filter(plugged).filter(|_| self.record_changes) {
            let altered = Change::Altered(eni.clone());
            self.note(|| altered);
        }
        Ok(())
    }
}

fn check_assign<A: Family>(wanted: &Wanted<A>) -> Result<(), ApiError> {
    if wanted.slots() == 0 {
        return Err(nothing_asked(A::ADDRESS_PARAMETER, A::PREFIX_PARAMETER));
    }
    wanted.check_choices()?;
    if wanted.addresses() > A::per_call() {
        return Err(error::invalid(
            A::ADDRESS_PARAMETER,
            "at most 10 addresses can be had in one call",
        ));
    }
    if wanted.slots() - wanted.addresses() > MAX_PER_CALL {
        return Err(error::invalid(
            A::PREFIX_PARAMETER,
            "at most 10 prefixes can be had in one call",
        ));
    }
    check_unrepeated(&wanted.listed, &wanted.prefixes, A::REPEATED)
}

fn check_state(eni: &Eni) -> Result<(), ApiError> {
    match eni.status {
        EniStatus::Available | EniStatus::InUse => Ok(()),
        EniStatus::Attaching | EniStatus::Detaching | EniStatus::Deleting => Err(wrong_state(eni)),
    }
}

fn nothing_asked(addresses: &str, prefixes: &str) -> ApiError {
    error::MISSING_PARAMETER.because(format!(
        "The input parameter {addresses} or {prefixes} that is mandatory for processing this request is not supplied."
    ))
}

/// Refuses lists with an entry that appears twice.
pub(super) fn check_unrepeated<A: Address>(
    addresses: &[A],
    prefixes: &[Prefix<A>],
    code: Code,
) -> Result<(), ApiError> {
    let distinct =
        addresses.iter().collect::<BTreeSet<_>>().len() + prefixes.iter().collect::<BTreeSet<_>>().len();
    if distinct == addresses.len() + prefixes.len() {
        return Ok(());
    }
    Err(code.because("The specified private IP addresses are repeated."))
}
