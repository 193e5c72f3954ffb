//! CIDR reservations: blocks of a vSwitch that are reserved for prefixes. The actions are CreateVSwitchCidrReservation,
//! ListVSwitchCidrReservations and DeleteVSwitchCidrReservation. Creating and deleting are asynchronous.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;

use super::error::{self, ApiError};
use super::{BlockUse, Cloud, Completion, Family, Idempotency};

/// State of a reserved block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ReservationStatus {
    Assigning,
    Assigned,
    Releasing,
}

impl ReservationStatus {
    /// The word the API uses.
    pub fn name(self) -> &'static str {
        match self {
            ReservationStatus::Assigning => "Assigning",
            ReservationStatus::Assigned => "Assigned",
            ReservationStatus::Releasing => "Releasing",
        }
    }
}

/// A reserved block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CidrReservation {
    pub id: Arc<str>,
    /// Order of creation.
    pub serial: u64,
    pub vswitch_id: String,
    pub vpc_id: String,
    pub cidr: IpNet,
    pub name: String,
    pub description: String,
    pub status: ReservationStatus,
    pub created: Timestamp,
}

/// The requested block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservationBlock {
    /// This block.
    Cidr(IpNet),
    /// The first free IPv4 block of this length.
    Ipv4Length(u8),
    /// The first free IPv6 block of this length.
    Ipv6Length(u8),
}

/// Parameters of CreateVSwitchCidrReservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReservation {
    pub vswitch_id: String,
    pub block: ReservationBlock,
    pub name: String,
    pub description: String,
    pub once: Idempotency,
}

/// Filters of ListVSwitchCidrReservations. An absent filter matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReservationFilter {
    pub ids: Vec<String>,
    pub vswitch_id: Option<String>,
    pub ipv6: bool,
}

impl Cloud {
    /// Accepts or refuses a reservation. The block is reserved at once. Prefixes come from it when the reservation is
    /// complete.
    pub fn create_cidr_reservation(
        &mut self,
        request: &NewReservation,
        completion: Completion,
        now: Timestamp,
    ) -> Result<CidrReservation, ApiError> {
        self.once(
            |tokens| &mut tokens.reserve,
            &request.once,
            now,
            |cloud| cloud.reserve(request, completion, now).map(Box::new),
        )
        .map(|reservation| *reservation)
    }

    fn reserve(
        &mut self,
        request: &NewReservation,
        completion: Completion,
        now: Timestamp,
    ) -> Result<CidrReservation, ApiError> {
        let ipv6 = match request.block {
            ReservationBlock::Cidr(cidr) => matches!(cidr, IpNet::V6(_)),
            ReservationBlock::Ipv4Length(_) => false,
            ReservationBlock::Ipv6Length(_) => true,
        };
        let filter = ReservationFilter {
            vswitch_id: Some(request.vswitch_id.clone()),
            ipv6,
            ..ReservationFilter::default()
        };
        let held = self.cidr_reservations(&filter).len();
        if held >= self.rules.reservations_per_v_switch as usize {
            return Err(error::RESERVATION_QUOTA
                .because("The maximum number of reserved CIDR blocks of the VSwitch is exceeded."));
        }
        let cidr = if ipv6 {
            self.take_block::<Ipv6Addr>(request)?
        } else {
            self.take_block::<Ipv4Addr>(request)?
        };
        let vpc_id = self
            .vswitches
            .get(&request.vswitch_id)
            .map(|vswitch| vswitch.spec.vpc.clone())
            .unwrap_or_default();
        let reservation = CidrReservation {
            id: self.ids.id("vcr").into(),
            serial: self.ids.serial(),
            vswitch_id: request.vswitch_id.clone(),
            vpc_id,
            cidr,
            name: request.name.clone(),
            description: request.description.clone(),
            status: ReservationStatus::Assigning,
            created: now,
        };
        self.reservations
            .insert(reservation.id.clone(), reservation.clone());
        self.complete_later(reservation.id.clone(), completion, now);
        Ok(reservation)
    }

    fn take_block<A: Family>(&mut self, request: &NewReservation) -> Result<IpNet, ApiError>
    where
        std::net::IpAddr: From<A>,
    {
        let vswitch = self.vswitches.get_mut(&request.vswitch_id).ok_or_else(|| {
            error::VSWITCH_NOT_FOUND.because(format!(
                "The specified VSwitchId {} is not found.",
                request.vswitch_id
            ))
        })?;
        let space = A::space(vswitch)?;
        let malformed =
            |why: &str| error::RESERVATION_CIDR.because(format!("The reserved CIDR block {why}."));
        let length = match request.block {
            ReservationBlock::Cidr(cidr) => cidr.prefix_len(),
            ReservationBlock::Ipv4Length(length) | ReservationBlock::Ipv6Length(length) => length,
        };
        if length > A::PREFIX_LENGTH {
            return Err(malformed(&format!(
                "may be a /{} at the smallest",
                A::PREFIX_LENGTH
            )));
        }
        let first = match request.block {
            ReservationBlock::Cidr(cidr) if cidr.addr() == cidr.network() => {
                let first = match cidr {
                    IpNet::V4(net) => u128::from(u32::from(net.network())),
                    IpNet::V6(net) => net.network().into(),
                };
                A::from_number(first)
            }
            ReservationBlock::Cidr(_) => return Err(malformed("does not begin at its first address")),
            ReservationBlock::Ipv4Length(_) | ReservationBlock::Ipv6Length(_) => space
                .room_for_block(length)
                .ok_or_else(|| malformed("does not fit into what is free of the VSwitch"))?,
        };
        space.reserve(first.block(length))?;
        IpNet::new(first.into(), length).map_err(|_| malformed("is malformed"))
    }

