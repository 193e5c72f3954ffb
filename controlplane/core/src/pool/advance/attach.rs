//! The outcome of an operation that attaches an ENI.

use jiff::Timestamp;
use terway_crds::Operation;
use terway_crds::names::condition;
use terway_crds::node::NicStatus;

use super::{must_wait, next_attempt};
use crate::cloud::{CloudEni, EniObservation, EniStatus};
use crate::intent::{Evidence, Refused, Reply, at_the_latest, elapsed};
use crate::pool::draft::{Draft, nic_of};
use crate::pool::{Call, MAX_ATTEMPTS, index, news};

pub fn attach(draft: &mut Draft<'_>, operation: Operation, evidence: &Evidence) -> Option<Operation> {
    let eni = operation.eni_id.clone();
    if let Some(Reply::Refused(refused)) = &evidence.reply {
        return attach_refused(draft, operation, refused);
    }
    let Some((seen, seen_at)) = draft.observed.seen.get(&eni) else {
        // An ENI that this process has just made is not attached. Every other ENI is looked at first.
        match evidence.sent {
            None if !evidence.may_have_been_sent => send_attach(draft, &operation, evidence),
            _ => draft.calls.push(Call::Watch(eni)),
        }
        return Some(operation);
    };
    let instance = &draft.observed.record.spec.node_metadata.instance_id;
    let grace = draft.observed.settings.limits.grace;
    match seen {
        EniObservation::Absent => vanished(draft, operation, &eni, *seen_at),
        EniObservation::Present(found) => match &found.status {
            EniStatus::InUse if found.instance_id.as_ref() == Some(instance) => {
                attached(draft, found);
                None
            }
            EniStatus::InUse | EniStatus::Detaching | EniStatus::Deleting => {
                draft.news.push(news::invalid(format!(
                    "ENI {eni} was to be attached here and is {:?} at {}",
                    found.status,
                    found.instance_id.as_deref().unwrap_or("no instance")
                )));
                draft.status.network_interfaces.remove(&eni);
                None
            }
            EniStatus::Available => {
                match evidence.sent {
                    Some(sent) if elapsed(sent, *seen_at) < grace => {
                        draft.calls.push(Call::Watch(eni));
                        draft.wake_after(grace);
                    }
                    _ => send_attach(draft, &operation, evidence),
                }
                Some(operation)
            }
            EniStatus::Attaching | EniStatus::Other(_) => {
                draft.calls.push(Call::Watch(eni));
                Some(operation)
            }
        },
    }
}

fn send_attach(draft: &mut Draft<'_>, operation: &Operation, evidence: &Evidence) {
    if !must_wait(draft, operation, evidence) {
        draft.calls.push(Call::Attach(index(operation).to_owned()));
    }
}

fn attached(draft: &mut Draft<'_>, eni: &CloudEni) {
    let fresh = nic_of(eni);
    let nic = draft
        .status
        .network_interfaces
        .entry(eni.id.clone())
        .or_insert(fresh.clone());
    nic.status = NicStatus::InUse;
    nic.conditions.remove(condition::OPERATION_ERR);
    // Only now the addresses of a new ENI are known for certain.
    for (family, ip) in fresh.all_addresses() {
        let known = nic.addresses_mut(family);
        known.entry(ip.ip.clone()).or_insert_with(|| ip.clone());
    }
    draft.news.push(news::attached(&eni.id));
}

fn attach_refused(draft: &mut Draft<'_>, operation: Operation, refused: &Refused) -> Option<Operation> {
    let eni = operation.eni_id.clone();
    let words = format!(
        "ENI {eni} was not attached: {}: {}",
        refused.code, refused.message
    );
    draft.news.push(news::attach_refused(words.clone()));
    draft.note(&eni, condition::OPERATION_ERR, words);
    if refused.is_limit() {
        draft.status.next_sync_openapi_time = None;
    }
    if refused.is_limit() || refused.is_not_found() || operation.attempt >= MAX_ATTEMPTS {
        give_up(draft, &eni);
        return None;
    }
    Some(next_attempt(operation, refused, draft.observed.now))
}

/// Gives back an ENI that cannot be used.
fn give_up(draft: &mut Draft<'_>, eni: &str) {
    if let Some(nic) = draft.status.network_interfaces.get_mut(eni) {
        nic.status = NicStatus::Deleting;
    }
}

/// Handles a recorded ENI that the cloud does not show. It is given up after the grace.
fn vanished(draft: &mut Draft<'_>, operation: Operation, eni: &str, seen_at: Timestamp) -> Option<Operation> {
    let now = draft.observed.now;
    let since = operation.started_at.as_ref().map_or(now, |time| time.0);
    let grace = draft
        .observed
        .settings
        .limits
        .consistency
        .max(draft.observed.settings.limits.grace);
    // The time of the observation counts, not the present time.
    let left = grace.saturating_sub(elapsed(at_the_latest(since), seen_at));
    if !left.is_zero() {
        draft.calls.push(Call::Watch(eni.to_owned()));
        draft.wake_after(left);
        return Some(operation);
    }
    draft.news.push(news::invalid(format!(
        "ENI {eni} vanished before it was attached"
    )));
    give_up(draft, eni);
    None
}
