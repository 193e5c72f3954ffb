//! A cloud on loopback that answers what a test tells it to, and keeps a log of the calls.
//!
//! The simulator is a cloud in full. This one is for the unit tests of single steps: which call is sent, and what
//! follows from one answer.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use terway_cloud::{Cloud, CloudConfig, CloudMetrics, CredentialSource, Endpoints, Unfenced};

/// One call: the action, and its parameters by name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Called {
    pub action: String,
    pub parameters: BTreeMap<String, String>,
}

#[derive(Default)]
struct Script {
    /// Answers to the next calls, by action.
    answers: BTreeMap<String, VecDeque<(u16, Value)>>,
    log: Vec<Called>,
}

/// The cloud; clones share it.
#[derive(Clone, Default)]
pub(crate) struct CloudServer(Arc<Mutex<Script>>);

impl CloudServer {
    /// Serves the script on loopback until the test ends, and connects a client.
    pub async fn connect(&self) -> Cloud {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let config = CloudConfig {
            region_id: Some("cn-hangzhou".into()),
            endpoints: Some(Endpoints::one(url)),
            ..CloudConfig::new(CredentialSource::choose("ak", "sk", ""))
        };
        let connected = Cloud::connect(config, Arc::new(Unfenced), CloudMetrics::unregistered());
        connected.await.unwrap()
    }

    /// The answer to one of the next calls of this action, after those that were told before.
    pub fn will_answer(&self, action: &str, status: u16, body: Value) {
        let mut script = self.0.lock();
        script
            .answers
            .entry(action.to_owned())
            .or_default()
            .push_back((status, body));
    }

    /// The answer to one of the next DescribeVSwitches.
    pub fn will_describe(&self, vswitches: &[Value]) {
        let body = json!({ "VSwitches": { "VSwitch": vswitches } });
        self.will_answer("DescribeVSwitches", 200, body);
    }

    /// The refusal of one of the next calls of this action.
    pub fn will_refuse(&self, action: &str, status: u16, code: &str) {
        let body = json!({ "RequestId": "R", "Code": code, "Message": "refused by the test" });
        self.will_answer(action, status, body);
    }

    /// The calls so far.
    pub fn log(&self) -> Vec<Called> {
        self.0.lock().log.clone()
    }

    /// The actions of the calls so far that change something.
    pub fn changes(&self) -> Vec<String> {
        let log = self.log();
        let actions = log.into_iter().map(|called| called.action);
        actions.filter(|action| !action.starts_with("Describe")).collect()
    }
}

async fn answer(
    State(cloud): State<CloudServer>,
    headers: HeaderMap,
    Query(parameters): Query<BTreeMap<String, String>>,
) -> (StatusCode, String) {
    let action = headers.get("x-acs-action").and_then(|name| name.to_str().ok());
    let action = action.unwrap_or_default().to_owned();
    let mut script = cloud.0.lock();
    script.log.push(Called {
        action: action.clone(),
        parameters,
    });
    let told = script.answers.get_mut(&action).and_then(VecDeque::pop_front);
    let (status, body) = told.unwrap_or_else(|| (200, nothing(&action)));
    (StatusCode::from_u16(status).unwrap(), body.to_string())
}

/// The answer to a call that no test said anything about: done, or an empty list.
fn nothing(action: &str) -> Value {
    match action {
        "DescribeNetworkInterfaces" => json!({ "NetworkInterfaceSets": { "NetworkInterfaceSet": [] } }),
        "DescribeVSwitches" => json!({ "VSwitches": { "VSwitch": [] } }),
        "DescribeSecurityGroups" => json!({ "SecurityGroups": { "SecurityGroup": [] } }),
        _ => json!({ "RequestId": "R" }),
    }
}
