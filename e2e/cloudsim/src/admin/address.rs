//! Where the admin API listens: a unix socket or a TCP port.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use tokio::net::{TcpListener, UnixListener};

/// An address of the admin API, written `unix:/path` or `host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Unix(PathBuf),
    Tcp(String),
}

impl Default for Address {
    /// A free port of loopback.
    fn default() -> Self {
        Address::Tcp("127.0.0.1:0".to_owned())
    }
}

/// An address that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is neither unix:/path nor host:port")]
pub struct AddressError(String);

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("unix:") {
            Some(path) if !path.is_empty() => Ok(Address::Unix(path.into())),
            None if text.contains(':') => Ok(Address::Tcp(text.to_owned())),
            _ => Err(AddressError(text.to_owned())),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Tcp(address) => f.write_str(address),
        }
    }
}

/// A bound listener. Dropping it removes the file of a unix socket.
#[derive(Debug)]
pub enum Listener {
    Tcp {
        listener: TcpListener,
        address: Address,
    },
    Unix {
        listener: UnixListener,
        address: Address,
        file: SocketFile,
    },
}

/// Removes the socket's file when it is dropped.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // An error means that somebody has removed the file already.
        let _ = fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Binds an address. A socket file without a listener is replaced.
    pub async fn bind(address: &Address) -> io::Result<Listener> {
        match address {
            Address::Tcp(wanted) => {
                let listener = TcpListener::bind(wanted).await?;
                let address = Address::Tcp(listener.local_addr()?.to_string());
                Ok(Listener::Tcp { listener, address })
            }
            Address::Unix(path) => {
                if std::os::unix::net::UnixStream::connect(path)
                    .is_err_and(|failure| failure.kind() == io::ErrorKind::ConnectionRefused)
                {
                    fs::remove_file(path)?;
                }
                let listener = UnixListener::bind(path)?;
                Ok(Listener::Unix {
                    listener,
                    address: address.clone(),
                    file: SocketFile(path.clone()),
                })
            }
        }
    }

    /// The bound address, with the port that was chosen.
    pub fn address(&self) -> &Address {
        match self {
            Listener::Tcp { address, .. } | Listener::Unix { address, .. } => address,
        }
    }
}
