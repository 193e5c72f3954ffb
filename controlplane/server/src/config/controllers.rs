//! Which controllers run: a list of `name`, `-name` and `*`, of which the first that speaks of a
//! controller counts. What the list does not mention keeps its default.

/// The list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ControllerSwitch(Vec<String>);

/// Controllers by name, with what they do when nothing is said of them.
const KNOWN: &[(&str, bool)] = &[
    ("pod", true),
    ("pod-eni", true),
    ("eni", true),
    ("pod-networking", true),
    ("node", true),
    ("multi-ip-node", false),
    ("multi-ip-pod", false),
    ("preheating", false),
];

impl ControllerSwitch {
    /// Takes a list, or tells the first entry that names no controller.
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
