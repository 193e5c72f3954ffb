//! The parameters of a call by name, from both request styles, and functions that read them with the API's own errors.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::signature::hex;
use crate::model::ApiError;
use crate::model::error;

/// Parameters of signature and transport. They do not belong to the act.
const TRANSPORT: [&str; 10] = [
    "AccessKeyId",
    "Action",
    "Format",
    "SecurityToken",
    "Signature",
    "SignatureMethod",
    "SignatureNonce",
    "SignatureType",
    "SignatureVersion",
    "Timestamp",
];

/// Name and value of each parameter. Lists are `Name.1`, `Name.2`, ….
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parameters(BTreeMap<String, String>);

impl FromIterator<(String, String)> for Parameters {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Parameters(pairs.into_iter().collect())
    }
}

impl Parameters {
    /// Adds pairs. A new pair replaces a pair of the same name.
    pub fn extend(&mut self, others: Parameters) {
        self.0.extend(others.0);
    }

    /// All pairs, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of this name, unless it is absent or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The value of this name as an owned text.
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// The value of a mandatory parameter.
    ///
    /// # Errors
    /// `Missing<Name>` when the value is absent.
    pub fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.get(name).ok_or_else(|| error::missing(name))
    }

    /// A whole number in a range.
    pub fn number(&self, name: &str, range: std::ops::RangeInclusive<u32>) -> Result<Option<u32>, ApiError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(error::invalid(
                name,
                &format!("it must be {} to {}", range.start(), range.end()),
            )),
        }
    }

    /// A truth value.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => Err(error::invalid(name, "it must be true or false")),
        }
    }

    /// A value that parses as `T`. `kind` names the expected form in the error.
    pub fn one<T: FromStr>(&self, name: &str, kind: &str) -> Result<Option<T>, ApiError> {
        self.get(name).map(|text| parse(name, text, kind)).transpose()
    }

    /// The values of `Name.1`, `Name.2`, …, in this order; gaps in the numbers are allowed. Without such names, the
    /// values of a JSON array in `Name`, as some clients write it, or the one value in `Name`.
    pub fn list(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let mut items: Vec<(u32, &String)> = self
            .0
            .range(format!("{name}.")..format!("{name}/"))
            .filter_map(|(key, value)| Some((key[name.len() + 1..].parse().ok()?, value)))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        items.sort_by_key(|(index, _)| *index);
        let mut items: Vec<String> = items.into_iter().map(|(_, value)| value.clone()).collect();
        match self.get(name) {
            Some(array) if array.starts_with('[') => items.extend(json_array(name, array)?),
            Some(value) => items.push(value.to_owned()),
            None => {}
        }
        Ok(items)
    }

    /// A list of values that parse as `T`. `kind` names the expected form in the error.
    pub fn all<T: FromStr>(&self, name: &str, kind: &str) -> Result<Vec<T>, ApiError> {
        let items = self.list(name)?;
        items.iter().map(|text| parse(name, text, kind)).collect()
    }

    /// A list, or a JSON array in one value. The API has both forms for some parameters.
    pub fn list_or_json(&self, name: &str) -> Result<Vec<String>, ApiError> {
        match self.get(name) {
            None => self.list(name),
            Some(json) => json_array(name, json),
        }
    }

    /// Keys and values of `Tag.N.Key` and `Tag.N.Value`, or of a JSON array in `Tag`.
    pub fn tags(&self) -> Result<Vec<(String, Option<String>)>, ApiError> {
        if let Some(array) = self.get("Tag") {
            let array = serde_json::from_str(array)
                .map_err(|_| error::invalid("Tag", "tags are given as Tag.N.Key and Tag.N.Value"))?;
            return Parameters::of_json(&serde_json::json!({ "Tag": Value::Array(array) })).tags();
        }
        let mut tags: BTreeMap<u32, (Option<String>, Option<String>)> = BTreeMap::new();
        for (name, value) in self.0.range("Tag.".to_owned().."Tag/".to_owned()) {
            let bad = || error::invalid(name, "tags are given as Tag.N.Key and Tag.N.Value");
            let (index, field) = name["Tag.".len()..].split_once('.').ok_or_else(bad)?;
            let tag = tags.entry(index.parse().map_err(|_| bad())?).or_default();
            match field.to_ascii_lowercase().as_str() {
                "key" => tag.0 = Some(value.clone()),
                "value" => tag.1 = Some(value.clone()),
                _ => return Err(bad()),
            }
        }
        tags.into_values()
            .map(|(key, value)| {
                key.map(|key| (key, value))
                    .ok_or_else(|| error::missing("Tag.Key"))
            })
            .collect()
    }

    /// The pairs that belong to the act, without signature, transport and secrets.
    pub fn of_act(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter()
            .filter(|(name, _)| !TRANSPORT.contains(name) && *name != "Version")
    }

    /// A hash of the pairs that belong to the act, without the ClientToken.
    pub fn fingerprint(&self) -> String {
        let mut text = String::new();
        for (name, value) in self.of_act().filter(|(name, _)| *name != "ClientToken") {
            // The lengths make the encoding unambiguous.
            text.push_str(&format!("{}:{name}{}:{value}", name.len(), value.len()));
        }
        hex(&Sha256::digest(text.as_bytes()))
    }

    /// The parameters of a JSON object: arrays become `Name.1`, `Name.2`, …, objects
    /// `Name.Field`.
    pub fn of_json(body: &Value) -> Parameters {
        let mut parameters = Parameters::default();
        if let Value::Object(fields) = body {
            fields
                .iter()
                .for_each(|(name, value)| parameters.flatten(name, value));
        }
        parameters
    }

    fn flatten(&mut self, name: &str, value: &Value) {
        match value {
            Value::Null => {}
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.flatten(&format!("{name}.{}", index + 1), item);
                }
            }
            Value::Object(fields) => {
                for (field, value) in fields {
                    self.flatten(&format!("{name}.{field}"), value);
                }
            }
            Value::String(text) => {
                self.0.insert(name.to_owned(), text.clone());
            }
            Value::Bool(_) | Value::Number(_) => {
                self.0.insert(name.to_owned(), value.to_string());
            }
        }
    }
}

