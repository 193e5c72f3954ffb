//! A TCP connection that carries 1, 2, 3, … and gets them back.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{EVERY, StreamReport, TrafficError};

/// Time between two attempts to connect.
const RETRY: Duration = Duration::from_millis(200);

/// Sends back whatever comes, on threads of its own.
pub(super) fn serve(address: SocketAddr) -> Result<(), TrafficError> {
    let listener = TcpListener::bind(address).map_err(|source| TrafficError::Listen { address, source })?;
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            std::thread::spawn(move || send_back(connection));
        }
    });
    Ok(())
}

fn send_back(mut connection: TcpStream) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut bytes = [0; 4096];
    loop {
        let count = connection.read(&mut bytes)?;
        if count == 0 {
            return Ok(());
        }
        connection.write_all(&bytes[..count])?;
    }
}

/// The client's side.
pub(super) struct Stream {
    report: Mutex<StreamReport>,
    /// When the last number came back, once one has.
    last: Mutex<Option<Instant>>,
}

impl Stream {
    /// Begins to send; a connection that breaks is counted and made again.
    pub(super) fn begin(peer: SocketAddr) -> Arc<Stream> {
        let stream = Arc::new(Stream {
            report: Mutex::new(StreamReport {
                peer,
                connects: 0,
                sent: 0,
                returned: 0,
                wrong: 0,
                longest_gap_ms: 0,
            }),
            last: Mutex::new(None),
        });
        let sending = stream.clone();
        std::thread::spawn(move || {
            loop {
                if let Ok(connection) = TcpStream::connect(peer) {
                    sending.report.lock().connects += 1;
                    // The number of connections tells that this one broke.
                    let _ = sending.clone().talk(connection);
                }
                std::thread::sleep(RETRY);
            }
        });
        stream
    }

    pub(super) fn report(&self) -> StreamReport {
        self.report.lock().clone()
    }

    fn talk(self: Arc<Self>, mut connection: TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        let (mut incoming, reading) = (connection.try_clone()?, self.clone());
        let reader = std::thread::spawn(move || reading.listen(&mut incoming));
        let mut number = 0_u64;
        let ended = loop {
            number += 1;
            if let Err(err) = connection.write_all(&number.to_be_bytes()) {
                break Err(err);
            }
            self.report.lock().sent += 1;
            if reader.is_finished() {
                break Ok(());
            }
            std::thread::sleep(EVERY);
        };
        let _ = connection.shutdown(std::net::Shutdown::Both);
        let _ = reader.join();
        ended
    }

    fn listen(&self, incoming: &mut impl Read) -> io::Result<()> {
        let mut expected = 0_u64;
        loop {
            let mut bytes = [0; 8];
            incoming.read_exact(&mut bytes)?;
            expected += 1;
            self.note(u64::from_be_bytes(bytes) == expected);
        }
    }

    pub(super) fn note(&self, right: bool) {
        let now = Instant::now();
        let mut report = self.report.lock();
        if right {
            report.returned += 1;
        } else {
            report.wrong += 1;
        }
        if let Some(last) = self.last.lock().replace(now) {
            let gap = u64::try_from(now.duration_since(last).as_millis()).unwrap_or(u64::MAX);
            report.longest_gap_ms = report.longest_gap_ms.max(gap);
        }
    }
}
