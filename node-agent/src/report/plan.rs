//! Plans the records that the NodeRuntime should have.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use terway_crds::node_runtime::{RUNTIME_DELETED, RUNTIME_INITIAL, RuntimePod, RuntimePodStatus};

/// How long a record is kept after its sandbox has gone and nothing refers to its pod any more.
const KEEP: SignedDuration = SignedDuration::from_mins(5);

/// Records by pod UID.
pub type Records = BTreeMap<String, RuntimePod>;

/// The state of the node's pods at the time of a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Pods that have a sandbox now: UID to `namespace/name`.
    pub alive: BTreeMap<String, String>,
    /// Pods that something still refers to and that have surely no sandbox: UID to `namespace/name`. Among them are
    /// pods whose sandbox was made and removed between two reports.
    pub ended: BTreeMap<String, String>,
    /// UIDs that something still refers to: a PodENI, a bound address, a pod.
    pub referenced: BTreeSet<String>,
}

/// The records as they should be; `None` when the current ones are already so.
pub fn plan(current: &Records, observed: &Observed, now: Timestamp) -> Option<Records> {
    let Observed {
        alive,
        ended,
        referenced,
    } = observed;
    let mut records = current.clone();
    for (uid, pod_id) in ended {
        // The loop over all records below marks the sandbox as gone.
        records.entry(uid.clone()).or_insert_with(|| RuntimePod {
            pod_id: pod_id.clone(),
            ..Default::default()
        });
    }
    for (uid, pod_id) in alive {
        let record = records.entry(uid.clone()).or_default();
        record.pod_id.clone_from(pod_id);
        if time(record, RUNTIME_INITIAL).is_none() || is_gone(record) {
            let after = time(record, RUNTIME_DELETED);
            set(record, RUNTIME_INITIAL, later(now, after));
        }
    }
    for (uid, record) in &mut records {
        if !alive.contains_key(uid) && !is_gone(record) {
            let after = time(record, RUNTIME_INITIAL);
            set(record, RUNTIME_DELETED, later(now, after));
        }
    }
    records.retain(|uid, record| {
        let old = time(record, RUNTIME_DELETED).is_some_and(|gone| now.duration_since(gone) > KEEP);
        alive.contains_key(uid) || referenced.contains(uid) || !old
    });
    (records != *current).then_some(records)
}

/// Whether the record says that the sandbox is gone.
fn is_gone(record: &RuntimePod) -> bool {
    match (time(record, RUNTIME_INITIAL), time(record, RUNTIME_DELETED)) {
        (Some(initial), Some(deleted)) => deleted > initial,
        (None, Some(_)) => true,
        (_, None) => false,
    }
}

/// The time for a change of state: now, but later than the time of the state before. Readers compare the two times,
/// which have whole seconds only.
fn later(now: Timestamp, before: Option<Timestamp>) -> Timestamp {
    let next = before.map(|before| {
        before
            .saturating_add(SignedDuration::from_secs(1))
            .unwrap_or(before)
    });
    let whole = Timestamp::from_second(now.as_second()).unwrap_or(now);
    next.map_or(whole, |next| next.max(whole))
}

fn time(record: &RuntimePod, state: &str) -> Option<Timestamp> {
    Some(record.status.get(state)?.last_update_time.as_ref()?.0)
}

fn set(record: &mut RuntimePod, state: &str, at: Timestamp) {
    record.status.insert(
        state.to_owned(),
        RuntimePodStatus {
            last_update_time: Some(Time(at)),
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn named(uids: &[&str]) -> BTreeMap<String, String> {
        uids.iter()
            .map(|uid| ((*uid).to_owned(), format!("shop/{uid}")))
            .collect()
    }

    fn observed(alive: &[&str], referenced: &[&str]) -> Observed {
        let referenced = referenced.iter().map(|uid| (*uid).to_owned()).collect();
        Observed {
            alive: named(alive),
            referenced,
            ..Default::default()
        }
    }

    fn planned(current: &Records, uids: &[&str], second: i64) -> Records {
        plan(current, &observed(uids, &[]), at(second)).expect("a change")
    }

    #[test]
    fn a_sandbox_that_no_report_saw_is_still_reported_as_gone() {
        let ended = Observed {
            ended: named(&["u"]),
            ..Default::default()
        };
        let records = plan(&Records::new(), &ended, at(0)).unwrap();
        assert!(is_gone(&records["u"]) && records["u"].pod_id == "shop/u");
        assert_eq!(plan(&records, &ended, at(9)), None);
    }

    #[test]
    fn a_sandbox_that_comes_and_goes_within_a_second_ends_as_gone() {
        let there = planned(&Records::new(), &["u"], 0);
        assert_eq!(there["u"].pod_id, "shop/u");
        assert!(!is_gone(&there["u"]));
        let gone = planned(&there, &[], 0);
        assert!(is_gone(&gone["u"]));
        let back = planned(&gone, &["u"], 0);
        assert!(!is_gone(&back["u"]));
    }

    #[test]
    fn nothing_new_is_no_write() {
        let there = planned(&Records::new(), &["u"], 0);
        assert_eq!(plan(&there, &observed(&["u"], &[]), at(3600)), None);
        let gone = planned(&there, &[], 10);
        assert_eq!(plan(&gone, &observed(&[], &[]), at(20)), None);
    }

    #[test]
    fn old_records_go_when_nothing_refers_to_them() {
        let gone = planned(&planned(&Records::new(), &["u"], 0), &[], 10);
        assert_eq!(plan(&gone, &observed(&[], &["u"]), at(3600)), None);
        assert_eq!(plan(&gone, &observed(&[], &[]), at(3600)), Some(Records::new()));
    }

    proptest::proptest! {
        /// For any records: a second plan at the same moment changes nothing, and exactly the pods with a sandbox are
        /// recorded as alive.
        #[test]
        fn planning_twice_is_planning_once(
            before in proptest::collection::btree_map("[a-d]", (proptest::option::of(0i64..900), proptest::option::of(0i64..900)), 0..4),
            living in proptest::collection::btree_set("[a-e]", 0..4),
            now in 0i64..2000,
        ) {
            let mut current = Records::new();
            for (uid, (initial, deleted)) in before {
                let mut record = RuntimePod { pod_id: format!("shop/{uid}"), ..Default::default() };
                for (state, second) in [(RUNTIME_INITIAL, initial), (RUNTIME_DELETED, deleted)] {
                    if let Some(second) = second {
                        set(&mut record, state, at(second));
                    }
                }
                current.insert(uid, record);
            }
            let names: Vec<&str> = living.iter().map(String::as_str).collect();
            let observed = observed(&names, &[]);
            let records = plan(&current, &observed, at(now)).unwrap_or(current);
            proptest::prop_assert_eq!(plan(&records, &observed, at(now)), None);
            for (uid, record) in &records {
                proptest::prop_assert_eq!(is_gone(record), !observed.alive.contains_key(uid));
            }
        }
    }
}
