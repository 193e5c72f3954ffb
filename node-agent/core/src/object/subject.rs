//! Whom an object serves, and the pods that an act is about.

use std::{collections::BTreeSet, net::IpAddr};

/// Whom an object serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The addresses that the object is about. A rule can select two.
    pub addresses: [Option<IpAddr>; 2],
    /// The link that the object is about.
    pub link: Option<u32>,
    /// Whether pods that are not known by address or link may need the object too, as the default route of an ENI.
    pub common: bool,
}

/// The pods that an act is about: what their objects are recognised by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Focus {
    pub addresses: BTreeSet<IpAddr>,
    /// Ends of veths.
    pub veths: BTreeSet<u32>,
}

impl Focus {
    /// Whether an object serves one of these pods.
    pub fn has(&self, subject: &Subject) -> bool {
        let addressed = subject.addresses.iter().flatten();
        subject.link.is_some_and(|link| self.veths.contains(&link))
            || addressed.into_iter().any(|ip| self.addresses.contains(ip))
    }
}
