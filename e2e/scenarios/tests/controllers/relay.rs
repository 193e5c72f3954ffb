//! A way to the cloud that can be cut: a TCP relay on loopback.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Relays connections until it is cut. After that its port refuses connections.
pub struct Relay {
    target: SocketAddr,
    address: SocketAddr,
    open: Option<DropGuard>,
}

impl Relay {
    /// A relay to this address.
    pub async fn open(target: SocketAddr) -> Relay {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let mut relay = Relay {
            target,
            address,
            open: None,
        };
        relay.serve(listener);
        relay
    }

    /// Where it listens, as the base of URLs.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends every connection and takes no more.
    pub async fn cut(&mut self) {
        self.open = None;
        // The listener goes with its task, which takes a moment.
        while TcpStream::connect(self.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }

    /// Takes connections again.
    pub async fn mend(&mut self) {
        let listener = TcpListener::bind(self.address)
            .await
            .expect("the port is still free");
        self.serve(listener);
    }

    fn serve(&mut self, listener: TcpListener) {
        let stop = CancellationToken::new();
        let target = self.target;
        let serving = async move {
            let mut connections = JoinSet::new();
            while let Ok((mut here, _)) = listener.accept().await {
                connections.spawn(async move {
                    if let Ok(mut there) = TcpStream::connect(target).await {
                        let _ = tokio::io::copy_bidirectional(&mut here, &mut there).await;
                    }
                });
            }
        };
        tokio::spawn(stop.clone().run_until_cancelled_owned(serving));
        self.open = Some(stop.drop_guard());
    }
}
