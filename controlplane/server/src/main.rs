//! terway-controlplane: reads its settings, starts the process, and ends it on a signal.

use std::process::ExitCode;

use anyhow::Context;
use terway_controlplane::apiserver::Connection;
use terway_controlplane::config::{self, Config, ConfigError, FlagsError};
use terway_controlplane::process;
use terway_controlplane::trace::{Collector, CollectorError, Export};
use terway_process::lifecycle::stop_on_signals;
use terway_process::{build, logging};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// Exit code for settings that cannot be used.
const BAD_SETTINGS: u8 = 2;

fn main() -> ExitCode {
    let mut config = match config::load(std::env::args().skip(1)) {
        Ok(config) => config,
        Err(ConfigError::Flags(FlagsError::Asked(text))) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(error) => return refuse(&error.into()),
    };
    // Every client and server of the process uses this TLS implementation; nothing has chosen one before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (runtime, export) = match prepare(&mut config) {
        Ok(prepared) => prepared,
        Err(error) => return refuse(&error),
    };
    let ended = runtime.block_on(run(config));
    if let Err(error) = &ended {
        error!("{error:#}");
    }
    if let Some(export) = export {
        export.end();
    }
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn refuse(error: &anyhow::Error) -> ExitCode {
    eprintln!("{error:#}");
    ExitCode::from(BAD_SETTINGS)
}

/// The runtime, the log, and the export of spans where it is switched on.
fn prepare(config: &mut Config) -> anyhow::Result<(Runtime, Option<Export>)> {
    let runtime = Runtime::new().context("starting the runtime")?;
    let inside = runtime.enter();
    let export = export(config)?;
    drop(inside);
    let directives = logging::directives(directives(config.flags.verbosity));
    logging::start(&directives, export.as_ref().map(Export::receiver))?;
    logging::abort_on_panic();
    Ok((runtime, export))
}

fn export(config: &mut Config) -> Result<Option<Export>, CollectorError> {
    if !config.settings.enable_trace {
        return Ok(None);
    }
    let collector = Collector {
        endpoint: config.credential.otel_endpoint.clone(),
        token: config.credential.otel_token.clone(),
    };
    match Export::start(&collector, |name| std::env::var(name).ok()) {
        Ok(export) => {
            export.install();
            Ok(Some(export))
        }
        // Pods need no traces: the control plane starts all the same.
        Err(error @ CollectorError::NoEndpoint) => {
            config.warnings.push(error.to_string());
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// What the level of the flag `-v` lets through.
fn directives(verbosity: u8) -> &'static str {
    match verbosity {
        0 => "error",
        1 => "warn",
        2 | 3 => "info",
        4..=6 => "info,terway=debug,terway_controlplane=debug,terway_cloud=debug",
        _ => "debug,terway_controlplane=trace,terway_cloud=trace",
    }
}

async fn run(config: Config) -> anyhow::Result<()> {
    for warning in &config.warnings {
        warn!("{warning}");
    }
    info!(version = build::version(), "terway-controlplane starts");
    let apiserver = kube::Config::infer()
        .await
        .context("finding the API server: check the kubeconfig")
        .and_then(|found| Connection::new(found).context("connecting to the API server"))?;
    let stop = CancellationToken::new();
    stop_on_signals(stop.clone())?;
    process::run(config, apiserver, None, stop).await
}
