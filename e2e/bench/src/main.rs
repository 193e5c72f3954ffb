//! The `bench` binary: arguments in, a table out.

use anyhow::Context;
use bench::args::Args;
use bench::bind;
use clap::Parser;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    for quotas in args.runs() {
        let outcome = bind::run(&args, quotas)
            .await
            .with_context(|| format!("B1, {quotas}"))?;
        println!("{}", bench::report::table(&outcome));
    }
    Ok(())
}
