//! The product's objects in the kernel of a node, read by `ip` and from the pinned maps.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use aya::Pod as Bytes;
use aya::maps::{HashMap, Map, MapData};
use lab::state::StateDir;
use serde_json::{Deserializer, Value};
use terway_agent::datapath::{PIN_DIRECTORY, ownership};
use terway_ebpf_abi::{InterfaceAddress, PodHardware, PopTarget, PushTag, TaggedAddress, VERSION, maps};

use crate::invariants::{HostVeth, Kernel, Object};
use crate::stage::Stage;

const LISTS: &str = "ip -j -d link; ip -j rule; ip -j route show table all";

/// The kernel of a node, read from outside.
pub fn look(stage: &Stage, state: &StateDir, node: &str) -> Result<Kernel> {
    let printed = stage.get(&format!("lab exec {node} -- sh -c '{LISTS}'"))?;
    let lists: Vec<Vec<Value>> = Deserializer::from_str(&printed)
        .into_iter()
        .collect::<Result<_, _>>()
        .with_context(|| format!("reading what `ip` prints on {node}"))?;
    let [links, rules, routes] = <[_; 3]>::try_from(lists)
        .ok()
        .context("`ip` did not print three lists")?;
    let mut kernel = Kernel::default();
    for link in &links {
        note_link(&mut kernel, link);
    }
    kernel.objects.extend(rules.iter().filter_map(rule));
    let number = |name: &str| {
        let link = links.iter().find(|link| link["ifname"] == name)?;
        u32::try_from(link["ifindex"].as_u64()?).ok()
    };
    kernel
        .objects
        .extend(routes.iter().filter_map(|it| route(it, number)));
    // A process of the machine leads to its file systems.
    let root = PathBuf::from(format!("/proc/{}/root", state.machine_pid(node)?));
    let pins = root
        .join(PIN_DIRECTORY.trim_start_matches('/'))
        .join(format!("v{VERSION}"));
    kernel.objects.extend(map_entries(&pins)?);
    Ok(kernel)
}

fn note_link(kernel: &mut Kernel, link: &Value) {
    let name = link["ifname"].as_str().unwrap_or_default();
    let ifindex = number(&link["ifindex"]);
    if ownership::is_temporary(name) {
        kernel.objects.insert(Object::HalfMade {
            name: name.to_owned(),
        });
    } else if let Some(owner) = ownership::owner_of(name, link["ifalias"].as_str()) {
        kernel.veths.push(HostVeth {
            ifindex,
            pod_uid: owner.pod_uid,
            container: owner.container_id,
        });
    } else if let Some(mac) = link["address"].as_str() {
        kernel.nics.insert(mac.to_owned(), ifindex);
    }
}

/// The rules of pods. The rules of symmetric routing belong to the node.
fn rule(rule: &Value) -> Option<Object> {
    if !ours(rule) {
        return None;
    }
    match (
        rule["priority"].as_u64()?,
        single(&rule["src"]),
        rule["dst"].as_str(),
    ) {
        (priority, Some(address), Some(to)) if priority == u64::from(ownership::RULE_TO_POD) => {
            let to = to.to_owned();
            Some(Object::ToHost { address, to })
        }
        (priority, None, Some(to)) if priority == u64::from(ownership::RULE_TO_POD) => Some(Object::ToPod {
            address: to.parse().ok()?,
        }),
        (priority, Some(address), None) if priority == u64::from(ownership::RULE_FROM_POD) => {
            let table = rule["table"].as_str()?.parse().ok()?;
            Some(Object::FromPod { address, table })
        }
        _ => None,
    }
}

/// The routes to pods. The routes in the tables of ENIs belong to the node.
fn route(route: &Value, number: impl Fn(&str) -> Option<u32>) -> Option<Object> {
    let address = single(&route["dst"]).filter(|_| ours(route))?;
    let veth = number(route["dev"].as_str()?)?;
    Some(Object::Route { address, veth })
}

fn ours(object: &Value) -> bool {
    object["protocol"].as_str() == Some(&ownership::PROTOCOL.to_string())
}

/// A single address. `all`, `default` and networks are not one.
fn single(value: &Value) -> Option<Ipv4Addr> {
    value.as_str()?.parse().ok()
}

