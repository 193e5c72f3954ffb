//! The cloud of one node: ENIs, the addresses that vSwitches have left, and what it made for which token.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use terway_crds::{Operation, OperationKind};

use super::INSTANCE;
use crate::cloud::{CloudEni, EniKind as CloudKind, EniStatus, ErrorClass, PrivateIp};
use crate::testing::cloud_eni;

/// What the cloud does with the next mutating call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Done,
    /// Done, and the reply is lost.
    DoneLost,
    /// Lost on its way there.
    Lost,
    Throttled,
    Refused,
}

#[derive(Default)]
pub struct Cloud {
    pub enis: BTreeMap<String, CloudEni>,
    /// Free addresses by vSwitch.
    pub left: BTreeMap<String, i64>,
    pub(super) made: BTreeMap<String, String>,
    pub(super) assigned: BTreeMap<String, Vec<IpAddr>>,
    pub(super) next: u32,
    pub calls: Vec<String>,
}

impl Cloud {
    pub(super) fn act(&mut self, operation: &Operation, token: &str) -> Result<Vec<IpAddr>, ErrorClass> {
        self.calls
            .push(format!("{} {}", operation.kind, operation.eni_id));
        match operation.kind {
            OperationKind::CreateEni | OperationKind::CreateTrunk => self.create(operation, token),
            OperationKind::AttachEni | OperationKind::AttachTrunk => {
                let eni = self.enis.get_mut(&operation.eni_id).ok_or(ErrorClass::NotFound)?;
                if eni.status == EniStatus::Available {
                    (eni.status, eni.instance_id) = (EniStatus::Attaching, Some(INSTANCE.into()));
                }
                Ok(Vec::new())
            }
            OperationKind::AssignIps => {
                if let Some(addresses) = self.assigned.get(token) {
                    return Ok(addresses.clone());
                }
                let vswitch = self
                    .enis
                    .get(&operation.eni_id)
                    .ok_or(ErrorClass::NotFound)?
                    .vswitch_id
                    .clone();
                let new = self.draw(&vswitch, operation.count as usize)?;
                let eni = self.enis.get_mut(&operation.eni_id).ok_or(ErrorClass::NotFound)?;
                eni.private_ips
                    .extend(new.iter().map(|ip| PrivateIp::secondary(*ip)));
                self.assigned.insert(token.into(), new.clone());
                Ok(new)
            }
            OperationKind::UnassignIps => {
                let eni = self.enis.get_mut(&operation.eni_id).ok_or(ErrorClass::NotFound)?;
                let before = eni.private_ips.len();
                eni.private_ips
                    .retain(|ip| !operation.addresses.contains(&ip.address.to_string()));
                let returned = (before - eni.private_ips.len()) as i64;
                *self.left.entry(eni.vswitch_id.clone()).or_default() += returned;
                Ok(Vec::new())
            }
            OperationKind::Other(_) => unreachable!("no such operation is planned"),
        }
    }

    fn create(&mut self, operation: &Operation, token: &str) -> Result<Vec<IpAddr>, ErrorClass> {
        if self.made.contains_key(token) {
            return Ok(Vec::new());
        }
        let parameters = operation
            .parameters
            .as_ref()
            .expect("an intent has its parameters");
        let ips = self.draw(&parameters.vswitch_id, parameters.ipv4_count.max(1) as usize)?;
        let id = format!("eni-{}", self.made.len());
        let trunk = operation.kind == OperationKind::CreateTrunk;
        let eni = CloudEni {
            vswitch_id: parameters.vswitch_id.clone(),
            security_group_ids: parameters.security_group_ids.clone(),
            kind: if trunk {
                CloudKind::Trunk
            } else {
                CloudKind::Secondary
            },
            primary_ip: ips.first().copied(),
            private_ips: private(&ips),
            tags: parameters.tags.clone(),
            ..cloud_eni(&id)
        };
        self.made.insert(token.into(), id.clone());
        self.enis.insert(id, eni);
        Ok(Vec::new())
    }

    /// An ENI that somebody else attached.
    pub fn attached(&mut self, id: &str, count: usize) -> &mut CloudEni {
        let ips = self.draw("vsw-a", count).expect("there are addresses");
        let eni = CloudEni {
            status: EniStatus::InUse,
            instance_id: Some(INSTANCE.into()),
            vswitch_id: "vsw-a".into(),
            security_group_ids: vec!["sg".into()],
            primary_ip: ips.first().copied(),
            private_ips: private(&ips),
            ..cloud_eni(id)
        };
        self.enis.entry(id.into()).or_insert(eni)
    }

    fn draw(&mut self, vswitch: &str, count: usize) -> Result<Vec<IpAddr>, ErrorClass> {
        let left = self
            .left
            .get_mut(vswitch)
            .filter(|left| **left >= count as i64)
            .ok_or(ErrorClass::Exhausted)?;
        *left -= count as i64;
        Ok((0..count)
            .map(|_| {
                self.next += 1;
                IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + self.next))
            })
            .collect())
    }
}

fn private(ips: &[IpAddr]) -> Vec<PrivateIp> {
    let primary = ips.iter().take(1).map(|ip| PrivateIp::primary(*ip));
    primary
        .chain(ips.iter().skip(1).map(|ip| PrivateIp::secondary(*ip)))
        .collect()
}
