//! The objects of the API server in a test, and how they answer requests.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::api::Asked;

/// A refusal that a test asked for.
pub(super) struct ScriptedError {
    pub method: &'static str,
    pub path_part: String,
    pub code: u16,
    /// How many more requests are refused.
    pub left: usize,
}

/// What the API server holds and was asked.
#[derive(Default)]
pub(super) struct State {
    pub objects: BTreeMap<String, Value>,
    version: u64,
    pub log: Vec<Asked>,
    pub refusals: Vec<ScriptedError>,
    /// Writes under way, and the most there ever were at once.
    pub writing: usize,
    pub most_writing: usize,
}

impl State {
    /// The answer to a request: its status and its body.
    pub fn answer(&mut self, asked: &Asked) -> (u16, Value) {
        let refusal = self
            .refusals
            .iter_mut()
            .find(|one| one.left > 0 && one.method == asked.method && asked.path.contains(&one.path_part));
        if let Some(refusal) = refusal {
            refusal.left -= 1;
            return failure(refusal.code, "refused by the test");
        }
        let path = asked.path.trim_end_matches("/status");
        match asked.method.as_str() {
            "GET" => self.read(path),
            "POST" => self.create(path, &asked.body),
            "PATCH" => self.patch(path, &asked.body),
            "PUT" => self.replace(path, &asked.body),
            "DELETE" => self.delete(path, &asked.body),
            other => failure(405, other),
        }
    }

    fn read(&self, path: &str) -> (u16, Value) {
        if let Some(object) = self.objects.get(path) {
            return (200, object.clone());
        }
        // The last part of a collection's path is a plural.
        let is_list = path.rsplit('/').next().is_some_and(|last| last.ends_with('s'));
        if !is_list {
            return failure(404, path);
        }
        let plural = path.rsplit('/').next().unwrap_or_default();
        let (base, _) = path.rsplit_once('/').unwrap_or_default();
        let is_below = |known: &str| {
            known
                .strip_prefix(path)
                .and_then(|rest| rest.strip_prefix('/'))
                .is_some_and(|rest| !rest.contains('/'))
        };
        let in_list = |known: &&String| {
            is_below(known)
                // A list of all namespaces.
                || (known.starts_with(&format!("{base}/namespaces/"))
                    && known.split('/').rev().nth(1) == Some(plural))
        };
        let keys = self.objects.keys().filter(in_list);
        let items: Vec<&Value> = keys.filter_map(|key| self.objects.get(key)).collect();
        let version = self.version.to_string();
        (
            200,
            json!({ "metadata": { "resourceVersion": version }, "items": items }),
        )
    }

    fn create(&mut self, path: &str, body: &Value) -> (u16, Value) {
        let path = format!("{path}/{}", body["metadata"]["name"].as_str().unwrap_or_default());
        match self.objects.contains_key(&path) {
            true => failure(409, "AlreadyExists"),
            false => (201, self.store(&path, body.clone())),
        }
    }

    fn patch(&mut self, path: &str, body: &Value) -> (u16, Value) {
        let Some(known) = self.objects.get(path) else {
            return failure(404, path);
        };
        if let Some(conflict) = conflict(known, &body["metadata"]) {
            return conflict;
        }
        let mut patched = known.clone();
        json_patch::merge(&mut patched, body);
        let stored = self.store(path, patched);
        let finalizers = stored["metadata"]["finalizers"].as_array().map_or(0, Vec::len);
        if finalizers == 0 && stored["metadata"]["deletionTimestamp"].is_string() {
            self.objects.remove(path);
        }
        (200, stored)
    }

    fn replace(&mut self, path: &str, body: &Value) -> (u16, Value) {
        let Some(known) = self.objects.get(path) else {
            return failure(404, path);
        };
        match conflict(known, &body["metadata"]) {
            Some(conflict) => conflict,
            None => (200, self.store(path, body.clone())),
        }
    }

    fn delete(&mut self, path: &str, options: &Value) -> (u16, Value) {
        let Some(known) = self.objects.get(path) else {
            return failure(404, path);
        };
        if let Some(conflict) = conflict(known, &options["preconditions"]) {
            return conflict;
        }
        let mut leaving = known.clone();
        if leaving["metadata"]["finalizers"]
            .as_array()
            .is_none_or(Vec::is_empty)
        {
            self.objects.remove(path);
            return (
                200,
                json!({ "kind": "Status", "apiVersion": "v1", "status": "Success" }),
            );
        }
        leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        (200, self.store(path, leaving))
    }

    /// Puts an object there under a new version.
    pub fn store(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        let meta = &mut object["metadata"];
        meta["resourceVersion"] = json!(self.version.to_string());
        if meta["uid"].is_null() {
            meta["uid"] = json!(format!("uid-{}", self.version));
        }
        if meta["creationTimestamp"].is_null() {
            meta["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        self.objects.insert(path.to_owned(), object.clone());
        object
    }
}

/// A version or UID that is asked for and is not the one there is.
fn conflict(known: &Value, wanted: &Value) -> Option<(u16, Value)> {
    let differs = |field: &str| !wanted[field].is_null() && wanted[field] != known["metadata"][field];
    (differs("resourceVersion") || differs("uid")).then(|| failure(409, "Conflict"))
}

fn failure(code: u16, message: &str) -> (u16, Value) {
    let reason = match code {
        404 => "NotFound",
        409 => "Conflict",
        403 => "Forbidden",
        _ => "InternalError",
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    (code, status)
}
