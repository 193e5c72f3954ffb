//! Makes an authority and a server certificate.

use jiff::civil::Date;
use jiff::{Span, Timestamp, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// Life of a certificate in days. Renewal comes long before its end, see [`super::check`].
const LIFE_DAYS: i32 = 365;

/// The content of the Secret, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Bundle {
    /// The authority, and the one before it.
    pub ca: Vec<u8>,
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
}

/// Makes a new authority and a certificate for these names.
pub(super) fn issue(
    names: &[String],
    now: Timestamp,
    previous_ca: Option<&[u8]>,
) -> Result<Bundle, rcgen::Error> {
    // The certificate begins a day ago, because clocks of other machines may be late.
    let (from, to) = (day(now, -1), day(now, LIFE_DAYS));
    let within = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(i32::from(from.year()), from.month() as u8, from.day() as u8);
        params.not_after = date_time_ymd(i32::from(to.year()), to.month() as u8, to.day() as u8);
    };
    let mut authority = CertificateParams::new(Vec::new())?;
    authority
        .distinguished_name
        .push(DnType::CommonName, "terway webhook authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    within(&mut authority);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let mut server = CertificateParams::new(names.to_vec())?;
    server
        .distinguished_name
        .push(DnType::CommonName, names.first().map_or("terway", String::as_str));
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    within(&mut server);
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &authority)?;

    let mut ca = authority.pem().into_bytes();
    ca.extend(previous_ca.into_iter().flatten());
    Ok(Bundle {
        ca,
        certificate: certificate.pem().into_bytes(),
        key: key.serialize_pem().into_bytes(),
    })
}

fn day(now: Timestamp, offset: i32) -> Date {
    let today = now.to_zoned(TimeZone::UTC).date();
    today.saturating_add(Span::new().days(offset))
}
