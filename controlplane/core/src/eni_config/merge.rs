//! JSON merge patch (RFC 7396), by which a node's own ConfigMap changes the default.

use serde_json::{Map, Value};

use super::ConfigProblem;

/// The default with a node's own values over it. `null` in the latter removes a key.
///
/// # Errors
/// When one of them is no JSON object.
pub fn merged(default: &str, node: Option<&str>) -> Result<Map<String, Value>, ConfigProblem> {
    let mut value = Value::Object(object("the ConfigMap eni-config", default)?);
    if let Some(node) = node {
        let patch = object("the ConfigMap that the node's label terway-config names", node)?;
        apply(&mut value, &Value::Object(patch));
    }
    match value {
        Value::Object(map) => Ok(map),
        // A patch that is an object leaves an object.
        _ => Ok(Map::new()),
    }
}

fn object(place: &'static str, text: &str) -> Result<Map<String, Value>, ConfigProblem> {
    serde_json::from_str(text).map_err(|error| ConfigProblem::NotJson {
        place,
        problem: error.to_string(),
    })
}

fn apply(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            apply(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn maps_are_merged_lists_replaced_and_nulls_remove() {
        let default = r#"{"vswitches":{"h":["a"],"i":["b"]},"security_groups":["x","y"],"max_pool_size":5}"#;
        let node = r#"{"vswitches":{"h":["c"]},"security_groups":["z"],"max_pool_size":null}"#;
        assert_eq!(
            Value::Object(merged(default, Some(node)).unwrap()),
            json!({"vswitches": {"h": ["c"], "i": ["b"]}, "security_groups": ["z"]})
        );
    }

    #[test]
    fn what_is_no_object_is_named_by_its_place() {
        let error = merged("{}", Some("[1]")).unwrap_err().to_string();
        assert!(error.contains("terway-config"), "{error}");
        assert!(merged("x", None).unwrap_err().to_string().contains("eni-config"));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i8>().prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::btree_map("[a-c]", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        /// The same as a well-known implementation of the RFC.
        #[test]
        fn merges_as_the_rfc_says(target in any_json(), patch in any_json()) {
            let mut ours = target.clone();
            apply(&mut ours, &patch);
            let mut theirs = target;
            json_patch::merge(&mut theirs, &patch);
            prop_assert_eq!(ours, theirs);
        }
    }
}
