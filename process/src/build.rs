//! Which build this is: for `--version`, the first line of the log, and the metric `terway_build_info`.

use std::sync::LazyLock;

use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// Version of the workspace.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Commit of the source, where the environment of the compiler named it in `TERWAY_COMMIT`. Nothing runs git: a
/// build of an unchanged tree stays the same build.
pub const COMMIT: &str = match option_env!("TERWAY_COMMIT") {
    Some(commit) => commit,
    None => "",
};

static LINE: LazyLock<String> = LazyLock::new(|| match COMMIT {
    "" => VERSION.to_owned(),
    commit => format!("{VERSION} ({commit})"),
});

/// Version, and commit where it is known.
#[must_use]
pub fn version() -> &'static str {
    &LINE
}

/// Registers `terway_build_info`, whose labels are the version and the commit.
pub fn register(registry: &mut Registry) {
    registry.register(
        "terway_build",
        "Version and commit of this program",
        Info::new([("version", VERSION), ("commit", COMMIT)]),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metric_names_the_version() {
        let mut registry = Registry::default();
        register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let line = format!("terway_build_info{{version=\"{VERSION}\",commit=\"{COMMIT}\"}} 1");
        assert!(text.lines().any(|found| found == line), "{text}");
        assert!(version().starts_with(VERSION));
    }
}
