//! Compares versions of a definition: install, raise or keep.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use terway_crds::names::annotation;

/// The decision about one definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The definition does not exist.
    Install,
    /// The installed definition is older, or has no version.
    Raise { from: String },
    /// The installed definition has this version or a newer one.
    Keep { installed: String },
}

/// Decides about one definition.
pub fn decide(installed: Option<&CustomResourceDefinition>, ours: &CustomResourceDefinition) -> Decision {
    let Some(installed) = installed else {
        return Decision::Install;
    };
    let text = |crd: &CustomResourceDefinition| {
        crd.annotations()
            .get(annotation::CRD_VERSION)
            .cloned()
            .unwrap_or_default()
    };
    let (there, here) = (text(installed), text(ours));
    if version(&there) >= version(&here) {
        Decision::Keep { installed: there }
    } else {
        Decision::Raise { from: there }
    }
}

/// `v1.2.3` as numbers. Any other text is older than every version.
fn version(text: &str) -> Option<(u64, u64, u64)> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (release, _) = text.split_once(['-', '+']).unwrap_or((text, ""));
    let mut parts = release.split('.').map(|part| part.parse().ok());
    let version = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_version(version: &str) -> CustomResourceDefinition {
        let mut crd = CustomResourceDefinition::default();
        crd.annotations_mut()
            .insert(annotation::CRD_VERSION.to_owned(), version.to_owned());
        crd
    }

    #[test]
    fn what_is_missing_is_installed_and_what_is_older_is_raised() {
        let ours = with_version("v1.0.0");
        assert_eq!(decide(None, &ours), Decision::Install);
        for older in ["v0.10.0", "v0.4.2", "0.9.9", "", "latest"] {
            assert_eq!(
                decide(Some(&with_version(older)), &ours),
                Decision::Raise { from: older.into() }
            );
        }
        assert_eq!(
            decide(Some(&CustomResourceDefinition::default()), &ours),
            Decision::Raise { from: String::new() }
        );
    }

    #[test]
    fn nothing_is_ever_lowered() {
        let ours = with_version("v1.2.0");
        for kept in ["v1.2.0", "v1.10.0", "v2.0.0", "v1.2.1-rc.1"] {
            assert_eq!(
                decide(Some(&with_version(kept)), &ours),
                Decision::Keep {
                    installed: kept.into()
                }
            );
        }
    }
}
