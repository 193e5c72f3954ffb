//! An ENI that is attached.

use jiff::Timestamp;
use terway_crds::Operation;
use terway_crds::names::condition;
use terway_crds::node::NicStatus;

use super::{must_wait, next_attempt};
use crate::cloud::{CloudEni, EniObservation, EniStatus};
use crate::intent::{at_the_latest, elapsed};
use crate::pool::draft::{Draft, News, nic_of};
use crate::pool::{Call, Known, MAX_ATTEMPTS, Refused, Reply, index};

pub fn attach(draft: &mut Draft<'_>, operation: Operation, known: &Known) -> Option<Operation> {
    let eni = operation.eni_id.clone();
    if let Some(Reply::Refused(refused)) = &known.reply {
        return attach_refused(draft, operation, refused);
    }
    let Some((seen, seen_at)) = draft.observed.seen.get(&eni) else {
        // One that this process has just made is attached nowhere; all else is looked at first.
        match known.sent {
            None if !known.evidence.may_have_been_sent => send_attach(draft, &operation, known),
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
                draft.news.push(News::Invalid(format!(
                    "ENI {eni} was to be attached here and is {:?} at {}",
                    found.status,
                    found.instance_id.as_deref().unwrap_or("no instance")
                )));
                draft.status.network_interfaces.remove(&eni);
                None
            }
            EniStatus::Available => {
                match known.sent {
                    Some(sent) if elapsed(sent, *seen_at) < grace => {
                        draft.calls.push(Call::Watch(eni));
                        draft.wake_after(grace);
                    }
                    _ => send_attach(draft, &operation, known),
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

fn send_attach(draft: &mut Draft<'_>, operation: &Operation, known: &Known) {
    if !must_wait(draft, operation, known) {
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
    // What a new ENI has is known for certain only now.
    for (address, ip) in fresh.ipv4 {
        nic.ipv4.entry(address).or_insert(ip);
    }
    draft
        .news
        .push(News::Attached(format!("ENI {} is attached", eni.id)));
}

fn attach_refused(draft: &mut Draft<'_>, operation: Operation, refused: &Refused) -> Option<Operation> {
    let (eni, refusal) = (operation.eni_id.clone(), &refused.refusal);
    let words = format!(
        "ENI {eni} was not attached: {}: {}",
        refusal.code, refusal.message
    );
    draft.news.push(News::AttachRefused(words.clone()));
    draft.note(&eni, condition::OPERATION_ERR, words);
    if refused.limit {
        draft.status.next_sync_openapi_time = None;
    }
    if refused.limit || refused.not_found || operation.attempt >= MAX_ATTEMPTS {
        give_up(draft, &eni);
        return None;
    }
    Some(next_attempt(operation, refusal, draft.observed.now))
}

/// An ENI that cannot be used is given back.
fn give_up(draft: &mut Draft<'_>, eni: &str) {
    if let Some(nic) = draft.status.network_interfaces.get_mut(eni) {
        nic.status = NicStatus::Deleting;
    }
}

/// The recorded ENI is not there: after the grace it is given up.
fn vanished(draft: &mut Draft<'_>, operation: Operation, eni: &str, seen_at: Timestamp) -> Option<Operation> {
    let now = draft.observed.now;
    let since = operation.started_at.as_ref().map_or(now, |time| time.0);
    let grace = draft
        .observed
        .settings
        .limits
        .consistency
        .max(draft.observed.settings.limits.grace);
    // What was seen then counts, not what time it is.
    let left = grace.saturating_sub(elapsed(at_the_latest(since), seen_at));
    if !left.is_zero() {
        draft.calls.push(Call::Watch(eni.to_owned()));
        draft.wake_after(left);
        return Some(operation);
    }
    draft.news.push(News::Invalid(format!(
        "ENI {eni} vanished before it was attached"
    )));
    give_up(draft, eni);
    None
}
