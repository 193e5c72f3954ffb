//! Addresses of both families: the one place that reads and writes them as they stand in custom resources.
//!
//! A custom resource holds an address as text and has a field for each family. Everything else holds an
//! [`IpAddr`] or an [`IpNet`] and asks the accessors below for the field of a [`Family`]. A rule about
//! addresses is written once and holds for both families.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
pub use terway_address::Family;

use crate::intent::{Operation, RequestParameters};
use crate::network_interface::NetworkInterfaceSpec;
use crate::node::{Ip, Nic, NodeCap, NodeEni, Prefix};
use crate::pod_eni::Allocation;

/// A text of a custom resource that is not what its field holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {text:?} is not {expected}")]
pub struct AddressError {
    /// Field of the custom resource.
    pub field: &'static str,
    /// Content of the field.
    pub text: String,
    expected: &'static str,
}

/// Reads an address of either family. `field` is named in the error.
pub fn parse_any_address(field: &'static str, text: &str) -> Result<IpAddr, AddressError> {
    text.parse().map_err(|_| AddressError {
        field,
        text: text.to_owned(),
        expected: "an IP address",
    })
}

/// Reads an address of one family. `field` is named in the error.
pub fn parse_address(field: &'static str, family: Family, text: &str) -> Result<IpAddr, AddressError> {
    let address = text.parse().ok().filter(|address| Family::of(*address) == family);
    address.ok_or_else(|| AddressError {
        field,
        text: text.to_owned(),
        expected: family.choose("an IPv4 address", "an IPv6 address"),
    })
}

/// Reads a network of one family in CIDR notation. `field` is named in the error.
pub fn parse_net(field: &'static str, family: Family, text: &str) -> Result<IpNet, AddressError> {
    let net = text.parse().ok().filter(|net| Family::of_net(*net) == family);
    net.ok_or_else(|| AddressError {
        field,
        text: text.to_owned(),
        expected: family.choose("an IPv4 network", "an IPv6 network"),
    })
}

/// The text of an address, as a field and as the key of a map: for IPv6 the form of RFC 5952.
pub fn print_address(address: IpAddr) -> String {
    address.to_string()
}

