//! The requests of callers, and their form as RPC parameters.

mod addresses;

use std::collections::BTreeMap;

use terway_core::cloud::{EniKind, EniStatus};

pub use self::addresses::{Addresses, AssignIps, UnassignIps};

/// Number of ids in one call (ECS API page DescribeNetworkInterfaces, NetworkInterfaceId.N).
pub(crate) const MAX_IDS_PER_DESCRIBE: usize = 100;
/// Largest page (ECS API page DescribeNetworkInterfaces, MaxResults: 10 to 500).
pub(crate) const MAX_PAGE: usize = 500;
/// Smallest page (the same page).
const MIN_PAGE: usize = 10;

/// Parameters of one CreateNetworkInterface, built from a recorded intent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CreateEni {
    pub vswitch_id: String,
    pub security_group_ids: Vec<String>,
    /// Whether the ENI is a trunk, which carries member ENIs; otherwise it is a secondary ENI.
    pub trunk: bool,
    /// `HighPerformance` makes an eRDMA interface. `None` and `Standard` send no parameter.
    pub traffic_mode: Option<String>,
    pub resource_group_id: Option<String>,
    pub description: String,
    /// Addresses that the new ENI gets beside its primary one; one entry for each family.
    pub addresses: Vec<Addresses>,
    /// Whether the cloud deletes the ENI with its instance; `None`: the cloud's default.
    pub delete_on_release: Option<bool>,
    /// At most 20 tags (ECS API page CreateNetworkInterface).
    pub tags: BTreeMap<String, String>,
    /// At most 64 ASCII characters. A repeated token with the same parameters creates no second ENI (ECS API page
    /// CreateNetworkInterface, ClientToken).
    pub client_token: String,
}

/// Parameters of one AttachNetworkInterface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttachEni {
    pub eni_id: String,
    pub instance_id: String,
    /// The trunk that carries the ENI as a member; `None`: the ENI is attached to the instance itself.
    pub trunk_eni_id: Option<String>,
    pub network_card_index: Option<i32>,
}

/// Parameters of one DetachNetworkInterface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DetachEni {
    pub eni_id: String,
    pub instance_id: String,
    pub trunk_eni_id: Option<String>,
}

/// Parameters of one DeleteNetworkInterface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeleteEni {
    pub eni_id: String,
}

/// The ENIs to list. An ENI must meet every condition that is set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EniFilter {
    /// Ids of ENIs. More than 100 ids need several calls. Empty: every ENI.
    pub ids: Vec<String>,
    pub vpc_id: Option<String>,
    pub vswitch_id: Option<String>,
    pub instance_id: Option<String>,
    pub kind: Option<EniKind>,
    pub status: Option<EniStatus>,
    /// Tags. An ENI must have all of them.
    pub tags: BTreeMap<String, String>,
}

impl EniFilter {
    /// The ENIs with these ids.
    pub fn ids<I: IntoIterator<Item = S>, S: Into<String>>(ids: I) -> Self {
        EniFilter {
            ids: ids.into_iter().map(Into::into).collect(),
            ..Default::default()
        }
    }

    /// The ENIs that have all of these tags.
    pub fn tags<I: IntoIterator<Item = (K, V)>, K: Into<String>, V: Into<String>>(tags: I) -> Self {
        let tags = tags
            .into_iter()
            .map(|(key, value)| (key.into(), value.into()))
            .collect();
        EniFilter {
            tags,
            ..Default::default()
        }
    }
}

/// Query parameters. Unset and empty values are left out, because an empty value means something else to the API than
/// an absent one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Params(pub(crate) Vec<(String, String)>);

impl Params {
    pub(crate) fn set(&mut self, key: &str, value: impl Into<String>) -> &mut Self {
        let value = value.into();
        if !value.is_empty() {
            self.0.push((key.to_owned(), value));
        }
        self
    }

    pub(crate) fn set_some(&mut self, key: &str, value: Option<impl Into<String>>) -> &mut Self {
        if let Some(value) = value {
            self.set(key, value);
        }
        self
    }

    /// Adds a list, numbered from one: `Key.1`, `Key.2`.
    pub(crate) fn list(&mut self, key: &str, values: &[String]) -> &mut Self {
        for (index, value) in values.iter().enumerate() {
            self.set(&format!("{key}.{}", index + 1), value.as_str());
        }
        self
    }

    pub(crate) fn tags(&mut self, tags: &BTreeMap<String, String>) -> &mut Self {
        for (index, (key, value)) in tags.iter().enumerate() {
            self.set(&format!("Tag.{}.Key", index + 1), key.as_str());
            self.set(&format!("Tag.{}.Value", index + 1), value.as_str());
        }
        self
    }
}

