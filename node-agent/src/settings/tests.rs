//! Tests of the ConfigMap's reading and of the rendered CNI configuration.

use std::path::Path;

use serde_json::json;
use terway_cni_protocol::SOCKET_PATH;

use super::conflist::{defaults, render};
use super::{Loaded, Settings};
use crate::net_d::{install, installed};

/// Reads a directory on a node that has no configuration yet.
fn load(dir: &Path) -> Loaded {
    super::load(dir, None, None, socket())
}

fn refusals(loaded: &Loaded) -> Vec<String> {
    loaded.refused.iter().map(ToString::to_string).collect()
}

fn socket() -> &'static Path {
    Path::new(SOCKET_PATH)
}

#[test]
fn upstreams_single_plugin_becomes_a_list() {
    let conf = r#"{"cniVersion":"0.4.0","name":"terway","capabilities":{"bandwidth":true},
        "network_policy_provider":"iptables","eniip_virtual_type":"Veth","type":"terway"}"#;
    let rendered = render(None, Some(conf), None, socket()).unwrap();
    assert_eq!(
        rendered.document,
        json!({ "cniVersion": "0.4.0", "cniVersions": ["0.4.0", "1.1.0"], "name": "terway-chainer", "plugins": [{
            "type": "terway", "capabilities": { "bandwidth": true }, "network_policy_provider": "iptables",
            "eniip_virtual_type": "veth", "mtu": 1500,
        }]})
    );
    assert_eq!(rendered.warnings, Vec::<String>::new());
}

#[test]
fn a_chain_keeps_its_order_and_its_version_and_wins() {
    let chain = r#"{"cniVersion":"1.0.0","name":"mine","plugins":[
        {"type":"terway","cniVersion":"0.3.1","mtu":8500,"host_stack_cidrs":["169.254.20.10/32"]},
        {"type":"portmap","name":"p","capabilities":{"portMappings":true}}]}"#;
    let rendered = render(Some(chain), Some("not read"), None, Path::new("/run/a.sock")).unwrap();
    let document = &rendered.document;
    assert_eq!(
        (&document["cniVersion"], &document["name"]),
        (&json!("1.0.0"), &json!("terway-chainer"))
    );
    assert_eq!(
        document["plugins"][1],
        json!({ "type": "portmap", "capabilities": { "portMappings": true } })
    );
    assert!(
        document.get("cniVersions").is_none(),
        "portmap may know no newer version"
    );
    assert_eq!(document["plugins"][0]["socket"], "/run/a.sock");
    assert!(document["plugins"][0].get("cniVersion").is_none());
    assert_eq!(rendered.mtu, 8500);
    assert_eq!(rendered.host_stack_cidrs, ["169.254.20.10/32".parse().unwrap()]);
    assert!(!rendered.limits_bandwidth);
    let chain = chain.replace("\"portmap\"", "\"bandwidth\"");
    assert!(
        render(Some(&chain), None, None, socket())
            .unwrap()
            .limits_bandwidth
    );
}

#[test]
fn nothing_configured_is_a_working_configuration() {
    let rendered = render(None, None, None, socket()).unwrap();
    assert_eq!(rendered.document["plugins"][0]["type"], "terway");
    assert_eq!(rendered.mtu, 1500);
}

