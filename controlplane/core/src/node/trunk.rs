//! The trunk ENI of a node: found or made, attached, recorded; released when the node is gone.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use terway_crds::node::{Nic, NicStatus};
use terway_crds::{EniKind, Operation, OperationKind, RequestParameters, TerwayNode, TrafficMode};

use crate::cloud::{CloudEni, EniKind as CloudKind, EniObservation, EniStatus};
use crate::intent::{self, Evidence, Limits, Refusal, at_the_latest, elapsed};

/// Index of the trunk's intent among the intents of a Node object.
pub const TRUNK_INDEX: &str = "trunk";

/// Where ENIs of nodes are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EniSettings {
    pub vswitch_id: String,
    pub security_group_ids: Vec<String>,
    pub resource_group_id: String,
    pub tags: std::collections::BTreeMap<String, String>,
}

/// What is known of a node and its trunk.
#[derive(Debug, Clone)]
pub struct Observed<'a> {
    pub record: &'a TerwayNode,
    /// ENIs of kind trunk that a complete answer showed on the instance; `None` before it was asked.
    pub trunks_of_instance: Option<&'a [CloudEni]>,
    /// Settings for a new trunk, or the sentence that says why there are none.
    pub settings: &'a Result<EniSettings, String>,
    pub evidence: &'a Evidence,
    /// When this process last sent Attach for the trunk.
    pub attach_sent: Option<Timestamp>,
    /// What the poller saw last of the trunk, and when.
    pub seen: Option<(&'a EniObservation, Timestamp)>,
    pub now: Timestamp,
    pub limits: &'a Limits,
}

/// One step towards a trunk.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Ask the cloud for the trunks of the instance.
    FindTrunks,
    /// Write down what is going to be asked for.
    WriteOperation(Box<Operation>),
    /// Send CreateNetworkInterface for the operation in the status.
    Create,
    LookUpByTag,
    LookUpById(String),
    /// Send AttachNetworkInterface.
    Attach(String),
    /// Let the poller look at the ENI.
    Watch(String),
    /// Write down the trunk, in use; its operation is over. The CIDR of its vSwitch is added.
    WriteNic(Box<Nic>),
}

/// Why there is nothing to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// The trunk is in use and recorded.
    Done,
    /// The instance type has no trunk.
    Unsupported,
    /// The settings lack something.
    Config(String),
    /// The cloud is at it; the poller will tell.
    Cloud,
    /// Look again after this time.
    Later(Duration),
    /// The cloud refused; the next attempt begins after this time.
    Refused(Duration),
}

/// The trunk as the Node object records it, once it is in use.
pub fn trunk_nic(record: &TerwayNode) -> Option<&Nic> {
    record
        .status
        .as_ref()?
        .network_interfaces
        .values()
        .find(|nic| nic.kind == Some(EniKind::Trunk) && nic.status == NicStatus::InUse)
}

/// Plans the next step towards a trunk, or says why there is none.
pub fn plan(observed: &Observed<'_>) -> Result<Step, Wait> {
    if trunk_nic(observed.record).is_some() {
        return Err(Wait::Done);
    }
    if observed.record.spec.node_cap.member_adapter_limit <= 0 {
        return Err(Wait::Unsupported);
    }
    match operation(observed.record) {
        Some(operation) if operation.kind == OperationKind::AttachTrunk => attach(observed, operation),
        Some(operation) => create(observed, operation),
        None => begin(observed),
    }
}

fn operation(record: &TerwayNode) -> Option<&Operation> {
    let operations = &record.status.as_ref()?.operations;
    operations
        .iter()
        .find(|o| matches!(o.kind, OperationKind::CreateTrunk | OperationKind::AttachTrunk))
}

