//! One trait for the addresses and prefixes of both families, so that every rule about them is written once.

use std::fmt;
use std::hash::Hash;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::ranges::Span;

/// An address of either family.
pub trait Address: Copy + Ord + Hash + fmt::Display + fmt::Debug + FromStr + Serialize + 'static {
    /// The API's name of the family.
    const FAMILY: &'static str;
    /// Bits of an address.
    const BITS: u8;
    /// Length in bits of the prefixes that ENIs get.
    const PREFIX_LENGTH: u8;
    /// Number of addresses that the system keeps at the start of a vSwitch (docs/cloudsim.md, "Addresses").
    const KEPT_AT_START: u128;
    /// Number of addresses that the system keeps at the end of a vSwitch.
    const KEPT_AT_END: u128;

    /// The address as a number.
    fn number(self) -> u128;

    /// The address with this number, whose bits beyond the family's are zero.
    fn from_number(number: u128) -> Self;

    /// All addresses of the block with a prefix of `length` bits that contains `self`.
    fn block(self, length: u8) -> Span {
        let host = u32::from(Self::BITS - length.min(Self::BITS));
        let mask = 1u128.checked_shl(host).map_or(u128::MAX, |size| size - 1);
        Span {
            first: self.number() & !mask,
            last: self.number() | mask,
        }
    }

    /// How many addresses a prefix has.
    fn prefix_size() -> u128 {
        1 << (Self::BITS - Self::PREFIX_LENGTH)
    }
}

impl Address for Ipv4Addr {
    const FAMILY: &'static str = "IPv4";
    const BITS: u8 = 32;
    const PREFIX_LENGTH: u8 = 28;
    const KEPT_AT_START: u128 = 3;
    const KEPT_AT_END: u128 = 3;

    fn number(self) -> u128 {
        u32::from(self).into()
    }

    fn from_number(number: u128) -> Self {
        Ipv4Addr::from(number as u32)
    }
}

impl Address for Ipv6Addr {
    const FAMILY: &'static str = "IPv6";
    const BITS: u8 = 128;
    const PREFIX_LENGTH: u8 = 80;
    const KEPT_AT_START: u128 = 1;
    const KEPT_AT_END: u128 = 9;

    fn number(self) -> u128 {
        self.into()
    }

    fn from_number(number: u128) -> Self {
        number.into()
    }
}

/// A prefix of an ENI: a /28 of IPv4 or a /80 of IPv6 (ECS API page AssignPrivateIpAddresses).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix<A> {
    /// The first address of the prefix.
    pub first: A,
}

impl<A: Address> Prefix<A> {
    /// All addresses of the prefix, as a range.
    pub fn span(&self) -> Span {
        self.first.block(A::PREFIX_LENGTH)
    }

    /// All addresses of the prefix, one by one.
    pub fn addresses(&self) -> impl Iterator<Item = A> + use<A> {
        let Span { first, last } = self.span();
        (first..=last).map(A::from_number)
    }
}

impl<A: Address> fmt::Display for Prefix<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, A::PREFIX_LENGTH)
    }
}

impl<A: Address> Serialize for Prefix<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text that is not a prefix of the right length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be the first address of a block and the length of the prefixes of ENIs")]
pub struct PrefixError;

impl<A: Address> FromStr for Prefix<A> {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, length) = text.split_once('/').ok_or(PrefixError)?;
        let first: A = first.parse().map_err(|_| PrefixError)?;
        let prefix = Prefix { first };
        let aligned = prefix.span().first == first.number();
        if length.parse() == Ok(A::PREFIX_LENGTH) && aligned {
            Ok(prefix)
        } else {
            Err(PrefixError)
        }
    }
}

/// Requested addresses and prefixes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted<A> {
    /// Number of addresses that the cloud chooses.
    pub count: u32,
    /// Addresses the caller chooses.
    pub listed: Vec<A>,
    /// Number of prefixes that the cloud chooses.
    pub prefix_count: u32,
    /// Prefixes the caller chooses.
    pub prefixes: Vec<Prefix<A>>,
}

impl<A> Default for Wanted<A> {
    fn default() -> Self {
        Wanted {
            count: 0,
            listed: Vec::new(),
            prefix_count: 0,
            prefixes: Vec::new(),
        }
    }
}

impl<A> Wanted<A> {
    /// A request for `count` addresses that the cloud chooses.
    pub fn some(count: u32) -> Wanted<A> {
        Wanted {
            count,
            ..Wanted::default()
        }
    }

    /// Number of requested addresses, without those of prefixes.
    pub fn addresses(&self) -> usize {
        self.count as usize + self.listed.len()
    }

    /// Number of requested addresses and prefixes. A prefix counts as one address in the limits of an instance type.
    pub fn slots(&self) -> usize {
        self.addresses() + self.prefix_count as usize + self.prefixes.len()
    }
}

/// Addresses and prefixes that were given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held<A> {
    pub addresses: Vec<A>,
    pub prefixes: Vec<Prefix<A>>,
}

impl<A> Default for Held<A> {
    fn default() -> Self {
        Held {
            addresses: Vec::new(),
            prefixes: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_the_length_of_its_family_and_begins_where_a_block_does() {
        let prefix: Prefix<Ipv4Addr> = "10.0.0.16/28".parse().expect("a prefix");
        assert_eq!(prefix.to_string(), "10.0.0.16/28");
        assert_eq!(
            prefix.addresses().last(),
            Some("10.0.0.31".parse().expect("an address"))
        );
        for bad in ["10.0.0.17/28", "10.0.0.16/27", "10.0.0.16", "x/28"] {
            assert_eq!(bad.parse::<Prefix<Ipv4Addr>>(), Err(PrefixError), "{bad}");
        }
        let prefix: Prefix<Ipv6Addr> = "2001:db8:0:1:5::/80".parse().expect("a prefix");
        assert_eq!(prefix.span().size(), 1 << 48);
        assert!("2001:db8::1/80".parse::<Prefix<Ipv6Addr>>().is_err());
    }
}
