//! VERSION: the CNI versions that the binary supports.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::{LATEST, VERSIONS};
use crate::error::CniError;

#[derive(Deserialize)]
struct Asked {
    #[serde(rename = "cniVersion")]
    cni_version: Option<String>,
}

/// Lists the versions. The answer has the version of the question, if that version is supported. Old runtimes ask
/// without a configuration.
pub fn answer(text: &[u8]) -> Result<Value, CniError> {
    let asked = if text.iter().all(u8::is_ascii_whitespace) {
        None
    } else {
        serde_json::from_slice::<Asked>(text)
            .map_err(CniError::Decode)?
            .cni_version
    };
    let version = asked.filter(|version| VERSIONS.contains(&version.as_str()));
    Ok(json!({ "cniVersion": version.as_deref().unwrap_or(LATEST), "supportedVersions": VERSIONS }))
}
