//! The admin API's routes for gates.

use axum::extract::{Path, Query, State as Shared};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::routes::{Refused, absent};
use crate::gate::{CallCount, Gate, GateView, Then};
use crate::world::Span;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/gates", get(list).post(add).delete(open_all))
        .route("/gates/{id}", get(show).delete(open))
        .route("/calls", get(count))
}

async fn list(Shared(App { state, .. }): Shared<App>) -> Json<Vec<GateView>> {
    Json(state.gates.list())
}

async fn add(
    Shared(App { state, .. }): Shared<App>,
    Json(gate): Json<Gate>,
) -> Result<(StatusCode, Json<Value>), Refused> {
    let id = state
        .gates
        .add(gate)
        .map_err(|refusal| Refused(StatusCode::UNPROCESSABLE_ENTITY, refusal.to_string()))?;
    Ok((StatusCode::CREATED, Json(json!({"id": id}))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wait {
    /// How long to wait until the gate is reached.
    #[serde(default)]
    wait: Span,
}

async fn show(
    Shared(App { state, .. }): Shared<App>,
    Path(id): Path<u64>,
    Query(query): Query<Wait>,
) -> Result<Json<GateView>, Refused> {
    let view = state.gates.wait(id, query.wait.0).await;
    view.map(Json).ok_or_else(|| absent("gate", &id.to_string()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Opening {
    #[serde(default)]
    then: Then,
}

async fn open(
    Shared(App { state, .. }): Shared<App>,
    Path(id): Path<u64>,
    Query(opening): Query<Opening>,
) -> Result<StatusCode, Refused> {
    match state.gates.open(id, opening.then) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(absent("gate", &id.to_string())),
    }
}

async fn open_all(Shared(App { state, .. }): Shared<App>, Query(opening): Query<Opening>) -> StatusCode {
    state.gates.open_all(opening.then);
    StatusCode::NO_CONTENT
}

async fn count(Shared(App { state, .. }): Shared<App>) -> Json<CallCount> {
    Json(state.gates.count())
}
