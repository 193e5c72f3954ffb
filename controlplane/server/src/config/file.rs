//! A file of `key: value` settings. Values are read as leniently as upstream reads them: a number or a
//! flag may be written as text, a list as text with commas.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};
use terway_core::go_duration;

use super::ConfigError;

/// The settings of one file by their known keys.
pub(super) struct File {
    path: PathBuf,
    values: BTreeMap<&'static str, Value>,
    /// Values must not be repeated in complaints.
    secret: bool,
}

impl File {
    /// Reads a file whose keys must be among `known`.
    pub(super) fn read(path: &Path, known: &[&'static str]) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(path, &text, known)
    }

    /// Reads a file whose values no complaint may repeat.
    pub(super) fn read_secret(path: &Path, known: &[&'static str]) -> Result<Self, ConfigError> {
        Self::read(path, known).map(|file| Self { secret: true, ..file })
    }

    pub(super) fn parse(path: &Path, text: &str, known: &[&'static str]) -> Result<Self, ConfigError> {
        let path = path.to_owned();
        let mapping = match parse_yaml(text) {
            Ok(Value::Null) => Map::new(),
            Ok(Value::Object(mapping)) => mapping,
            Ok(_) => return Err(ConfigError::NotAMapping { path }),
            Err(source) => return Err(ConfigError::Yaml { path, source }),
        };
        let mut values = BTreeMap::new();
        for (key, value) in mapping {
            let Some(name) = known.iter().copied().find(|name| name.eq_ignore_ascii_case(&key)) else {
                return Err(ConfigError::UnknownKey { path, key });
            };
            if values.insert(name, value).is_some() {
                return Err(ConfigError::DuplicateKey { path, key });
            }
        }
        // A key without a value is a key that is not given.
        values.retain(|_, value| !value.is_null());
        let secret = false;
        Ok(Self { path, values, secret })
    }

    /// Which of these keys are given.
    pub(super) fn given<'a>(&self, keys: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        keys.into_iter()
            .filter(|key| self.values.contains_key(key))
            .collect()
    }

    pub(super) fn text(&self, key: &'static str, default: &str) -> Result<String, ConfigError> {
        Ok(self
            .one(key, "a text", scalar)?
            .unwrap_or_else(|| default.to_owned()))
    }

    pub(super) fn flag(&self, key: &'static str, default: bool) -> Result<bool, ConfigError> {
        let read = |value: &Value| match scalar(value)?.to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        };
        Ok(self.one(key, "true or false", read)?.unwrap_or(default))
    }

    pub(super) fn number<T: std::str::FromStr>(
        &self,
        key: &'static str,
        default: T,
        expected: &'static str,
        allowed: impl Fn(&T) -> bool,
    ) -> Result<T, ConfigError> {
        let read = |value: &Value| scalar(value)?.trim().parse().ok().filter(&allowed);
        Ok(self.one(key, expected, read)?.unwrap_or(default))
    }

    /// A duration as Go writes it; a bare number is nanoseconds, as in Go.
    pub(super) fn duration(&self, key: &'static str, default: Duration) -> Result<Duration, ConfigError> {
        let read = |value: &Value| match value {
            Value::Number(number) => number.as_u64().map(Duration::from_nanos),
            other => scalar(other)
                .filter(|text| !text.is_empty())
                .map_or(Some(default), |text| go_duration::parse(&text)),
        };
        Ok(self
            .one(key, "a duration such as 30s or 5m", read)?
            .unwrap_or(default))
    }

    /// One of some words, without regard to case.
    pub(super) fn word(
        &self,
        key: &'static str,
        expected: &'static str,
        allowed: &[&'static str],
    ) -> Result<&'static str, ConfigError> {
        let read = |value: &Value| {
            let text = scalar(value)?;
            allowed
                .iter()
                .copied()
                .find(|word| word.eq_ignore_ascii_case(&text))
        };
        Ok(self.one(key, expected, read)?.unwrap_or(allowed[0]))
    }

    pub(super) fn list(&self, key: &'static str) -> Result<Vec<String>, ConfigError> {
        let split = |text: String| -> Vec<String> {
            text.split(',')
                .map(|entry| entry.trim().to_owned())
                .filter(|entry| !entry.is_empty())
                .collect()
        };
        let read = |value: &Value| match value {
            Value::Array(entries) => entries.iter().map(scalar).collect(),
            other => scalar(other).map(split),
        };
        Ok(self.one(key, "a list of texts", read)?.unwrap_or_default())
    }

    pub(super) fn map<T: std::str::FromStr>(
        &self,
        key: &'static str,
        expected: &'static str,
    ) -> Result<BTreeMap<String, T>, ConfigError> {
        let read = |value: &Value| {
            let entries = value.as_object()?.iter();
            entries
                .map(|(key, value)| Some((key.clone(), scalar(value)?.trim().parse().ok()?)))
                .collect()
        };
        Ok(self.one(key, expected, read)?.unwrap_or_default())
    }

    pub(super) fn required(&self, key: &'static str, expected: &'static str) -> Result<String, ConfigError> {
        let value = self.text(key, "")?;
        if value.is_empty() {
            return Err(ConfigError::MissingKey {
                path: self.path.clone(),
                key,
                expected,
            });
        }
        Ok(value)
    }

    /// A complaint about the value of a key.
    pub(super) fn bad(&self, key: &'static str, found: String, expected: &'static str) -> ConfigError {
        ConfigError::BadValue {
            path: self.path.clone(),
            key: key.to_owned(),
            found,
            expected,
        }
    }

    /// A complaint about the one mode that this product does not have.
    pub(super) fn not_centralized(&self) -> ConfigError {
        ConfigError::NotCentralized {
            path: self.path.clone(),
        }
    }

    fn one<T>(
        &self,
        key: &'static str,
        expected: &'static str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.values.get(key) else {
            return Ok(None);
        };
        read(value).map(Some).ok_or_else(|| {
            let shown = match self.secret {
                true => None,
                false => serde_json::to_string(value).ok(),
            };
            let found = shown.unwrap_or_else(|| "of another form".to_owned());
            self.bad(key, found, expected)
        })
    }
}

/// Reads YAML of one document. Only `true` and `false` are flags (YAML 1.1 has more words for them), and an error
/// quotes no line of the file, which may hold a secret.
fn parse_yaml(text: &str) -> Result<Value, Box<serde_saphyr::Error>> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(Box::new)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