#[test]
fn auto_mtu_takes_the_hosts_unless_one_is_set() {
    let mtu = |conf: &str| render(None, Some(conf), Some(8500), socket()).unwrap().mtu;
    assert_eq!(mtu(r#"{"type":"terway","auto_mtu":true}"#), 8500);
    assert_eq!(mtu(r#"{"type":"terway","auto_mtu":true,"mtu":1400}"#), 1400);
    assert_eq!(mtu(r#"{"type":"terway"}"#), 1500);
}

#[test]
fn another_datapath_is_replaced_with_a_warning() {
    for kind in ["ipvlan", "datapathv2"] {
        let conf = format!(r#"{{"type":"terway","eniip_virtual_type":"{kind}"}}"#);
        let rendered = render(None, Some(&conf), None, socket()).unwrap();
        assert_eq!(rendered.document["plugins"][0]["eniip_virtual_type"], "veth");
        assert!(rendered.warnings[0].contains(kind), "{:?}", rendered.warnings);
    }
}

#[test]
fn bad_values_are_named() {
    let error = |conflist: Option<&str>, conf: Option<&str>| {
        render(conflist, conf, None, socket()).unwrap_err().to_string()
    };
    assert!(error(None, Some("{")).contains("key 10-terway.conf "));
    assert!(error(None, Some(r#"{"type":"terway","mtu":99999}"#)).contains("mtu"));
    assert!(error(None, Some(r#"{"type":"terway","mtu":"x"}"#)).contains("mtu"));
    assert!(error(None, Some(r#"{"type":"terway","cniVersion":"9.0.0"}"#)).contains("cniVersion"));
    assert!(error(Some(r#"{"plugins":[{"type":"portmap"}]}"#), None).contains("plugins"));
    assert!(
        error(None, Some(r#"{"type":"terway","host_stack_cidrs":["10/8"]}"#)).contains("host_stack_cidrs")
    );
}

#[test]
fn the_directory_is_read_whole_or_by_default() {
    let dir = tempfile::tempdir().unwrap();
    let nothing = load(dir.path());
    assert_eq!(nothing.settings, Settings::default());
    assert_eq!(
        nothing.rendered,
        defaults(socket()),
        "what stands in for a bad configuration"
    );
    std::fs::write(
        dir.path().join("eni_conf"),
        r#"{"version":"1","max_pool_size":5,"extra_routes":[{"dst":"172.16.0.0/12"}]}"#,
    )
    .unwrap();
    std::fs::write(
        dir.path().join("10-terway.conf"),
        r#"{"type":"terway","mtu":1400}"#,
    )
    .unwrap();
    let Loaded { settings, .. } = load(dir.path());
    assert_eq!(settings.mtu, 1400);
    assert_eq!(settings.extra_routes, ["172.16.0.0/12".parse().unwrap()]);
}

#[test]
fn a_bad_key_keeps_its_last_good_settings_and_no_other() {
    let (eni_config, net_d) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let write = |key: &str, text: &str| std::fs::write(eni_config.path().join(key), text).unwrap();
    let load = || {
        super::load(
            eni_config.path(),
            installed(net_d.path()).as_deref(),
            None,
            socket(),
        )
    };
    write("eni_conf", r#"{"extra_routes":[{"dst":"172.16.0.0/12"}]}"#);
    write(
        "10-terway.conf",
        r#"{"type":"terway","mtu":1400,"symmetric_routing":false}"#,
    );
    let good = load();
    assert_eq!(refusals(&good), [""; 0]);
    install(net_d.path(), &good.rendered.document).unwrap();

    write("10-terway.conf", r#"{"type":"terway","mtu":9000}"#);
    let kept = load();
    assert_eq!(kept.settings, good.settings);
    assert_eq!(kept.rendered.document, good.rendered.document);
    assert!(refusals(&kept)[0].contains("9000 is not between"), "{kept:?}");

    write("eni_conf", "{");
    write("10-terway.conf", r#"{"type":"terway","mtu":1300}"#);
    let other = load();
    assert!(refusals(&other)[0].starts_with("key eni_conf "), "{other:?}");
    let expected = Settings {
        mtu: 1300,
        extra_routes: good.settings.extra_routes,
        ..Settings::default()
    };
    assert_eq!(other.settings, expected);

    std::fs::remove_file(net_d.path().join("10-terway.conflist")).unwrap();
    write("10-terway.conf", "no JSON");
    let never_good = load();
    assert_eq!(never_good.settings, Settings::default());
    assert_eq!(never_good.refused.len(), 2);
}

#[test]
fn an_ipv6_network_is_refused_by_its_name_and_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let refusal = |file: &str, text: &str| {
        std::fs::write(dir.path().join(file), text).unwrap();
        let refusal = refusals(&load(dir.path())).join("; ");
        std::fs::remove_file(dir.path().join(file)).unwrap();
        refusal
    };
    let why = "cannot be used: fd00:: is an IPv6 address, and this version of Terway serves IPv4 alone";
    assert_eq!(
        refusal(
            "eni_conf",
            r#"{"extra_routes":[{"dst":"10.0.0.0/8"},{"dst":"fd00::/8"}]}"#
        ),
        format!("extra_routes in key eni_conf of the ConfigMap eni-config {why}")
    );
    assert_eq!(
        refusal(
            "10-terway.conf",
            r#"{"type":"terway","host_stack_cidrs":["169.254.20.10/32","fd00::/8"]}"#
        ),
        format!("host_stack_cidrs in key 10-terway.conf of the ConfigMap eni-config {why}")
    );
}
