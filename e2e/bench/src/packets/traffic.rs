//! Traffic between two namespaces: small datagrams as fast as they go, and one TCP stream.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};

use crate::node::namespace;

const PORT: u16 = 7000;
/// Payload of a small datagram.
const SMALL: [u8; 18] = [7; 18];
/// Time without a datagram after which a receiver has had everything.
const SILENCE: Duration = Duration::from_millis(300);
/// How many datagrams may get no answer before the way counts as broken.
const TRIES: u32 = 50;

/// One end: a namespace, and its address.
pub struct End {
    pub netns: OwnedFd,
    pub ip: Ipv4Addr,
}

/// What a way carries.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Datagrams a second that arrived.
    pub packets: f64,
    /// Bits a second of a TCP stream.
    pub bits: f64,
}

/// Measures the way from one end to the other.
pub fn measure(from: &End, to: &End, time: Duration) -> anyhow::Result<Rates> {
    warm_up(from, to)?;
    Ok(Rates {
        packets: datagrams(from, to, time)?,
        bits: stream(from, to, time)?,
    })
}

/// Makes sure that the way works in both directions and that neighbours are known.
fn warm_up(from: &End, to: &End) -> anyhow::Result<()> {
    let there = bound(to)?;
    there.set_read_timeout(Some(Duration::from_millis(100)))?;
    let here = namespace::inside(&from.netns, || Ok(UdpSocket::bind((from.ip, 0))?))?;
    here.set_read_timeout(Some(Duration::from_millis(100)))?;
    let mut buffer = [0; 64];
    for _ in 0..TRIES {
        // The kernel may say at once that there is no route yet.
        let _ = here.send_to(&SMALL, (to.ip, PORT));
        if let Ok((_, asker)) = there.recv_from(&mut buffer) {
            let _ = there.send_to(&SMALL, asker);
            if here.recv(&mut buffer).is_ok() {
                return Ok(());
            }
        }
    }
    bail!("nothing comes back from {} to {}", to.ip, from.ip);
}

fn datagrams(from: &End, to: &End, time: Duration) -> anyhow::Result<f64> {
    let there = bound(to)?;
    there.set_read_timeout(Some(SILENCE))?;
    let here = namespace::inside(&from.netns, || {
        let socket = UdpSocket::bind((from.ip, 0))?;
        socket.connect((to.ip, PORT))?;
        Ok(socket)
    })?;
    thread::scope(|scope| {
        let receiver = scope.spawn(move || receive(&there));
        let start = Instant::now();
        while start.elapsed() < time {
            // Looking at the clock for each datagram would be part of the figure.
            for _ in 0..256 {
                // A full queue means that the receiver is slower.
                let _ = here.send(&SMALL);
            }
        }
        let sent_for = start.elapsed();
        let arrived = receiver
            .join()
            .map_err(|_| anyhow!("the receiver panicked"))?
            .context("receiving datagrams")?;
        Ok(arrived as f64 / sent_for.as_secs_f64())
    })
}

fn receive(socket: &UdpSocket) -> std::io::Result<u64> {
    let mut buffer = [0; 64];
    let mut arrived = 0;
    loop {
        match socket.recv(&mut buffer) {
            Ok(_) => arrived += 1,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(arrived);
            }
            Err(error) => return Err(error),
        }
    }
}

fn stream(from: &End, to: &End, time: Duration) -> anyhow::Result<f64> {
    let listener = namespace::inside(&to.netns, || Ok(TcpListener::bind((to.ip, PORT))?))?;
    let mut here = namespace::inside(&from.netns, || Ok(TcpStream::connect((to.ip, PORT))?))?;
    let (mut there, _) = listener.accept().context("accepting a connection")?;
    thread::scope(|scope| {
        let receiver = scope.spawn(move || -> std::io::Result<u64> {
            let mut buffer = vec![0; 256 * 1024];
            let mut arrived = 0;
            loop {
                match there.read(&mut buffer)? {
                    0 => return Ok(arrived),
                    count => arrived += count as u64,
                }
            }
        });
        let start = Instant::now();
        let block = vec![7; 128 * 1024];
        while start.elapsed() < time {
            here.write_all(&block).context("writing to a stream")?;
        }
        here.shutdown(Shutdown::Write).context("ending a stream")?;
        let arrived = receiver
            .join()
            .map_err(|_| anyhow!("the receiver panicked"))?
            .context("reading a stream")?;
        Ok(arrived as f64 * 8.0 / start.elapsed().as_secs_f64())
    })
}

fn bound(end: &End) -> anyhow::Result<UdpSocket> {
    namespace::inside(&end.netns, || {
        UdpSocket::bind((end.ip, PORT)).with_context(|| format!("listening at {}", end.ip))
    })
}
