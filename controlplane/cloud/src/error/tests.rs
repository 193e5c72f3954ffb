//! Every spelling seen in the wild lands in the class that its handling needs.

use proptest::prelude::*;

use super::*;

#[test]
fn codes_are_sorted_whatever_their_spelling() {
    let cases = [
        (400, "Throttling", ErrorClass::Throttled),
        (400, "Throttling.User", ErrorClass::Throttled),
        (400, "Throttling.Api", ErrorClass::Throttled),
        (503, "Throttling", ErrorClass::Throttled),
        (429, "", ErrorClass::Throttled),
        (500, "InternalError", ErrorClass::Unknown),
        (503, "ServiceUnavailable", ErrorClass::Unknown),
        (502, "", ErrorClass::Unknown),
        (400, "IdempotentProcessing", ErrorClass::Unknown),
        (400, "SignatureNonceUsed", ErrorClass::Unknown),
        (400, "IdempotentFailed", ErrorClass::TokenReused),
        (400, "IdempotentParameterMismatch", ErrorClass::TokenReused),
        (403, "Operation.Conflict", ErrorClass::Conflict),
        (409, "OperationConflict", ErrorClass::Conflict),
        (400, "InvalidOperation.InvalidEniState", ErrorClass::Conflict),
        (400, "InvalidOperation.InvalidEcsState", ErrorClass::Conflict),
        (404, "InvalidEniId.NotFound", ErrorClass::NotFound),
        (404, "InvalidEcsId.NotFound", ErrorClass::NotFound),
        (404, "InvalidVSwitchID.NotFound", ErrorClass::NotFound),
        (404, "InvalidSecurityGroupId.NotFound", ErrorClass::NotFound),
        (404, "InvalidAccessKeyId.NotFound", ErrorClass::Forbidden),
        (404, "InvalidAction.NotFound", ErrorClass::Invalid),
        (403, "InvalidVSwitchId.IpNotEnough", ErrorClass::Exhausted),
        (403, "InvalidVSwitchID.IPNotEnough", ErrorClass::Exhausted),
        (403, "QuotaExceeded.PrivateIpAddress", ErrorClass::Exhausted),
        (403, "EniPerInstanceLimitExceeded", ErrorClass::Limit),
        (403, "MaxEniCountExceeded", ErrorClass::Limit),
        (403, "SecurityGroupInstanceLimitExceed", ErrorClass::Limit),
        (403, "InvalidOperation.Ipv4CountExceeded", ErrorClass::Limit),
        (403, "Forbidden.RAM", ErrorClass::Forbidden),
        (400, "SignatureDoesNotMatch", ErrorClass::Forbidden),
        (400, "InvalidTimeStamp.Expired", ErrorClass::Forbidden),
        (400, "InvalidSecurityToken.Expired", ErrorClass::Forbidden),
        (
            403,
            "InvalidOperation.AvailabilityZoneMismatch",
            ErrorClass::Invalid,
        ),
        (
            403,
            "InvalidOperation.DetachPrimaryEniNotAllowed",
            ErrorClass::Invalid,
        ),
        (400, "MissingParameter", ErrorClass::Invalid),
    ];
    for (status, code, class) in cases {
        assert_eq!(classify(status, code), class, "{status} {code}");
    }
}

fn failed(class: ErrorClass, http_status: Option<u16>) -> CloudError {
    CloudError {
        http_status,
        ..CloudError::local(Action::CreateNetworkInterface, "vSwitch vsw-1", class, "Code", "")
    }
}

#[test]
fn each_class_has_its_pace() {
    let cases = [
        (ErrorClass::Unknown, None, Retry::Transport),
        (ErrorClass::Unknown, Some(500), Retry::Transient),
        (ErrorClass::Throttled, Some(400), Retry::Throttle),
        (ErrorClass::Conflict, Some(403), Retry::Conflict),
        (ErrorClass::Forbidden, Some(403), Retry::Barred),
        (ErrorClass::Invalid, Some(400), Retry::Final),
        (ErrorClass::TokenReused, Some(400), Retry::Final),
        (ErrorClass::Fenced, None, Retry::Fenced),
    ];
    for (class, status, retry) in cases {
        assert_eq!(failed(class, status).retry(), retry, "{class:?} {status:?}");
        let pace = retry.pace();
        assert!(
            pace.first > std::time::Duration::ZERO && pace.first <= pace.most,
            "{retry:?}"
        );
    }
    assert!(Retry::Final.pace().first > Retry::Transient.pace().first);
}

#[test]
fn the_sentence_names_act_object_cause_and_remedy() {
    let error = CloudError {
        http_status: Some(403),
        request_id: Some("R-1".into()),
        ..CloudError::local(
            Action::CreateNetworkInterface,
            "vSwitch vsw-1",
            ErrorClass::Exhausted,
            "InvalidVSwitchId.IpNotEnough",
            "The VSwitch has no enough IP.",
        )
    };
    assert_eq!(
        error.to_string(),
        "CreateNetworkInterface of vSwitch vsw-1: InvalidVSwitchId.IpNotEnough (HTTP 403): The VSwitch has no \
         enough IP; request id R-1; name another vSwitch or enlarge this one"
    );
}

proptest! {
    #[test]
    fn case_and_dots_do_not_matter(code in "[A-Za-z]{1,12}(\\.[A-Za-z]{1,12}){0,2}", status in 400u16..600) {
        let flat = code.replace('.', "").to_uppercase();
        prop_assert_eq!(classify(status, &code), classify(status, &flat));
    }

    #[test]
    fn a_server_fault_never_says_not_done(code in "\\PC{0,30}", status in 500u16..600) {
        let class = classify(status, &code);
        prop_assert!(matches!(class, ErrorClass::Unknown | ErrorClass::Throttled));
    }
}