impl CreateEni {
    pub(crate) fn params(&self) -> Params {
        let mut params = Params::default();
        params
            .set("VSwitchId", self.vswitch_id.as_str())
            .set("InstanceType", if self.trunk { "Trunk" } else { "Secondary" })
            .list("SecurityGroupIds", &self.security_group_ids)
            .set_some("ResourceGroupId", self.resource_group_id.as_deref())
            .set("Description", self.description.as_str())
            .set("SourceDestCheck", "false")
            .set_some(
                "DeleteOnRelease",
                self.delete_on_release.map(|yes| yes.to_string()),
            )
            .tags(&self.tags)
            .set("ClientToken", self.client_token.as_str());
        if self.traffic_mode.as_deref() == Some("HighPerformance") {
            params.set("NetworkInterfaceTrafficMode", "HighPerformance");
        }
        for addresses in &self.addresses {
            addresses.add_to(&mut params);
        }
        params
    }
}

impl AttachEni {
    pub(crate) fn params(&self) -> Params {
        let mut params = Params::default();
        params
            .set("NetworkInterfaceId", self.eni_id.as_str())
            .set("InstanceId", self.instance_id.as_str())
            .set_some("TrunkNetworkInstanceId", self.trunk_eni_id.as_deref())
            .set_some(
                "NetworkCardIndex",
                self.network_card_index.map(|index| index.to_string()),
            );
        params
    }
}

impl DetachEni {
    pub(crate) fn params(&self) -> Params {
        let mut params = Params::default();
        params
            .set("NetworkInterfaceId", self.eni_id.as_str())
            .set("InstanceId", self.instance_id.as_str())
            .set_some("TrunkNetworkInstanceId", self.trunk_eni_id.as_deref());
        params
    }
}

impl DeleteEni {
    pub(crate) fn params(&self) -> Params {
        let mut params = Params::default();
        params.set("NetworkInterfaceId", self.eni_id.as_str());
        params
    }
}

impl EniFilter {
    /// Parameters of one page. With ids, the page is large enough for all of them, so that a batch is one call. Without
    /// ids, the page is as large as the API allows.
    pub(crate) fn params(&self, ids: &[String], next_token: &str) -> Params {
        let page = if ids.is_empty() {
            MAX_PAGE
        } else {
            ids.len().clamp(MIN_PAGE, MAX_PAGE)
        };
        let mut params = Params::default();
        params
            .list("NetworkInterfaceId", ids)
            .set_some("VpcId", self.vpc_id.as_deref())
            .set_some("VSwitchId", self.vswitch_id.as_deref())
            .set_some("InstanceId", self.instance_id.as_deref())
            .set_some("Type", self.kind.as_ref().map(kind_name))
            .set_some("Status", self.status.as_ref().map(status_name))
            .tags(&self.tags)
            .set("MaxResults", page.to_string())
            .set("NextToken", next_token);
        params
    }
}

fn kind_name(kind: &EniKind) -> &str {
    match kind {
        EniKind::Primary => "Primary",
        EniKind::Secondary => "Secondary",
        EniKind::Trunk => "Trunk",
        EniKind::Member => "Member",
        EniKind::Other(name) => name,
    }
}

fn status_name(status: &EniStatus) -> &str {
    match status {
        EniStatus::Available => "Available",
        EniStatus::Attaching => "Attaching",
        EniStatus::InUse => "InUse",
        EniStatus::Detaching => "Detaching",
        EniStatus::Deleting => "Deleting",
        EniStatus::Other(name) => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value<'a>(params: &'a Params, key: &str) -> Option<&'a str> {
        params
            .0
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    #[test]
    fn create_spells_lists_tags_and_token() {
        let params = CreateEni {
            vswitch_id: "vsw-1".into(),
            security_group_ids: vec!["sg-a".into(), "sg-b".into()],
            delete_on_release: Some(true),
            tags: BTreeMap::from([("creator".into(), "terway-controller".into())]),
            client_token: "t".into(),
            ..Default::default()
        }
        .params();
        assert_eq!(value(&params, "SecurityGroupIds.2"), Some("sg-b"));
        assert_eq!(value(&params, "Tag.1.Key"), Some("creator"));
        assert_eq!(value(&params, "Tag.1.Value"), Some("terway-controller"));
        assert_eq!(value(&params, "DeleteOnRelease"), Some("true"));
        assert_eq!(value(&params, "InstanceType"), Some("Secondary"));
        assert_eq!(value(&params, "ClientToken"), Some("t"));
        assert_eq!(value(&params, "ResourceGroupId"), None);
        assert_eq!(value(&params, "NetworkInterfaceTrafficMode"), None);
    }

    #[test]
    fn a_page_holds_what_was_asked_for() {
        let ids: Vec<String> = (0..100).map(|n| format!("eni-{n}")).collect();
        let filter = EniFilter::ids(ids.clone());
        assert_eq!(value(&filter.params(&ids, ""), "MaxResults"), Some("100"));
        assert_eq!(value(&filter.params(&ids[..1], ""), "MaxResults"), Some("10"));
        assert_eq!(
            value(&EniFilter::default().params(&[], "x"), "MaxResults"),
            Some("500")
        );
        assert_eq!(
            value(&EniFilter::default().params(&[], "x"), "NextToken"),
            Some("x")
        );
    }
}
