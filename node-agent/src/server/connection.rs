//! One connection: a request with its descriptor in, a reply out.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use terway_cni_protocol::{Attachment, Decoder, Failure, FrameError, Reply, Request, code, encode, transfer};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{debug, warn};

use super::add::Added;
use super::flight::Flight;
use super::{Agent, add, check, del, gc, status};

/// How long a client may take to send its request, or to take its reply.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a request did not arrive.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("the connection failed while the request was read")]
    Io(#[from] io::Error),
    #[error("the request cannot be understood")]
    Frame(#[from] FrameError),
    #[error("{0} file descriptors came with the request, where at most one is expected")]
    Descriptors(usize),
    #[error("the request did not arrive within {} s", TRANSFER_TIMEOUT.as_secs())]
    Slow,
}

/// The places of a connection among those that are served at the same time.
pub struct Places {
    /// Its place, whatever it asks for.
    pub slot: OwnedSemaphorePermit,
    /// The places of ADDs.
    pub adds: Arc<Semaphore>,
}

impl Places {
    /// Exchanges the place of a connection for one of an ADD, if the request is an ADD.
    fn of(self, request: &Request) -> Result<OwnedSemaphorePermit, Failure> {
        let place = match request {
            Request::Add(_) => self.adds.try_acquire_owned().ok(),
            Request::Del(_) | Request::Check(_) | Request::Status | Request::Gc(_) => Some(self.slot),
        };
        let full = "the terway agent serves as many ADDs as it can at once; the runtime has to call again";
        place.ok_or_else(|| Failure::new(code::TRY_AGAIN_LATER, full))
    }
}

/// Serves a connection to its end.
pub async fn serve(agent: Arc<Agent>, mut stream: UnixStream, places: Places) {
    let received = tokio::time::timeout(TRANSFER_TIMEOUT, receive(&stream)).await;
    let (request, netns) = match received.unwrap_or(Err(Unreadable::Slow)) {
        Ok(received) => received,
        Err(error) => {
            warn!(error = &error as &dyn std::error::Error, "request refused");
            let failure = Failure {
                details: super::causes(&error),
                ..refusal(&error)
            };
            send(&mut stream, &Reply::Refused(failure)).await;
            return;
        }
    };
    let _place = match places.of(&request) {
        Ok(place) => place,
        Err(failure) => {
            send(&mut stream, &Reply::Refused(failure)).await;
            return;
        }
    };
    let (verb, started) = (request.verb(), Instant::now());
    let attachment = attachment(&request);
    debug!(verb, ?attachment, "request");
    let answer = answer(&agent, request, netns, &stream).await;
    agent.metrics.called(verb, answer.is_err(), started.elapsed());
    let (reply, flight) = match answer {
        Ok((reply, flight)) => (reply, flight),
        Err(failure) => (Reply::Refused(failure), None),
    };
    let sent = send(&mut stream, &reply).await;
    if let (false, Some(flight), Some(attachment)) = (sent, flight, attachment) {
        undelivered(&agent, &attachment, &flight).await;
    }
}

/// Undoes an ADD whose answer the runtime did not take. The runtime does not know of this network and will not use it.
async fn undelivered(agent: &Agent, attachment: &Attachment, flight: &Flight) {
    warn!(
        container = flight.container_id(),
        "the answer was not taken, undoing the ADD"
    );
    if let Err(failure) = del::teardown(agent, attachment, "", None).await {
        warn!(
            container = flight.container_id(),
            why = failure.message,
            "undoing failed"
        );
        agent.untidy.notify_one();
    }
}

fn refusal(error: &Unreadable) -> Failure {
    let code = match error {
        Unreadable::Io(_) | Unreadable::Slow => code::IO_FAILURE,
        Unreadable::Frame(_) | Unreadable::Descriptors(_) => code::DECODING_FAILURE,
    };
    Failure::new(code, error.to_string())
}

fn attachment(request: &Request) -> Option<Attachment> {
    match request {
        Request::Add(request) => Some(request.attachment.clone()),
        Request::Del(request) => Some(request.attachment.clone()),
        Request::Check(request) => Some(request.attachment.clone()),
        Request::Status | Request::Gc(_) => None,
    }
}

async fn answer(
    agent: &Agent,
    request: Request,
    netns: Option<OwnedFd>,
    stream: &UnixStream,
) -> Result<(Reply, Option<Flight>), Failure> {
    if let Some(attachment) = attachment(&request) {
        let invalid = |error: terway_cni_protocol::message::InvalidAttachment| {
            Failure::new(code::INVALID_ENVIRONMENT, error.to_string())
        };
        attachment.validate().map_err(invalid)?;
    }
    let needed = |netns: Option<OwnedFd>| {
        let message = "the request came without the sandbox's network namespace";
        netns.ok_or_else(|| Failure::new(code::INVALID_ENVIRONMENT, message))
    };
    match request {
        Request::Add(request) => {
            agent.metrics.in_flight.inc();
            let added = match needed(netns) {
                Ok(netns) => add::add(agent, request, netns, hung_up(stream)).await,
                Err(failure) => Err(failure),
            };
            agent.metrics.in_flight.dec();
            let Added { network, flight } = added?;
            Ok((Reply::Network(network), Some(flight)))
        }
        Request::Del(request) => {
            del::del(agent, request, netns).await?;
            Ok((Reply::Done, None))
        }
        Request::Check(request) => {
            let addresses = check::check(agent, request, needed(netns)?).await?;
            Ok((Reply::Checked { addresses }, None))
        }
        Request::Status => status::status(agent).map(|()| (Reply::Done, None)),
        Request::Gc(request) => {
            gc::gc(agent, request).await?;
            Ok((Reply::Done, None))
        }
    }
}

async fn receive(stream: &UnixStream) -> Result<(Request, Option<OwnedFd>), Unreadable> {
    let (mut decoder, mut descriptors, mut buffer) = (Decoder::new(), Vec::new(), vec![0; 16 * 1024]);
    loop {
        let read = || transfer::receive(stream.as_fd(), &mut buffer, &mut descriptors);
        let count = stream.async_io(Interest::READABLE, read).await?;
        if count == 0 {
            return Err(decoder.truncated().into());
        }
        decoder.push(&buffer[..count])?;
        if descriptors.len() > 1 {
            return Err(Unreadable::Descriptors(descriptors.len()));
        }
        if let Some(request) = decoder.message()? {
            return Ok((request, descriptors.pop()));
        }
    }
}

/// Writes a reply and returns whether the peer has taken it.
async fn send(stream: &mut UnixStream, reply: &Reply) -> bool {
    let frame = match encode(reply) {
        Ok(frame) => frame,
        Err(error) => {
            warn!(error = &error as &dyn std::error::Error, "reply not encoded");
            return false;
        }
    };
    matches!(
        tokio::time::timeout(TRANSFER_TIMEOUT, stream.write_all(&frame)).await,
        Ok(Ok(()))
    )
}

/// Completes when the peer has closed its side of the connection. A peer sends one request only, so further bytes count
/// as a close too.
async fn hung_up(stream: &UnixStream) {
    loop {
        if stream.readable().await.is_err() {
            return;
        }
        match stream.try_read(&mut [0]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => return,
        }
    }
}
