//! `traffic`: what the pods run whose packets are counted while other things break.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use clap::Parser;
use scenarios::traffic::{self, Plan, Report};

/// Sends numbers over TCP and pings, every 10 ms each, and prints twice a second what became of them.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Answer streams here
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Send a stream there
    #[arg(long)]
    stream: Vec<SocketAddr>,
    /// Ping this address
    #[arg(long)]
    ping: Vec<Ipv4Addr>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let plan = Plan {
        listen: arguments.listen,
        streams: arguments.stream,
        pings: arguments.ping,
    };
    match traffic::run(&plan, print) {
        Ok(never) => match never {},
        Err(err) => {
            eprintln!("{:#}", anyhow::Error::from(err));
            ExitCode::FAILURE
        }
    }
}

fn print(report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, report)?;
    writeln!(out)?;
    out.flush()
}