    /// A block that is reserved from the start.
    pub(super) fn preset_reservation(
        &mut self,
        vswitch: &str,
        cidr: IpNet,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let request = NewReservation {
            vswitch_id: vswitch.to_owned(),
            block: ReservationBlock::Cidr(cidr),
            name: String::new(),
            description: String::new(),
            once: Idempotency::default(),
        };
        self.create_cidr_reservation(&request, Completion::After(std::time::Duration::ZERO), now)
            .map(drop)
    }

    /// Accepts or refuses the end of a reservation. It is refused while ENIs have prefixes of the block.
    pub fn delete_cidr_reservation(
        &mut self,
        id: &str,
        once: &Idempotency,
        completion: Completion,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        self.once(
            |tokens| &mut tokens.unreserve,
            once,
            now,
            |cloud| cloud.unreserve(id, completion, now),
        )
    }

    fn unreserve(&mut self, id: &str, completion: Completion, now: Timestamp) -> Result<(), ApiError> {
        let reservation = self.reservations.get(id).ok_or_else(|| {
            error::RESERVATION_NOT_FOUND.because(format!("The reserved CIDR block {id} is not found."))
        })?;
        if reservation.status != ReservationStatus::Assigned {
            return Err(error::RESERVATION_STATUS
                .because("The status of the reserved CIDR block does not allow the operation."));
        }
        if self.reservation_use(reservation).given > 0 {
            return Err(error::RESERVATION_IN_USE
                .because("Network interfaces have prefixes of the reserved CIDR block."));
        }
        let cidr = reservation.cidr;
        let vswitch_id = reservation.vswitch_id.clone();
        self.set_open(&vswitch_id, cidr, false);
        if let Some(reservation) = self.reservations.get_mut(id) {
            reservation.status = ReservationStatus::Releasing;
        }
        self.complete_later(id.into(), completion, now);
        Ok(())
    }

    /// Completes a reservation's pending transition. Returns whether there was one.
    pub(super) fn settle_reservation(&mut self, id: &str) -> bool {
        let Some(reservation) = self.reservations.get_mut(id) else {
            return false;
        };
        let (cidr, vswitch_id) = (reservation.cidr, reservation.vswitch_id.clone());
        match reservation.status {
            ReservationStatus::Assigned => return false,
            ReservationStatus::Assigning => {
                reservation.status = ReservationStatus::Assigned;
                self.set_open(&vswitch_id, cidr, true);
            }
            ReservationStatus::Releasing => {
                self.reservations.remove(id);
                if let Some(vswitch) = self.vswitches.get_mut(&vswitch_id) {
                    match (cidr, &mut vswitch.ipv6) {
                        (IpNet::V4(net), _) => vswitch.space.unreserve(net.network()),
                        (IpNet::V6(net), Some(space)) => space.unreserve(net.network()),
                        (IpNet::V6(_), None) => {}
                    }
                }
            }
        }
        true
    }

    fn set_open(&mut self, vswitch_id: &str, cidr: IpNet, open: bool) {
        if let Some(vswitch) = self.vswitches.get_mut(vswitch_id) {
            match (cidr, &mut vswitch.ipv6) {
                (IpNet::V4(net), _) => vswitch.space.set_open(net.network(), open),
                (IpNet::V6(net), Some(space)) => space.set_open(net.network(), open),
                (IpNet::V6(_), None) => {}
            }
        }
    }

    /// All reservations by id.
    pub fn all_cidr_reservations(&self) -> impl Iterator<Item = &CidrReservation> {
        self.reservations.values()
    }

    /// Matching reservations in order of creation.
    pub fn cidr_reservations(&self, filter: &ReservationFilter) -> Vec<&CidrReservation> {
        let mut matches: Vec<_> = self
            .reservations
            .values()
            .filter(|reservation| {
                filter.ids.is_empty() || filter.ids.iter().any(|id| **id == *reservation.id)
            })
            .filter(|reservation| {
                let wanted = filter.vswitch_id.as_ref();
                wanted.is_none_or(|vswitch| *vswitch == reservation.vswitch_id)
            })
            .filter(|reservation| matches!(reservation.cidr, IpNet::V6(_)) == filter.ipv6)
            .collect();
        matches.sort_by_key(|reservation| reservation.serial);
        matches
    }

    /// Number of prefixes of a reservation that are given and that are left.
    pub fn reservation_use(&self, reservation: &CidrReservation) -> BlockUse {
        let vswitch = self.vswitches.get(&reservation.vswitch_id);
        let used = vswitch.and_then(|vswitch| match reservation.cidr {
            IpNet::V4(net) => vswitch.space.block_use(net.network()),
            IpNet::V6(net) => vswitch.ipv6.as_ref()?.block_use(net.network()),
        });
        used.unwrap_or(BlockUse {
            given: 0,
            available: 0,
        })
    }
}
