//! terway-controlplane: reads its settings, starts the process, and ends it on a signal.

use std::process::ExitCode;

use anyhow::Context;
use terway_controlplane::apiserver::Connection;
use terway_controlplane::config::{self, Config, ConfigError, FlagsError};
use terway_controlplane::process;
use terway_process::lifecycle::stop_on_signals;
use terway_process::{build, logging};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

fn main() -> ExitCode {
    let config = match config::load(std::env::args().skip(1)) {
        Ok(config) => config,
        Err(ConfigError::Flags(FlagsError::Asked(text))) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{:#}", anyhow::Error::new(error));
            return ExitCode::from(2);
        }
    };
    let directives = logging::directives(directives(config.flags.verbosity));
    if let Err(error) = logging::start(&directives, None) {
        eprintln!("{:#}", anyhow::Error::new(error));
        return ExitCode::from(2);
    }
    logging::abort_on_panic();
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What the level of the flag `-v` lets through.
fn directives(verbosity: u8) -> &'static str {
    match verbosity {
        0 => "error",
        1 => "warn",
        2 | 3 => "info",
        4..=6 => "info,terway_controlplane=debug,terway_cloud=debug",
        _ => "debug,terway_controlplane=trace,terway_cloud=trace",
    }
}

#[tokio::main]
async fn run(config: Config) -> anyhow::Result<()> {
    for warning in &config.warnings {
        warn!("{warning}");
    }
    info!(version = build::version(), "terway-controlplane starts");
    // Every client and server of the process uses this TLS implementation; nothing has chosen one before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let apiserver = kube::Config::infer()
        .await
        .context("finding the API server: check the kubeconfig")
        .and_then(|found| Connection::new(found).context("connecting to the API server"))?;
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    process::run(config, apiserver, None, stop).await
}
