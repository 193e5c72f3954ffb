//! JSON merge patches (RFC 7396) that say only what changed. (json-patch applies such patches, and computes JSON
//! patches of RFC 6902 alone.)

use serde_json::{Map, Value};

/// The patch that makes `new` out of `old`. Fields that vanish become `null`; lists are replaced
/// as a whole, which is what a merge patch does with them.
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
