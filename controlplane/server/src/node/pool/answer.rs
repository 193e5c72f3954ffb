//! What the cloud's answers mean for the operations of a node.

use jiff::Timestamp;
use terway_cloud::{CloudError, ErrorClass};
use terway_core::intent::Refusal;
use terway_core::pool::{Known, Refused, Reply};

/// The meaning of a failed call that was sent.
pub fn reply_to(error: &CloudError) -> Reply {
    match error.class {
        ErrorClass::Unknown => Reply::Unknown,
        // Busy with something else: the same request may be sent again.
        ErrorClass::Throttled | ErrorClass::Fenced | ErrorClass::Conflict => Reply::Throttled,
        ErrorClass::TokenReused => Reply::TokenReused,
        ErrorClass::NotFound
        | ErrorClass::Exhausted
        | ErrorClass::Limit
        | ErrorClass::Invalid
        | ErrorClass::Forbidden => Reply::Refused(Refused {
            refusal: Refusal {
                vswitch_exhausted: error.class == ErrorClass::Exhausted,
                code: error.code.clone(),
                message: error.message.clone(),
                request_id: error.request_id.clone().unwrap_or_default(),
            },
            limit: error.class == ErrorClass::Limit,
            not_found: error.class == ErrorClass::NotFound,
        }),
    }
}

/// When a call that has to be repeated may be sent again.
pub fn pause(error: &CloudError) -> Option<Timestamp> {
    let again = matches!(
        error.class,
        ErrorClass::Unknown | ErrorClass::Throttled | ErrorClass::Fenced | ErrorClass::Conflict
    );
    again.then(|| Timestamp::now() + error.retry().pace().first)
}

/// The call was not sent after all: what was known before it holds, but not at once again.
pub fn not_sent(before: &Known, error: &CloudError) -> Known {
    Known {
        in_flight: false,
        not_before: Some(Timestamp::now() + error.retry().pace().first),
        ..before.clone()
    }
}
