//! The CNI binary, without its process: environment, input and output are arguments.
//! The binary changes no network device and makes no decision. It checks the runtime's input, sends the request with
//! the sandbox's namespace to the agent, and prints the agent's answer in the form of the configured `cniVersion`. Each
//! verb has its own file.

mod add;
mod check;
mod config;
mod del;
mod environment;
mod error;
mod gc;
mod netns;
mod result;
mod status;
mod version;

use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;
use terway_cni_protocol::{Failure, REPLY_TIMEOUT_MS, code};

pub use config::{NetConf, VERSIONS};
pub use environment::{Command, Environment};
pub use error::CniError;
pub use result::{compare, document};

/// The longest configuration that is read, in bytes. A configuration contains the previous plugin's result and, for GC,
/// every attachment of the node.
const MAX_CONFIGURATION: u64 = 4 << 20;

/// How long the binary waits for the agent.
const REPLY_TIMEOUT: Duration = Duration::from_millis(REPLY_TIMEOUT_MS);

/// Handles one call of the runtime. `variable` looks up an environment variable.
pub fn run(
    variable: &dyn Fn(&str) -> Option<String>,
    input: &mut dyn Read,
    output: &mut dyn Write,
) -> ExitCode {
    // An error document has a version too. It is the configured one as soon as the configuration has been read.
    let mut version = config::LATEST.to_owned();
    let (document, exit) = match answer(variable, input, &mut version) {
        Ok(document) => (document, ExitCode::SUCCESS),
        Err(error) => (Some(error.document(&version)), ExitCode::FAILURE),
    };
    let Some(document) = document else { return exit };
    match writeln!(output, "{document}").and_then(|()| output.flush()) {
        Ok(()) => exit,
        Err(_) => ExitCode::FAILURE,
    }
}

fn answer(
    variable: &dyn Fn(&str) -> Option<String>,
    input: &mut dyn Read,
    version: &mut String,
) -> Result<Option<Value>, CniError> {
    let environment = Environment::read(variable)?;
    let mut text = Vec::new();
    input
        .take(MAX_CONFIGURATION)
        .read_to_end(&mut text)
        .map_err(CniError::Input)?;
    if environment.command == Command::Version {
        return version::answer(&text).map(Some);
    }
    let conf = NetConf::parse(&text)?;
    version.clone_from(&conf.cni_version);
    match environment.command {
        Command::Add => add::answer(&environment, &conf).map(Some),
        Command::Del => del::answer(&environment, &conf).map(|()| None),
        Command::Check => check::answer(&environment, &conf).map(|()| None),
        Command::Status => status::answer(&conf).map(|()| None),
        Command::Gc => gc::answer(&conf).map(|()| None),
        Command::Version => version::answer(&text).map(Some),
    }
}

/// The failure for a reply that does not belong to the verb. The agent is newer than this binary, or broken.
fn unexpected_reply() -> CniError {
    CniError::Agent(Failure::new(
        code::TRY_AGAIN_LATER,
        "the terway agent gave an answer that does not belong to this request; finish the upgrade of the node",
    ))
}
