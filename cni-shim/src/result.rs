//! The result document of ADD in the form of each CNI version, and the comparison of such a document for CHECK.

use serde_json::{Map, Value, json};
use terway_cni_protocol::{Address, Cidr, Network};

use crate::config::NetConf;
use crate::error::CniError;

/// The result of an ADD. If another plugin ran before, its result comes first, and the indexes here count from the end
/// of its interfaces.
pub fn document(conf: &NetConf, network: &Network, netns: &str) -> Result<Value, CniError> {
    let mut document = match &conf.prev_result {
        None => Map::new(),
        Some(Value::Object(previous)) => previous.clone(),
        Some(_) => return Err(malformed("it must be an object")),
    };
    document.insert("cniVersion".to_owned(), json!(conf.cni_version));
    let interfaces = network.interfaces.iter().map(|interface| {
        let mut entry = json!({ "name": interface.name, "mac": interface.mac });
        if interface.in_sandbox {
            entry["sandbox"] = json!(netns);
        }
        if conf.at_least("1.1.0") {
            entry["mtu"] = json!(interface.mtu);
        }
        entry
    });
    let before = append(&mut document, "interfaces", interfaces.collect())?;
    let addresses = network.addresses.iter().map(|address| ip(conf, address, before));
    append(&mut document, "ips", addresses.collect())?;
    let routes = network.routes.iter().map(|route| {
        let mut entry = json!({ "dst": route.dst.to_string() });
        if let Some(gateway) = route.gateway {
            entry["gw"] = json!(gateway.to_string());
        }
        entry
    });
    append(&mut document, "routes", routes.collect())?;
    document.entry("dns").or_insert_with(|| json!({}));
    Ok(Value::Object(document))
}

fn ip(conf: &NetConf, address: &Address, before: usize) -> Value {
    let mut entry = json!({
        "address": address.address.to_string(),
        "interface": before + address.interface,
    });
    if let Some(gateway) = address.gateway {
        entry["gateway"] = json!(gateway.to_string());
    }
    // Version 1.0.0 dropped this field.
    if !conf.at_least("1.0.0") {
        entry["version"] = json!(if address.address.address.is_ipv4() {
            "4"
        } else {
            "6"
        });
    }
    entry
}

/// Adds items to a list of the document, and returns how many were there before.
fn append(
    document: &mut Map<String, Value>,
    key: &'static str,
    items: Vec<Value>,
) -> Result<usize, CniError> {
    match document.entry(key).or_insert_with(|| json!([])) {
        Value::Array(list) => {
            let before = list.len();
            list.extend(items);
            Ok(before)
        }
        // Go's encoder writes an absent list as null.
        slot @ Value::Null => {
            *slot = Value::Array(items);
            Ok(0)
        }
        _ => Err(malformed("interfaces, ips and routes must be lists")),
    }
}

/// Compares the addresses in the sandbox with the result that the runtime remembers. Each address in the sandbox must
/// be in the result.
pub fn compare(conf: &NetConf, addresses: &[Cidr]) -> Result<(), CniError> {
    let previous = conf
        .prev_result
        .as_ref()
        .ok_or_else(|| malformed("CHECK needs it"))?;
    let ips = match previous.get("ips") {
        Some(Value::Array(list)) => list.as_slice(),
        None | Some(Value::Null) => &[],
        Some(_) => return Err(malformed("ips must be a list")),
    };
    let expected: Vec<&str> = ips
        .iter()
        .filter_map(|entry| entry.get("address").and_then(Value::as_str))
        .collect();
    let has: Vec<String> = addresses.iter().map(Cidr::to_string).collect();
    if has.iter().all(|address| expected.contains(&address.as_str())) {
        return Ok(());
    }
    Err(CniError::Differs {
        has: list(&has),
        expected: list(&expected),
    })
}

fn list<T: AsRef<str>>(items: &[T]) -> String {
    if items.is_empty() {
        return "no address".to_owned();
    }
    items.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

fn malformed(why: &str) -> CniError {
    CniError::Configuration {
        key: "prevResult",
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use terway_cni_protocol::{Interface, Route};

    fn network() -> Network {
        let cidr = |text: &str, prefix| Cidr {
            address: text.parse().unwrap(),
            prefix,
        };
        let interface = |name: &str, in_sandbox| Interface {
            name: name.into(),
            mac: "02:00:00:00:00:01".into(),
            mtu: 1500,
            in_sandbox,
        };
        Network {
            interfaces: vec![interface("cali0", false), interface("eth0", true)],
            addresses: vec![Address {
                address: cidr("10.0.16.7", 32),
                gateway: Some("169.254.1.1".parse().unwrap()),
                interface: 1,
            }],
            routes: vec![Route {
                dst: cidr("0.0.0.0", 0),
                gateway: Some("169.254.1.1".parse().unwrap()),
            }],
        }
    }

    fn conf(version: &str, previous: Option<Value>) -> NetConf {
        let mut text = json!({ "cniVersion": version, "name": "n", "type": "terway" });
        if let Some(previous) = previous {
            text["prevResult"] = previous;
        }
        NetConf::parse(text.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn each_version_has_its_form() {
        let of = |version: &str| document(&conf(version, None), &network(), "/run/netns/a").unwrap();
        let old = of("0.4.0");
        assert_eq!(old["ips"][0]["version"], "4");
        assert!(old["interfaces"][1].get("mtu").is_none());
        let newer = of("1.0.0");
        assert!(newer["ips"][0].get("version").is_none());
        assert_eq!(of("1.1.0")["interfaces"][0]["mtu"], 1500);
        for document in [old, newer] {
            assert_eq!(document["interfaces"][1]["sandbox"], "/run/netns/a");
            assert!(document["interfaces"][0].get("sandbox").is_none());
            assert_eq!(document["ips"][0]["interface"], 1);
            assert_eq!(document["ips"][0]["gateway"], "169.254.1.1");
            assert_eq!(
                document["routes"],
                json!([{ "dst": "0.0.0.0/0", "gw": "169.254.1.1" }])
            );
        }
    }

    #[test]
    fn a_previous_result_stays_in_front() {
        let previous = json!({ "cniVersion": "1.0.0", "interfaces": [{ "name": "lo" }], "routes": null });
        let document = document(&conf("1.0.0", Some(previous)), &network(), "/n").unwrap();
        assert_eq!(document["interfaces"][0]["name"], "lo");
        assert_eq!(document["ips"][0]["interface"], 2);
        assert_eq!(document["routes"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn check_compares_addresses() {
        let with = |address: &str| conf("1.0.0", Some(json!({ "ips": [{ "address": address }] })));
        let has = [Cidr {
            address: "10.0.16.7".parse().unwrap(),
            prefix: 32,
        }];
        assert!(compare(&with("10.0.16.7/32"), &has).is_ok());
        assert!(matches!(
            compare(&with("10.0.16.8/32"), &has),
            Err(CniError::Differs { .. })
        ));
        assert!(matches!(
            compare(&conf("1.0.0", None), &has),
            Err(CniError::Configuration { .. })
        ));
    }
}
