//! Every parser of the product that reads text or bytes of others, as a target for arbitrary input. A target panics
//! when the parser does, or when what it has read does not hold together.
//!
//! `tests/mutations.rs` runs the targets on the corpus and on changed copies of it within seconds. `make fuzz` runs
//! them under libFuzzer.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use terway_agent::datapath::parsers;
use terway_agent::settings::conflist;
use terway_cni::{Environment, NetConf};
use terway_cni_protocol::{Address, Cidr, Decoder, Network, Reply, Request, encode};
use terway_core::eni_config::EniConfig;
use terway_core::go_duration;
use terway_crds::{NetworkRequest, PodNetworks};

/// A parser on arbitrary input.
#[derive(Clone, Copy)]
pub struct Target {
    /// Name of the target, of its folder in `fuzz/corpus` and of its file in `fuzz/fuzz_targets`.
    pub name: &'static str,
    /// Reads the input.
    pub run: fn(&[u8]),
}

/// All targets.
pub const ALL: [Target; 9] = [
    Target {
        name: "annotations",
        run: annotations,
    },
    Target {
        name: "cloud_answers",
        run: cloud_answers,
    },
    Target {
        name: "cni",
        run: cni,
    },
    Target {
        name: "ctrl_config",
        run: ctrl_config,
    },
    Target {
        name: "eni_config",
        run: eni_config,
    },
    Target {
        name: "frames",
        run: frames,
    },
    Target {
        name: "go_duration",
        run: duration,
    },
    Target {
        name: "netlink",
        run: parsers::route_answers,
    },
    Target {
        name: "nf_tables",
        run: parsers::nf_tables_answers,
    },
];

/// Runs the target of this name.
///
/// # Panics
/// When there is none, and when the target finds a fault.
pub fn run(name: &str, input: &[u8]) {
    let target = ALL.iter().find(|target| target.name == name);
    match target {
        Some(target) => (target.run)(input),
        None => panic!("there is no target {name}"),
    }
}

/// The part before the first empty line, and the part after it.
fn halves(text: &str) -> (&str, &str) {
    text.split_once("\n\n").unwrap_or((text, ""))
}

/// The annotations of pods that name networks. What was read is written and read again.
pub fn annotations(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Ok(networks) = PodNetworks::from_annotation(text)
        && let Ok(written) = serde_json::to_string(&networks)
    {
        assert_eq!(PodNetworks::from_annotation(&written).ok(), Some(networks));
    }
    if let Ok(requests) = NetworkRequest::from_annotation(text)
        && let Ok(written) = serde_json::to_string(&requests)
    {
        assert_eq!(NetworkRequest::from_annotation(&written).ok(), Some(requests));
    }
}

/// Answers and refusals of the cloud.
pub fn cloud_answers(input: &[u8]) {
    terway_cloud::parsers::answers(input);
}

/// A call of the CNI binary: lines `NAME=value` of its environment, an empty line, its standard input.
pub fn cni(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let (variables, configuration) = halves(text);
    let variable = |name: &str| {
        let mut pairs = variables.lines().filter_map(|line| line.split_once('='));
        pairs
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.to_owned())
    };
    if let Ok(environment) = Environment::read(&variable) {
        let _ = (environment.attachment(), environment.netns(), environment.pod());
    }
    let Ok(conf) = NetConf::parse(configuration.as_bytes()) else {
        return;
    };
    let (Ok(address), gateway) = ("10.0.0.1".parse(), None) else {
        return;
    };
    let address = Cidr { address, prefix: 32 };
    let _ = terway_cni::compare(&conf, &[address]);
    let network = Network {
        addresses: vec![Address {
            address,
            gateway,
            interface: 0,
        }],
        ..Network::default()
    };
    if let Ok(document) = terway_cni::document(&conf, &network, "/run/netns/x") {
        let ips = document["ips"].as_array().map(Vec::len);
        assert!(ips.is_some_and(|ips| ips > 0), "our address is in {document}");
    }
}

/// ctrl-config.yaml.
pub fn ctrl_config(input: &[u8]) {
    if let Ok(text) = str::from_utf8(input) {
        let _ = terway_controlplane::config::read_settings(text).map_err(|error| error.to_string());
    }
}

/// The ConfigMap eni-config: `eni_conf` of the cluster and, after an empty line, of a node; and the agent's chain.
pub fn eni_config(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let (cluster, node) = halves(text);
    let node = Some(node).filter(|node| !node.is_empty());
    let _ = EniConfig::parse(cluster, node).map_err(|error| error.to_string());
    let socket = Path::new("/run/terway.sock");
    for (conflist, conf) in [(Some(cluster), node), (None, Some(cluster))] {
        let _ = conflist::render(conflist, conf, Some(9000), socket).map_err(|error| error.to_string());
    }
}

/// Frames between the CNI binary and the agent, in one piece and in many. What was read is written and read again.
pub fn frames(input: &[u8]) {
    frame::<Request>(input);
    frame::<Reply>(input);
}

fn frame<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(input: &[u8]) {
    let message = decode::<T>(input, input.len().max(1));
    assert_eq!(message, decode(input, 1), "the pieces do not matter");
    if let Some(message) = message
        && let Ok(written) = encode(&message)
    {
        assert_eq!(decode(&written, written.len()), Some(message));
    }
}

fn decode<T: DeserializeOwned>(input: &[u8], piece: usize) -> Option<T> {
    let mut decoder = Decoder::new();
    for piece in input.chunks(piece) {
        decoder.push(piece).ok()?;
    }
    decoder.message().ok().flatten()
}

/// Durations as Go writes them.
pub fn duration(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let Some(duration) = go_duration::parse(text) else {
        return;
    };
    assert_eq!(
        go_duration::parse(&format!("+{text}")).is_some(),
        !text.starts_with('+')
    );
    // Whole milliseconds are exact in a float of this size.
    if duration.as_secs() < 1 << 20 {
        let written = format!("{}ms", duration.as_millis());
        assert_eq!(
            go_duration::parse(&written).map(|d| d.as_millis()),
            Some(duration.as_millis())
        );
    }
}
