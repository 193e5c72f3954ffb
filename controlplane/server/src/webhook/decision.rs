//! The decision about an admission request, in the form of the API.

use std::fmt::Display;

use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview};
use terway_core::webhook::PatchOperation;

/// The decision about an admission request.
#[derive(Debug, Default)]
pub(super) struct Decision {
    pub patch: Vec<PatchOperation>,
    pub warnings: Vec<String>,
    /// Why the object is refused.
    pub denial: Option<String>,
}

impl Decision {
    /// The object is allowed as it is.
    pub(super) fn pass() -> Self {
        Self::default()
    }

    /// The object is refused.
    pub(super) fn deny(reason: impl Display) -> Self {
        Self {
            denial: Some(reason.to_string()),
            ..Self::default()
        }
    }

    /// The decision in the API's form.
    pub(super) fn into_review(
        self,
        request: &AdmissionRequest<DynamicObject>,
    ) -> AdmissionReview<DynamicObject> {
        let mut response = AdmissionResponse::from(request);
        if !self.warnings.is_empty() {
            response.warnings = Some(self.warnings);
        }
        if let Some(reason) = self.denial {
            return response.deny(reason).into_review();
        }
        if self.patch.is_empty() {
            return response.into_review();
        }
        let patch = serde_json::to_value(self.patch).and_then(serde_json::from_value);
        let patched = match patch {
            Ok(patch) => AdmissionResponse::from(request)
                .with_patch(patch)
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match patched {
            Ok(mut with_patch) => {
                with_patch.warnings = response.warnings;
                with_patch.into_review()
            }
            Err(error) => response.deny(format!("write the patch: {error}")).into_review(),
        }
    }
}