/// No operation yet: a trunk that the instance has is taken over, or an intent is written.
fn begin(observed: &Observed<'_>) -> Result<Step, Wait> {
    match observed.trunks_of_instance {
        None => Ok(Step::FindTrunks),
        Some([trunk, ..]) => Ok(Step::WriteOperation(Box::new(attach_operation(
            trunk,
            0,
            observed.now,
        )))),
        Some([]) => {
            let settings = observed
                .settings
                .as_ref()
                .map_err(|missing| Wait::Config(missing.clone()))?;
            Ok(Step::WriteOperation(Box::new(Operation {
                kind: OperationKind::CreateTrunk,
                vswitch_id: settings.vswitch_id.clone(),
                attempt: 1,
                started_at: Some(Time(observed.now)),
                parameters: Some(parameters(settings)),
                ..Operation::default()
            })))
        }
    }
}

fn parameters(settings: &EniSettings) -> RequestParameters {
    RequestParameters {
        vswitch_id: settings.vswitch_id.clone(),
        security_group_ids: settings.security_group_ids.clone(),
        resource_group_id: settings.resource_group_id.clone(),
        // The trunk goes with its instance.
        delete_on_release: true,
        tags: settings.tags.clone(),
        description: "trunk ENI of a Kubernetes node, made by terway".into(),
        ..RequestParameters::default()
    }
}

/// `attempt` is the one that made the trunk, 0 when it was found: a token is never used again.
fn attach_operation(trunk: &CloudEni, attempt: i32, now: Timestamp) -> Operation {
    Operation {
        kind: OperationKind::AttachTrunk,
        eni_id: trunk.id.clone(),
        vswitch_id: trunk.vswitch_id.clone(),
        attempt,
        started_at: Some(Time(now)),
        ..Operation::default()
    }
}

fn create(observed: &Observed<'_>, operation: &Operation) -> Result<Step, Wait> {
    let started = operation.started_at.as_ref().map(|time| time.0);
    let until_start = started.map_or(Duration::ZERO, |started| elapsed(observed.now, started));
    if !until_start.is_zero() {
        return Err(Wait::Refused(until_start));
    }
    match intent::next(started, observed.evidence, observed.now, observed.limits) {
        intent::Step::Send => Ok(Step::Create),
        intent::Step::LookUpByTag => Ok(Step::LookUpByTag),
        intent::Step::LookUpById(id) => Ok(Step::LookUpById(id)),
        intent::Step::Record(eni) => {
            let attached = attach_operation(&eni, operation.attempt, observed.now);
            Ok(Step::WriteOperation(Box::new(attached)))
        }
        intent::Step::NextAttempt(refusal) => Ok(Step::WriteOperation(Box::new(next_attempt(
            observed, operation, refusal,
        )))),
        intent::Step::Wait(time) => Err(Wait::Later(time)),
    }
}

/// The settings may have been repaired since; the next attempt takes those of now.
fn next_attempt(observed: &Observed<'_>, operation: &Operation, refusal: Option<Refusal>) -> Operation {
    let attempt = operation.attempt + 1;
    let delay = if refusal.is_some() {
        backoff(attempt)
    } else {
        Duration::ZERO
    };
    let parameters = match observed.settings {
        Ok(settings) => Some(parameters(settings)),
        Err(_) => operation.parameters.clone(),
    };
    Operation {
        attempt,
        vswitch_id: parameters
            .as_ref()
            .map(|p| p.vswitch_id.clone())
            .unwrap_or_default(),
        started_at: Some(Time(observed.now + delay)),
        parameters,
        last_error: refusal.map(|refusal| crate::pod_eni::failure(&refusal, observed.now)),
        ..operation.clone()
    }
}

/// Time before attempt `attempt` (2, 3, …): doubling from one second, at most five minutes.
pub(crate) fn backoff(attempt: i32) -> Duration {
    let doublings = u32::try_from(attempt - 2).unwrap_or(0).min(16);
    Duration::from_secs(1 << doublings).min(Duration::from_secs(300))
}

