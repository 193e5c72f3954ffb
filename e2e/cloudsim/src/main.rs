//! The `cloudsim` binary: arguments, logging and the wait for a signal.

use std::io::Write;

use anyhow::Context;
use clap::Parser;
use cloudsim::cli::{Cli, Command, RunArgs, WorldCommand};
use cloudsim::world::generate::{Size, generate};
use cloudsim::{Simulator, World};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::World(WorldCommand::Generate { nodes, enis })) => {
            say(&serde_saphyr::to_string(&generate(Size { nodes, enis }))?);
            Ok(())
        }
        Some(Command::World(WorldCommand::Check { file })) => {
            World::from_file(&file)?;
            say(&format!("{} is valid\n", file.display()));
            Ok(())
        }
        None => run(&cli.run),
    }
}

#[tokio::main]
async fn run(args: &RunArgs) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let world = World::from_file(args.world.as_deref().context("--world is needed")?)?;
    let running = Simulator::start(world, args.options()).await?;
    // This line on standard output tells the parent process that the ports are open.
    say(&format!(
        "cloudsim ready: OpenAPI {}, admin {}\n",
        running.ecs_url(),
        running.admin()
    ));
    // Cancel safe: both branches only wait.
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    running.shutdown().await;
    Ok(())
}

/// Prints a text. That nobody reads it any more is no error, unlike with `print!`.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
