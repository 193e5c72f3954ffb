//! ctrl-secret.yaml: the keys to the cloud. They are never printed.

use std::fmt;
use std::path::Path;

use super::ConfigError;
use super::file::File;

/// The source of the keys to the cloud: the first one that is given, or else a RAM role.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credential {
    pub access_key: String,
    pub access_secret: String,
    /// File with an encrypted token.
    pub credential_path: String,
    /// Where spans go when `enableTrace` is set.
    pub otel_endpoint: String,
    pub otel_token: String,
}

const KEYS: &[&str] = &[
    "accessKey",
    "accessSecret",
    "credentialPath",
    "otelEndpoint",
    "otelToken",
];

impl Credential {
    /// Reads the file. Without the file, the keys are those of the service account's or the instance's RAM role.
    ///
    /// # Errors
    /// When the file or a key is wrong, with its name.
    pub fn read(path: &Path, warnings: &mut Vec<String>) -> Result<Self, ConfigError> {
        let file = match File::read_secret(path, KEYS) {
            // A cluster whose instances have a RAM role mounts no credentials.
            Err(ConfigError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                warnings.push(format!(
                    "{} does not exist: the RAM role of the service account or of the instance is used",
                    path.display()
                ));
                return Ok(Self::default());
            }
            other => other?,
        };
        Self::from_file(&file)
    }

    pub(super) fn from_file(file: &File) -> Result<Self, ConfigError> {
        let credential = Self {
            access_key: file.text("accessKey", "")?,
            access_secret: file.text("accessSecret", "")?,
            credential_path: file.text("credentialPath", "")?,
            otel_endpoint: file.text("otelEndpoint", "")?,
            otel_token: file.text("otelToken", "")?,
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