fn number(value: &Value) -> u32 {
    value
        .as_u64()
        .and_then(|number| u32::try_from(number).ok())
        .unwrap_or_default()
}

fn map_entries(pins: &Path) -> Result<BTreeSet<Object>> {
    let mut objects = BTreeSet::new();
    for (key, _) in entries::<InterfaceAddress, PodHardware>(pins, maps::SOURCE)? {
        objects.insert(Object::Source {
            veth: key.ifindex,
            address: narrow(key.address),
        });
    }
    for (key, value) in entries::<TaggedAddress, PopTarget>(pins, maps::POP)? {
        objects.insert(Object::Pop {
            nic: key.ifindex,
            vlan: key.vlan,
            address: narrow(key.address),
            veth: value.host_ifindex,
        });
    }
    for (key, value) in entries::<InterfaceAddress, PushTag>(pins, maps::PUSH)? {
        objects.insert(Object::Push {
            nic: key.ifindex,
            vlan: value.vlan,
            address: narrow(key.address),
            veth: value.host_ifindex,
        });
    }
    Ok(objects)
}

fn entries<K: Bytes, V: Bytes>(pins: &Path, name: &str) -> Result<Vec<(K, V)>> {
    let path = pins.join(name);
    let failed = || format!("reading the map {}", path.display());
    let data = MapData::from_pin(&path).with_context(failed)?;
    let map: HashMap<_, K, V> = Map::HashMap(data).try_into().with_context(failed)?;
    map.iter().collect::<Result<_, _>>().with_context(failed)
}

/// An IPv4 address is in the first four bytes.
fn narrow(address: [u8; 16]) -> Ipv4Addr {
    let [a, b, c, d, ..] = address;
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_of_pods_are_read_and_those_of_others_passed_over() {
        let of_ours = |mut value: Value| {
            value["protocol"] = json!("84");
            rule(&value)
        };
        let address = Ipv4Addr::new(10, 0, 0, 7);
        assert_eq!(
            of_ours(json!({"priority": 512, "src": "all", "dst": "10.0.0.7", "table": "main"})),
            Some(Object::ToPod { address })
        );
        assert_eq!(
            of_ours(json!({"priority": 512, "src": "10.0.0.7", "dst": "169.254.20.10", "table": "main"})),
            Some(Object::ToHost {
                address,
                to: "169.254.20.10".into()
            })
        );
        assert_eq!(
            of_ours(json!({"priority": 2048, "src": "10.0.0.7", "table": "1003"})),
            Some(Object::FromPod { address, table: 1003 })
        );
        assert_eq!(
            of_ours(json!({"priority": 600, "src": "all", "fwmark": "0x10", "table": "100"})),
            None
        );
        let foreign = json!({"priority": 512, "src": "all", "dst": "10.0.0.7", "table": "main"});
        assert_eq!(rule(&foreign), None);
    }

    #[test]
    fn links_are_veths_of_pods_half_made_ones_or_nics() {
        let mut kernel = Kernel::default();
        for link in [
            json!({"ifindex": 2, "ifname": "eth0", "address": "00:16:3e:00:00:01"}),
            json!({"ifindex": 5, "ifname": "cali0123456789a", "ifalias": "terway/uid/box/eth0/eth0", "address": "02:00:00:00:00:01"}),
            json!({"ifindex": 6, "ifname": "twt0123456789ab", "address": "02:00:00:00:00:02"}),
        ] {
            note_link(&mut kernel, &link);
        }
        assert_eq!(kernel.nics.values().collect::<Vec<_>>(), [&2]);
        assert_eq!(
            (kernel.veths[0].ifindex, kernel.veths[0].pod_uid.as_str()),
            (5, "uid")
        );
        assert_eq!(kernel.objects.len(), 1);
    }

    #[test]
    fn routes_to_pods_are_read_and_default_routes_passed_over() {
        let read = |dst: &str| {
            route(&json!({"dst": dst, "dev": "cali1", "protocol": "84"}), |name| {
                (name == "cali1").then_some(5)
            })
        };
        let address = Ipv4Addr::new(10, 0, 0, 7);
        assert_eq!(read("10.0.0.7"), Some(Object::Route { address, veth: 5 }));
        assert_eq!(read("default"), None);
    }
}
