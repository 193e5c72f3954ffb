//! Admission: what is written into a new pod, and which PodNetworkings are accepted.
//!
//! A review is a sync function. Its result is a value: operations of a JSON patch, warnings, or a refusal whose
//! sentence says what to change.

mod allocation;
mod denial;
mod matching;
mod networks;
mod patch;
mod placement;
mod pod;
mod pod_networking;
mod resources;

pub use allocation::AllocationProblem;
pub use denial::Denial;
pub use matching::{PassedOver, Reason, Selection, select, selects};
pub use patch::PatchOperation;
pub use pod::{PodMutation, PodReview, PodSettings, PodVerdict, Untouched, review};
pub use pod_networking::{PodNetworkingProblem, PodNetworkingRules, fill, validate};
