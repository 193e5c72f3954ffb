//! Reads values of an answer by path, in each spelling that the cloud uses.

use serde_json::Value;

/// The value at this path of object keys; `null` counts as absent.
pub(super) fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter()
        .try_fold(value, |value, key| value.get(key))
        .filter(|value| !value.is_null())
}

/// A text, or a number as text.
pub(super) fn text(value: &Value, path: &[&str]) -> Option<String> {
    match at(value, path)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A whole number, or a text that contains one.
pub(super) fn number(value: &Value, path: &[&str]) -> Option<i64> {
    match at(value, path)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether a flag is set, as a boolean or as a text.
pub(super) fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or(false)
        || value
            .as_str()
            .is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

/// A list. The cloud wraps a list in an object with one key (`{"Tags": {"Tag": […]}}`). Some services do not wrap, and
/// an empty list may come as an empty object.
pub(super) fn items<'a>(value: &'a Value, path: &[&str; 2]) -> Option<&'a [Value]> {
    match at(value, &path[..1])? {
        Value::Array(list) => Some(list),
        Value::Object(wrapping) if wrapping.is_empty() => Some(&[]),
        Value::Object(wrapping) => match wrapping.get(path[1])? {
            Value::Array(list) => Some(list),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => None,
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// A list of texts. Other entries are ignored.
pub(super) fn texts(value: &Value, path: &[&str; 2]) -> Vec<String> {
    let list = items(value, path).unwrap_or_default();
    list.iter()
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}
