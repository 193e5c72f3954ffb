//! The cluster's certificate authority and the certificates of its parts. The keys are P-256, which are generated
//! quickly. Certificates are valid for thirty days, longer than any lab.

use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// Why a key or a certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    #[error("cannot make a key")]
    Key(#[source] rcgen::Error),
    #[error("cannot read the saved key of the lab's certificate authority; remove the lab with `lab down`")]
    SavedKey(#[source] rcgen::Error),
    #[error("cannot sign the certificate of {subject}")]
    Sign {
        subject: String,
        #[source]
        source: rcgen::Error,
    },
    #[error("'{name}' cannot be a name in the certificate of {subject}; use ASCII")]
    Name {
        subject: String,
        name: String,
        #[source]
        source: rcgen::Error,
    },
}

const CA_NAME: &str = "terway-lab";
/// Certificates are valid from this long ago, because the clock of a laptop that slept may be late.
const BACKDATE: time::Duration = time::Duration::HOUR;
const LIFE: time::Duration = time::Duration::days(30);

/// The owner of a certificate: the user name and groups that kube-apiserver reads from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub user: String,
    pub groups: Vec<String>,
}

impl Identity {
    pub fn new(user: &str, groups: &[&str]) -> Self {
        Self {
            user: user.to_owned(),
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
        }
    }

    /// The administrator. Members of `system:masters` may do everything (Kubernetes documentation, RBAC).
    pub fn admin() -> Self {
        Self::new("admin", &["system:masters"])
    }

    /// A kubelet, with the name that the Node authorizer and the plugin NodeRestriction expect.
    pub fn node(name: &str) -> Self {
        Self::new(&format!("system:node:{name}"), &["system:nodes"])
    }
}

/// A certificate and its key, both PEM.
#[derive(Debug, Clone)]
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

/// The certificate authority that every part of one cluster trusts.
pub struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn generate() -> Result<Self, PkiError> {
        let key = KeyPair::generate().map_err(PkiError::Key)?;
        let certificate = ca_params().self_signed(&key).map_err(|source| PkiError::Sign {
            subject: CA_NAME.to_owned(),
            source,
        })?;
        Ok(Self {
            certificate: certificate.pem(),
            issuer: Issuer::new(ca_params(), key),
        })
    }

    /// Loads a saved authority. The certificate is not parsed, because its name and use are fixed and its key
    /// identifier follows from the key.
    pub fn load(certificate: String, key: &str) -> Result<Self, PkiError> {
        let key = KeyPair::from_pem(key).map_err(PkiError::SavedKey)?;
        Ok(Self {
            certificate,
            issuer: Issuer::new(ca_params(), key),
        })
    }

    /// The authority's own certificate, PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The authority's key, PEM, to be saved.
    pub fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Issues a certificate for a client that may also be a server, like a kubelet. Without `dns` and `ips` it is for a
    /// client only.
    pub fn issue(&self, identity: &Identity, dns: &[&str], ips: &[IpAddr]) -> Result<Pair, PkiError> {
        let subject = &identity.user;
        let mut params = CertificateParams::default();
        params.distinguished_name.remove(DnType::CommonName);
        params
            .distinguished_name
            .push(DnType::CommonName, subject.as_str());
        for group in &identity.groups {
            params
                .distinguished_name
                .push(DnType::OrganizationName, group.as_str());
        }
        for name in dns {
            let ia5 = (*name).try_into().map_err(|source| PkiError::Name {
                subject: subject.clone(),
                name: (*name).to_owned(),
                source,
            })?;
            params.subject_alt_names.push(SanType::DnsName(ia5));
        }
        params
            .subject_alt_names
            .extend(ips.iter().map(|ip| SanType::IpAddress(*ip)));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        set_validity(&mut params);
        let key = KeyPair::generate().map_err(PkiError::Key)?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(|source| PkiError::Sign {
                subject: subject.clone(),
                source,
            })?;
        Ok(Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// The key pair with which ServiceAccount tokens are signed and checked, both PEM.
#[derive(Debug, Clone)]
pub struct SigningKey {
    pub private: String,
    pub public: String,
}

impl SigningKey {
    pub fn generate() -> Result<Self, PkiError> {
        let key = KeyPair::generate().map_err(PkiError::Key)?;
        Ok(Self {
            private: key.serialize_pem(),
            public: key.public_key_pem(),
        })
    }
}

fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, CA_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params);
    params
}

fn set_validity(params: &mut CertificateParams) {
    let now = time::OffsetDateTime::now_utc();
    params.not_before = now - BACKDATE;
    params.not_after = now + LIFE;
}
