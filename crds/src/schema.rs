//! Facts about a schema that the derive cannot know.
//!
//! The derived schema follows the Rust types: every field is optional or nullable, and has serde's default. The API's
//! contract is narrower. This module removes the derived defaults and `nullable`, and adds the contract's own defaults
//! and required fields from one table for each kind.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

/// One statement of the contract about the schema node at a path. A path is written with dots,
/// `[]` for the items of a list and `{}` for the values of a map.
pub(crate) enum Fact {
    /// These properties must be present.
    Required(&'static str, &'static [&'static str]),
    /// The value the API server fills in when the field is absent.
    Default(&'static str, fn() -> Value),
    /// The width of an integer, where it is part of the contract.
    Format(&'static str, &'static str),
    /// One writer writes the object as a whole, so the API server records no owner for each field below it. That
    /// record (`metadata.managedFields`) was most of the cost of a write to a Node object with twenty addresses.
    Atomic(&'static str),
}

/// Rewrites a derived schema into the contract's.
pub(crate) fn apply(root: &mut Value, facts: &[Fact]) -> Result<(), UnknownPath> {
    strip(root);
    for fact in facts {
        match fact {
            Fact::Required(path, names) => {
                let node = find(root, path)?;
                for name in *names {
                    if node.get("properties").and_then(|p| p.get(name)).is_none() {
                        return Err(UnknownPath(format!("{path}.{name}")));
                    }
                }
                node.insert("required".to_owned(), json!(names));
            }
            Fact::Default(path, value) => {
                find(root, path)?.insert("default".to_owned(), value());
            }
            Fact::Format(path, format) => {
                let node = find(root, path)?;
                node.remove("minimum");
                node.insert("format".to_owned(), json!(format));
            }
            Fact::Atomic(path) => {
                find(root, path)?.insert("x-kubernetes-map-type".to_owned(), json!("atomic"));
            }
        }
    }
    Ok(())
}

/// A fact speaks of a field that the types do not have.
#[derive(Debug, thiserror::Error)]
#[error("the schema has no field {0}: correct the table of facts in crds/src/crd.rs")]
pub struct UnknownPath(String);

/// Removes the properties that follow from the Rust types alone.
fn strip(node: &mut Value) {
    let Some(object) = node.as_object_mut() else {
        return;
    };
    object.remove("nullable");
    object.remove("default");
    object.remove("required");
    if object.get("type") == Some(&json!("integer")) {
        object.remove("format");
    }
    // An optional word may be absent. The word null is not allowed.
    if let Some(words) = object.get_mut("enum").and_then(Value::as_array_mut) {
        words.retain(|word| !word.is_null());
    }
    for key in ["items", "additionalProperties"] {
        if let Some(child) = object.get_mut(key) {
            strip(child);
        }
    }
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(strip);
    }
}

fn find<'a>(root: &'a mut Value, path: &str) -> Result<&'a mut Map<String, Value>, UnknownPath> {
    let unknown = || UnknownPath(path.to_owned());
    let mut node = root;
    for part in path.split('.') {
        let name = part.trim_end_matches("[]").trim_end_matches("{}");
        node = node
            .get_mut("properties")
            .and_then(|p| p.get_mut(name))
            .ok_or_else(unknown)?;
        if part.ends_with("[]") {
            node = node.get_mut("items").ok_or_else(unknown)?;
        } else if part.ends_with("{}") {
            node = node.get_mut("additionalProperties").ok_or_else(unknown)?;
        }
    }
    node.as_object_mut().ok_or_else(unknown)
}

/// Schema of a list of conditions. Keyed by type, so that two writers can each own theirs.
pub(crate) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "properties": {
                "type": { "type": "string", "description": "Name of the condition.", "maxLength": 316 },
                "status": { "type": "string", "enum": ["True", "False", "Unknown"], "description": "Whether it holds." },
                "reason": { "type": "string", "description": "Why, in one word.", "minLength": 1, "maxLength": 1024 },
                "message": { "type": "string", "description": "Why, for people.", "maxLength": 32768 },
                "lastTransitionTime": {
                    "type": "string", "format": "date-time", "description": "Since when the status is what it is."
                },
                "observedGeneration": {
                    "type": "integer", "description": "Generation of the object this condition speaks of."
                },
            },
        },
    })
}

/// Schema of a label selector.
pub(crate) fn label_selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "matchLabels": {
                "type": "object",
                "additionalProperties": { "type": "string" },
                "description": "Labels that must be present with these values.",
            },
            "matchExpressions": {
                "type": "array",
                "x-kubernetes-list-type": "atomic",
                "description": "Requirements that must all hold.",
                "items": {
                    "type": "object",
                    "properties": {
                        "key": { "type": "string", "description": "Label the requirement is about." },
                        "operator": { "type": "string", "description": "In, NotIn, Exists or DoesNotExist." },
                        "values": {
                            "type": "array",
                            "x-kubernetes-list-type": "atomic",
                            "items": { "type": "string" },
                            "description": "Values for In and NotIn; empty for the others.",
                        },
                    },
                },
            },
        },
    })
}

/// Schema of a reference to an object.
pub(crate) fn object_reference(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "apiVersion": { "type": "string", "description": "Group and version of the object." },
            "kind": { "type": "string", "description": "Kind of the object." },
            "namespace": { "type": "string", "description": "Namespace of the object." },
            "name": { "type": "string", "description": "Name of the object." },
            "uid": { "type": "string", "description": "UID of the object." },
            "resourceVersion": { "type": "string", "description": "Version of the object, when one was meant." },
            "fieldPath": { "type": "string", "description": "Part of the object, when one was meant." },
        },
    })
}
