//! The admin API's routes for faults.

use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::App;
use super::routes::{Refused, absent};
use crate::fault::{ActiveFault, Fault};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/faults", get(list_faults).post(add_fault).delete(clear_faults))
        .route("/faults/{id}", delete(remove_fault))
}

async fn list_faults(Shared(App { state, .. }): Shared<App>) -> Json<Vec<ActiveFault>> {
    Json(state.faults.lock().list().to_vec())
}

async fn add_fault(
    Shared(App { state, .. }): Shared<App>,
    Json(fault): Json<Fault>,
) -> Result<(StatusCode, Json<Value>), Refused> {
    fault
        .check()
        .map_err(|reason| Refused(StatusCode::UNPROCESSABLE_ENTITY, reason.to_owned()))?;
    let id = state.add_fault(fault);
    Ok((StatusCode::CREATED, Json(json!({"id": id}))))
}

async fn clear_faults(Shared(App { state, .. }): Shared<App>) -> StatusCode {
    state.faults.lock().clear();
    StatusCode::NO_CONTENT
}

async fn remove_fault(
    Shared(App { state, .. }): Shared<App>,
    Path(id): Path<u64>,
) -> Result<StatusCode, Refused> {
    match state.faults.lock().remove(id) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(absent("fault", &id.to_string())),
    }
}
