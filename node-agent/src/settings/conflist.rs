//! The CNI configuration of the node, rendered from the ConfigMap.

use std::path::Path;

use ipnet::IpNet;
use serde_json::{Map, Value, json};
use terway_cni_protocol::SOCKET_PATH;

use super::{DEFAULT_MTU, SettingsError, check_mtu, cidr, symmetric};
use crate::datapath::Symmetric;

/// The ConfigMap's key with a whole chain of plugins. It wins over [`CONF_KEY`].
pub const CONFLIST_KEY: &str = "10-terway.conflist";

/// The ConfigMap's key with our plugin alone.
pub const CONF_KEY: &str = "10-terway.conf";

/// The key of our plugin in the installed file that has the routes of `eni_conf`.
const EXTRA_ROUTES: &str = "extra_routes";

/// The name of the network. Runtimes keep their records under it, so it never changes.
const NAME: &str = "terway-chainer";

/// The CNI version when none is configured. Upstream has the same default.
const DEFAULT_VERSION: &str = "0.4.0";

/// The CNI versions that the binary supports.
const VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", NEWEST_VERSION];

/// The version with STATUS and GC.
const NEWEST_VERSION: &str = "1.1.0";

/// A rendered configuration, and the settings that were read from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// The file's content.
    pub document: Value,
    /// MTU of pod interfaces in bytes.
    pub mtu: u32,
    /// Destinations that pods reach through the host's stack.
    pub host_stack_cidrs: Vec<IpNet>,
    /// Further destinations that pods reach through their first interface, of an installed configuration.
    pub extra_routes: Vec<IpNet>,
    /// Symmetric routing; `None` when it is turned off.
    pub symmetric: Option<Symmetric>,
    /// Whether a plugin that limits bandwidth is in the chain.
    pub limits_bandwidth: bool,
    /// Configured values that have no effect, one sentence each.
    pub warnings: Vec<String>,
}

/// Renders the configuration from the texts of the ConfigMap.
pub fn render(
    conflist: Option<&str>,
    conf: Option<&str>,
    host_mtu: Option<u32>,
    socket: &Path,
) -> Result<Rendered, SettingsError> {
    let (key, version, mut plugins) = plugins(conflist, conf)?;
    let version = version.unwrap_or_else(|| DEFAULT_VERSION.to_owned());
    if !VERSIONS.contains(&version.as_str()) {
        let why = format!("{version:?} is not one of {}", VERSIONS.join(", "));
        return Err(SettingsError::Value {
            key,
            what: "cniVersion".to_owned(),
            why,
        });
    }
    let of_type = |plugin: &Plugin, name: &str| plugin.get("type").and_then(Value::as_str) == Some(name);
    let limits_bandwidth = plugins.iter().any(|plugin| of_type(plugin, "bandwidth"));
    let mut ours = None;
    for plugin in &mut plugins {
        // The list has both keys. A runtime refuses or overwrites them in a plugin.
        plugin.remove("cniVersion");
        plugin.remove("name");
        if of_type(plugin, "terway") {
            ours = Some(plugin);
        }
    }
    let Some(ours) = ours else {
        let why = "no plugin has the type \"terway\"".to_owned();
        return Err(SettingsError::Value {
            key,
            what: "plugins".to_owned(),
            why,
        });
    };
    let mut warnings = Vec::new();
    set_datapath(ours, &mut warnings);
    let mtu = set_mtu(key, ours, host_mtu)?;
    let host_stack_cidrs = cidrs(key, ours, "host_stack_cidrs")?;
    let extra_routes = cidrs(key, ours, EXTRA_ROUTES)?;
    let symmetric = symmetric::read(key, ours)?;
    name_socket(ours, socket);
    Ok(Rendered {
        document: document(&version, &plugins),
        mtu,
        host_stack_cidrs,
        extra_routes,
        symmetric,
        limits_bandwidth,
        warnings,
    })
}

/// The configuration where nothing is configured.
pub fn defaults(socket: &Path) -> Rendered {
    let mut ours = Plugin::from_iter([
        ("type".to_owned(), json!("terway")),
        ("eniip_virtual_type".to_owned(), json!("veth")),
        ("mtu".to_owned(), json!(DEFAULT_MTU)),
    ]);
    name_socket(&mut ours, socket);
    Rendered {
        document: document(DEFAULT_VERSION, &[ours]),
        mtu: DEFAULT_MTU,
        host_stack_cidrs: Vec::new(),
        extra_routes: Vec::new(),
        symmetric: Some(Symmetric::default()),
        limits_bandwidth: false,
        warnings: Vec::new(),
    }
}

