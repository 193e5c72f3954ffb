//! The admin API's routes for the gateway: access keys and clocks.

use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::routes::{Refused, absent};
use crate::clock::Skew;
use crate::world::{Credential, Span};

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/credentials", post(add_key))
        .route("/credentials/expire", post(expire))
        .route("/credentials/{id}", put(change_key).delete(revoke))
        .route("/clock", get(show_clock).put(set_clock))
        .route("/clock/advance", post(advance))
}

async fn add_key(Shared(App { state, .. }): Shared<App>, Json(credential): Json<Credential>) -> StatusCode {
    state.keys.lock().add(credential);
    StatusCode::CREATED
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyChange {
    active: bool,
}

async fn change_key(
    Shared(App { state, .. }): Shared<App>,
    Path(id): Path<String>,
    Json(change): Json<KeyChange>,
) -> Result<StatusCode, Refused> {
    match state.keys.lock().set_active(&id, change.active) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(absent("access key", &id)),
    }
}

async fn revoke(
    Shared(App { state, .. }): Shared<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refused> {
    match state.keys.lock().revoke(&id) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(absent("access key", &id)),
    }
}

async fn expire(Shared(App { state, .. }): Shared<App>) -> StatusCode {
    let now = state.clock.gateway();
    state.keys.lock().expire_temporary(now);
    StatusCode::NO_CONTENT
}

async fn show_clock(Shared(App { state, .. }): Shared<App>) -> Json<Value> {
    let clock = &state.clock;
    Json(json!({
        "mode": clock.mode(),
        "now": clock.now(),
        "gateway": clock.gateway(),
        "skew": clock.skew(),
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockChange {
    /// How far the gateway's clock is ahead of the machine's.
    skew: Skew,
}

async fn set_clock(Shared(App { state, .. }): Shared<App>, Json(change): Json<ClockChange>) -> StatusCode {
    state.clock.set_skew(change.skew);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    by: Span,
}

async fn advance(Shared(App { state, .. }): Shared<App>, Json(advance): Json<Advance>) -> StatusCode {
    state.advance(advance.by.0);
    StatusCode::NO_CONTENT
}
