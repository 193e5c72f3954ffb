//! The ENIs that objects of the cluster refer to.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};

use terway_crds::{NetworkInterface, PodEni, TerwayNode};

use crate::pool::index;

/// The ENIs and intents that objects of the cluster refer to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    /// ENI ids in NetworkInterfaces, PodENIs and Node objects.
    pub eni_ids: BTreeSet<String>,
    /// The attempt of each open intent, by owner UID and index.
    pub open_intents: BTreeMap<(String, String), i32>,
}

impl References {
    /// Gathers the references of all objects.
    pub fn gather(
        interfaces: &[impl Borrow<NetworkInterface>],
        records: &[impl Borrow<PodEni>],
        nodes: &[impl Borrow<TerwayNode>],
    ) -> Self {
        let mut all = Self::default();
        let names = interfaces.iter().filter_map(|i| i.borrow().metadata.name.clone());
        all.eni_ids.extend(names);
        records.iter().for_each(|record| all.add_record(record.borrow()));
        nodes.iter().for_each(|node| all.add_node(node.borrow()));
        all
    }

    fn add_record(&mut self, record: &PodEni) {
        let uid = record.metadata.uid.as_deref().unwrap_or_default();
        for (index, allocation) in record.spec.allocations.iter().enumerate() {
            match (&allocation.creation, allocation.eni.id.as_str()) {
                (Some(creation), "") => self.add_intent(uid, &index.to_string(), creation.attempt),
                (_, id) => {
                    self.eni_ids.insert(id.to_owned());
                }
            }
        }
    }

    fn add_node(&mut self, node: &TerwayNode) {
        let uid = node.metadata.uid.as_deref().unwrap_or_default();
        let Some(status) = &node.status else { return };
        self.eni_ids.extend(status.network_interfaces.keys().cloned());
        for operation in &status.operations {
            self.eni_ids.insert(operation.eni_id.clone());
            self.add_intent(uid, index(operation), operation.attempt);
        }
    }

    fn add_intent(&mut self, uid: &str, index: &str, attempt: i32) {
        self.open_intents
            .insert((uid.to_owned(), index.to_owned()), attempt);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_object_that_names_an_eni_or_an_intent_counts() {
        let mut interface = NetworkInterface::default();
        interface.metadata.name = Some("eni-object".into());
        let mut record = PodEni::default();
        record.metadata.uid = Some("uid-pod".into());
        record.spec.allocations = serde_json::from_value(json!([
            { "eni": { "id": "eni-of-pod" } },
            { "creation": { "attempt": 2, "startedAt": "2026-01-01T00:00:00Z", "parameters": {} } },
        ]))
        .unwrap();
        let mut node = TerwayNode::new("n1", Default::default());
        node.metadata.uid = Some("uid-node".into());
        let status = node.status.get_or_insert_default();
        status
            .network_interfaces
            .insert("eni-of-node".into(), Default::default());
        status.operations = serde_json::from_value(json!([
            { "kind": "CreateENI", "id": "op-1", "attempt": 3, "eniID": "eni-made" },
        ]))
        .unwrap();
        let index = index(&status.operations[0]).to_owned();
        let all = References::gather(&[interface], &[record], &[node]);
        for id in ["eni-object", "eni-of-pod", "eni-of-node"] {
            assert!(all.eni_ids.contains(id), "{id}");
        }
        let attempt = |uid: &str, index: &str| all.open_intents.get(&(uid.to_owned(), index.to_owned()));
        assert_eq!(attempt("uid-pod", "1"), Some(&2));
        assert_eq!(attempt("uid-pod", "0"), None);
        assert_eq!(attempt("uid-node", &index), Some(&3));
    }
}
