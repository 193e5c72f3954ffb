//! A plan in the making.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use terway_crds::node::{Nic, NicCondition, NicStatus};
use terway_crds::{EniKind, Family, Operation, TerwayNodeStatus, TrafficMode};

use super::vswitches::Stock;
use super::{Call, Observed, Plan, creates, gone, index};
use crate::binding::{self, Around};
use crate::cloud::{CloudEni, EniKind as CloudKind, EniStatus};
use crate::intent::{Evidence, elapsed};
use crate::news::News;
use crate::room::{COUNTED, Capacity};

pub(super) struct Draft<'a> {
    pub(super) observed: &'a Observed<'a>,
    pub(super) status: TerwayNodeStatus,
    pub(super) calls: Vec<Call>,
    pub(super) news: Vec<News>,
    pub(super) waiting: Vec<String>,
    pub(super) bound: BTreeMap<String, IpAddr>,
    pub(super) compared: bool,
    pub(super) adjusted: bool,
    pub(super) wake: Option<Duration>,
    pub(super) stock: Stock<'a>,
    /// Number of addresses that found no place.
    pub(super) unmet: usize,
    begun: usize,
}

impl<'a> Draft<'a> {
    pub(super) fn new(observed: &'a Observed<'a>) -> Self {
        let eni = observed.record.spec.eni.as_ref();
        let options = eni.map(|eni| eni.vswitch_options.as_slice()).unwrap_or_default();
        Self {
            observed,
            status: observed.record.status.clone().unwrap_or_default(),
            calls: Vec::new(),
            news: Vec::new(),
            waiting: Vec::new(),
            bound: BTreeMap::new(),
            compared: false,
            adjusted: false,
            wake: None,
            stock: Stock::new(options, observed.vswitches),
            unmet: 0,
            begun: 0,
        }
    }

    pub(super) fn finish(mut self) -> Plan {
        let before = self.observed.record.status.clone().unwrap_or_default();
        self.complete_cidrs();
        // A change of our own times is no change of ENIs and addresses.
        if before.network_interfaces != self.status.network_interfaces {
            self.status.last_modified_time = Some(Time(self.observed.now));
        }
        self.calls.sort();
        self.calls.dedup();
        let lost = gone::lost(self.observed.record.status.as_ref(), &self);
        Plan {
            lost,
            compared: self.compared,
            status: self.status,
            calls: self.calls,
            news: self.news,
            waiting: self.waiting,
            bound: self.bound,
            adjusted: self.adjusted,
            wake: self.wake,
        }
    }

    pub(super) fn bind(&mut self) {
        let around = Around {
            pods: self.observed.pods,
            runtime: self.observed.runtime,
            cooldown: self.observed.settings.cooldown,
            now: self.observed.now,
        };
        let bindings = binding::bind(&mut self.status, &around);
        self.waiting = bindings.waiting;
        self.bound = bindings.bound;
        if let Some(wake) = bindings.wake {
            self.wake_after(wake);
        }
    }

    pub(super) fn wake_after(&mut self, time: Duration) {
        // The pause keeps a plan that wakes itself from running without end.
        let time = time.max(Duration::from_millis(10));
        self.wake = Some(self.wake.map_or(time, |known| known.min(time)));
    }

    pub(super) fn evidence(&self, operation: &Operation) -> Evidence {
        let known = self.observed.known.get(index(operation));
        known
            .filter(|evidence| evidence.attempt == operation.attempt)
            .cloned()
            .unwrap_or_else(|| Evidence::inherited(operation.attempt))
    }

    /// Whether an operation of this ENI is under way.
    pub(super) fn is_busy(&self, eni: &str) -> bool {
        self.status
            .operations
            .iter()
            .any(|operation| operation.eni_id == eni)
    }

