//! The CNI configuration of the node. The agent renders it from the ConfigMap, and installs it when it serves requests.

use std::fs::File;
use std::io::{self, Write};
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

/// The name of the network. Runtimes keep their records under it, so it never changes.
const NAME: &str = "terway-chainer";

/// The CNI version when none is configured. Upstream has the same default.
const DEFAULT_VERSION: &str = "0.4.0";

/// The CNI versions that the binary supports.
const VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// A rendered configuration, and the settings that were read from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    /// The file's content.
    pub document: Value,
    /// MTU of pod interfaces in bytes.
    pub mtu: u32,
    /// Destinations that pods reach through the host's stack.
    pub host_stack_cidrs: Vec<IpNet>,
    /// Symmetric routing; `None` when it is turned off.
    pub symmetric: Option<Symmetric>,
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
    let mut ours = None;
    for plugin in &mut plugins {
        // The list has both keys. A runtime refuses or overwrites them in a plugin.
        plugin.remove("cniVersion");
        plugin.remove("name");
        if plugin.get("type").and_then(Value::as_str) == Some("terway") {
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
    let host_stack_cidrs = host_stack_cidrs(key, ours)?;
    let symmetric = symmetric::read(key, ours)?;
    if socket != Path::new(SOCKET_PATH) {
        ours.insert("socket".to_owned(), json!(socket));
    }
    let document = json!({ "cniVersion": version, "name": NAME, "plugins": plugins });
    Ok(Rendered {
        document,
        mtu,
        host_stack_cidrs,
        symmetric,
        warnings,
    })
}

type Plugin = Map<String, Value>;

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

fn host_stack_cidrs(key: &'static str, ours: &Plugin) -> Result<Vec<IpNet>, SettingsError> {
    let texts: Vec<String> = match ours.get("host_stack_cidrs") {
        None | Some(Value::Null) => Vec::new(),
        Some(value) => {
            serde_json::from_value(value.clone()).map_err(|source| SettingsError::Decode { key, source })?
        }
    };
    texts
        .iter()
        .map(|text| cidr(key, "host_stack_cidrs", text))
        .collect()
}

/// Puts the configuration into the runtime's directory in one step. The runtime never reads half a file, and never
/// finds no file, which would make the node NotReady.
pub fn install(dir: &Path, document: &Value) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let target = dir.join(CONFLIST_KEY);
    // A runtime reads *.conf, *.conflist and *.json only (`ConfFiles` of libcni), so it ignores the draft.
    let draft = dir.join(".10-terway.draft");
    let mut file = File::create(&draft)?;
    file.write_all(format!("{document:#}\n").as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, &target)?;
    // An older installation may have left its file. The runtime takes the first file by name, and that file would come
    // first.
    match std::fs::remove_file(dir.join(CONF_KEY)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
