//! The environment variables of a CNI call.

use terway_cni_protocol::{Attachment, PodRef};

use crate::error::CniError;

/// The verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// ADD.
    Add,
    /// DEL.
    Del,
    /// CHECK.
    Check,
    /// STATUS.
    Status,
    /// GC.
    Gc,
    /// VERSION.
    Version,
}

/// What the runtime passed beside the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// `CNI_COMMAND`.
    pub command: Command,
    container_id: Option<String>,
    ifname: Option<String>,
    netns: Option<String>,
    pod: Option<PodRef>,
}

impl Environment {
    /// Reads and checks the variables. A variable that is missing is an error only for the verbs that need it.
    pub fn read(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, CniError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let command = match set("CNI_COMMAND")
            .ok_or(CniError::Missing("CNI_COMMAND"))?
            .as_str()
        {
            "ADD" => Command::Add,
            "DEL" => Command::Del,
            "CHECK" => Command::Check,
            "STATUS" => Command::Status,
            "GC" => Command::Gc,
            "VERSION" => Command::Version,
            other => return Err(CniError::UnknownCommand(other.to_owned())),
        };
        Ok(Environment {
            command,
            container_id: set("CNI_CONTAINERID"),
            ifname: set("CNI_IFNAME"),
            netns: set("CNI_NETNS"),
            pod: set("CNI_ARGS").map(|text| pod(&text)).transpose()?.flatten(),
        })
    }

    /// The sandbox and interface.
    pub fn attachment(&self) -> Result<Attachment, CniError> {
        let attachment = Attachment {
            container_id: self
                .container_id
                .clone()
                .ok_or(CniError::Missing("CNI_CONTAINERID"))?,
            ifname: self.ifname.clone().ok_or(CniError::Missing("CNI_IFNAME"))?,
        };
        attachment.validate().map_err(CniError::Attachment)?;
        Ok(attachment)
    }

    /// The path of the sandbox's network namespace.
    pub fn netns(&self) -> Result<&str, CniError> {
        self.netns_if_any().ok_or(CniError::Missing("CNI_NETNS"))
    }

    /// The same path; `None` when the variable is not set.
    pub fn netns_if_any(&self) -> Option<&str> {
        self.netns.as_deref()
    }

    /// The pod.
    pub fn pod(&self) -> Result<PodRef, CniError> {
        self.pod.clone().ok_or(CniError::Missing(
            "CNI_ARGS with K8S_POD_NAMESPACE and K8S_POD_NAME (a Kubernetes runtime sets it)",
        ))
    }

    /// The same, where its absence is allowed.
    pub fn pod_if_any(&self) -> Option<PodRef> {
        self.pod.clone()
    }
}

/// The pod in `CNI_ARGS`; none when the namespace or the name is missing. Other keys are ignored:
/// runtimes pass `IgnoreUnknown=1` with them.
fn pod(text: &str) -> Result<Option<PodRef>, CniError> {
    let (mut namespace, mut name, mut uid) = (None, None, None);
    for pair in text.split(';').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| CniError::Arguments(pair.to_owned()))?;
        let slot = match key {
            "K8S_POD_NAMESPACE" => &mut namespace,
            "K8S_POD_NAME" => &mut name,
            "K8S_POD_UID" => &mut uid,
            _ => continue,
        };
        *slot = Some(value.to_owned()).filter(|value| !value.is_empty());
    }
    Ok(namespace
        .zip(name)
        .map(|(namespace, name)| PodRef { namespace, name, uid }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Environment, CniError> {
        Environment::read(&|name| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_pod_is_found_among_other_arguments() {
        let args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=ns;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=c;K8S_POD_UID=u";
        let environment = read(&[("CNI_COMMAND", "ADD"), ("CNI_ARGS", args)]).unwrap();
        let pod = environment.pod().unwrap();
        assert_eq!(
            (pod.namespace.as_str(), pod.name.as_str(), pod.uid.as_deref()),
            ("ns", "web-0", Some("u"))
        );
    }

    #[test]
    fn an_empty_uid_is_no_uid() {
        let args = "K8S_POD_NAMESPACE=ns;K8S_POD_NAME=web-0;K8S_POD_UID=";
        let environment = read(&[("CNI_COMMAND", "ADD"), ("CNI_ARGS", args)]).unwrap();
        assert_eq!(environment.pod().unwrap().uid, None);
    }

    #[test]
    fn variables_are_asked_for_only_by_the_verb_that_needs_them() {
        let environment = read(&[("CNI_COMMAND", "STATUS")]).unwrap();
        assert!(matches!(
            environment.attachment(),
            Err(CniError::Missing("CNI_CONTAINERID"))
        ));
        assert!(matches!(environment.netns(), Err(CniError::Missing("CNI_NETNS"))));
        assert!(matches!(read(&[]), Err(CniError::Missing("CNI_COMMAND"))));
        assert!(matches!(
            read(&[("CNI_COMMAND", "add")]),
            Err(CniError::UnknownCommand(_))
        ));
    }

    #[test]
    fn arguments_without_an_equals_sign_are_refused() {
        let result = read(&[("CNI_COMMAND", "ADD"), ("CNI_ARGS", "nonsense")]);
        assert!(matches!(result, Err(CniError::Arguments(_))));
    }
}
