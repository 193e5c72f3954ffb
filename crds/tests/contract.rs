//! The schemas against the contract: `fixtures/contract.tsv` has one line for each field that
//! existing manifests and stored objects use, with tabs between kind, path, type, words, default,
//! format and required properties. What we add is listed here by name.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

#[derive(Debug, PartialEq, Default)]
struct Field {
    kind: String,
    words: BTreeSet<String>,
    default: String,
    format: String,
    required: BTreeSet<String>,
}

/// Paths (and everything below them) that the contract does not have and ours does.
const ADDED: &[(&str, &str)] = &[
    ("NetworkInterface", "spec.attachTo"),
    ("NetworkInterface", "status.conditions"),
    ("NetworkInterface", "status.observedGeneration"),
    ("NetworkInterface", "status.term"),
    ("Node", "status.conditions"),
    ("Node", "status.operations"),
    ("PodENI", "spec.allocations[].creation"),
    ("PodENI", "status.conditions"),
    ("PodENI", "status.observedGeneration"),
    ("PodENI", "status.summary"),
    ("PodNetworking", "status.conditions"),
    ("PodNetworking", "status.observedGeneration"),
    ("PodNetworking", "status.summary"),
];

fn walk(schema: &JSONSchemaProps, path: &str, out: &mut BTreeMap<String, Field>) {
    if !path.is_empty() {
        let words = schema
            .enum_
            .iter()
            .flatten()
            .filter_map(|w| w.0.as_str())
            .map(str::to_owned)
            .collect();
        let default = schema
            .default
            .as_ref()
            .map(|d| d.0.to_string())
            .unwrap_or_default();
        out.insert(
            path.to_owned(),
            Field {
                kind: schema.type_.clone().unwrap_or_default(),
                words,
                default: default.trim_matches('"').to_owned(),
                format: schema.format.clone().unwrap_or_default(),
                required: schema.required.iter().flatten().cloned().collect(),
            },
        );
    }
    for (name, child) in schema.properties.iter().flatten() {
        let dot = if path.is_empty() { "" } else { "." };
        walk(child, &format!("{path}{dot}{name}"), out);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(child)) = &schema.items {
        walk(child, &format!("{path}[]"), out);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(child)) = &schema.additional_properties {
        walk(child, &format!("{path}{{}}"), out);
    }
}

fn ours() -> BTreeMap<String, BTreeMap<String, Field>> {
    let mut kinds = BTreeMap::new();
    for crd in terway_crds::crd::all().unwrap() {
        let mut fields = BTreeMap::new();
        walk(schema(&crd), "", &mut fields);
        kinds.insert(crd.spec.names.kind.clone(), fields);
    }
    kinds
}

fn schema(crd: &CustomResourceDefinition) -> &JSONSchemaProps {
    crd.spec.versions[0]
        .schema
        .as_ref()
        .unwrap()
        .open_api_v3_schema
        .as_ref()
        .unwrap()
}

fn contract() -> BTreeMap<String, BTreeMap<String, Field>> {
    let mut kinds: BTreeMap<String, BTreeMap<String, Field>> = BTreeMap::new();
    for line in include_str!("fixtures/contract.tsv").lines() {
        let column: Vec<&str> = line.split('\t').collect();
        let set = |text: &str| {
            text.split(',')
                .filter(|w| !w.is_empty())
                .map(str::to_owned)
                .collect()
        };
        kinds.entry(column[0].to_owned()).or_default().insert(
            column[1].to_owned(),
            Field {
                kind: column[2].to_owned(),
                words: set(column[3]),
                // The table quotes objects as Python does.
                default: column[4].replace('\'', "\"").replace(": ", ":"),
                format: column[5].to_owned(),
                required: set(column[6]),
            },
        );
    }
    kinds
}

#[test]
fn every_field_of_the_contract_is_there_as_it_was() {
    let ours = ours();
    for (kind, fields) in contract() {
        for (path, expected) in fields {
            let found = ours[&kind]
                .get(&path)
                .unwrap_or_else(|| panic!("{kind} has no {path}"));
            assert_eq!(*found, expected, "{kind} {path}");
        }
    }
}

#[test]
fn nothing_is_added_that_is_not_listed() {
    let contract = contract();
    for (kind, fields) in ours() {
        for path in fields.keys().filter(|path| !contract[&kind].contains_key(*path)) {
            let listed = ADDED.iter().any(|(k, p)| {
                *k == kind
                    && path
                        .strip_prefix(p)
                        .is_some_and(|rest| rest.is_empty() || !rest.starts_with(char::is_alphanumeric))
            });
            assert!(listed, "{kind} {path} is new: list it in ADDED if it is meant");
        }
    }
}

#[test]
fn the_charts_files_are_fresh() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/terway/crds");
    for (name, content) in terway_crds::crd::files().unwrap() {
        let path = directory.join(&name);
        let found =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(found == content, "{} is stale: run `make crds`", path.display());
    }
}

#[test]
fn short_names_are_unique_and_not_taken_by_kubernetes() {
    // What `kubectl api-resources` of a plain cluster lists.
    let taken = [
        "cm", "cs", "ep", "ev", "limits", "ns", "no", "pvc", "pv", "po", "rc", "quota", "sa", "svc", "crd",
        "crds", "ds", "deploy", "rs", "sts", "hpa", "cj", "csr", "ing", "netpol", "pdb", "pc", "sc", "va",
        "vac",
    ];
    let mut seen = BTreeSet::new();
    for crd in terway_crds::crd::all().unwrap() {
        for name in crd.spec.names.short_names.unwrap() {
            assert!(!taken.contains(&name.as_str()), "{name} belongs to Kubernetes");
            assert!(seen.insert(name.clone()), "{name} is used twice");
        }
        assert_eq!(crd.spec.names.categories, Some(vec!["terway".to_owned()]));
        assert_eq!(
            crd.metadata.annotations.unwrap()["crd.network.alibabacloud.com/version"],
            "v1.1.0"
        );
        assert!(
            crd.spec.versions[0]
                .subresources
                .as_ref()
                .unwrap()
                .status
                .is_some()
        );
    }
}
