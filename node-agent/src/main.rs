//! The binary `terway-agent`.

use std::process::ExitCode;

use clap::Parser;
use terway_agent::args::{Cli, Command, InstallArgs, RunArgs};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Some(Command::InstallCni(args)) => install(&args),
        Some(Command::MountBpffs) => mount_bpffs(),
        Some(Command::Run(args)) => run(*args),
        None => run(cli.run),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("terway-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn install(args: &InstallArgs) -> anyhow::Result<()> {
    let target = terway_agent::install::install(&args.source, &args.bin_dir)?;
    println!("installed {}", target.display());
    Ok(())
}

fn mount_bpffs() -> anyhow::Result<()> {
    match terway_agent::ebpf::mount_where_missing()? {
        true => println!("mounted the BPF file system at /sys/fs/bpf"),
        false => println!("the BPF file system is mounted at /sys/fs/bpf"),
    }
    Ok(())
}

fn run(args: RunArgs) -> anyhow::Result<()> {
    // The command line has already looked at RUST_LOG.
    terway_process::logging::start(&args.log_level, None)?;
    // Another crate of the build may bring a second provider. Rustls then has no default and needs this choice.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // The agent waits most of the time, and each thread costs memory on every node. Two threads are enough.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(terway_agent::run::run(args))
}
