//! Addresses and their families. A rule about addresses is written once and holds for both families.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    /// Both families, IPv4 first.
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];

    /// The families that pods and nodes get addresses of. [`served`] refuses the others.
    pub const SERVED: [Family; 1] = [Family::V4];

    /// The family of an address.
    pub fn of(address: IpAddr) -> Family {
        match address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    /// The family of a network.
    pub fn of_net(net: IpNet) -> Family {
        Family::of(net.addr())
    }

    /// The one of two values that belongs to this family.
    pub fn choose<T>(self, v4: T, v6: T) -> T {
        match self {
            Family::V4 => v4,
            Family::V6 => v6,
        }
    }

    /// Bits of an address: 32 or 128.
    pub fn bits(self) -> u8 {
        self.choose(32, 128)
    }

    /// Length of the prefixes that the cloud assigns to an ENI: /28 or /80 (ECS API page
    /// "AssignPrivateIpAddresses", `Ipv4PrefixCount`; page "AssignIpv6Addresses", `Ipv6PrefixCount`).
    pub fn eni_prefix_length(self) -> u8 {
        self.choose(28, 80)
    }

    /// The network that holds every address of the family: the destination of a default route.
    pub fn anywhere(self) -> IpNet {
        match self {
            Family::V4 => IpNet::V4(Ipv4Net::default()),
            Family::V6 => IpNet::V6(Ipv6Net::default()),
        }
    }

    /// The next hop of everything that a pod sends. No interface has this address: a permanent neighbour entry in
    /// the pod leads to the host's end of the veth. Both addresses are the ones of upstream's agent.
    pub fn pod_gateway(self) -> IpAddr {
        match self {
            Family::V4 => IpAddr::V4(Ipv4Addr::new(169, 254, 1, 1)),
            Family::V6 => IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.choose("IPv4", "IPv6"))
    }
}

/// An address of a family that is not in [`Family::SERVED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} is an {} address, and this version of Terway serves IPv4 alone", Family::of(*address))]
pub struct FamilyNotServed {
    pub address: IpAddr,
}

/// Refuses an address of a family that is not served. Whatever a user or a record can ask for passes here.
///
/// # Errors
///
/// Names the address.
pub fn served(address: IpAddr) -> Result<IpAddr, FamilyNotServed> {
    if Family::SERVED.contains(&Family::of(address)) {
        Ok(address)
    } else {
        Err(FamilyNotServed { address })
    }
}

/// The network that holds this address alone: /32 or /128.
pub fn full_prefix(address: IpAddr) -> IpNet {
    IpNet::from(address)
}

/// The address of a network that holds one address alone.
pub fn single(net: IpNet) -> Option<IpAddr> {
    (net.prefix_len() == net.max_prefix_len()).then(|| net.addr())
}

/// Whether a network holds every address of its family.
pub fn is_anywhere(net: IpNet) -> bool {
    net.prefix_len() == 0
}

/// The gateway of a vSwitch: the third-last address of its CIDR. (Alibaba Cloud, "vSwitches": the first and the last
/// three IPv4 addresses are reserved. That the gateway is the third-last is unverified for IPv6.)
pub fn vswitch_gateway(cidr: IpNet) -> IpAddr {
    match cidr {
        IpNet::V4(cidr) => Ipv4Addr::from(u32::from(cidr.broadcast()).saturating_sub(2)).into(),
        IpNet::V6(cidr) => Ipv6Addr::from(u128::from(cidr.broadcast()).saturating_sub(2)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn a_full_prefix_holds_one_address_in_either_family() {
        for text in ["10.0.16.7", "fd00::7"] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(single(full_prefix(address)), Some(address));
            assert!(!is_anywhere(full_prefix(address)));
        }
        // 32 bits are a full prefix of IPv4 alone.
        assert_eq!(single(net("fd00:1::/32")), None);
        assert_eq!(single(net("10.0.16.0/31")), None);
    }

    #[test]
    fn the_gateway_is_the_third_last_address() {
        assert_eq!(vswitch_gateway(net("10.0.16.0/22")).to_string(), "10.0.19.253");
        assert_eq!(
            vswitch_gateway(net("fd00::/64")).to_string(),
            "fd00::ffff:ffff:ffff:fffd"
        );
    }

    #[test]
    fn a_default_route_goes_everywhere() {
        for family in Family::ALL {
            assert!(is_anywhere(family.anywhere()));
            assert_eq!(Family::of_net(family.anywhere()), family);
            assert_eq!(Family::of(family.pod_gateway()), family);
        }
    }
}
