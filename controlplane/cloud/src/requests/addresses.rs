//! Addresses that an ENI gets beside its primary one: how many or which, and the names of the parameters.

use std::net::IpAddr;

use terway_crds::Family;

use super::Params;

/// Addresses of one family that an ENI gets or gives back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    pub(crate) family: Family,
    choice: Choice,
}

/// Who chooses the addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Choice {
    /// The cloud chooses this many.
    Count(u32),
    /// The caller chooses these. One call takes at most ten of them (ECS API page "AssignPrivateIpAddresses",
    /// parameter `PrivateIpAddress.N`).
    Listed(Vec<IpAddr>),
}

impl Addresses {
    /// This many addresses, chosen by the cloud.
    pub fn count(family: Family, count: u32) -> Self {
        Addresses {
            family,
            choice: Choice::Count(count),
        }
    }

    /// The addresses of this family among `addresses`, and no others.
    pub fn listed(family: Family, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let addresses = addresses.into_iter();
        Addresses {
            family,
            choice: Choice::Listed(
                addresses
                    .filter(|address| Family::of(*address) == family)
                    .collect(),
            ),
        }
    }

    /// Adds the parameters. Nothing is sent for a count of zero, which the API refuses.
    pub(super) fn add_to(&self, params: &mut Params) {
        match &self.choice {
            Choice::Count(0) => {}
            Choice::Count(count) => {
                let key = self
                    .family
                    .choose("SecondaryPrivateIpAddressCount", "Ipv6AddressCount");
                params.set(key, count.to_string());
            }
            Choice::Listed(addresses) => {
                let addresses: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
                params.list(self.family.choose("PrivateIpAddress", "Ipv6Address"), &addresses);
            }
        }
    }
}

/// Parameters of one AssignPrivateIpAddresses or AssignIpv6Addresses, rebuilt from a recorded intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignIps {
    pub eni_id: String,
    pub addresses: Addresses,
    /// At most 64 ASCII characters. A repeated token with the same parameters assigns no further address (ECS API page
    /// AssignPrivateIpAddresses, ClientToken).
    pub client_token: String,
}

/// Parameters of one UnassignPrivateIpAddresses or UnassignIpv6Addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnassignIps {
    pub eni_id: String,
    /// Secondary addresses of this ENI. Upstream sends at most ten in one call; the API's limit is unverified.
    pub addresses: Addresses,
}

impl AssignIps {
    pub(crate) fn params(&self) -> Params {
        let mut params = Params::default();
        params.set("NetworkInterfaceId", self.eni_id.as_str());
        self.addresses.add_to(&mut params);
        params.set("ClientToken", self.client_token.as_str());
        params
    }
}

impl UnassignIps {
    pub(crate) fn params(&self) -> Params {
        let mut params = Params::default();
        params.set("NetworkInterfaceId", self.eni_id.as_str());
        self.addresses.add_to(&mut params);
        params
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assign(addresses: Addresses) -> String {
        let request = AssignIps {
            eni_id: "eni-1".into(),
            addresses,
            client_token: "t".into(),
        };
        crate::signature::canonical_query(&request.params().0)
    }

    #[test]
    fn counts_and_lists_are_spelled_as_the_api_wants_them() {
        assert_eq!(
            assign(Addresses::count(Family::V4, 9)),
            "ClientToken=t&NetworkInterfaceId=eni-1&SecondaryPrivateIpAddressCount=9"
        );
        assert_eq!(
            assign(Addresses::count(Family::V6, 2)),
            "ClientToken=t&Ipv6AddressCount=2&NetworkInterfaceId=eni-1"
        );
        let both: [IpAddr; 3] = [
            [10, 0, 0, 7].into(),
            [0x2001, 0xdb8, 0, 0, 0, 0, 0, 7].into(),
            [10, 0, 0, 8].into(),
        ];
        assert_eq!(
            assign(Addresses::listed(Family::V4, both)),
            "ClientToken=t&NetworkInterfaceId=eni-1&PrivateIpAddress.1=10.0.0.7&PrivateIpAddress.2=10.0.0.8"
        );
        assert_eq!(
            assign(Addresses::listed(Family::V6, both)),
            "ClientToken=t&Ipv6Address.1=2001%3Adb8%3A%3A7&NetworkInterfaceId=eni-1"
        );
        let request = UnassignIps {
            eni_id: "eni-1".into(),
            addresses: Addresses::listed(Family::V4, both[..1].iter().copied()),
        };
        assert_eq!(
            crate::signature::canonical_query(&request.params().0),
            "NetworkInterfaceId=eni-1&PrivateIpAddress.1=10.0.0.7"
        );
    }
}
