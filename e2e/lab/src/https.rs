//! Blocking HTTPS GETs with a client certificate, to ask kube-apiserver whether it is ready. rustls makes the session,
//! and `http1` (which the simulator's admin API needs anyway) sends the request.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::http1::{self, Answer};
use crate::pki::Pair;

/// Why a request to kube-apiserver failed.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    #[error("the client's certificates are not usable")]
    Certificates(#[source] rustls::Error),
    #[error("the client's certificates are not PEM")]
    Pem(#[source] rustls::pki_types::pem::Error),
    #[error("no answer from https://{address}{path}")]
    Exchange {
        address: SocketAddr,
        path: String,
        #[source]
        source: io::Error,
    },
}

/// A client of one kube-apiserver.
pub struct Client {
    address: SocketAddr,
    config: Arc<ClientConfig>,
}

impl Client {
    /// A client of the server at `address`, which the server's certificate must name. `ca` is PEM.
    pub fn new(address: SocketAddr, ca: &str, client: &Pair) -> Result<Self, HttpsError> {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(ca.as_bytes()).map_err(HttpsError::Pem)?;
        roots.add(ca).map_err(HttpsError::Certificates)?;
        let certificate =
            CertificateDer::from_pem_slice(client.certificate.as_bytes()).map_err(HttpsError::Pem)?;
        let key = PrivateKeyDer::from_pem_slice(client.key.as_bytes()).map_err(HttpsError::Pem)?;
        // The provider is named here, because the process may have no default provider, or another one.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(HttpsError::Certificates)?
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate], key)
            .map_err(HttpsError::Certificates)?;
        Ok(Self {
            address,
            config: Arc::new(config),
        })
    }

    /// Sends a GET. Each step (connect, write, read) waits at most `patience`.
    pub fn get(&self, path: &str, patience: Duration) -> Result<Answer, HttpsError> {
        let exchange = || -> io::Result<Answer> {
            let tcp = TcpStream::connect_timeout(&self.address, patience)?;
            tcp.set_read_timeout(Some(patience))?;
            tcp.set_write_timeout(Some(patience))?;
            let name = ServerName::IpAddress(self.address.ip().into());
            let session = ClientConnection::new(self.config.clone(), name).map_err(io::Error::other)?;
            let mut stream = StreamOwned::new(session, tcp);
            http1::exchange(&mut stream, &self.address.to_string(), "GET", path, None)
        };
        exchange().map_err(|source| HttpsError::Exchange {
            address: self.address,
            path: path.to_owned(),
            source,
        })
    }

    /// Whether `/readyz` answers ok. `/readyz` includes the bootstrap of RBAC; before that, a refusal is normal.
    pub fn ready(&self) -> bool {
        self.get("/readyz", Duration::from_secs(5))
            .is_ok_and(|answer| answer.status == 200)
    }
}
