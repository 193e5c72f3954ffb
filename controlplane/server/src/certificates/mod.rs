//! The webhook's certificate: made here, kept in a Secret, renewed before it expires; and the bundle
//! by which the API server trusts it, written into the webhook configurations whenever it is wrong.
//!
//! Each renewal makes a new authority, whose key is thrown away at once, so that nobody can issue
//! another certificate. The authority before it stays in the bundle: replicas change over one by one.

mod bundle;
mod check;
mod issue;
mod keeper;
mod secret;
#[cfg(test)]
mod tests;

use crate::config::Settings;

pub use keeper::Keeper;

/// Names and places of the certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateSettings {
    pub namespace: String,
    /// Name of the Service and of both webhook configurations.
    pub name: String,
    pub cluster_domain: String,
}

impl From<&Settings> for CertificateSettings {
    fn from(settings: &Settings) -> Self {
        Self {
            namespace: settings.controller_namespace.clone(),
            name: settings.controller_name.clone(),
            cluster_domain: settings.cluster_domain.clone(),
        }
    }
}

impl CertificateSettings {
    fn secret_name(&self) -> String {
        format!("{}-webhook-cert", self.name)
    }

    /// Every name the API server may call the webhook by; `localhost` is for one that runs beside it.
    fn dns_names(&self) -> Vec<String> {
        let Self {
            namespace,
            name,
            cluster_domain,
        } = self;
        vec![
            name.clone(),
            format!("{name}.{namespace}"),
            format!("{name}.{namespace}.svc"),
            format!("{name}.{namespace}.svc.{cluster_domain}"),
            "localhost".to_owned(),
        ]
    }
}

/// Why there is no certificate, or no trust in it.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("{act} the Secret {name}: check the control plane's Role")]
    Secret {
        act: &'static str,
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("the Secret {name} was changed by others again and again: see who else writes it")]
    Contended { name: String },
    #[error("{act} the {kind} {name}: check the control plane's ClusterRole")]
    Webhook {
        act: &'static str,
        kind: &'static str,
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("make a certificate")]
    Issue(#[from] rcgen::Error),
    #[error("use the certificate that was just made")]
    Unusable(#[from] check::Unusable),
}
