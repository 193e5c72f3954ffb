//! The admin API's routes for instances, their power, and the packets of the fabric.

use std::path::PathBuf;

use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::routes::{Refused, absent};
use crate::fabric::Fabric;
use crate::model::ApiError;
use crate::world::Instance;

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/instances", post(add_instance))
        .route("/instances/{id}", delete(remove_instance))
        .route("/instances/{id}/netns", put(power_on).delete(power_off))
        .route("/fabric/counters", get(counters))
        .route("/fabric/pcap/{eni}", put(start_capture).delete(end_capture))
}

async fn add_instance(
    Shared(App { state, .. }): Shared<App>,
    Json(instance): Json<Instance>,
) -> Result<(StatusCode, Json<Value>), Refused> {
    let added = state.with_cloud(|cloud, now| {
        cloud.add_instance(&instance, now)?;
        Ok::<_, ApiError>(json!(cloud.instance(&instance.id)))
    })?;
    Ok((StatusCode::CREATED, Json(added)))
}

async fn remove_instance(Shared(app): Shared<App>, Path(id): Path<String>) -> Result<StatusCode, Refused> {
    let App { state, machines, .. } = app;
    machines
        .power_off(id.clone())
        .await
        .map_err(|failure| refuse(&failure))?;
    state.with_cloud(|cloud, _| cloud.remove_instance(&id))?;
    state.changed.notify_one();
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FilePath {
    path: PathBuf,
}

async fn power_on(
    Shared(app): Shared<App>,
    Path(id): Path<String>,
    Json(netns): Json<FilePath>,
) -> Result<StatusCode, Refused> {
    app.machines
        .power_on(id, netns.path)
        .await
        .map_err(|failure| refuse(&failure))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn power_off(Shared(app): Shared<App>, Path(id): Path<String>) -> Result<StatusCode, Refused> {
    app.machines
        .power_off(id)
        .await
        .map_err(|failure| refuse(&failure))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn counters(Shared(app): Shared<App>) -> Result<Json<Value>, Refused> {
    Ok(Json(json!(fabric(&app)?.counters())))
}

async fn start_capture(
    Shared(app): Shared<App>,
    Path(eni): Path<String>,
    Json(file): Json<FilePath>,
) -> Result<StatusCode, Refused> {
    fabric(&app)?
        .pcap(&eni, Some(file.path))
        .map_err(|failure| refuse(&failure))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn end_capture(Shared(app): Shared<App>, Path(eni): Path<String>) -> Result<StatusCode, Refused> {
    fabric(&app)?
        .pcap(&eni, None)
        .map_err(|failure| refuse(&failure))?;
    Ok(StatusCode::NO_CONTENT)
}

fn fabric(app: &App) -> Result<&Fabric, Refused> {
    app.fabric
        .as_ref()
        .ok_or_else(|| absent("fabric in this simulator; start it with", "--fabric"))
}

/// A refusal that contains the failure and all its causes.
fn refuse(failure: &dyn std::error::Error) -> Refused {
    let mut sentence = failure.to_string();
    let mut cause = failure.source();
    while let Some(deeper) = cause {
        sentence.push_str(&format!(": {deeper}"));
        cause = deeper.source();
    }
    Refused(StatusCode::CONFLICT, sentence)
}
