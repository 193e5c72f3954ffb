//! JSON merge patches (RFC 7396) with the changed fields only. The crate json-patch can apply such patches, but
//! computes only JSON patches of RFC 6902.

use serde_json::{Map, Value};

/// The patch that turns `old` into `new`. A removed field becomes `null`. A list is replaced as a whole, as a merge
/// patch requires.
pub fn diff(old: &Value, new: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return new.clone();
    };
    let mut patch = Map::new();
    for (key, value) in new {
        match old.get(key) {
            Some(known) if known == value => {}
            Some(known) => {
                patch.insert(key.clone(), diff(known, value));
            }
            None => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn says_only_what_changed() {
        let old = json!({"phase": "Bind", "instanceID": "i-1", "infos": {"a": {"vid": 1}, "b": {"vid": 2}}});
        let new = json!({"phase": "Unbind", "infos": {"a": {"vid": 1}, "b": {}}});
        assert_eq!(
            diff(&old, &new),
            json!({"phase": "Unbind", "instanceID": null, "infos": {"b": {"vid": null}}})
        );
        assert_eq!(diff(&new, &new), json!({}));
    }

    #[test]
    fn lists_are_replaced() {
        assert_eq!(diff(&json!({"l": [1, 2]}), &json!({"l": [1]})), json!({"l": [1]}));
    }
}
