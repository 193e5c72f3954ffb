//! Checks whether a certificate can be used for all its names, and for long enough.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::issue::Bundle;

/// A certificate is renewed when less than this is left: months before its end and months after its beginning.
pub(super) const RENEW_BEFORE: SignedDuration = SignedDuration::from_hours(120 * 24);

/// Why a certificate is not used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("the certificate cannot be read as PEM")]
    Pem(#[source] rustls_pki_types::pem::Error),
    #[error("there is no certificate")]
    Empty,
    #[error("the authority cannot be used")]
    Authority(#[source] rustls::Error),
    #[error("no verifier can be made of the authority")]
    Verifier(#[source] rustls::client::VerifierBuilderError),
    #[error("{0:?} is no DNS name")]
    Name(String),
    #[error("the certificate does not hold, or not long enough, for {name}")]
    Invalid {
        name: String,
        #[source]
        source: rustls::Error,
    },
    #[error("key and certificate do not belong together")]
    Key(#[source] rustls::Error),
}

/// Checks that a certificate is valid for `names` at `at`, as the API server does, and returns the TLS settings of a
/// server with it.
pub(super) fn usable(
    bundle: &Bundle,
    names: &[String],
    at: Timestamp,
) -> Result<Arc<ServerConfig>, Unusable> {
    let authorities = certificates(&bundle.ca)?;
    let chain = certificates(&bundle.certificate)?;
    let (Some(certificate), Some(authority)) = (chain.first(), authorities.into_iter().next()) else {
        return Err(Unusable::Empty);
    };
    let mut roots = RootCertStore::empty();
    roots.add(authority).map_err(Unusable::Authority)?;
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(Unusable::Verifier)?;
    let seconds = u64::try_from(at.as_second()).unwrap_or(0);
    let moment = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    for name in names {
        let server = ServerName::try_from(name.as_str()).map_err(|_| Unusable::Name(name.clone()))?;
        verifier
            .verify_server_cert(certificate, &chain[1..], &server, &[], moment)
            .map_err(|source| Unusable::Invalid {
                name: name.clone(),
                source,
            })?;
    }
    let key = PrivateKeyDer::from_pem_slice(&bundle.key).map_err(Unusable::Pem)?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Unusable::Key)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(Unusable::Key)?;
    Ok(Arc::new(config))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(Unusable::Pem)
}

/// The first certificate of a bundle as PEM. A renewal keeps it of the old authority.
pub(super) fn first_of(pem: &[u8]) -> Option<Vec<u8>> {
    const END: &[u8] = b"-----END CERTIFICATE-----";
    let end = pem.windows(END.len()).position(|window| window == END)? + END.len();
    let mut first = pem[..end].to_vec();
    first.push(b'\n');
    CertificateDer::from_pem_slice(&first).ok()?;
    Some(first)
}
