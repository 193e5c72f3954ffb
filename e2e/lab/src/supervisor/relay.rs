//! The relay from the host to the API server. It listens on a loopback port of the host and connects inside the control
//! machine's network namespace, so that neither the host nor the VPC needs a route to the other.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use super::credentials::APISERVER_PORT;

/// A listening relay. Until it has a target, it closes connections at once.
pub(super) struct Relay {
    port: u16,
    target: Arc<OnceLock<File>>,
}

impl Relay {
    /// Listens on 127.0.0.1; port 0 takes a free one.
    pub(super) fn listen(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let port = listener.local_addr()?.port();
        let target = Arc::new(OnceLock::<File>::new());
        let seen = target.clone();
        std::thread::spawn(move || {
            loop {
                match listener.accept() {
                    Ok((client, _)) => {
                        let target = seen.clone();
                        std::thread::spawn(move || serve(client, &target));
                    }
                    // Probably there are no file descriptors left. The error ends when other connections end.
                    Err(err) => {
                        tracing::warn!(%err, "the relay cannot accept a connection");
                        std::thread::sleep(Duration::from_millis(100));
                    }
                }
            }
        });
        Ok(Self { port, target })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Sets the target: the network namespace of the control machine's first process.
    pub(super) fn aim(&self, control_pid: u32) -> io::Result<()> {
        let netns = File::open(format!("/proc/{control_pid}/ns/net"))?;
        // An error means that the target is set already. A lab has only one control machine.
        let _ = self.target.set(netns);
        Ok(())
    }
}

fn serve(client: TcpStream, target: &OnceLock<File>) {
    let Some(netns) = target.get() else { return };
    match connect(netns) {
        Ok(server) => copy_both(&client, &server),
        Err(err) => tracing::debug!(%err, "the relay cannot reach the API server"),
    }
}

/// Connects to the API server inside `netns`. A socket belongs to the namespace in which its thread created it. The
/// thread serves one connection only, so it does not return to its old namespace.
fn connect(netns: &File) -> io::Result<TcpStream> {
    setns(netns.as_fd(), CloneFlags::CLONE_NEWNET)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, APISERVER_PORT));
    TcpStream::connect_timeout(&address, Duration::from_secs(5))
}

fn copy_both(client: &TcpStream, server: &TcpStream) {
    for stream in [client, server] {
        // Without TCP_NODELAY the small writes of HTTP/2 would wait for acknowledgements.
        let _ = stream.set_nodelay(true);
    }
    std::thread::scope(|scope| {
        scope.spawn(|| copy(client, server));
        copy(server, client);
    });
}

fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    // The other side is shut down, whether copying succeeded or failed.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}
