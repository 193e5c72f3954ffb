//! The TLS server and its two paths.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsConfig, from_tcp_rustls};
use k8s_openapi::api::core::v1::Pod;
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionReview, Operation};
use serde::de::DeserializeOwned;
use terway_crds::PodNetworking;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Webhook;
use super::decision::Decision;

/// An object and the one it replaces, each within the API server's own limit of 3 MiB, and their frame.
const MAX_BODY: usize = 8 * 1024 * 1024;
/// How long reviews under way may take after the stop was asked for.
const DRAIN: Duration = Duration::from_secs(10);

/// The webhook cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("listening on {address}: set webhookPort to a free port")]
    Bind {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("serving the webhook")]
    Serve(#[source] std::io::Error),
}

/// Opens the listener; the webhook is reachable from here on, and answers once it is served.
///
/// # Errors
/// When the port is taken.
pub fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    let open = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    open().map_err(|source| ServeError::Bind { address, source })
}

/// Serves until `stop`, then lets reviews under way end.
///
/// # Errors
/// When the server ends by itself.
pub async fn serve(
    webhook: Arc<Webhook>,
    listener: TcpListener,
    tls: RustlsConfig,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let handle = Handle::new();
    let stopper = handle.clone();
    let waiting = tokio::spawn(async move {
        stop.cancelled().await;
        stopper.graceful_shutdown(Some(DRAIN));
    });
    let server = from_tcp_rustls(listener, tls)
        .map_err(ServeError::Serve)?
        .handle(handle);
    let result = server
        .serve(router(webhook).into_make_service())
        .await
        .map_err(ServeError::Serve);
    waiting.abort();
    result
}

fn router(webhook: Arc<Webhook>) -> Router {
    Router::new()
        .route("/mutating", post(mutating))
        .route("/validate", post(validating))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(webhook)
}

type Review = AdmissionReview<DynamicObject>;
type Request = AdmissionRequest<DynamicObject>;

async fn mutating(
    State(webhook): State<Arc<Webhook>>,
    Json(review): Json<Review>,
) -> Result<Json<Review>, StatusCode> {
    let request = open(review)?;
    let made = matches!(request.operation, Operation::Create | Operation::Update);
    let decision = match request.kind.kind.as_str() {
        "Pod" if request.operation == Operation::Create && request.sub_resource.is_none() => {
            let namespace = request.namespace.clone().unwrap_or_default();
            match object::<Pod>(request.object.clone()) {
                Ok(pod) => webhook.review_pod(&namespace, &pod).await,
                Err(problem) => Decision::deny(problem),
            }
        }
        "PodNetworking" if made => match object::<PodNetworking>(request.object.clone()) {
            Ok(networking) => webhook.complete_networking(&networking),
            Err(problem) => Decision::deny(problem),
        },
        _ => Decision::pass(),
    };
    Ok(Json(decision.into_review(&request)))
}

async fn validating(
    State(webhook): State<Arc<Webhook>>,
    Json(review): Json<Review>,
) -> Result<Json<Review>, StatusCode> {
    let request = open(review)?;
    let decision = match (request.kind.kind.as_str(), &request.operation) {
        ("PodNetworking", Operation::Create | Operation::Update) => {
            // What is stored may be unreadable; then everything that is wrong now is told.
            let old = object::<PodNetworking>(request.old_object.clone()).ok();
            match object::<PodNetworking>(request.object.clone()) {
                Ok(new) => webhook.validate_networking(&new, old.as_ref()),
                Err(problem) => Decision::deny(problem),
            }
        }
        _ => Decision::pass(),
    };
    Ok(Json(decision.into_review(&request)))
}

fn open(review: Review) -> Result<Request, StatusCode> {
    review.try_into().map_err(|error| {
        warn!(
            error = &error as &dyn std::error::Error,
            "a caller sent something that is no review"
        );
        StatusCode::BAD_REQUEST
    })
}

fn object<T: DeserializeOwned + kube::Resource<DynamicType = ()>>(
    found: Option<DynamicObject>,
) -> Result<T, String> {
    let found = found.ok_or_else(|| "the request carries no object".to_owned())?;
    let value = serde_json::to_value(found).map_err(|error| error.to_string())?;
    serde_json::from_value(value).map_err(|error| format!("the {} cannot be read: {error}", T::kind(&())))
}
