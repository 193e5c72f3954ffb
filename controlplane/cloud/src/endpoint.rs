//! The addresses of the services, from region and environment.

use crate::action::Product;

/// Whether calls to the OpenAPI use the proxy of `HTTPS_PROXY` and similar variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProxyUse {
    #[default]
    FromEnvironment,
    Never,
}

/// Base addresses of the services with their scheme, for example `https://ecs-vpc.cn-hangzhou.aliyuncs.com` (host names
/// of the form `ecs-vpc.REGION` are unverified).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    pub ecs: String,
    pub vpc: String,
    pub proxy: ProxyUse,
}

/// Why an address is invalid.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EndpointError {
    #[error("{variable} is {value:?}: set it to a host, a host:port or a http(s) URL without a path")]
    Address { variable: &'static str, value: String },
    #[error("ALICLOUD_CLIENT_SCHEME is {value:?}: set it to HTTP or HTTPS")]
    Scheme { value: String },
}

impl Endpoints {
    /// All services at one address, without a proxy: a simulated cloud.
    pub fn one(url: impl Into<String>) -> Self {
        let url = url.into();
        Endpoints {
            ecs: url.clone(),
            vpc: url,
            proxy: ProxyUse::Never,
        }
    }

    /// The addresses of this region under the process environment.
    pub fn from_env(region_id: &str) -> Result<Self, EndpointError> {
        Self::from_lookup(region_id, |name| std::env::var(name).ok())
    }

    /// The addresses under upstream's rules. `ECS_ENDPOINT` and `VPC_ENDPOINT` replace the host, or the whole address
    /// if they contain a scheme. `ALICLOUD_CLIENT_SCHEME` replaces the scheme. `ALICLOUD_ENDPOINT_TYPE=public` chooses
    /// the public address instead of the address inside the VPC.
    pub fn from_lookup(
        region_id: &str,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, EndpointError> {
        let rules = Rules::read(region_id, &lookup)?;
        Ok(Endpoints {
            ecs: rules.address("ECS_ENDPOINT", "ecs")?,
            vpc: rules.address("VPC_ENDPOINT", "vpc")?,
            proxy: ProxyUse::default(),
        })
    }

    /// The address of STS, under the same rules. `STS_ENDPOINT` replaces the host.
    pub(crate) fn sts(
        region_id: &str,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<String, EndpointError> {
        Rules::read(region_id, &lookup)?.address("STS_ENDPOINT", "sts")
    }

    pub(crate) fn of(&self, product: Product) -> &str {
        match product {
            Product::Ecs => &self.ecs,
            Product::Vpc => &self.vpc,
        }
    }
}

/// The rules that the environment sets for all addresses.
struct Rules<'a, L> {
    region_id: &'a str,
    scheme: String,
    middle: &'static str,
    lookup: &'a L,
}

impl<'a, L: Fn(&str) -> Option<String>> Rules<'a, L> {
    fn read(region_id: &'a str, lookup: &'a L) -> Result<Self, EndpointError> {
        let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
        let scheme = match set("ALICLOUD_CLIENT_SCHEME").map(|value| value.to_ascii_lowercase()) {
            None => "https".to_owned(),
            Some(scheme) if scheme == "http" || scheme == "https" => scheme,
            Some(value) => return Err(EndpointError::Scheme { value }),
        };
        let public = set("ALICLOUD_ENDPOINT_TYPE").is_some_and(|value| value.eq_ignore_ascii_case("public"));
        Ok(Rules {
            region_id,
            scheme,
            middle: if public { "" } else { "-vpc" },
            lookup,
        })
    }

    fn address(&self, variable: &'static str, product: &str) -> Result<String, EndpointError> {
        let (scheme, middle, region) = (&self.scheme, self.middle, self.region_id);
        match (self.lookup)(variable).filter(|value| !value.is_empty()) {
            None => Ok(format!("{scheme}://{product}{middle}.{region}.aliyuncs.com")),
            Some(value) => base_address(scheme, &value).ok_or(EndpointError::Address { variable, value }),
        }
    }
}

fn base_address(scheme: &str, value: &str) -> Option<String> {
    let text = if value.contains("://") {
        value.to_owned()
    } else {
        format!("{scheme}://{value}")
    };
    let url = url::Url::parse(&text).ok()?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let anonymous = url.username().is_empty() && url.password().is_none();
    let usable = matches!(url.scheme(), "http" | "https") && url.has_host() && bare && anonymous;
    usable.then(|| text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Result<Endpoints, EndpointError> {
        Endpoints::from_lookup("cn-hangzhou", |name| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_default_is_inside_the_vpc_over_tls() {
        let endpoints = with(&[]).unwrap();
        assert_eq!(endpoints.ecs, "https://ecs-vpc.cn-hangzhou.aliyuncs.com");
        assert_eq!(endpoints.vpc, "https://vpc-vpc.cn-hangzhou.aliyuncs.com");
        assert_eq!(
            with(&[("ALICLOUD_ENDPOINT_TYPE", "public")]).unwrap().ecs,
            "https://ecs.cn-hangzhou.aliyuncs.com"
        );
    }

    #[test]
    fn overrides_may_be_hosts_or_whole_addresses() {
        let endpoints = with(&[
            ("ALICLOUD_CLIENT_SCHEME", "HTTP"),
            ("ECS_ENDPOINT", "127.0.0.1:8080"),
            ("VPC_ENDPOINT", "https://vpc.example:444/"),
        ])
        .unwrap();
        assert_eq!(endpoints.ecs, "http://127.0.0.1:8080");
        assert_eq!(endpoints.vpc, "https://vpc.example:444");
    }

    #[test]
    fn keys_are_exchanged_in_the_same_region() {
        let sts = |pairs: &[(&str, &str)]| {
            Endpoints::sts("cn-hangzhou", |name| {
                pairs
                    .iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(sts(&[]).unwrap(), "https://sts-vpc.cn-hangzhou.aliyuncs.com");
        assert_eq!(
            sts(&[
                ("STS_ENDPOINT", "127.0.0.1:1"),
                ("ALICLOUD_CLIENT_SCHEME", "HTTP")
            ])
            .unwrap(),
            "http://127.0.0.1:1"
        );
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        assert!(
            matches!(with(&[("ALICLOUD_CLIENT_SCHEME", "ftp")]), Err(EndpointError::Scheme { value }) if value == "ftp")
        );
        for bad in ["http://", "host/path", "http://user:pw@host", "ftp://host"] {
            let error = with(&[("ECS_ENDPOINT", bad)]).unwrap_err();
            assert!(error.to_string().contains("ECS_ENDPOINT"), "{bad}");
        }
    }
}