    /// The time since the last change of ENIs, addresses and bindings; zero if this plan changes them.
    pub(super) fn unchanged_for(&self) -> Duration {
        let before = self.observed.record.status.as_ref();
        let unchanged = before.is_some_and(|b| b.network_interfaces == self.status.network_interfaces);
        match &self.status.last_modified_time {
            Some(since) if unchanged => elapsed(since.0, self.observed.now),
            _ => Duration::ZERO,
        }
    }

    /// A new, unique name of an operation: the time in microseconds, and a number within this plan. Two plans never
    /// share a microsecond, because a plan is made after the write of the previous one.
    pub(super) fn new_id(&mut self) -> String {
        self.begun += 1;
        format!("{:x}-{}", self.observed.now.as_microsecond(), self.begun)
    }

    /// What the ENIs of the node can hold.
    pub(super) fn capacity(&self) -> Capacity<'a> {
        Capacity::of(&self.observed.record.spec, COUNTED)
    }

    /// Number of ENIs that take a place of the instance, or will.
    pub(super) fn places_taken(&self) -> usize {
        let beginning = self.status.operations.iter().filter(|o| creates(o)).count();
        let nics = self.status.network_interfaces.values();
        nics.filter(|nic| !gone::is_gone(nic)).count() + beginning
    }

    pub(super) fn note(&mut self, eni: &str, condition: &str, message: String) {
        let now = self.observed.now;
        if let Some(nic) = self.status.network_interfaces.get_mut(eni) {
            // A repeated error is no news.
            let known = nic
                .conditions
                .get(condition)
                .is_some_and(|c| c.message == message);
            if !known {
                let observed_time = Some(Time(now));
                nic.conditions.insert(
                    condition.to_owned(),
                    NicCondition {
                        observed_time,
                        message,
                    },
                );
            }
        }
    }

    fn complete_cidrs(&mut self) {
        for nic in self.status.network_interfaces.values_mut() {
            let cidrs = self.stock.cidrs_of(&nic.vswitch_id);
            for family in Family::SERVED {
                let net = cidrs.and_then(|cidrs| cidrs.of(family));
                if let Some(net) = net.filter(|_| nic.cidr(family) == Ok(None)) {
                    nic.set_cidr(net);
                }
            }
        }
    }
}

/// The record of an ENI, from the cloud's description.
pub(super) fn nic_of(eni: &CloudEni) -> Nic {
    let mut nic = Nic {
        id: eni.id.clone(),
        status: match &eni.status {
            EniStatus::InUse => NicStatus::InUse,
            EniStatus::Detaching => NicStatus::Detaching,
            EniStatus::Deleting => NicStatus::Deleting,
            EniStatus::Available | EniStatus::Attaching | EniStatus::Other(_) => NicStatus::Attaching,
        },
        mac_address: eni.mac.clone(),
        vswitch_id: eni.vswitch_id.clone(),
        security_group_ids: eni.security_group_ids.clone(),
        primary_ip_address: eni.primary_ip.map(|ip| ip.to_string()).unwrap_or_default(),
        // The definition of Node knows these words alone. With another word no status of the node could be written.
        kind: match &eni.kind {
            CloudKind::Trunk => Some(EniKind::Trunk),
            CloudKind::Primary => Some(EniKind::Primary),
            CloudKind::Member => Some(EniKind::Member),
            CloudKind::Secondary => Some(EniKind::Secondary),
            CloudKind::Other(_) => None,
        },
        traffic_mode: Some(TrafficMode::Standard),
        ..Nic::default()
    };
    for address in addresses(eni) {
        nic.find_or_add(address, eni.primary_ip == Some(address));
    }
    nic
}

/// Every address of an ENI that pods can get.
pub(super) fn addresses(eni: &CloudEni) -> Vec<IpAddr> {
    let families = Family::SERVED.into_iter();
    families.flat_map(|family| eni.addresses(family)).collect()
}

/// A time, in the record's form.
pub(super) fn at(time: Timestamp) -> Option<Time> {
    Some(Time(time))
}
