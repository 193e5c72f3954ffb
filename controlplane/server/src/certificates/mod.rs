//! The webhook's certificate. It is made here, kept in a Secret and renewed before it expires. The bundle by which the
//! API server trusts it is written into the webhook configurations whenever they have another bundle.
//!
//! Each renewal makes a new authority. The authority's key is dropped at once, so that nobody can issue another
//! certificate. The earlier authority stays in the bundle, because replicas change their certificate one after the
//! other.

mod bundle;
mod check;
mod issue;
mod keeper;
mod secret;
#[cfg(test)]
mod tests;

use crate::config::Settings;

pub use keeper::Keeper;

/// The names in the certificate, and the names of its Secret and of the webhook configurations.
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

    /// Every name by which the API server may call the webhook. `localhost` is for an API server on the same machine.
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

/// Why there is no certificate, or why the API server does not trust it.
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
