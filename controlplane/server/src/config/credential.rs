//! ctrl-secret.yaml: keys to the cloud. Never printed.

use std::fmt;
use std::path::Path;

use super::ConfigError;
use super::file::File;

/// Where the keys to the cloud come from: the first that is given, or else the instance's RAM role.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credential {
    pub access_key: String,
    pub access_secret: String,
    /// File with an encrypted token.
    pub credential_path: String,
}

const KEYS: &[&str] = &[
    "accessKey",
    "accessSecret",
    "credentialPath",
    "otelEndpoint",
    "otelToken",
];

impl Credential {
    pub(super) fn read(path: &Path, warnings: &mut Vec<String>) -> Result<Self, ConfigError> {
        let file = match File::read(path, KEYS) {
            // A cluster whose instances have a RAM role mounts no credentials.
            Err(ConfigError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                warnings.push(format!(
                    "{} does not exist: the instance's RAM role is used",
                    path.display()
                ));
                return Ok(Self::default());
            }
            other => other?,
        };
        Self::from_file(&file, warnings)
    }

    pub(super) fn from_file(file: &File, warnings: &mut Vec<String>) -> Result<Self, ConfigError> {
        let credential = Self {
            access_key: file.text("accessKey", "")?,
            access_secret: file.text("accessSecret", "")?,
            credential_path: file.text("credentialPath", "")?,
        };
        if credential.access_key.is_empty() != credential.access_secret.is_empty() {
            let missing = if credential.access_key.is_empty() {
                "accessKey"
            } else {
                "accessSecret"
            };
            return Err(file.bad(
                missing,
                "\"\"".to_owned(),
                "both accessKey and accessSecret, or neither",
            ));
        }
        let ignored = file.given(["otelEndpoint", "otelToken"]);
        warnings.extend(
            ignored
                .iter()
                .map(|key| format!("key {key} is upstream's and has no effect here")),
        );
        Ok(credential)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match (self.access_key.is_empty(), self.credential_path.is_empty()) {
            (false, _) => "access key",
            (true, false) => "token file",
            (true, true) => "RAM role",
        };
        f.debug_struct("Credential")
            .field("kind", &kind)
            .finish_non_exhaustive()
    }
}
