//! The admin API's routes into the cloud: its state, its calls, its ENIs and vSwitches.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{App, fault_routes, machine_routes};
use crate::call_log::CallRecord;
use crate::model::ApiError;
use crate::world::ActionTiming;

/// The admin API.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/state", get(show_state))
        .route("/call-log", get(call_log))
        .route("/vswitches/{id}", put(change_vswitch))
        .route("/enis/{id}/settle", post(settle_eni))
        .route("/enis/{id}/detach", post(tear_eni_off))
        .route("/enis/{id}", delete(destroy_eni))
        .route("/latency", put(set_latency))
        .route("/credentials/{id}", delete(revoke))
        .merge(fault_routes::routes())
        .merge(machine_routes::routes())
        .with_state(app)
}

/// An error of the admin API: a status and a sentence.
pub(super) struct Refused(pub StatusCode, pub String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

impl From<ApiError> for Refused {
    fn from(refusal: ApiError) -> Self {
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
        Refused(status, refusal.message)
    }
}

pub(super) fn absent(kind: &str, id: &str) -> Refused {
    Refused(StatusCode::NOT_FOUND, format!("there is no {kind} {id}"))
}

async fn show_state(Shared(App { state, .. }): Shared<App>) -> Json<Value> {
    Json(state.with_cloud(|cloud, now| {
        let vswitches: Vec<Value> = cloud
            .vswitches()
            .map(|vswitch| {
                json!({
                    "id": vswitch.spec.id,
                    "vpc": vswitch.spec.vpc,
                    "zone": vswitch.spec.zone,
                    "cidr": vswitch.spec.cidr,
                    "available": vswitch.space.available(),
                    "withheld": vswitch.space.withheld(),
                })
            })
            .collect();
        json!({
            "now": now,
            "region": cloud.region(),
            "enis": cloud.enis().collect::<Vec<_>>(),
            "instances": cloud.instances().collect::<Vec<_>>(),
            "vswitches": vswitches,
            "securityGroups": cloud.groups().collect::<Vec<_>>(),
        })
    }))
}

#[derive(Deserialize)]
struct Since {
    #[serde(default)]
    since: u64,
}

async fn call_log(
    Shared(App { state, .. }): Shared<App>,
    Query(query): Query<Since>,
) -> Json<Vec<CallRecord>> {
    Json(state.log.since(query.since))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct VSwitchChange {
    /// Free addresses that are given to nobody.
    withheld: u32,
}

async fn change_vswitch(
    Shared(App { state, .. }): Shared<App>,
    Path(id): Path<String>,
    Json(change): Json<VSwitchChange>,
) -> Result<StatusCode, Refused> {
    match state.with_cloud(|cloud, _| cloud.withhold(&id, change.withheld)) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(absent("vSwitch", &id)),
    }
}

async fn settle_eni(
    Shared(App { state, .. }): Shared<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refused> {
    let settled = state.with_cloud(|cloud, _| cloud.settle(&id));
    state.changed.notify_one();
    match settled {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Refused(
            StatusCode::CONFLICT,
            format!("ENI {id} is not in the middle of anything"),
        )),
    }
}

async fn tear_eni_off(
    Shared(App { state, .. }): Shared<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refused> {
    state.with_cloud(|cloud, _| cloud.tear_off(&id))?;
    state.changed.notify_one();
    Ok(StatusCode::NO_CONTENT)
}

async fn destroy_eni(
    Shared(App { state, .. }): Shared<App>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refused> {
    state.with_cloud(|cloud, _| cloud.destroy(&id))?;
    state.changed.notify_one();
    Ok(StatusCode::NO_CONTENT)
}

async fn set_latency(
    Shared(App { state, .. }): Shared<App>,
    Json(timing): Json<BTreeMap<String, ActionTiming>>,
) -> StatusCode {
    state.set_timing(timing);
    StatusCode::NO_CONTENT
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
