//! Operations of a JSON patch. `add` is enough, because in an object `add` also replaces (RFC 6902, section 4.1).

use serde::Serialize;
use serde_json::Value;

/// One operation of a JSON patch (RFC 6902).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PatchOperation {
    op: &'static str,
    path: String,
    value: Value,
}

impl PatchOperation {
    /// Adds or replaces the value at a path. The path is given by its parts.
    pub(super) fn add<'a>(path: impl IntoIterator<Item = &'a str>, value: Value) -> Self {
        let path = path
            .into_iter()
            .map(|part| format!("/{}", escape(part)))
            .collect();
        Self {
            op: "add",
            path,
            value,
        }
    }

    /// Adds or replaces an annotation of an object that has annotations.
    #[must_use]
    pub fn annotate(key: &str, value: String) -> Self {
        Self::add(["metadata", "annotations", key], Value::String(value))
    }

    /// Path of the operation, as a JSON pointer.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The value added.
    pub fn value(&self) -> &Value {
        &self.value
    }
}

/// Escapes a part of a JSON pointer, in which `~` and `/` have a meaning (RFC 6901, section 3).
fn escape(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn slashes_of_a_name_are_escaped() {
        let operation = PatchOperation::add(["metadata", "annotations", "k8s.aliyun.com/a~b"], json!("x"));
        assert_eq!(operation.path(), "/metadata/annotations/k8s.aliyun.com~1a~0b");
    }
}
