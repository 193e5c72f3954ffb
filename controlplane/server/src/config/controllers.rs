//! Which controllers run. The setting is a list of `name`, `-name` and `*`. The first entry that covers a controller
//! counts. A controller that no entry covers keeps its default.

/// Names of the controllers of this program, in settings, log and metrics.
pub const POD: &str = "pod";
pub const POD_ENI: &str = "pod-eni";
pub const NETWORK_INTERFACE: &str = "eni";
pub const POD_NETWORKING: &str = "pod-networking";
pub const NODE: &str = "node";

/// The list of the setting `controllers`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ControllerSwitch(Vec<String>);

/// Names that the list may contain, each with its default. The last three are controllers of upstream; other
/// controllers do their work here.
const KNOWN: &[(&str, bool)] = &[
    (POD, true),
    (POD_ENI, true),
    (NETWORK_INTERFACE, true),
    (POD_NETWORKING, true),
    (NODE, true),
    ("multi-ip-node", false),
    ("multi-ip-pod", false),
    ("preheating", false),
];

impl ControllerSwitch {
    /// Reads a list.
    ///
    /// # Errors
    /// The first entry that names no controller.
    pub(super) fn new(entries: Vec<String>) -> Result<Self, String> {
        let known = |entry: &String| {
            let name = entry.strip_prefix('-').unwrap_or(entry);
            name == "*" || KNOWN.iter().any(|(known, _)| *known == name)
        };
        match entries.iter().find(|entry| !known(entry)) {
            Some(unknown) => Err(unknown.clone()),
            None => Ok(Self(entries)),
        }
    }

    /// Whether a controller runs.
    #[must_use]
    pub fn enabled(&self, name: &str) -> bool {
        for entry in &self.0 {
            match entry.strip_prefix('-') {
                Some(off) if off == name => return false,
                None if entry == name => return true,
                _ => {}
            }
        }
        let default = KNOWN.iter().any(|(known, on)| *known == name && *on);
        default || self.0.iter().any(|entry| entry == "*")
    }
}
