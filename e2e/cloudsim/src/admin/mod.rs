//! The admin API: shows the cloud's state, and does what no caller of the OpenAPI can do.

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

/// The parts of the simulator that the admin API uses.
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
