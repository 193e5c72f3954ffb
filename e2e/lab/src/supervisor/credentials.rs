//! Certificates and kubeconfigs of all parts of the cluster. Each `up` makes new ones.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use crate::kubeconfig::kubeconfig;
use crate::machine::HOME;
use crate::pki::{Authority, Identity, Pair, PkiError, SigningKey};
use crate::world::Fleet;

/// The port of kube-apiserver on the control machine.
pub const APISERVER_PORT: u16 = 6443;

/// The Service CIDR. The `kubernetes` Service gets its first address.
pub const SERVICE_CIDR: &str = "10.96.0.0/16";
const KUBERNETES_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);

/// Path of a credential in a machine.
pub fn in_machine(name: &str) -> PathBuf {
    Path::new(HOME).join("pki").join(name)
}

/// Texts of a machine's files, by their path in the machine.
pub type Files = BTreeMap<PathBuf, String>;

/// All credentials of one lab.
pub struct Credentials {
    pub authority: Authority,
    pub admin: Pair,
    tokens: SigningKey,
    /// URL of the API server for machines of the VPC.
    url: String,
}

impl Credentials {
    pub fn generate(fleet: &Fleet) -> Result<Self, PkiError> {
        let authority = Authority::generate()?;
        let admin = authority.issue(&Identity::admin(), &[], &[])?;
        let url = format!("https://{}:{APISERVER_PORT}", fleet.control.address.addr());
        Ok(Self {
            authority,
            admin,
            tokens: SigningKey::generate()?,
            url,
        })
    }

    /// The files of the control machine.
    pub fn control(&self, fleet: &Fleet) -> Result<Files, PkiError> {
        let address = IpAddr::V4(fleet.control.address.addr());
        let serving = self.authority.issue(
            &Identity::new("kube-apiserver", &[]),
            &[
                "localhost",
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
                "kubernetes.default.svc.cluster.local",
            ],
            &[
                address,
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V4(KUBERNETES_SERVICE),
            ],
        )?;
        let kubelets = self.authority.issue(
            &Identity::new("kube-apiserver-kubelet-client", &["system:masters"]),
            &[],
            &[],
        )?;
        let manager = Identity::new("system:kube-controller-manager", &[]);
        let scheduler = Identity::new("system:kube-scheduler", &[]);
        Ok(self.files([
            ("apiserver.crt", serving.certificate),
            ("apiserver.key", serving.key),
            ("kubelets.crt", kubelets.certificate),
            ("kubelets.key", kubelets.key),
            ("admin.crt", self.admin.certificate.clone()),
            ("admin.key", self.admin.key.clone()),
            ("tokens.key", self.tokens.private.clone()),
            ("tokens.pub", self.tokens.public.clone()),
            ("controller-manager.kubeconfig", self.kubeconfig(&manager)?),
            ("scheduler.kubeconfig", self.kubeconfig(&scheduler)?),
        ]))
    }

    /// The files of the node `name`: for its kubelet, which has the rights of this node alone, and for kube-proxy.
    pub fn node(&self, name: &str, address: Ipv4Addr) -> Result<Files, PkiError> {
        let identity = Identity::node(name);
        let kubelet = self.authority.issue(&identity, &[name], &[IpAddr::V4(address)])?;
        Ok(self.files([
            (
                "kubelet.kubeconfig",
                kubeconfig(&self.url, &self.authority, &kubelet),
            ),
            ("kubelet.crt", kubelet.certificate),
            ("kubelet.key", kubelet.key),
            (
                "kube-proxy.kubeconfig",
                self.kubeconfig(&Identity::new("system:kube-proxy", &[]))?,
            ),
        ]))
    }

    fn kubeconfig(&self, identity: &Identity) -> Result<String, PkiError> {
        Ok(kubeconfig(
            &self.url,
            &self.authority,
            &self.authority.issue(identity, &[], &[])?,
        ))
    }

    fn files<const N: usize>(&self, own: [(&str, String); N]) -> Files {
        let ca = ("ca.crt", self.authority.certificate().to_owned());
        own.into_iter()
            .chain([ca])
            .map(|(name, text)| (in_machine(name), text))
            .collect()
    }
}
