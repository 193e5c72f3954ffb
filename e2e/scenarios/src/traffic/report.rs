//! The report of the program `traffic`: one JSON line at a time.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// All streams and pings of one program, since it began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub streams: Vec<StreamReport>,
    pub pings: Vec<PingReport>,
}

/// One TCP stream of numbers, which the peer sends back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamReport {
    pub peer: SocketAddr,
    /// Connections that were made; more than one means that one broke.
    pub connects: u64,
    pub sent: u64,
    /// Numbers that came back, each the next one of its connection.
    pub returned: u64,
    /// Numbers that came back and were not the next one.
    pub wrong: u64,
    /// The longest time without a number, in milliseconds.
    pub longest_gap_ms: u64,
}

/// Pings to one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PingReport {
    pub peer: Ipv4Addr,
    pub sent: u64,
    pub answered: u64,
    /// How many got no answer in time.
    pub lost: u64,
    /// The slowest answer, in milliseconds.
    pub slowest_ms: u64,
}

impl Report {
    /// Whether everything has begun to flow.
    pub fn flows(&self) -> bool {
        self.streams.iter().all(|stream| stream.returned > 0)
            && self.pings.iter().all(|ping| ping.answered > 0)
    }

    /// What was lost so far, one sentence each.
    pub fn losses(&self) -> Vec<String> {
        let broken = |stream: &&StreamReport| stream.connects > 1 || stream.wrong > 0;
        let streams = self.streams.iter().filter(broken).map(|stream| {
            format!(
                "the stream to {} was connected {} times and had {} wrong numbers",
                stream.peer, stream.connects, stream.wrong
            )
        });
        let pings = self.pings.iter().filter(|ping| ping.lost > 0);
        let pings =
            pings.map(|ping| format!("{} of {} pings to {} were lost", ping.lost, ping.sent, ping.peer));
        streams.chain(pings).collect()
    }

    /// Streams and pings of which nothing came back between `earlier` and this.
    pub fn stalled_since(&self, earlier: &Report) -> Vec<String> {
        let streams = self.streams.iter().zip(&earlier.streams);
        let streams = streams.filter(|(now, then)| now.returned <= then.returned);
        let pings = self.pings.iter().zip(&earlier.pings);
        let pings = pings.filter(|(now, then)| now.answered <= then.answered);
        let streams = streams.map(|(now, _)| format!("the stream to {} stands still", now.peer));
        let pings = pings.map(|(now, _)| format!("pings to {} have no answer", now.peer));
        streams.chain(pings).collect()
    }
}