fn attach(observed: &Observed<'_>, operation: &Operation) -> Result<Step, Wait> {
    let id = &operation.eni_id;
    let instance = &observed.record.spec.node_metadata.instance_id;
    let Some((seen, at)) = observed.seen else {
        return Ok(Step::Watch(id.clone()));
    };
    let eni = match seen {
        EniObservation::Present(eni) if eni.id == *id => eni,
        // An ENI made a moment ago may not be listed yet; the poller goes on looking.
        EniObservation::Present(_) | EniObservation::Absent => return absent(observed, operation, at),
    };
    let here = eni.instance_id.as_deref() == Some(instance);
    match eni.status {
        EniStatus::InUse if here && eni.primary_ip.is_some() => Ok(Step::WriteNic(Box::new(nic(eni)))),
        EniStatus::Available => match observed.attach_sent {
            // It may not show yet, or never have been done. The poller has no news to tell of an ENI
            // that stays as it was, so the time itself has to wake us.
            Some(sent) if elapsed(sent, at) < observed.limits.grace => {
                let left = observed.limits.grace.saturating_sub(elapsed(sent, observed.now));
                Err(Wait::Later(left.max(Duration::from_secs(1))))
            }
            _ => Ok(Step::Attach(id.clone())),
        },
        _ => Err(Wait::Cloud),
    }
}

/// The recorded ENI is not there: after the grace it is given up and the search begins again.
fn absent(observed: &Observed<'_>, operation: &Operation, at: Timestamp) -> Result<Step, Wait> {
    let since = operation.started_at.as_ref().map_or(observed.now, |time| time.0);
    let grace = observed.limits.consistency.max(observed.limits.grace);
    // What was seen then counts, not what time it is: a look from before tells nothing of now.
    match grace.checked_sub(elapsed(at_the_latest(since), at)) {
        Some(left) if !left.is_zero() => Err(Wait::Later(left.max(Duration::from_secs(1)))),
        _ => match observed.settings {
            Ok(settings) => Ok(Step::WriteOperation(Box::new(Operation {
                kind: OperationKind::CreateTrunk,
                eni_id: String::new(),
                // The token of the attempts before this one names the ENI that is gone.
                attempt: operation.attempt + 1,
                vswitch_id: settings.vswitch_id.clone(),
                started_at: Some(Time(observed.now)),
                parameters: Some(parameters(settings)),
                ..Operation::default()
            }))),
            Err(missing) => Err(Wait::Config(missing.clone())),
        },
    }
}

fn nic(eni: &CloudEni) -> Nic {
    Nic {
        id: eni.id.clone(),
        status: NicStatus::InUse,
        mac_address: eni.mac.clone(),
        vswitch_id: eni.vswitch_id.clone(),
        security_group_ids: eni.security_group_ids.clone(),
        primary_ip_address: eni.primary_ip.map(|ip| ip.to_string()).unwrap_or_default(),
        kind: Some(EniKind::Trunk),
        traffic_mode: Some(TrafficMode::Standard),
        ..Nic::default()
    }
}

/// ENIs that the record of a vanished node holds on to: all of ours, in use or on their way.
pub fn release(record: &TerwayNode) -> Vec<String> {
    let Some(status) = &record.status else {
        return Vec::new();
    };
    let ours = status
        .network_interfaces
        .values()
        .filter(|nic| !nic.unschedulable);
    let mut ids: Vec<String> = ours.map(|nic| nic.id.clone()).collect();
    ids.extend(
        status
            .operations
            .iter()
            .filter(|o| !o.eni_id.is_empty())
            .map(|o| o.eni_id.clone()),
    );
    ids.sort();
    ids.dedup();
    ids
}

/// Whether an ENI can serve as the trunk of an instance.
pub fn is_trunk_of(eni: &CloudEni, instance_id: &str) -> bool {
    eni.kind == CloudKind::Trunk && eni.instance_id.as_deref() == Some(instance_id)
}
