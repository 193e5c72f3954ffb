//! Questions asked with real packets, many at once. A question says who asks whom, and which client the server has to
//! see.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::stage::Stage;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Tcp,
    Udp,
}

/// Where a question is asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum From {
    Pod(String),
    Machine(String),
}

/// What has to come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// An answer of a server that saw this address.
    SeenAs(String),
    /// An answer; the client's address was translated on the way.
    Answer,
    /// Nothing.
    Silence,
}

#[derive(Debug, Clone)]
pub struct Question {
    pub from: From,
    pub protocol: Protocol,
    pub host: String,
    pub port: u16,
    pub expected: Expected,
}

/// A question over TCP and the same over UDP.
pub fn both(from: From, host: &str, port: u16, expected: &Expected) -> [Question; 2] {
    [Protocol::Tcp, Protocol::Udp].map(|protocol| Question {
        from: from.clone(),
        protocol,
        host: host.to_owned(),
        port,
        expected: expected.clone(),
    })
}

impl Question {
    fn is_met(&self, answer: &Option<String>) -> bool {
        match (&self.expected, answer) {
            (Expected::SeenAs(address), Some(seen)) => address == seen,
            (Expected::Answer, Some(_)) | (Expected::Silence, None) => true,
            (Expected::Answer | Expected::SeenAs(_), None) | (Expected::Silence, Some(_)) => false,
        }
    }

    /// One line of shell that prints the client's `address:port` as the server saw it.
    fn command(&self) -> String {
        let (host, port) = (&self.host, self.port);
        match (&self.from, self.protocol) {
            (From::Pod(_), protocol) => {
                let protocol = match protocol {
                    Protocol::Tcp => "http",
                    Protocol::Udp => "udp",
                };
                // The pod's own server asks, and gives up after 5 s.
                format!(
                    "wget -qO- \"http://127.0.0.1:8080/dial?request=clientip&protocol={protocol}&host={host}&port={port}&tries=1\" \
                     | sed -n \"s/.*responses\\\":\\[\\\"\\([^\\\"]*\\).*/\\1/p\""
                )
            }
            (From::Machine(_), Protocol::Tcp) => {
                format!("curl -s -m 5 http://{host}:{port}/clientip")
            }
            (From::Machine(_), Protocol::Udp) => format!(
                "timeout 5 bash -c \"exec 3<>/dev/udp/{host}/{port}; printf clientip >&3; dd bs=2048 count=1 status=none <&3\""
            ),
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = match &self.from {
            From::Pod(name) | From::Machine(name) => name,
        };
        write!(
            f,
            "{from} to {}:{} over {:?}",
            self.host, self.port, self.protocol
        )
    }
}

/// How long questions are repeated: kube-proxy's rules come late, and a busy machine may not answer within five
/// seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks all questions. A question without the expected answer is asked again while there is patience. A question that
/// expects silence is asked once.
pub fn verify(stage: &Stage, statement: &str, questions: Vec<Question>) -> Result<()> {
    let count = questions.len();
    let deadline = Instant::now() + PATIENCE;
    let mut open = questions;
    loop {
        let mut wrong = Vec::new();
        for (question, answer) in ask(stage, open)? {
            if !question.is_met(&answer) {
                wrong.push((question, answer));
            }
        }
        if wrong.is_empty() {
            return stage.check(true, format!("{statement} ({count} questions)"));
        }
        let broken_silence = wrong
            .iter()
            .any(|(question, _)| question.expected == Expected::Silence);
        if broken_silence || Instant::now() >= deadline {
            let lines: Vec<_> = wrong
                .iter()
                .map(|(question, answer)| {
                    let came = answer.as_deref().unwrap_or("silence");
                    format!("{question}: expected {:?}, got {came}", question.expected)
                })
                .collect();
            bail!(
                "not true: {statement}; {} of {count} questions:\n{}",
                lines.len(),
                lines.join("\n")
            );
        }
        open = wrong.into_iter().map(|(question, _)| question).collect();
    }
}

/// Runs one command in each place, in all places at once. An answer is the address that the server saw.
fn ask(stage: &Stage, questions: Vec<Question>) -> Result<Vec<(Question, Option<String>)>> {
    let mut places: BTreeMap<From, Vec<Question>> = BTreeMap::new();
    for question in questions {
        places.entry(question.from.clone()).or_default().push(question);
    }
    let outputs: Vec<Result<String>> = std::thread::scope(|scope| {
        let running: Vec<_> = places
            .iter()
            .map(|(from, questions)| scope.spawn(move || stage.get(&script(from, questions))))
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| bail!("asking panicked")))
            .collect()
    });
    let mut answered = Vec::new();
    for ((from, questions), output) in places.into_iter().zip(outputs) {
        let output = output.with_context(|| format!("asking in {from:?}"))?;
        let mut lines = output.lines();
        for question in questions {
            let line = lines
                .next()
                .and_then(|line| line.strip_prefix('='))
                .with_context(|| format!("{from:?} printed too little:\n{output}"))?;
            let seen = line.rsplit_once(':').map(|(address, _)| address.to_owned());
            answered.push((question, seen));
        }
    }
    Ok(answered)
}

fn script(from: &From, questions: &[Question]) -> String {
    // A line for each question, also for one without an answer.
    let commands: Vec<_> = questions
        .iter()
        .map(|question| format!("echo =$({})", question.command()))
        .collect();
    let commands = commands.join("; ");
    match from {
        From::Pod(name) => format!("kubectl exec {name} -- sh -c '{commands}'"),
        From::Machine(name) => format!("lab exec {name} -- bash -c '{commands}'"),
    }
}
