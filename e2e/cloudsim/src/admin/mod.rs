//! The admin API: looking into the cloud, and doing what only its owner can.

mod address;
mod fault_routes;
mod gate_routes;
mod gateway_routes;
mod machine_routes;
mod routes;

use std::io;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

pub use address::{Address, AddressError, Listener};

use crate::fabric::Fabric;
use crate::machines::Machines;
use crate::state::State;

/// What the admin API reaches into.
#[derive(Clone)]
pub struct App {
    pub state: Arc<State>,
    pub machines: Arc<Machines>,
    pub fabric: Option<Fabric>,
}

/// Serves until `stop`.
pub async fn serve(listener: Listener, app: App, stop: CancellationToken) {
    let app = routes::router(app);
    let stopped = async move { stop.cancelled().await };
    let ended: io::Result<()> = match listener {
        Listener::Tcp { listener, .. } => axum::serve(listener, app).with_graceful_shutdown(stopped).await,
        Listener::Unix { listener, .. } => axum::serve(listener, app).with_graceful_shutdown(stopped).await,
    };
    if let Err(failure) = ended {
        tracing::error!(error = %failure, "the admin API ended");
    }
}
