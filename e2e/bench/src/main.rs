//! The `bench` binary: arguments in, tables out.

use anyhow::{Context, bail};
use bench::args::{ALL, Cli, Command, Common};
use bench::{agent, bind, churn, cni, join, packets, pool, warm};
use clap::Parser;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.command {
        Command::All => all(&cli.common).await,
        one => run(one, &cli.common).await,
    }
}

/// Runs all benchmarks. A failure does not stop the others.
async fn all(common: &Common) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    for name in ALL {
        let cli = Cli::try_parse_from(["bench", name])?;
        if let Err(error) = run(cli.command, common).await {
            eprintln!("{name} failed: {error:?}");
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

async fn run(command: Command, common: &Common) -> anyhow::Result<()> {
    match command {
        Command::Bind(args) => {
            for quotas in args.runs() {
                let outcome = bind::run(common, &args, quotas)
                    .await
                    .with_context(|| format!("bind, {quotas}"))?;
                lab::say!("{}", bind::report::table(&outcome));
            }
        }
        Command::Join(args) => join::run(common, &args).await.context("join")?,
        Command::Pool(args) => pool::run(common, &args).await.context("pool")?,
        Command::Warm(args) => {
            let common = common.clone();
            on_own_threads(move || warm::run(&common, &args))
                .await
                .context("warm")?;
        }
        Command::Churn(args) => churn::run(common, &args).await.context("churn")?,
        Command::Cni(args) => on_own_threads(move || cni::run(&args)).await.context("cni")?,
        Command::Packets(args) => on_own_threads(move || packets::run(&args))
            .await
            .context("packets")?,
        Command::Agent(args) => on_own_threads(move || agent::run(&args)).await.context("agent")?,
        Command::All => bail!("`all` runs the others, not itself"),
    }
    Ok(())
}

/// Runs a benchmark. Those that enter namespaces have threads and a runtime of their own.
async fn on_own_threads(work: impl FnOnce() -> anyhow::Result<()> + Send + 'static) -> anyhow::Result<()> {
    tokio::task::spawn_blocking(work)
        .await
        .context("the benchmark's thread")?
}
