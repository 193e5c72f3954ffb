//! The way from the host to the API server: a loopback port whose connections go on inside the control
//! machine's network namespace. The host needs no route into the VPC, and the VPC none to the host.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use super::credentials::APISERVER_PORT;

/// A listening relay. Until it has a target, connections are closed at once, as by a server that is not up.
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
                    // Out of file descriptors, most likely; it passes when connections end.
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

    /// Tells it where the API server is: the network namespace of the control machine's first process.
    pub(super) fn aim(&self, control_pid: u32) -> io::Result<()> {
        let netns = File::open(format!("/proc/{control_pid}/ns/net"))?;
        // A lab has one control machine, which is aimed at once.
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

/// A socket belongs to the namespace its thread was in when it was made; this thread serves one
/// connection only, so it need not come back.
fn connect(netns: &File) -> io::Result<TcpStream> {
    setns(netns.as_fd(), CloneFlags::CLONE_NEWNET)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, APISERVER_PORT));
    TcpStream::connect_timeout(&address, Duration::from_secs(5))
}

fn copy_both(client: &TcpStream, server: &TcpStream) {
    for stream in [client, server] {
        // Many small writes of HTTP/2 would wait for each other's acknowledgement.
        let _ = stream.set_nodelay(true);
    }
    std::thread::scope(|scope| {
        scope.spawn(|| copy(client, server));
        copy(server, client);
    });
}

fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    // However it ends, the other side is told that no more will come.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}
