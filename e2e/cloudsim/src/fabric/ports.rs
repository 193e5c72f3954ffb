//! The table of plugged ENIs: which port has an address, and which member has a VLAN id on a trunk.

use std::{
    collections::{BTreeSet, HashMap},
    net::Ipv4Addr,
};

use super::{
    error::FabricError,
    model::{Port, PortKind},
    wire::ethernet::Mac,
};

/// Id of a plugged port. An id is never used again.
pub type PortId = u64;

/// A plugged port.
#[derive(Debug)]
pub struct Entry {
    pub eni_id: String,
    pub mac: Mac,
    pub addresses: Vec<Ipv4Addr>,
    pub vswitch_id: String,
    pub groups: Vec<String>,
    pub wiring: Wiring,
}

/// How the frames of a port travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wiring {
    /// On a TAP of its own.
    Direct,
    /// With a tag, on the TAP of the port `trunk`.
    Member { trunk: PortId, vlan: u16 },
}

/// All plugged ports, and indexes over them.
#[derive(Debug, Default)]
pub struct PortTable {
    entries: HashMap<PortId, Entry>,
    by_eni: HashMap<String, PortId>,
    by_address: HashMap<Ipv4Addr, PortId>,
    members: HashMap<(PortId, u16), PortId>,
    last: PortId,
}

impl PortTable {
    /// Adds a port. On an error nothing is added.
    pub fn plug(&mut self, port: &Port) -> Result<PortId, FabricError> {
        let eni_id = port.eni_id.clone();
        if self.by_eni.contains_key(&eni_id) {
            return Err(FabricError::AlreadyPlugged { eni_id });
        }
        let wiring = self.wiring(port)?;
        self.check_addresses(&eni_id, None, &port.addresses)?;

        self.last += 1;
        let id = self.last;
        if let Wiring::Member { trunk, vlan } = wiring {
            self.members.insert((trunk, vlan), id);
        }
        self.by_address
            .extend(port.addresses.iter().map(|address| (*address, id)));
        self.by_eni.insert(eni_id.clone(), id);
        let entry = Entry {
            eni_id,
            mac: port.mac,
            addresses: port.addresses.clone(),
            vswitch_id: port.vswitch_id.clone(),
            groups: port.security_groups.clone(),
            wiring,
        };
        self.entries.insert(id, entry);
        Ok(id)
    }

    fn wiring(&self, port: &Port) -> Result<Wiring, FabricError> {
        let PortKind::Member {
            trunk: trunk_eni,
            vlan,
        } = &port.kind
        else {
            return Ok(Wiring::Direct);
        };
        let eni_id = port.eni_id.clone();
        if !(1..=4094).contains(vlan) {
            return Err(FabricError::BadVlan { eni_id, vlan: *vlan });
        }
        let trunk = self.by_eni.get(trunk_eni).filter(|id| {
            self.entries
                .get(id)
                .is_some_and(|entry| entry.wiring == Wiring::Direct)
        });
        let Some(&trunk) = trunk else {
            return Err(FabricError::UnknownTrunk {
                eni_id,
                trunk: trunk_eni.clone(),
            });
        };
        if let Some(owner) = self.member(trunk, *vlan).and_then(|id| self.get(id)) {
            let owner = owner.eni_id.clone();
            return Err(FabricError::VlanTaken {
                eni_id,
                trunk: trunk_eni.clone(),
                vlan: *vlan,
                owner,
            });
        }
        Ok(Wiring::Member { trunk, vlan: *vlan })
    }

    fn check_addresses(
        &self,
        eni_id: &str,
        own: Option<PortId>,
        addresses: &[Ipv4Addr],
    ) -> Result<(), FabricError> {
        for address in addresses {
            let other = self.by_address.get(address).filter(|id| Some(**id) != own);
            if let Some(owner) = other.and_then(|id| self.get(*id)) {
                return Err(FabricError::AddressTaken {
                    eni_id: eni_id.to_owned(),
                    address: *address,
                    owner: owner.eni_id.clone(),
                });
            }
        }
        Ok(())
    }

    /// Removes a port, and the members of a trunk. Returns the removed ports.
    pub fn unplug(&mut self, eni_id: &str) -> BTreeSet<PortId> {
        let Some(&id) = self.by_eni.get(eni_id) else {
            return BTreeSet::new();
        };
        let members = self
            .members
            .iter()
            .filter(|((trunk, _), _)| *trunk == id)
            .map(|(_, member)| *member);
        let gone: BTreeSet<PortId> = members.chain([id]).collect();
        self.entries.retain(|id, _| !gone.contains(id));
        self.by_eni.retain(|_, id| !gone.contains(id));
        self.by_address.retain(|_, id| !gone.contains(id));
        self.members.retain(|_, id| !gone.contains(id));
        gone
    }

    /// Gives a port other addresses and groups.
    pub fn update(
        &mut self,
        eni_id: &str,
        addresses: Vec<Ipv4Addr>,
        groups: Vec<String>,
    ) -> Result<(), FabricError> {
        let not_plugged = || FabricError::NotPlugged {
            eni_id: eni_id.to_owned(),
        };
        let id = self.find(eni_id).ok_or_else(not_plugged)?;
        self.check_addresses(eni_id, Some(id), &addresses)?;
        let entry = self.entries.get_mut(&id).ok_or_else(not_plugged)?;
        for address in &entry.addresses {
            self.by_address.remove(address);
        }
        self.by_address
            .extend(addresses.iter().map(|address| (*address, id)));
        entry.addresses = addresses;
        entry.groups = groups;
        Ok(())
    }

    pub fn find(&self, eni_id: &str) -> Option<PortId> {
        self.by_eni.get(eni_id).copied()
    }

    pub fn get(&self, id: PortId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (PortId, &Entry)> {
        self.entries.iter().map(|(id, entry)| (*id, entry))
    }

    /// The port that owns an address.
    pub fn owner(&self, address: Ipv4Addr) -> Option<(PortId, &Entry)> {
        let id = *self.by_address.get(&address)?;
        Some((id, self.get(id)?))
    }

    /// Whether an address is one of a port's own.
    pub fn owns(&self, id: PortId, address: Ipv4Addr) -> bool {
        self.by_address.get(&address) == Some(&id)
    }

    /// Groups of the ENI that owns an address; empty when no ENI does.
    pub fn groups_of(&self, address: Ipv4Addr) -> &[String] {
        self.owner(address).map_or(&[], |(_, entry)| &entry.groups)
    }

    /// The member with this VLAN id on this trunk.
    pub fn member(&self, trunk: PortId, vlan: u16) -> Option<PortId> {
        self.members.get(&(trunk, vlan)).copied()
    }

    /// The port whose TAP carries the frames of `id`.
    pub fn carrier(&self, id: PortId) -> PortId {
        match self.get(id).map(|entry| entry.wiring) {
            Some(Wiring::Member { trunk, .. }) => trunk,
            Some(Wiring::Direct) | None => id,
        }
    }
}
