//! The Secret with the certificate, which all replicas share.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client};
use rustls::ServerConfig;
use tracing::info;

use super::check::{self, RENEW_BEFORE};
use super::issue::{Bundle, issue};
use super::{CertificateError, CertificateSettings};
use crate::error::status_code;

/// Number of tries to write the Secret. Replicas that start together compete; each failed try means that another
/// replica has written it.
const TRIES: usize = 5;

/// A certificate for the server, and the bundle by which the API server trusts it.
pub(super) struct Served {
    pub tls: Arc<ServerConfig>,
    pub ca: Vec<u8>,
}

/// Reads the certificate, or makes a new one if there is none or if it has to be renewed.
pub(super) async fn ensure(
    client: &Client,
    settings: &CertificateSettings,
) -> Result<Served, CertificateError> {
    let name = settings.secret_name();
    let api: Api<Secret> = Api::namespaced(client.clone(), &settings.namespace);
    let failed = |act| {
        let name = name.clone();
        move |source| CertificateError::Secret { act, name, source }
    };
    let names = settings.dns_names();
    for _ in 0..TRIES {
        let now = Timestamp::now();
        let found = api.get_opt(&name).await.map_err(failed("reading"))?;
        let bundle = found.as_ref().and_then(bundle_of);
        if let Some(bundle) = &bundle {
            let later = now.checked_add(RENEW_BEFORE).unwrap_or(now);
            match check::usable(bundle, &names, later) {
                Ok(tls) => {
                    return Ok(Served {
                        tls,
                        ca: bundle.ca.clone(),
                    });
                }
                Err(reason) => info!(
                    secret = name,
                    reason = &reason as &dyn std::error::Error,
                    "renewing the webhook's certificate"
                ),
            }
        }
        let previous = bundle.as_ref().and_then(|bundle| check::first_of(&bundle.ca));
        let made = issue(&names, now, previous.as_deref())?;
        let tls = check::usable(&made, &names, now)?;
        let written = match found {
            None => {
                api.create(
                    &PostParams::default(),
                    &secret(&name, ObjectMeta::default(), &made),
                )
                .await
            }
            Some(old) => {
                let changed = secret(&name, old.metadata, &made);
                api.replace(&name, &PostParams::default(), &changed).await
            }
        };
        match written {
            Ok(_) => return Ok(Served { tls, ca: made.ca }),
            Err(error) if status_code(&error) == Some(409) => {}
            Err(error) => return Err(failed("writing")(error)),
        }
    }
    Err(CertificateError::Contended { name })
}

fn bundle_of(secret: &Secret) -> Option<Bundle> {
    let data = secret.data.as_ref()?;
    let get = |key: &str| data.get(key).map(|bytes| bytes.0.clone());
    Some(Bundle {
        ca: get("ca.crt")?,
        certificate: get("tls.crt")?,
        key: get("tls.key")?,
    })
}

fn secret(name: &str, metadata: ObjectMeta, bundle: &Bundle) -> Secret {
    let data = [
        ("ca.crt", &bundle.ca),
        ("tls.crt", &bundle.certificate),
        ("tls.key", &bundle.key),
    ];
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..metadata
        },
        type_: Some("kubernetes.io/tls".to_owned()),
        data: Some(BTreeMap::from(
            data.map(|(key, bytes)| (key.to_owned(), ByteString(bytes.clone()))),
        )),
        ..Secret::default()
    }
}
