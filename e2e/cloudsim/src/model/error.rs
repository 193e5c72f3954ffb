//! The error codes of the API, each with its HTTP status. Codes and statuses are those of the ECS, VPC and STS API
//! references (error codes of each action); docs/cloudsim.md marks the unverified ones.

use std::borrow::Cow;

/// An error answer of the API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code} ({status}): {message}")]
pub struct ApiError {
    pub status: u16,
    pub code: Cow<'static, str>,
    pub message: String,
}

impl ApiError {
    /// Whether the same request may succeed later: the error is the cloud's own, or asks to try again.
    pub fn passes(&self) -> bool {
        self.status >= 500 || self.code.starts_with("Throttling") || self.code == OPERATION_CONFLICT.code
    }
}

/// A code with its HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    pub status: u16,
    pub code: &'static str,
}

impl Code {
    const fn new(status: u16, code: &'static str) -> Code {
        Code { status, code }
    }

    /// The error answer with this code and a message.
    pub fn because(self, message: impl Into<String>) -> ApiError {
        ApiError {
            status: self.status,
            code: Cow::Borrowed(self.code),
            message: message.into(),
        }
    }
}

pub const ENI_NOT_FOUND: Code = Code::new(404, "InvalidEniId.NotFound");
pub const ENI_MALFORMED: Code = Code::new(400, "InvalidParams.EniId");
pub const ECS_NOT_FOUND: Code = Code::new(404, "InvalidEcsId.NotFound");
pub const VSWITCH_NOT_FOUND: Code = Code::new(404, "InvalidVSwitchId.NotFound");
pub const GROUP_NOT_FOUND: Code = Code::new(404, "InvalidSecurityGroupId.NotFound");
pub const REGION_NOT_FOUND: Code = Code::new(404, "InvalidRegionId.NotFound");
pub const ENI_STATE: Code = Code::new(400, "InvalidOperation.InvalidEniState");
pub const ECS_STATE: Code = Code::new(400, "InvalidOperation.InvalidEcsState");
pub const ENI_TYPE: Code = Code::new(403, "InvalidOperation.InvalidEniType");
pub const DETACH_PRIMARY: Code = Code::new(400, "InvalidOperation.DetachPrimaryEniNotAllowed");
pub const ZONE_MISMATCH: Code = Code::new(403, "InvalidOperation.AvailabilityZoneMismatch");
pub const VPC_MISMATCH: Code = Code::new(403, "InvalidOperation.VpcMismatch");
pub const ENIS_PER_INSTANCE: Code = Code::new(403, "EniPerInstanceLimitExceeded");
pub const ENIS_PER_ACCOUNT: Code = Code::new(403, "MaxEniCountExceeded");
pub const GROUP_FULL: Code = Code::new(403, "SecurityGroupInstanceLimitExceed");
pub const VSWITCH_FULL: Code = Code::new(403, "InvalidVSwitchId.IpNotEnough");
pub const ADDRESS_OUTSIDE: Code = Code::new(403, "InvalidVSwitchId.IpInvalid");
pub const ADDRESS_TAKEN: Code = Code::new(403, "InvalidIp.IpAssigned");
pub const ADDRESS_REPEATED: Code = Code::new(400, "InvalidPrivateIpAddress.Duplicated");
pub const IPV4_COUNT: Code = Code::new(403, "InvalidOperation.Ipv4CountExceeded");
pub const IPV6_COUNT: Code = Code::new(403, "InvalidOperation.Ipv6CountExceeded");
pub const IPV6_OFF: Code = Code::new(403, "InvalidVSwitch.Ipv6NotTurnOn");
pub const IPV6_UNSUPPORTED: Code = Code::new(403, "InvalidOperation.Ipv6NotSupport");
pub const IPV6_ADDRESS: Code = Code::new(403, "InvalidIp.Address");
pub const ADDRESS_UNASSIGNED: Code = Code::new(403, "InvalidIp.IpUnassigned");
pub const ADDRESS_LISTED_TWICE: Code = Code::new(403, "InvalidIp.IpRepeated");
pub const OPERATION_CONFLICT: Code = Code::new(403, "Operation.Conflict");
pub const MISSING_PARAMETER: Code = Code::new(400, "MissingParameter");
pub const RESERVATION_NOT_FOUND: Code = Code::new(404, "InvalidVSwitchCidrReservationId.NotFound");
pub const RESERVATION_CIDR: Code = Code::new(400, "InvalidParameter.VSwitchCidrReservationCidr");
pub const RESERVATION_CONFLICT: Code = Code::new(400, "OperationFailed.CidrConflict");
pub const RESERVATION_QUOTA: Code = Code::new(400, "QuotaExceeded.VSwitchCidrReservation");
pub const RESERVATION_IN_USE: Code = Code::new(400, "DependencyViolation.NetworkInterface");
pub const RESERVATION_STATUS: Code = Code::new(400, "IncorrectStatus.VSwitchCidrReservation");
pub const RESOURCE_TYPE_MISSING: Code = Code::new(404, "MissingParameter.ResourceType");
pub const RESOURCE_TYPE: Code = Code::new(404, "InvalidResourceType.NotFound");
pub const RESOURCE_NOT_FOUND: Code = Code::new(404, "InvalidResourceId.NotFound");
pub const RESOURCES_MISSING: Code = Code::new(404, "MissingParameter.ResourceIds");
pub const RESOURCES_TOO_MANY: Code = Code::new(400, "NumberExceed.ResourceIds");
pub const TAGS_MISSING: Code = Code::new(404, "MissingParameter.Tags");
pub const TAGS_TOO_MANY: Code = Code::new(400, "NumberExceed.Tags");
pub const TAGS_FULL: Code = Code::new(400, "OperationDenied.QuotaExceed");
pub const INVALID_PARAMETER: Code = Code::new(400, "InvalidParameter");
pub const INVALID_TOKEN: Code = Code::new(400, "InvalidParameter.ClientToken");
pub const INVALID_NEXT_TOKEN: Code = Code::new(400, "InvalidParameter.NextToken");
pub const UNSUPPORTED_PARAMETER: Code = Code::new(400, "UnsupportedParameter");
pub const TOO_MANY_GROUPS: Code = Code::new(400, "InvalidParameter.SecurityGroupIds");
pub const TOO_MANY_TAGS: Code = Code::new(400, "InvalidParameter.TagsLimitExceeded");
pub const TAG_KEY_TWICE: Code = Code::new(400, "Duplicate.TagKey");
pub const TAG_KEY_MALFORMED: Code = Code::new(400, "InvalidTagKey.Malformed");
pub const TAG_VALUE_MALFORMED: Code = Code::new(400, "InvalidTagValue.Malformed");
pub const IDEMPOTENT_MISMATCH: Code = Code::new(400, "IdempotentParameterMismatch");
pub const IDEMPOTENT_FAILED: Code = Code::new(400, "IdempotentFailed");

