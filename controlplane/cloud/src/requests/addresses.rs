//! Addresses beside an ENI's own: how many or which, and how the API spells that.

use std::fmt::Display;
use std::net::Ipv4Addr;

use super::Params;

/// Addresses of one family to be given to an ENI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addresses<A> {
    /// So many, chosen by the cloud.
    Count(u32),
    /// These and no others; at most ten in one call, a limit of the API.
    Listed(Vec<A>),
}

/// The parameters of one address family.
pub(super) struct Spelling {
    count: &'static str,
    listed: &'static str,
}

/// Secondary private IPv4 addresses.
pub(super) const IPV4: Spelling = Spelling {
    count: "SecondaryPrivateIpAddressCount",
    listed: "PrivateIpAddress",
};

impl<A: Display> Addresses<A> {
    /// Nothing is sent for none: the API refuses a zero.
    pub(super) fn spell(&self, params: &mut Params, spelling: &Spelling) {
        match self {
            Addresses::Count(0) => {}
            Addresses::Count(count) => {
                params.set(spelling.count, count.to_string());
            }
            Addresses::Listed(addresses) => {
                let addresses: Vec<String> = addresses.iter().map(A::to_string).collect();
                params.list(spelling.listed, &addresses);
            }
        }
    }
}

/// Parameters of one AssignPrivateIpAddresses, rebuilt from a recorded intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignIps {
    pub eni_id: String,
    pub addresses: Addresses<Ipv4Addr>,
    /// At most 64 ASCII characters. The same token with the same parameters assigns nothing twice.
    pub client_token: String,
}

/// Parameters of one UnassignPrivateIpAddresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnassignIps {
    pub eni_id: String,
    /// Secondary addresses of this ENI; upstream sends at most ten in one call.
    pub addresses: Vec<Ipv4Addr>,
}

impl AssignIps {
    pub(crate) fn params(&self) -> Params {
        let mut params = Params::default();
        params.set("NetworkInterfaceId", self.eni_id.as_str());
        self.addresses.spell(&mut params, &IPV4);
        params.set("ClientToken", self.client_token.as_str());
        params
    }
}

impl UnassignIps {
    pub(crate) fn params(&self) -> Params {
        let mut params = Params::default();
        params.set("NetworkInterfaceId", self.eni_id.as_str());
        Addresses::Listed(self.addresses.clone()).spell(&mut params, &IPV4);
        params
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assign(addresses: Addresses<Ipv4Addr>) -> String {
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
            assign(Addresses::Count(9)),
            "ClientToken=t&NetworkInterfaceId=eni-1&SecondaryPrivateIpAddressCount=9"
        );
        assert_eq!(
            assign(Addresses::Listed(vec![
                [10, 0, 0, 7].into(),
                [10, 0, 0, 8].into()
            ])),
            "ClientToken=t&NetworkInterfaceId=eni-1&PrivateIpAddress.1=10.0.0.7&PrivateIpAddress.2=10.0.0.8"
        );
        let request = UnassignIps {
            eni_id: "eni-1".into(),
            addresses: vec![[10, 0, 0, 7].into()],
        };
        assert_eq!(
            crate::signature::canonical_query(&request.params().0),
            "NetworkInterfaceId=eni-1&PrivateIpAddress.1=10.0.0.7"
        );
    }
}
