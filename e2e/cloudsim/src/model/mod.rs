//! The cloud itself: a synchronous, deterministic model of ENIs, instances, vSwitches and security groups. It does no
//! I/O, reads no clock and waits for nothing. The caller passes `now` and gets answers and changes.

mod addresses;
pub mod admin;
mod attach;
mod build;
mod create;
pub mod describe;
mod detach;
pub mod eni;
pub mod error;
pub mod family;
mod family_rules;
pub mod history;
mod identity;
mod modify;
pub mod ranges;
mod reservations;
mod settle;
mod space;
mod table;
mod tags;
mod tokens;

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use history::SpacePast;
use jiff::Timestamp;
use serde::Serialize;

pub use addresses::{AssignAddresses, UnassignAddresses};
pub use attach::AttachEni;
pub use create::{CreateEni, NewEniKind};
pub use detach::{DeleteEni, DetachEni};
pub use eni::{Attachment, Eni, EniKind, EniStatus, Mac};
pub use error::ApiError;
pub use family::{Address, Held, Prefix, Wanted};
pub use family_rules::Family;
pub use history::LookBack;
pub use identity::IdMaker;
pub use modify::ModifyEni;
pub use reservations::{
    CidrReservation, NewReservation, ReservationBlock, ReservationFilter, ReservationStatus,
};
pub use space::{AddressSpace, BlockUse};
pub use tags::{TagQuery, TagRow, TaggedKind};
pub use tokens::Idempotency;

use crate::world::{Host, Instance, InstanceType, Rules, SecurityGroup, VSwitch, Vpc};
use table::EniTable;
use tokens::Tokens;

/// The state of one region.
#[derive(Debug)]
pub struct Cloud {
    region: String,
    vpcs: BTreeMap<String, Vpc>,
    hosts: Vec<HostPort>,
    vswitches: BTreeMap<String, VSwitchState>,
    groups: BTreeMap<String, SecurityGroup>,
    types: BTreeMap<String, InstanceType>,
    instances: BTreeMap<String, InstanceState>,
    enis: EniTable,
    reservations: BTreeMap<Arc<str>, CidrReservation>,
    account_limit: Option<u32>,
    rules: Rules,
    tokens: Tokens,
    ids: IdMaker,
    /// Accepted asynchronous actions, by the time of their completion.
    due: BTreeMap<(Timestamp, u64), Arc<str>>,
    /// The completion of each ENI in transition. A stuck ENI has no completion.
    pending: HashMap<Arc<str>, (Timestamp, u64)>,
    last_due: u64,
    changes: Vec<Change>,
    record_changes: bool,
    space_past: SpacePast,
    space_seen_at: Option<Timestamp>,
}

/// The port of a host that is not an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    pub spec: Host,
    pub mac: Mac,
}

/// A vSwitch and its addresses.
#[derive(Debug, Clone)]
pub struct VSwitchState {
    pub spec: VSwitch,
    pub space: AddressSpace<Ipv4Addr>,
    /// The IPv6 addresses; `None` while IPv6 is off.
    pub ipv6: Option<AddressSpace<Ipv6Addr>>,
}

impl VSwitchState {
    /// A vSwitch whose addresses are all free, except those of the system.
    fn new(spec: VSwitch) -> VSwitchState {
        let space = AddressSpace::new(spec.cidr.addr(), spec.cidr.prefix_len(), spec.withheld);
        let ipv6 = spec
            .ipv6_cidr
            .map(|cidr| AddressSpace::new(cidr.addr(), cidr.prefix_len(), 0));
        VSwitchState { spec, space, ipv6 }
    }
}

/// An instance and its power state.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceState {
    #[serde(flatten)]
    pub spec: Instance,
    pub status: InstanceStatus,
    pub zone: String,
    pub vpc: String,
    /// Id of the primary ENI.
    pub primary: Arc<str>,
    pub created: Timestamp,
}

/// Power state of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum InstanceStatus {
    Running,
    Stopped,
}

/// When an accepted asynchronous action completes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completion {
    After(Duration),
    /// Never, until somebody settles the ENI by the admin API.
    Never,
}

/// A change that the fabric must apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The ENI is in use on an instance.
    Attached(Eni),
    /// The ENI has left an instance.
    Detached { eni_id: Arc<str>, instance_id: Arc<str> },
    /// Addresses or groups of an attached ENI changed.
    Altered(Eni),
}

impl Cloud {
    /// Id of the region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// An ENI by id.
    pub fn eni(&self, id: &str) -> Option<&Eni> {
        self.enis.get(id)
    }

    /// All ENIs in order of creation.
    pub fn enis(&self) -> impl Iterator<Item = &Eni> {
        self.enis.iter()
    }

    /// Number of ENIs.
    pub fn eni_count(&self) -> usize {
        self.enis.count()
    }

    /// ENIs attached to an instance, or moving to or from it, members included.
    pub fn enis_of(&self, instance: &str) -> impl Iterator<Item = &Eni> {
        self.enis.of_instance(instance)
    }

    /// Members of a trunk.
    pub fn members_of(&self, trunk: &str) -> impl Iterator<Item = &Eni> {
        self.enis.of_trunk(trunk)
    }

    /// An instance by id.
    pub fn instance(&self, id: &str) -> Option<&InstanceState> {
        self.instances.get(id)
    }

    /// All instances by id.
    pub fn instances(&self) -> impl Iterator<Item = &InstanceState> {
        self.instances.values()
    }

    /// A vSwitch by id.
    pub fn vswitch(&self, id: &str) -> Option<&VSwitchState> {
        self.vswitches.get(id)
    }

    /// All vSwitches by id.
    pub fn vswitches(&self) -> impl Iterator<Item = &VSwitchState> {
        self.vswitches.values()
    }

    /// Hosts of the VPC that are not instances.
    pub fn hosts(&self) -> &[HostPort] {
        &self.hosts
    }

    /// A VPC by id.
    pub fn vpc(&self, id: &str) -> Option<&Vpc> {
        self.vpcs.get(id)
    }

    /// All VPCs by id.
    pub fn vpcs(&self) -> impl Iterator<Item = &Vpc> {
        self.vpcs.values()
    }

    /// All security groups by id.
    pub fn groups(&self) -> impl Iterator<Item = &SecurityGroup> {
        self.groups.values()
    }

    /// Limits of an instance's type. The type exists, because worlds and added instances are checked.
    fn limits(&self, instance: &InstanceState) -> Option<&InstanceType> {
        self.types.get(&instance.spec.instance_type)
    }

    /// Takes the changes since the last call.
    pub fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    fn note(&mut self, change: impl FnOnce() -> Change) {
        if self.record_changes {
            self.changes.push(change());
        }
    }
}
