//! The call log: one JSON line for every call, in the order the cloud acted on them.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Calls kept in memory; older ones are only in the file.
const KEPT: usize = 50_000;

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallRecord {
    /// From 1, without gaps.
    pub seq: u64,
    /// Number of the call by its arrival, from 1. Calls that overtake each other while they
    /// wait have other numbers here than in `seq`.
    pub call: u64,
    /// When it reached the cloud.
    pub arrived: Timestamp,
    /// When the cloud acted on it.
    pub time: Timestamp,
    /// Who called: the User-Agent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub caller: String,
    pub action: String,
    /// What it asked for, without signature and secrets.
    pub parameters: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_token: Option<String>,
    /// `OK`, an error code, `reset` when the connection was cut before the act,
    /// `silent` when it was left without an answer and not done, or `dropped`
    /// by a gate before it.
    pub outcome: String,
    /// Error code that was answered though the act has this outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told: Option<String>,
    /// ENI it named or made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eni_id: Option<String>,
    pub request_id: String,
    /// Faults that hit it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<u64>,
    /// Whether the answer did not (or not wholly) reach the caller by the simulator's doing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reply_lost: bool,
    /// Gates that held the reply; it was sent only if all of them were opened to let it go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reply_gates: Vec<u64>,
}

/// The log, in memory and in a file when one is wanted.
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
    /// A log that also goes to `path`, which is begun anew.
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

    /// Adds a call and returns its number. A line is in the file when this returns, so that
    /// a killed simulator loses none.
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
