//! Traffic that notices every loss: a TCP stream of numbers, a ping every ten milliseconds, and a report of both. The
//! program `traffic` runs in a pod; scenarios read its last line.

mod ping;
mod report;
mod stream;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

pub use report::{PingReport, Report, StreamReport};

use ping::Ping;
use stream::Stream;

/// Time between two numbers of a stream, and between two pings.
const EVERY: Duration = Duration::from_millis(10);
/// Time between two lines of the report.
const REPORT_EVERY: Duration = Duration::from_millis(500);

/// What a pod sends and answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Where streams are answered.
    pub listen: Option<SocketAddr>,
    pub streams: Vec<SocketAddr>,
    pub pings: Vec<Ipv4Addr>,
}

/// Traffic could not begin, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum TrafficError {
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("cannot open a socket for pings to {peer}; it needs CAP_NET_RAW")]
    PingSocket {
        peer: Ipv4Addr,
        #[source]
        source: nix::Error,
    },
    #[error("cannot print the report")]
    Report(#[source] io::Error),
}

/// Runs until it is killed; `print` gets a line with a [`Report`] twice a second.
pub fn run(
    plan: &Plan,
    mut print: impl FnMut(&Report) -> io::Result<()>,
) -> Result<std::convert::Infallible, TrafficError> {
    if let Some(address) = plan.listen {
        stream::serve(address)?;
    }
    let streams: Vec<Arc<Stream>> = plan.streams.iter().map(|peer| Stream::begin(*peer)).collect();
    let pings = plan
        .pings
        .iter()
        .enumerate()
        .map(|(number, peer)| Ping::begin(*peer, number))
        .collect::<Result<Vec<_>, _>>()?;
    loop {
        std::thread::sleep(REPORT_EVERY);
        let report = Report {
            streams: streams.iter().map(|stream| stream.report()).collect(),
            pings: pings.iter().map(|ping| ping.report()).collect(),
        };
        print(&report).map_err(TrafficError::Report)?;
    }
}

#[cfg(test)]
mod tests;
