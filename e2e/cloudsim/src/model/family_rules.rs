//! The differences between the families: where the model keeps the addresses, the limits, and the error codes.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::error::{self, ApiError, Code};
use super::family::{Address, Held, Prefix, Wanted};
use super::tokens::{TokenLedger, Tokens};
use super::{AddressSpace, Eni, VSwitchState};
use crate::world::{InstanceType, Rules};

/// Number of prefixes, and of IPv6 addresses, in one call (ECS API page AssignPrivateIpAddresses).
pub(super) const MAX_PER_CALL: usize = 10;

/// The places of a family's addresses in the model, and the family's limits and error codes.
pub trait Family: Address {
    /// The parameter that asks for addresses by name.
    const ADDRESS_PARAMETER: &'static str;
    /// The parameter that asks for prefixes by name.
    const PREFIX_PARAMETER: &'static str;
    /// Code for more addresses than the ENI takes.
    const COUNT_EXCEEDED: Code;
    /// Code for an ENI that cannot have addresses of the family.
    const UNSUPPORTED: Code;
    /// Whether security groups limit the addresses of the family.
    const COUNTED_IN_GROUPS: bool;
    /// Code for a text that is not an address of the family.
    const MALFORMED: Code;
    /// Code for an address or prefix that a request names twice.
    const REPEATED: Code;

    /// The address space of the family in a vSwitch.
    fn space(vswitch: &mut VSwitchState) -> Result<&mut AddressSpace<Self>, ApiError>;
    /// The addresses and prefixes of the family that an ENI has, without its primary address.
    fn held(eni: &Eni) -> (&Vec<Self>, &Vec<Prefix<Self>>);
    /// As [`Family::held`], mutable.
    fn held_mut(eni: &mut Eni) -> (&mut Vec<Self>, &mut Vec<Prefix<Self>>);
    /// Number of addresses and prefixes that an ENI may have in addition to its primary address, on an instance of type
    /// `kind` or, without a type, while it is free.
    fn limit(kind: Option<&InstanceType>, rules: &Rules) -> u32;
    /// Number of addresses that one call may request.
    fn per_call() -> usize;
    /// The ClientTokens of the family's Assign action.
    fn ledger(tokens: &mut Tokens) -> &mut TokenLedger<Held<Self>>;
}

impl Family for Ipv4Addr {
    const ADDRESS_PARAMETER: &'static str = "PrivateIpAddress";
    const PREFIX_PARAMETER: &'static str = "Ipv4Prefix";
    const COUNT_EXCEEDED: Code = error::IPV4_COUNT;
    const UNSUPPORTED: Code = error::IPV4_COUNT;
    const COUNTED_IN_GROUPS: bool = true;
    const MALFORMED: Code = error::INVALID_PARAMETER;
    const REPEATED: Code = error::ADDRESS_REPEATED;

    fn space(vswitch: &mut VSwitchState) -> Result<&mut AddressSpace<Self>, ApiError> {
        Ok(&mut vswitch.space)
    }

    fn held(eni: &Eni) -> (&Vec<Self>, &Vec<Prefix<Self>>) {
        (&eni.secondary_ips, &eni.ipv4_prefixes)
    }

    fn held_mut(eni: &mut Eni) -> (&mut Vec<Self>, &mut Vec<Prefix<Self>>) {
        (&mut eni.secondary_ips, &mut eni.ipv4_prefixes)
    }

    fn limit(kind: Option<&InstanceType>, rules: &Rules) -> u32 {
        match kind {
            // One place is for the primary address.
            Some(kind) => kind.private_ips_per_eni.saturating_sub(1),
            None => rules.free_eni_ipv4,
        }
    }

    fn per_call() -> usize {
        usize::MAX
    }

    fn ledger(tokens: &mut Tokens) -> &mut TokenLedger<Held<Self>> {
        &mut tokens.assign_ipv4
    }
}

impl Family for Ipv6Addr {
    const ADDRESS_PARAMETER: &'static str = "Ipv6Address";
    const PREFIX_PARAMETER: &'static str = "Ipv6Prefix";
    const COUNT_EXCEEDED: Code = error::IPV6_COUNT;
    const UNSUPPORTED: Code = error::IPV6_UNSUPPORTED;
    const COUNTED_IN_GROUPS: bool = false;
    const MALFORMED: Code = error::IPV6_ADDRESS;
    const REPEATED: Code = error::ADDRESS_LISTED_TWICE;

    fn space(vswitch: &mut VSwitchState) -> Result<&mut AddressSpace<Self>, ApiError> {
        let id = &vswitch.spec.id;
        vswitch.ipv6.as_mut().ok_or_else(|| {
            error::IPV6_OFF.because(format!("The specified VSwitch {id} ipv6 function not turn on."))
        })
    }

    fn held(eni: &Eni) -> (&Vec<Self>, &Vec<Prefix<Self>>) {
        (&eni.ipv6_addresses, &eni.ipv6_prefixes)
    }

    fn held_mut(eni: &mut Eni) -> (&mut Vec<Self>, &mut Vec<Prefix<Self>>) {
        (&mut eni.ipv6_addresses, &mut eni.ipv6_prefixes)
    }

    fn limit(kind: Option<&InstanceType>, rules: &Rules) -> u32 {
        kind.map_or(rules.free_eni_ipv6, |kind| kind.ipv6_per_eni)
    }

    fn per_call() -> usize {
        MAX_PER_CALL
    }

    fn ledger(tokens: &mut Tokens) -> &mut TokenLedger<Held<Self>> {
        &mut tokens.assign_ipv6
    }
}

impl<A: Family> Wanted<A> {
    /// Refuses a request in which both the cloud and the caller choose.
    pub(super) fn check_choices(&self) -> Result<(), ApiError> {
        if self.count > 0 && !self.listed.is_empty() {
            return Err(error::invalid(
                A::ADDRESS_PARAMETER,
                "it excludes a number of addresses",
            ));
        }
        if self.prefix_count > 0 && !self.prefixes.is_empty() {
            return Err(error::invalid(
                A::PREFIX_PARAMETER,
                "it excludes a number of prefixes",
            ));
        }
        if self.addresses() > 0 && self.slots() > self.addresses() {
            return Err(error::invalid(
                A::PREFIX_PARAMETER,
                "addresses and prefixes cannot be had in one call",
            ));
        }
        Ok(())
    }
}