fn optional<T>(
    parse: fn(&'static str, Family, &str) -> Result<T, AddressError>,
    field: &'static str,
    family: Family,
    text: &str,
) -> Result<Option<T>, AddressError> {
    match text {
        "" => Ok(None),
        text => parse(field, family, text).map(Some),
    }
}

/// Accessors of an object with the fields `ipv4`, `ipv6`, `ipv4CIDR` and `ipv6CIDR`.
macro_rules! address_and_cidr {
    ($object:ty) => {
        impl $object {
            /// The address of a family; `None` when the object has none.
            pub fn address(&self, family: Family) -> Result<Option<IpAddr>, AddressError> {
                let text = family.choose(&self.ipv4, &self.ipv6);
                optional(parse_address, family.choose("ipv4", "ipv6"), family, text)
            }

            /// Addresses of both families, IPv4 first.
            pub fn addresses(&self) -> Result<Vec<IpAddr>, AddressError> {
                let families = Family::ALL.into_iter();
                families
                    .filter_map(|family| self.address(family).transpose())
                    .collect()
            }

            /// Writes an address into the field of its family.
            pub fn set_address(&mut self, address: IpAddr) {
                *Family::of(address).choose(&mut self.ipv4, &mut self.ipv6) = print_address(address);
            }

            /// Removes the addresses of both families.
            pub fn clear_addresses(&mut self) {
                self.ipv4.clear();
                self.ipv6.clear();
            }
        }
        cidr!($object);
    };
}

/// Accessors of an object with the fields `ipv4CIDR` and `ipv6CIDR`.
macro_rules! cidr {
    ($object:ty) => {
        impl $object {
            /// The vSwitch's network of a family; `None` when the object has none.
            pub fn cidr(&self, family: Family) -> Result<Option<IpNet>, AddressError> {
                let text = family.choose(&self.ipv4_cidr, &self.ipv6_cidr);
                optional(
                    parse_net,
                    family.choose("ipv4CIDR", "ipv6CIDR"),
                    family,
                    text,
                )
            }

            /// Writes the vSwitch's network into the field of its family.
            pub fn set_cidr(&mut self, net: IpNet) {
                let field = Family::of_net(net).choose(&mut self.ipv4_cidr, &mut self.ipv6_cidr);
                *field = net.to_string();
            }
        }
    };
}

address_and_cidr!(Allocation);
address_and_cidr!(NetworkInterfaceSpec);
cidr!(Nic);

impl Ip {
    /// The record of an address that no pod has.
    pub fn unbound(address: IpAddr, primary: bool) -> Ip {
        Ip {
            ip: print_address(address),
            primary,
            ..Ip::default()
        }
    }

    /// The address, which must be of the family of the map it stands in.
    pub fn address(&self, family: Family) -> Result<IpAddr, AddressError> {
        parse_address("ip", family, &self.ip)
    }
}

impl Prefix {
    /// The prefix, which must be of the family of the list it stands in.
    pub fn net(&self, family: Family) -> Result<IpNet, AddressError> {
        parse_net("prefix", family, &self.prefix)
    }
}

impl Nic {
    /// The addresses of a family by their text.
    pub fn addresses(&self, family: Family) -> &BTreeMap<String, Ip> {
        family.choose(&self.ipv4, &self.ipv6)
    }

    /// The addresses of a family by their text.
    pub fn addresses_mut(&mut self, family: Family) -> &mut BTreeMap<String, Ip> {
        family.choose(&mut self.ipv4, &mut self.ipv6)
    }

    /// The addresses of both families, each with its family; IPv4 first.
    pub fn all_addresses(&self) -> impl Iterator<Item = (Family, &Ip)> {
        let families = Family::ALL.into_iter();
        families.flat_map(|family| self.addresses(family).values().map(move |ip| (family, ip)))
    }

    /// The record of an address, if the ENI has it.
    pub fn find(&self, address: IpAddr) -> Option<&Ip> {
        self.addresses(Family::of(address)).get(&print_address(address))
    }

    /// The record of an address, if the ENI has it.
    pub fn find_mut(&mut self, address: IpAddr) -> Option<&mut Ip> {
        self.addresses_mut(Family::of(address))
            .get_mut(&print_address(address))
    }

    /// The record of an address. An address that the ENI did not have is added and belongs to no pod.
    pub fn find_or_add(&mut self, address: IpAddr, primary: bool) -> &mut Ip {
        self.addresses_mut(Family::of(address))
            .entry(print_address(address))
            .or_insert_with(|| Ip::unbound(address, primary))
    }

    /// The prefixes of a family.
    pub fn prefixes(&self, family: Family) -> &[Prefix] {
        family.choose(&self.ipv4_prefix, &self.ipv6_prefix)
    }

    /// The prefixes of a family.
    pub fn prefixes_mut(&mut self, family: Family) -> &mut Vec<Prefix> {
        family.choose(&mut self.ipv4_prefix, &mut self.ipv6_prefix)
    }
}

impl NodeCap {
    /// How many addresses of a family one ENI can have.
    pub fn per_adapter(&self, family: Family) -> usize {
        let count = family.choose(self.ipv4_per_adapter, self.ipv6_per_adapter);
        usize::try_from(count).unwrap_or(0)
    }
}

impl NodeEni {
    /// Whether pods of the node get addresses of a family.
    pub fn enables(&self, family: Family) -> bool {
        family.choose(self.enable_ipv4, self.enable_ipv6)
    }

    /// How many prefixes of a family the node has over all ENIs.
    pub fn prefix_count(&self, family: Family) -> usize {
        let count = family.choose(self.ipv4_prefix_count, self.ipv6_prefix_count);
        usize::try_from(count).unwrap_or(0)
    }
}

impl RequestParameters {
    /// How many addresses of a family the new ENI has. Every ENI has a primary IPv4 address, which counts.
    pub fn address_count(&self, family: Family) -> usize {
        let count = family.choose(self.ipv4_count.max(1), self.ipv6_count);
        usize::try_from(count).unwrap_or(0)
    }
}

impl Operation {
    /// The addresses that are given back.
    pub fn given_back(&self) -> Result<Vec<IpAddr>, AddressError> {
        let addresses = self.addresses.iter();
        addresses
            .map(|text| parse_any_address("addresses", text))
            .collect()
    }
}
