//! The binary's side: one blocking call.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::frame::{Decoder, FrameError, encode};
use crate::message::{Reply, Request};
use crate::transfer;

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody listens: the agent is not running (yet).
    #[error(
        "the terway agent does not listen on {}; look at the terway-eniip pod of this node",
        socket.display()
    )]
    Absent {
        /// The socket.
        socket: PathBuf,
        /// The error of connect(2).
        #[source]
        source: io::Error,
    },
    /// The connection failed.
    #[error("the connection to the terway agent failed while {act}")]
    Connection {
        /// The act that failed.
        act: &'static str,
        /// The error of the socket call.
        #[source]
        source: io::Error,
    },
    /// No reply in time.
    #[error("the terway agent did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The bytes that arrived are no reply.
    #[error("the terway agent's answer cannot be understood")]
    Frame(#[from] FrameError),
}

/// Sends the request to the agent, and waits for its reply for at most `timeout`.
pub fn call(
    socket: &Path,
    request: &Request,
    netns: Option<BorrowedFd<'_>>,
    timeout: Duration,
) -> Result<Reply, CallError> {
    let frame = encode(request)?;
    let deadline = Instant::now() + timeout;
    let stream = UnixStream::connect(socket).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => CallError::Absent {
            socket: socket.to_owned(),
            source,
        },
        _ => CallError::Connection {
            act: "opening it",
            source,
        },
    })?;
    send_all(&stream, &frame, netns, deadline, timeout)?;
    receive_reply(&stream, deadline, timeout)
}

fn send_all(
    stream: &UnixStream,
    frame: &[u8],
    netns: Option<BorrowedFd<'_>>,
    deadline: Instant,
    timeout: Duration,
) -> Result<(), CallError> {
    let failed = |source| CallError::Connection {
        act: "sending the request",
        source,
    };
    let mut sent = 0;
    while sent < frame.len() {
        stream
            .set_write_timeout(Some(left(deadline, timeout)?))
            .map_err(failed)?;
        // The descriptor goes with the first chunk only.
        let descriptor = if sent == 0 { netns } else { None };
        match transfer::send(stream.as_fd(), &frame[sent..], descriptor) {
            Ok(count) => sent += count,
            // The agent closes its side when it refuses a request before the end. Its reply can still be read.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) if is_retry(&error) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

fn receive_reply(stream: &UnixStream, deadline: Instant, timeout: Duration) -> Result<Reply, CallError> {
    let failed = |source| CallError::Connection {
        act: "waiting for the answer",
        source,
    };
    let mut decoder = Decoder::new();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        stream
            .set_read_timeout(Some(left(deadline, timeout)?))
            .map_err(failed)?;
        // No descriptor is expected; one that comes is closed when the vector is dropped.
        match transfer::receive(stream.as_fd(), &mut buffer, &mut Vec::new()) {
            Ok(0) => return Err(decoder.truncated().into()),
            Ok(count) => decoder.push(&buffer[..count])?,
            Err(error) if is_retry(&error) => continue,
            Err(error) => return Err(failed(error)),
        }
        if let Some(reply) = decoder.message()? {
            return Ok(reply);
        }
    }
}

fn left(deadline: Instant, timeout: Duration) -> Result<Duration, CallError> {
    let left = deadline.saturating_duration_since(Instant::now());
    // A socket timeout of zero would mean none.
    if left.is_zero() {
        Err(CallError::TimedOut(timeout))
    } else {
        Ok(left)
    }
}

/// A socket timeout shows as WouldBlock; the deadline is checked before the next try.
fn is_retry(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}
