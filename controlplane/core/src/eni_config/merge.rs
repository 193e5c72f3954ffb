//! JSON merge patch (RFC 7396). A node's own ConfigMap changes the default by it.

use serde_json::{Map, Value};

use super::ConfigProblem;

/// The default with a node's own values merged over it. `null` in the node's values removes a key.
///
/// # Errors
/// When one of the two is not a JSON object.
pub fn merged(default: &str, node: Option<&str>) -> Result<Map<String, Value>, ConfigProblem> {
    let mut value = Value::Object(object("the ConfigMap eni-config", default)?);
    if let Some(node) = node {
        let patch = object("the ConfigMap that the node's label terway-config names", node)?;
        json_patch::merge(&mut value, &Value::Object(patch));
    }
    match value {
        Value::Object(map) => Ok(map),
        // A patch that is an object always results in an object.
        _ => Ok(Map::new()),
    }
}

fn object(place: &'static str, text: &str) -> Result<Map<String, Value>, ConfigProblem> {
    serde_json::from_str(text).map_err(|error| ConfigProblem::NotJson {
        place,
        problem: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
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
}
