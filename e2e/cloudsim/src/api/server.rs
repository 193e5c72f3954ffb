//! The HTTP listener of the OpenAPI. It uses hyper directly, because faults cut connections in ways that a web
//! framework does not offer.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use futures::{StreamExt, stream};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::call::{HttpRequest, Reply, answer};
use crate::gate::Caller;
use crate::state::State;

/// Largest request body that is accepted, in bytes.
const MAX_BODY: usize = 1 << 20;

/// Accepts connections until `stop`. All connections run as tasks in `tasks`.
pub async fn serve(listener: TcpListener, state: Arc<State>, stop: CancellationToken, tasks: TaskTracker) {
    loop {
        // Cancel safe: `accept` either returns a connection or takes none.
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                tasks.spawn(connection(stream, state.clone(), stop.clone()));
            }
            Err(failure) => {
                // Probably there are no file descriptors left. Wait until other connections close.
                tracing::warn!(error = %failure, "cannot accept an OpenAPI connection");
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        }
    }
}

/// Why a connection ends without an answer.
#[derive(Debug, thiserror::Error)]
enum Cut {
    #[error("reset by a fault")]
    Reset,
    #[error("cannot read the request")]
    Read(#[source] axum::Error),
    #[error("cannot make the answer")]
    Answer(#[source] hyper::http::Error),
}

async fn connection(stream: TcpStream, state: Arc<State>, stop: CancellationToken) {
    let prepared = stream
        .set_nodelay(true)
        .and_then(|()| stream.as_fd().try_clone_to_owned());
    let socket = match prepared {
        Ok(socket) => Arc::new(socket),
        Err(failure) => {
            tracing::warn!(error = %failure, "cannot prepare an OpenAPI connection");
            return;
        }
    };
    let service = service_fn(move |request| respond(request, state.clone(), socket.clone()));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    // A stop drops the connection, which closes it.
    tokio::select! {
        () = stop.cancelled() => {}
        ended = connection => if let Err(failure) = ended {
            tracing::debug!(error = %failure, "an OpenAPI connection ended early");
        },
    }
}

async fn respond(
    request: Request<Incoming>,
    state: Arc<State>,
    socket: Arc<OwnedFd>,
) -> Result<Response<Body>, Cut> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(Body::new(body), MAX_BODY)
        .await
        .map_err(Cut::Read)?;
    let caller = Caller::default();
    // hyper drops this future, and the guard with it, when the caller hangs up.
    let _presence = caller.presence();
    let request = HttpRequest {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: body.to_vec(),
        caller,
    };
    // The call runs in its own task, so that a caller that hangs up does not undo its call.
    match tokio::spawn(answer(state, request)).await {
        Ok(Reply::Whole { status, body }) => response(status, body.len(), Body::from(body)),
        Ok(Reply::Half { status, body }) => {
            let length = body.len();
            response(status, length, Body::from_stream(half_of(body.into())))
        }
        // The future is dropped when the caller hangs up or when the simulator stops.
        Ok(Reply::Silence) => std::future::pending().await,
        Ok(Reply::Reset) => {
            reset_on_close(&socket);
            Err(Cut::Reset)
        }
        Err(failure) => {
            tracing::error!(error = %failure, "a call ended without an answer");
            Err(Cut::Reset)
        }
    }
}

fn response(status: u16, length: usize, body: Body) -> Result<Response<Body>, Cut> {
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/json;charset=utf-8")
        .header(CONTENT_LENGTH, length)
        .body(body)
        .map_err(Cut::Answer)
}

/// The first half of a body, then an error that ends the connection.
fn half_of(body: Bytes) -> impl futures::Stream<Item = io::Result<Bytes>> {
    let half = body.slice(..body.len() / 2);
    stream::once(async move { Ok(half) }).chain(stream::once(async {
        // One yield lets hyper send the first half before the connection ends.
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    }))
}

/// Sets SO_LINGER to zero, so that closing the socket sends RST instead of FIN (man page socket(7)).
fn reset_on_close(socket: &OwnedFd) {
    let linger = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    if let Err(failure) = setsockopt(socket, sockopt::Linger, &linger) {
        tracing::warn!(error = %failure, "a connection is closed instead of reset");
    }
}
