//! What differs between the families: where the model keeps their addresses, how many may be
//! had, and which codes refuse them.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::error::{self, ApiError, Code};
use super::family::{Address, Held, Prefix, Wanted};
use super::tokens::{TokenLedger, Tokens};
use super::{AddressSpace, Eni, VSwitchState};
use crate::world::{InstanceType, Rules};

/// Prefixes in one call, and IPv6 addresses.
pub(super) const MAX_PER_CALL: usize = 10;

/// Where the model keeps the addresses of a family, and the family's limits.
pub trait Family: Address {
    /// The parameter that asks for addresses by name.
    const ADDRESS_PARAMETER: &'static str;
    /// The parameter that asks for prefixes by name.
    const PREFIX_PARAMETER: &'static str;
    /// More than the ENI takes.
    const COUNT_EXCEEDED: Code;
    /// The ENI can have nothing of the family.
    const UNSUPPORTED: Code;
    /// Whether security groups limit the addresses of the family.
    const COUNTED_IN_GROUPS: bool;
    /// A text that is no address of the family.
    const MALFORMED: Code;
    /// An address or prefix stands twice in a request.
    const REPEATED: Code;

    /// What the vSwitch has of the family.
    fn space(vswitch: &mut VSwitchState) -> Result<&mut AddressSpace<Self>, ApiError>;
    /// What the ENI has of the family, but for its primary address.
    fn held(eni: &Eni) -> (&Vec<Self>, &Vec<Prefix<Self>>);
    /// The same, to change it.
    fn held_mut(eni: &mut Eni) -> (&mut Vec<Self>, &mut Vec<Prefix<Self>>);
    /// Addresses and prefixes that an ENI may have beside its primary address: while it is
    /// free, or on an instance of a type.
    fn limit(kind: Option<&InstanceType>, rules: &Rules) -> u32;
    /// Addresses that may be asked for in one call.
    fn per_call() -> usize;
    /// The tokens of the family's action.
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
            // One is for the primary address.
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
    /// Whether the cloud or the caller chooses, and not both.
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
