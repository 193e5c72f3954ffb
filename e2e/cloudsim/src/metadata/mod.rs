//! The metadata service that an instance reaches at 100.100.100.200: plain text under
//! `/latest/meta-data/`, with a token if the instance requires one.

mod lookup;
mod token;

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::state::State;
use token::{TokenBook, TokenRefusal};

/// The address of the metadata service in every instance (ECS user guide, page "Instance metadata").
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
/// The port of the metadata service.
pub const PORT: u16 = 80;

const TOKEN_PATH: &str = "/latest/api/token";
const TTL_HEADER: &str = "x-aliyun-ecs-metadata-token-ttl-seconds";
const TOKEN_HEADER: &str = "x-aliyun-ecs-metadata-token";

struct Service {
    state: Arc<State>,
    instance_id: String,
    tokens: Mutex<TokenBook>,
}

/// Serves one instance's metadata until `stop`.
pub async fn serve(listener: TcpListener, state: Arc<State>, instance_id: String, stop: CancellationToken) {
    let service = Arc::new(Service {
        state,
        instance_id: instance_id.clone(),
        tokens: Mutex::new(TokenBook::default()),
    });
    let app = Router::new().fallback(respond).with_state(service);
    let ended = axum::serve(listener, app)
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await;
    if let Err(failure) = ended {
        tracing::error!(instance = instance_id, error = %failure, "a metadata service ended");
    }
}

async fn respond(
    Shared(service): Shared<Arc<Service>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let now = service.state.clock.gateway();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if method == Method::PUT && uri.path() == TOKEN_PATH {
        return match service.tokens.lock().issue(header(TTL_HEADER), now) {
            Some(token) => token.into_response(),
            None => (
                StatusCode::BAD_REQUEST,
                "the token's life must be 1 to 21600 seconds",
            )
                .into_response(),
        };
    }
    if method != Method::GET && method != Method::HEAD {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let needed = service.state.with_cloud(|cloud, _| {
        cloud
            .instance(&service.instance_id)
            .is_some_and(|instance| instance.spec.metadata_token_required)
    });
    match service.tokens.lock().check(header(TOKEN_HEADER), needed, now) {
        Ok(()) => {}
        Err(TokenRefusal::Absent | TokenRefusal::Unknown) => return StatusCode::UNAUTHORIZED.into_response(),
    }
    match lookup::lookup(&service.state, &service.instance_id, uri.path()) {
        Some(text) => text.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
