//! Parameters of a call by name, as both request styles deliver them, and the reading of
//! them with the API's own errors.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::model::ApiError;
use crate::model::error;

/// Parameters of signature and transport, which say nothing about the act.
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
    /// Adds pairs, over those of the same name.
    pub fn extend(&mut self, others: Parameters) {
        self.0.extend(others.0);
    }

    /// All pairs, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A value that is there and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// A value as text of its own.
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// A value the action cannot do without.
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
    pub fn flag(&self, name: &str) -> Result<bool, ApiError> {
        match self.get(name) {
            None => Ok(false),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(_) => Err(error::invalid(name, "it must be true or false")),
        }
    }

    /// An IPv4 address.
    pub fn address(&self, name: &str) -> Result<Option<Ipv4Addr>, ApiError> {
        self.get(name).map(|text| parse_address(name, text)).transpose()
    }

    /// The values of `Name.1`, `Name.2`, …, in that order; gaps do not matter.
    pub fn list(&self, name: &str) -> Vec<String> {
        let mut items: Vec<(u32, &String)> = self
            .0
            .range(format!("{name}.")..format!("{name}/"))
            .filter_map(|(key, value)| Some((key[name.len() + 1..].parse().ok()?, value)))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        items.sort_by_key(|(index, _)| *index);
        items.into_iter().map(|(_, value)| value.clone()).collect()
    }

    /// A list of IPv4 addresses.
    pub fn addresses(&self, name: &str) -> Result<Vec<Ipv4Addr>, ApiError> {
        self.list(name)
            .iter()
            .map(|text| parse_address(name, text))
            .collect()
    }

    /// Either a list or a JSON array in one value: the API has both for some parameters.
    pub fn list_or_json(&self, name: &str) -> Result<Vec<String>, ApiError> {
        match self.get(name) {
            None => Ok(self.list(name)),
            Some(json) => {
                serde_json::from_str(json).map_err(|_| error::invalid(name, "it must be a JSON array of ids"))
            }
        }
    }

    /// Keys and values of `Tag.N.Key` and `Tag.N.Value`.
    pub fn tags(&self) -> Result<Vec<(String, Option<String>)>, ApiError> {
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

    /// The pairs that say what to do, without signature, transport and secrets.
    pub fn of_act(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter()
            .filter(|(name, _)| !TRANSPORT.contains(name) && *name != "Version")
    }

    /// One canonical text of everything that says what to do but the ClientToken.
    pub fn fingerprint(&self) -> String {
        let mut text = String::new();
        for (name, value) in self.of_act().filter(|(name, _)| *name != "ClientToken") {
            // Lengths keep pairs apart whatever they contain.
            text.push_str(&format!("{}:{name}{}:{value}", name.len(), value.len()));
        }
        text
    }
}

fn parse_address(name: &str, text: &str) -> Result<Ipv4Addr, ApiError> {
    text.parse()
        .map_err(|_| error::invalid(name, "it must be an IPv4 address"))
}
