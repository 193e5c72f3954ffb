//! The admin API's routes for the cloud's state, calls, ENIs and vSwitches.

use std::collections::BTreeMap;

use axum::body::to_bytes;
use axum::extract::{Path, Query, State as Shared};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{App, fault_routes, gate_routes, gateway_routes, machine_routes};
use crate::call_log::CallRecord;
use crate::model::ApiError;
use crate::world::ActionTiming;

/// The router of the admin API. Every path exists under `/v1` and under the root.
pub fn router(app: App) -> Router {
    let routes = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/state", get(show_state))
        .route("/call-log", get(call_log))
        .route("/vswitches/{id}", put(change_vswitch))
        .route("/enis/settle", post(settle_all))
        .route("/enis/{id}/settle", post(settle_eni))
        .route("/enis/{id}/detach", post(tear_eni_off))
        .route("/enis/{id}", delete(destroy_eni))
        .route("/latency", put(set_latency))
        .merge(fault_routes::routes())
        .merge(gate_routes::routes())
        .merge(gateway_routes::routes())
        .merge(machine_routes::routes());
    Router::new()
        .nest("/v1", routes.clone())
        .merge(routes)
        .layer(axum::middleware::map_response(as_json))
        .with_state(app)
}

/// Turns a refusal in plain text, such as that of an unreadable body, into the JSON form of all other refusals.
async fn as_json(response: Response) -> Response {
    /// Largest refusal in bytes. Refusals are sentences, so they are short.
    const LONGEST: usize = 64 << 10;
    let status = response.status();
    let json = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let sentence = match to_bytes(response.into_body(), LONGEST).await {
        Ok(text) if !text.is_empty() => String::from_utf8_lossy(&text).into_owned(),
        Ok(_) | Err(_) => status.canonical_reason().unwrap_or("refused").to_owned(),
    };
    Refused(status, sentence).into_response()
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
                    "ipv6Cidr": vswitch.spec.ipv6_cidr,
                })
            })
            .collect();
        json!({
            "now": now,
            "region": cloud.region(),
            "enis": cloud.enis().collect::<Vec<_>>(),
            "instances": cloud.instances().collect::<Vec<_>>(),
            "vswitches": vswitches,
            "cidrReservations": cloud.all_cidr_reservations().collect::<Vec<_>>(),
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
    /// Number of free addresses that nobody gets.
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

async fn settle_all(Shared(App { state, .. }): Shared<App>) -> Json<Value> {
    let settled = state.with_cloud(|cloud, _| {
        let moving: Vec<_> = cloud.enis().map(|eni| eni.id.clone()).collect();
        moving.into_iter().filter(|id| cloud.settle(id)).count()
    });
    state.changed.notify_one();
    Json(json!({"settled": settled}))
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