pub const INTERNAL: Code = Code::new(500, "InternalError");
pub const ACTION_NOT_FOUND: Code = Code::new(404, "InvalidAction.NotFound");
pub const INVALID_VERSION: Code = Code::new(400, "InvalidVersion");
pub const THROTTLING_USER: Code = Code::new(400, "Throttling.User");
pub const ACCESS_KEY_NOT_FOUND: Code = Code::new(404, "InvalidAccessKeyId.NotFound");
pub const ACCESS_KEY_INACTIVE: Code = Code::new(400, "InvalidAccessKeyId.Inactive");
pub const SIGNATURE_MISMATCH: Code = Code::new(400, "SignatureDoesNotMatch");
pub const SIGNATURE_INCOMPLETE: Code = Code::new(400, "IncompleteSignature");
pub const SIGNATURE_METHOD: Code = Code::new(400, "InvalidParameter.SignatureMethod");
pub const NONCE_USED: Code = Code::new(400, "SignatureNonceUsed");
pub const TIMESTAMP_FORMAT: Code = Code::new(400, "InvalidTimeStamp.Format");
pub const TIMESTAMP_EXPIRED: Code = Code::new(400, "InvalidTimeStamp.Expired");
pub const SECURITY_TOKEN_MISSING: Code = Code::new(400, "MissingSecurityToken");
pub const SECURITY_TOKEN_MALFORMED: Code = Code::new(400, "InvalidSecurityToken.Malformed");
pub const SECURITY_TOKEN_EXPIRED: Code = Code::new(400, "InvalidSecurityToken.Expired");
pub const NO_PERMISSION: Code = Code::new(403, "NoPermission");
pub const STS_ROLE_ARN: Code = Code::new(400, "InvalidParameter.RoleArn");
pub const STS_ROLE_NOT_FOUND: Code = Code::new(404, "EntityNotExist.Role");
pub const STS_SESSION: Code = Code::new(400, "InvalidParameter.RoleSessionName");
pub const STS_DURATION: Code = Code::new(400, "InvalidParameter.DurationSeconds");
pub const OIDC_INVALID: Code = Code::new(400, "AuthenticationFail.OIDCToken.Invalid");
pub const OIDC_EXPIRED: Code = Code::new(400, "AuthenticationFail.OIDCToken.Expired");
pub const OIDC_NO_PERMISSION: Code = Code::new(403, "AuthenticationFail.NoPermission");
pub const CONTENT_HASH: Code = Code::new(400, "InvalidParameter.ContentSHA256");
pub const METHOD: Code = Code::new(405, "UnsupportedHTTPMethod");
pub const BODY_TOO_LARGE: Code = Code::new(413, "RequestEntityTooLarge");

/// The refusal of a call without a mandatory parameter. The code contains the parameter's name.
pub fn missing(name: &str) -> ApiError {
    ApiError {
        status: 400,
        code: Cow::Owned(format!("Missing{name}")),
        message: format!("{name} is mandatory for this action."),
    }
}

/// The refusal of a parameter with an unreadable value.
pub fn invalid(name: &str, why: &str) -> ApiError {
    INVALID_PARAMETER.because(format!("The specified parameter {name} is not valid: {why}."))
}

/// The usual HTTP status of a code, for faults without a status.
pub fn usual_status(code: &str) -> u16 {
    match code {
        "InternalError" => 500,
        "ServiceUnavailable" => 503,
        "Forbidden.RAM" | "NoPermission" => 403,
        code if code.ends_with(".NotFound") => 404,
        code if code.starts_with("Throttling") => 400,
        code if code.starts_with("QuotaExceeded") || code == "Operation.Conflict" => 403,
        code => FORBIDDEN
            .iter()
            .find(|known| known.code == code)
            .map_or(400, |known| known.status),
    }
}

const FORBIDDEN: [Code; 16] = [
    ENI_TYPE,
    ZONE_MISMATCH,
    VPC_MISMATCH,
    ENIS_PER_INSTANCE,
    ENIS_PER_ACCOUNT,
    GROUP_FULL,
    VSWITCH_FULL,
    ADDRESS_OUTSIDE,
    ADDRESS_TAKEN,
    IPV4_COUNT,
    IPV6_COUNT,
    IPV6_OFF,
    IPV6_UNSUPPORTED,
    IPV6_ADDRESS,
    ADDRESS_UNASSIGNED,
    ADDRESS_LISTED_TWICE,
];
