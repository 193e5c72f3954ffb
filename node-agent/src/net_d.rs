//! The container runtime's directory of CNI configurations: ours is in place, and comes first.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tracing::info;

use crate::notes::{Notes, Part};
use crate::settings::conflist::{CONF_KEY, CONFLIST_KEY};

/// Time between two looks at the directory. The runtime makes the node NotReady as soon as the file is gone.
const LOOK: Duration = Duration::from_secs(1);

/// Names that a runtime reads (`ConfFiles` of libcni).
const EXTENSIONS: [&str; 3] = ["conf", "conflist", "json"];

/// Puts the configuration into the directory in one step. The runtime never reads half a file, and never finds no file,
/// which would make the node NotReady.
pub fn install(dir: &Path, document: &Value) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let target = dir.join(CONFLIST_KEY);
    // A runtime ignores this name.
    let draft = dir.join(".10-terway.draft");
    let mut file = File::create(&draft)?;
    file.write_all(format!("{document:#}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, &target)?;
    // An older installation may have left its file. The runtime takes the first file by name, and that file would come
    // first.
    match fs::remove_file(dir.join(CONF_KEY)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The text of our configuration, if it is there.
pub fn installed(dir: &Path) -> Option<String> {
    fs::read_to_string(dir.join(CONFLIST_KEY)).ok()
}

/// Keeps our configuration in the directory, and tells of others that the runtime takes instead. Never ends.
pub async fn keep(dir: &Path, document: &Value, notes: &Notes) {
    loop {
        notes.set(Part::CniConfiguration, look(dir, document));
        tokio::time::sleep(LOOK).await;
    }
}

/// Puts our configuration back if it is gone. Returns what is wrong in the directory.
fn look(dir: &Path, document: &Value) -> Option<String> {
    // Other programs may add plugins to our file (Istio's does). Only a file without our plugin is not ours.
    if !installed(dir).is_some_and(|text| is_configuration(&text) && names_us(&text)) {
        if let Err(error) = install(dir, document) {
            return Some(format!(
                "the CNI configuration {CONFLIST_KEY} is gone and cannot be put back: {error}"
            ));
        }
        info!(file = CONFLIST_KEY, "the CNI configuration was gone and is back");
    }
    let before = match before_ours(dir) {
        Ok(before) => before,
        Err(error) => {
            return Some(format!(
                "the directory of CNI configurations cannot be read: {error}"
            ));
        }
    };
    (!before.is_empty()).then(|| {
        format!(
            "the container runtime gives pods another network than Terway's: in its directory of CNI configurations, \
             usually /etc/cni/net.d, {} comes before {CONFLIST_KEY}; remove it, or give it a name that comes after",
            before.join(", ")
        )
    })
}

/// Names of other configurations that a runtime takes before ours. One that calls our plugin (Multus's) is in nobody's
/// way.
fn before_ours(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let is_read = path
            .extension()
            .and_then(|it| it.to_str())
            .is_some_and(|it| EXTENSIONS.contains(&it));
        let Some(name) = path
            .file_name()
            .and_then(|name| name.to_str())
            .filter(|_| is_read)
        else {
            continue;
        };
        // A runtime passes over a file that it cannot read or understand.
        let text = fs::read_to_string(&path).unwrap_or_default();
        if name < CONFLIST_KEY && is_configuration(&text) && !names_us(&text) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn is_configuration(text: &str) -> bool {
    let Ok(Value::Object(document)) = serde_json::from_str(text) else {
        return false;
    };
    let plugins = document.get("plugins").and_then(Value::as_array);
    document.contains_key("type") || plugins.is_some_and(|plugins| !plugins.is_empty())
}

fn names_us(text: &str) -> bool {
    text.contains("\"terway\"")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ours() -> Value {
        json!({"cniVersion": "1.0.0", "name": "terway-chainer", "plugins": [{"type": "terway"}]})
    }

    #[test]
    fn installing_replaces_the_file_and_the_old_form_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("net.d");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("10-terway.conf"), "old").unwrap();
        for version in ["0.4.0", "1.0.0"] {
            install(&target, &json!({ "cniVersion": version })).unwrap();
        }
        let names: Vec<_> = fs::read_dir(&target)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["10-terway.conflist"]);
        assert!(installed(&target).unwrap().contains("1.0.0"));
    }

    #[test]
    fn what_is_gone_or_empty_is_put_back_and_what_others_added_stays() {
        let dir = tempfile::tempdir().unwrap();
        let text = || serde_json::from_str::<Value>(&installed(dir.path()).unwrap()).unwrap();
        assert_eq!(look(dir.path(), &ours()), None);
        assert_eq!(text(), ours());
        fs::write(dir.path().join(CONFLIST_KEY), "").unwrap();
        assert_eq!(look(dir.path(), &ours()), None);
        assert_eq!(text(), ours());
        let mut extended = ours();
        extended["plugins"] = json!([{"type": "terway"}, {"type": "istio-cni"}]);
        install(dir.path(), &extended).unwrap();
        assert_eq!(look(dir.path(), &ours()), None);
        assert_eq!(text(), extended);
    }

    #[test]
    fn only_what_a_runtime_takes_before_ours_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        let other = r#"{"name": "cbr0", "plugins": [{"type": "bridge"}]}"#;
        put("99-other.conflist", other);
        put("00-readme.txt", other);
        put("00-empty.conf", "");
        put(
            "00-multus.conf",
            r#"{"type": "multus", "delegates": [{"type": "terway"}]}"#,
        );
        assert_eq!(look(dir.path(), &ours()), None);
        put("05-bridge.conflist", other);
        let told = look(dir.path(), &ours()).unwrap();
        assert!(told.contains("net.d, 05-bridge.conflist comes before"), "{told}");
        fs::remove_file(dir.path().join("05-bridge.conflist")).unwrap();
        assert_eq!(look(dir.path(), &ours()), None);
    }
}
