//! terway-controlplane: reads its settings, starts the process, and ends it on a signal.

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Context;
use terway_controlplane::apiserver::Connection;
use terway_controlplane::config::{self, Config};
use terway_controlplane::process;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let config = match config::load(std::env::args().skip(1)) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{:#}", anyhow::Error::new(error));
            return ExitCode::from(2);
        }
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter(config.flags.verbosity))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    end_on_panic();
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A controller that panicked would hold on to its object for ever; a new process does not.
fn end_on_panic() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        std::process::abort();
    }));
}

/// The environment's `RUST_LOG` before the flag.
fn filter(verbosity: u8) -> EnvFilter {
    let level = match verbosity {
        0 => "error",
        1 => "warn",
        2 | 3 => "info",
        4..=6 => "info,terway_controlplane=debug,terway_cloud=debug",
        _ => "debug,terway_controlplane=trace,terway_cloud=trace",
    };
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level))
}

#[tokio::main]
async fn run(config: Config) -> anyhow::Result<()> {
    for warning in &config.warnings {
        warn!("{warning}");
    }
    info!(version = env!("CARGO_PKG_VERSION"), "terway-controlplane starts");
    // One TLS code for every client and server of the process; it was not chosen before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone())?;
    let apiserver = kube::Config::infer()
        .await
        .context("finding the API server: check the kubeconfig")
        .and_then(|found| Connection::new(found).context("connecting to the API server"))?;
    process::run(config, apiserver, None, stop).await
}

fn stop_on_signal(stop: CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    tokio::spawn(async move {
        // Cancel-safe: a signal that is not received here is not needed any more.
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    });
    Ok(())
}