fn parse<T: FromStr>(name: &str, text: &str, kind: &str) -> Result<T, ApiError> {
    text.parse()
        .map_err(|_| error::invalid(name, &format!("it must be {kind}")))
}

fn json_array(name: &str, text: &str) -> Result<Vec<String>, ApiError> {
    serde_json::from_str(text).map_err(|_| error::invalid(name, "it must be a JSON array of texts"))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> Parameters {
        let owned = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        owned.collect()
    }

    #[test]
    fn a_json_body_says_the_same_as_a_query() {
        let body = json!({
            "NetworkInterfaceId": "eni-1",
            "PrivateIpAddress": ["10.0.0.1", "10.0.0.2"],
            "Tag": [{"Key": "a", "Value": "b"}],
            "MaxResults": 20,
            "DeleteOnRelease": true,
            "Description": null,
        });
        let query = parameters(&[
            ("NetworkInterfaceId", "eni-1"),
            ("PrivateIpAddress.1", "10.0.0.1"),
            ("PrivateIpAddress.2", "10.0.0.2"),
            ("Tag.1.Key", "a"),
            ("Tag.1.Value", "b"),
            ("MaxResults", "20"),
            ("DeleteOnRelease", "true"),
        ]);
        assert_eq!(Parameters::of_json(&body), query);
        let array = parameters(&[("Tag", r#"[{"Key": "a", "Value": "b"}]"#)]);
        assert_eq!(array.tags(), query.tags());
    }

    #[test]
    fn the_fingerprint_tells_requests_apart_and_leaves_the_token_out() {
        let one = parameters(&[("A", "1"), ("ClientToken", "x"), ("SignatureNonce", "n")]);
        let same = parameters(&[("A", "1"), ("ClientToken", "y")]);
        assert_eq!(one.fingerprint(), same.fingerprint());
        let other = parameters(&[("A", "1"), ("B", "")]);
        assert_ne!(one.fingerprint(), other.fingerprint());
        let shifted = parameters(&[("A1", "")]);
        assert_ne!(one.fingerprint(), shifted.fingerprint());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn whatever_comes_is_read_or_refused(
            pairs in vec(("(Tag|Ip)(\\.[0-9]{0,12})?(\\.[a-zA-Z]{0,5})?", "[\\[\\]{}\",0-9a-z.: ]{0,20}|\\PC{0,8}"), 0..8)
        ) {
            let read: Parameters = pairs.into_iter().collect();
            let _ = read.tags();
            let _ = read.list("Ip");
            let _ = read.all::<Ipv4Addr>("Ip", "an address");
            let _ = read.number("Ip", 1..=10);
            let _ = read.flag("Ip");
            prop_assert_eq!(read.fingerprint().len(), 64);
        }
    }
}
