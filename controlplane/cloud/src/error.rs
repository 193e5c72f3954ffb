//! Errors of cloud calls, classified by what a caller can do about them.

mod retry;

use std::fmt;

pub use terway_core::cloud::ErrorClass;

pub use self::retry::{Pace, Retry};

use crate::action::Action;

/// Our own codes, for failures without a code of the cloud.
pub(crate) mod code {
    pub(crate) const UNREACHABLE: &str = "Unreachable";
    pub(crate) const TIMEOUT: &str = "Timeout";
    pub(crate) const CONNECTION_LOST: &str = "ConnectionLost";
    pub(crate) const NO_CREDENTIALS: &str = "NoCredentials";
    pub(crate) const HELD_BACK: &str = "HeldBack";
}

/// One failed call.
#[derive(Debug)]
pub struct CloudError {
    pub action: Action,
    /// The object of the call, for example `ENI eni-1` or `vSwitch vsw-1`.
    pub object: String,
    /// The cloud's code, or one of our own codes.
    pub code: String,
    /// The cloud's message.
    pub message: String,
    /// The request id, for a support ticket; absent without an answer.
    pub request_id: Option<String>,
    pub http_status: Option<u16>,
    pub class: ErrorClass,
    pub(crate) source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl CloudError {
    /// An error of this process or of the transport, without an answer of the cloud.
    pub(crate) fn local(action: Action, object: &str, class: ErrorClass, code: &str, message: &str) -> Self {
        CloudError {
            action,
            object: object.to_owned(),
            code: code.to_owned(),
            message: message.to_owned(),
            request_id: None,
            http_status: None,
            class,
            source: None,
        }
    }

    pub(crate) fn because(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// Whether the call was not sent: no lease, no keys, or a request that cannot be built.
    pub fn was_not_sent(&self) -> bool {
        self.http_status.is_none() && self.class != ErrorClass::Unknown
    }

    /// Whether the gate held the call back; see [`crate::Cloud::troubles`].
    pub fn is_held_back(&self) -> bool {
        self.http_status.is_none() && self.code == code::HELD_BACK
    }

    /// Whether the keys are valid and only a permission is missing.
    pub(crate) fn is_about_permissions(&self) -> bool {
        let code = plain(&self.code);
        ["forbidden", "nopermission", "unauthorized"]
            .iter()
            .any(|start| code.starts_with(start))
    }

    fn advice(&self) -> &'static str {
        match self.class {
            ErrorClass::Unknown => {
                "check that the endpoint can be reached; it is asked again with the same token"
            }
            ErrorClass::Throttled => {
                "calls of this kind are slowed down; raise the account's quota if it lasts"
            }
            ErrorClass::Conflict => "it is looked at again when the other operation has ended",
            ErrorClass::NotFound => "check that the id is right and in this region",
            ErrorClass::Exhausted => "name another vSwitch or enlarge this one",
            ErrorClass::Limit => "ask for a higher quota or use a larger instance type",
            ErrorClass::Invalid => "correct the configuration that this value comes from",
            ErrorClass::Forbidden if self.is_held_back() => "it is sent when another one has got through",
            ErrorClass::Forbidden => "check the access key, its RAM permissions and the clock",
            ErrorClass::TokenReused => "the interface is looked up by its tags",
            ErrorClass::Fenced => "the leader, if it is another process, does it instead",
        }
    }
}

impl fmt::Display for CloudError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}: {}", self.action, self.object, self.code)?;
        if let Some(status) = self.http_status {
            write!(f, " (HTTP {status})")?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message.trim_end_matches('.'))?;
        }
        if let Some(id) = &self.request_id {
            write!(f, "; request id {id}")?;
        }
        write!(f, "; {}", self.advice())
    }
}

impl std::error::Error for CloudError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Classifies an answer of the cloud. Only letters and digits of a code count, because services spell the same code in
/// different ways (with and without dots, in another case).
pub(crate) fn classify(http_status: u16, code: &str) -> ErrorClass {
    let code = plain(code);
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| code.starts_with(prefix));
    let contains = |parts: &[&str]| parts.iter().any(|part| code.contains(part));

    if http_status == 429 || starts(&["throttling", "requestlimitexceeded"]) || contains(&["flowcontrol"]) {
        return ErrorClass::Throttled;
    }
    // A repeated nonce, or a ClientToken that is still being processed, means that an earlier copy of this request
    // exists. This answer does not contain its outcome.
    if http_status >= 500
        || http_status == 408
        || code.is_empty()
        || starts(&[
            "internalerror",
            "serviceunavailable",
            "idempotentprocessing",
            "signaturenonceused",
        ])
    {
        return ErrorClass::Unknown;
    }
    if starts(&["idempoten"]) {
        return ErrorClass::TokenReused;
    }
    if http_status == 401
        || starts(&[
            "forbidden",
            "nopermission",
            "unauthorized",
            "invalidaccesskey",
            "inactiveaccesskey",
            "invalidsecuritytoken",
            "missingsecuritytoken",
            "malformedsecuritytoken",
            "signaturedoesnotmatch",
            "incompletesignature",
            "invalidsignature",
            "invalidtimestamp",
        ])
    {
        return ErrorClass::Forbidden;
    }
    if contains(&["ipnotenough", "quotaexceededprivateipaddress"]) {
        return ErrorClass::Exhausted;
    }
    if contains(&["limitexceed", "countexceed", "quotaexceed", "quotaexceeded"]) {
        return ErrorClass::Limit;
    }
    if starts(&[
        "invalidoperationinvalidenistate",
        "invalidoperationinvalidecsstate",
        "incorrect",
    ]) || contains(&["conflict", "lasttokenprocessing", "taskinprogress"])
    {
        return ErrorClass::Conflict;
    }
    let unknown_object = code.ends_with("notfound") && !starts(&["invalidaction", "invalidparameter"]);
    if unknown_object || code == "invalidipipunassigned" {
        return ErrorClass::NotFound;
    }
    ErrorClass::Invalid
}

/// The letters and digits of a code, in lower case.
fn plain(code: &str) -> String {
    code.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

#[cfg(test)]
mod tests;
