//! The call log: one JSON line for every call, in the order the cloud acted on them.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Number of calls that are kept in memory. Older calls are only in the file.
const KEPT: usize = 50_000;

/// One call to the OpenAPI, as the log shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallRecord {
    /// Number of the line, from 1, without gaps.
    pub seq: u64,
    /// Number of the call by its arrival, from 1. `seq` differs from this number when one call overtakes another while
    /// both wait.
    pub call: u64,
    /// When the call reached the cloud.
    pub arrived: Timestamp,
    /// When the cloud acted on the call.
    pub time: Timestamp,
    /// The caller's User-Agent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub caller: String,
    pub action: String,
    /// The parameters of the call, without signature and secrets.
    pub parameters: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_token: Option<String>,
    /// `OK`, an error code, or why the cloud did not act: `reset` (the connection was cut before the act), `silent`
    /// (the call never got an answer), `dropped` (by a gate before the act).
    pub outcome: String,
    /// Error code that was answered although the cloud acted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told: Option<String>,
    /// ENI that the call named or created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eni_id: Option<String>,
    pub request_id: String,
    /// Ids of the faults that hit the call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<u64>,
    /// Whether the simulator kept the answer, or a part of it, from the caller.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reply_lost: bool,
    /// Ids of the gates that held the reply. The reply was sent only if every gate let it go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reply_gates: Vec<u64>,
}

/// The log, in memory and, if a path was given, in a file.
#[derive(Debug)]
pub struct CallLog {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    last: u64,
    kept: VecDeque<CallRecord>,
    file: Option<BufWriter<File>>,
}

impl CallLog {
    /// A log that is also written to `path`. An existing file is overwritten.
    pub fn new(path: Option<&Path>) -> std::io::Result<CallLog> {
        let file = path.map(File::create).transpose()?.map(BufWriter::new);
        Ok(CallLog {
            inner: Mutex::new(Inner {
                last: 0,
                kept: VecDeque::new(),
                file,
            }),
        })
    }

    /// Adds a call and returns its `seq`. The line is in the file when this returns, so a killed simulator loses no
    /// line.
    pub fn append(&self, mut record: CallRecord) -> u64 {
        let mut inner = self.inner.lock();
        inner.last += 1;
        record.seq = inner.last;
        if let Some(file) = &mut inner.file {
            let written = serde_json::to_writer(&mut *file, &record)
                .map_err(std::io::Error::from)
                .and_then(|()| file.write_all(b"\n"))
                .and_then(|()| file.flush());
            if let Err(failure) = written {
                tracing::error!(error = %failure, "the call log cannot be written; it goes on in memory only");
                inner.file = None;
            }
        }
        if inner.kept.len() == KEPT {
            inner.kept.pop_front();
        }
        inner.kept.push_back(record);
        inner.last
    }

    /// The kept calls after number `since`.
    pub fn since(&self, since: u64) -> Vec<CallRecord> {
        let inner = self.inner.lock();
        let first = inner.kept.front().map_or(0, |record| record.seq);
        let skip = usize::try_from((since + 1).saturating_sub(first)).unwrap_or(usize::MAX);
        inner.kept.iter().skip(skip).cloned().collect()
    }

    /// Number of calls so far.
    pub fn count(&self) -> u64 {
        self.inner.lock().last
    }
}