type Plugin = Map<String, Value>;

/// The file's content. Where our plugin is alone, a runtime that knows CNI 1.1 may use it, and then asks for STATUS and
/// GC: libcni 1.2 takes the newest version of `cniVersions` that it knows, and older ones read `cniVersion` alone.
/// Whether other plugins of a chain know a newer version is not known here.
fn document(version: &str, plugins: &[Plugin]) -> Value {
    let mut document = json!({ "cniVersion": version, "name": NAME, "plugins": plugins });
    if plugins.len() == 1 && version != NEWEST_VERSION {
        document["cniVersions"] = json!([version, NEWEST_VERSION]);
    }
    document
}

fn name_socket(ours: &mut Plugin, socket: &Path) {
    if socket != Path::new(SOCKET_PATH) {
        ours.insert("socket".to_owned(), json!(socket));
    }
}

/// The configured plugins in their order, and the configured version.
fn plugins(
    conflist: Option<&str>,
    conf: Option<&str>,
) -> Result<(&'static str, Option<String>, Vec<Plugin>), SettingsError> {
    let decode = |key, source| SettingsError::Decode { key, source };
    let version = |map: &Plugin| map.get("cniVersion").and_then(Value::as_str).map(str::to_owned);
    if let Some(text) = conflist {
        let list: Plugin = serde_json::from_str(text).map_err(|source| decode(CONFLIST_KEY, source))?;
        let plugins = list.get("plugins").cloned().unwrap_or_default();
        let plugins: Vec<Plugin> =
            serde_json::from_value(plugins).map_err(|source| decode(CONFLIST_KEY, source))?;
        return Ok((CONFLIST_KEY, version(&list), plugins));
    }
    let plugin = match conf {
        Some(text) => serde_json::from_str(text).map_err(|source| decode(CONF_KEY, source))?,
        None => Plugin::from_iter([("type".to_owned(), json!("terway"))]),
    };
    Ok((CONF_KEY, version(&plugin), vec![plugin]))
}

fn set_datapath(ours: &mut Plugin, warnings: &mut Vec<String>) {
    let configured = ours
        .get("eniip_virtual_type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !matches!(configured.to_ascii_lowercase().as_str(), "" | "veth") {
        warnings.push(format!(
            "eniip_virtual_type {configured:?} is configured, but this release has the datapath veth only and uses it"
        ));
    }
    ours.insert("eniip_virtual_type".to_owned(), json!("veth"));
}

fn set_mtu(key: &'static str, ours: &mut Plugin, host_mtu: Option<u32>) -> Result<u32, SettingsError> {
    let configured = match ours.get("mtu") {
        None | Some(Value::Null) => None,
        Some(value) => {
            let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
            Some(number.ok_or_else(|| SettingsError::Value {
                key,
                what: "mtu".to_owned(),
                why: format!("{value} is no number of bytes"),
            })?)
        }
    };
    let auto = ours.get("auto_mtu").and_then(Value::as_bool) == Some(true);
    // Zero means "not set" to upstream.
    let mtu = match configured.filter(|mtu| *mtu != 0) {
        Some(mtu) => mtu,
        None if auto => host_mtu.unwrap_or(DEFAULT_MTU),
        None => DEFAULT_MTU,
    };
    let mtu = check_mtu(key, mtu)?;
    ours.insert("mtu".to_owned(), json!(mtu));
    Ok(mtu)
}

fn cidrs(key: &'static str, ours: &Plugin, what: &str) -> Result<Vec<IpNet>, SettingsError> {
    let texts: Vec<String> = match ours.get(what) {
        None | Some(Value::Null) => Vec::new(),
        Some(value) => {
            serde_json::from_value(value.clone()).map_err(|source| SettingsError::Decode { key, source })?
        }
    };
    texts.iter().map(|text| cidr(key, what, text)).collect()
}

impl Rendered {
    /// Writes the routes of `eni_conf` into the file too. The file is then all that is left of the last good settings
    /// when the ConfigMap has bad ones.
    pub fn record_extra_routes(&mut self, routes: Vec<IpNet>) {
        let plugins = self.document.get_mut("plugins").and_then(Value::as_array_mut);
        let ours = plugins.into_iter().flatten().filter_map(Value::as_object_mut);
        for ours in ours.filter(|plugin| plugin.get("type").and_then(Value::as_str) == Some("terway")) {
            ours.remove(EXTRA_ROUTES);
            if !routes.is_empty() {
                ours.insert(EXTRA_ROUTES.to_owned(), json!(routes));
            }
        }
        self.extra_routes = routes;
    }
}
