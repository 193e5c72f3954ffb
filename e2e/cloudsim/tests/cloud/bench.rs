//! A small client for tests. It signs in both families and reads answers as JSON.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use cloudsim::{Options, Running, Simulator, World};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::Value;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// How a request is signed.
#[derive(Debug, Clone)]
pub struct Signer {
    pub ak: String,
    pub sk: String,
    pub token: Option<String>,
    pub v3: bool,
    pub nonce: Option<String>,
    pub time: Option<Timestamp>,
    pub version: &'static str,
}

impl Default for Signer {
    fn default() -> Self {
        Signer {
            ak: "lab-ak".into(),
            sk: "lab-sk".into(),
            token: None,
            v3: true,
            nonce: None,
            time: None,
            version: "2014-05-26",
        }
    }
}

/// A simulator and a client of it.
pub struct Bench {
    pub running: Running,
    pub http: reqwest::Client,
}

/// The small world without any latency or quota.
pub fn quick_world() -> World {
    let mut world = World::small();
    world.latency.clear();
    world.quotas = Default::default();
    world
}

impl Bench {
    pub async fn start(world: World) -> Bench {
        Bench::start_with(world, 0).await
    }

    /// A simulator with a seed of its own.
    pub async fn start_with(world: World, seed: u64) -> Bench {
        // Several tests of one process may do this at the same time. An error means that another test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let running = Simulator::start(
            world,
            Options {
                seed,
                ..Options::default()
            },
        )
        .await
        .expect("the simulator starts");
        Bench {
            running,
            http: reqwest::Client::builder().no_proxy().build().expect("a client"),
        }
    }

    /// Calls an action; the HTTP status and the answer.
    pub async fn call(&self, action: &str, parameters: &[(&str, &str)]) -> (u16, Value) {
        self.call_as(&Signer::default(), action, parameters).await
    }

    pub async fn call_as(&self, signer: &Signer, action: &str, parameters: &[(&str, &str)]) -> (u16, Value) {
        let response = self.send(signer, action, parameters).await.expect("an answer");
        let status = response.status().as_u16();
        (status, response.json().await.expect("a JSON answer"))
    }

    pub async fn send(
        &self,
        signer: &Signer,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> reqwest::Result<reqwest::Response> {
        let mut pairs: BTreeMap<String, String> = parameters
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        pairs
            .entry("RegionId".into())
            .or_insert_with(|| "cn-hangzhou".into());
        if signer.v3 {
            self.send_v3(signer, action, &pairs).await
        } else {
            self.send_rpc(signer, action, pairs).await
        }
    }

    async fn send_v3(
        &self,
        signer: &Signer,
        action: &str,
        pairs: &BTreeMap<String, String>,
    ) -> reqwest::Result<reqwest::Response> {
        let query = encode(pairs);
        let host = self.running.address().to_string();
        let mut headers: BTreeMap<&str, String> = BTreeMap::from([
            ("host", host),
            ("accept", "application/json".into()),
            ("x-acs-action", action.into()),
            ("x-acs-version", signer.version.into()),
            ("x-acs-date", signer.date()),
            ("x-acs-signature-nonce", signer.nonce()),
            ("x-acs-content-sha256", hex(&Sha256::digest(b""))),
        ]);
        if let Some(token) = &signer.token {
            headers.insert("x-acs-security-token", token.clone());
        }
        let names: Vec<&str> = headers.keys().copied().collect();
        let names = names.join(";");
        let lines: String = headers
            .iter()
            .map(|(name, value)| format!("{name}:{value}\n"))
            .collect();
        let canonical = format!(
            "POST\n/\n{query}\n{lines}\n{names}\n{}",
            hex(&Sha256::digest(b""))
        );
        let text = format!("ACS3-HMAC-SHA256\n{}", hex(&Sha256::digest(canonical.as_bytes())));
        let mut mac = Hmac::<Sha256>::new_from_slice(signer.sk.as_bytes()).expect("any key");
        mac.update(text.as_bytes());
        let signature = hex(&mac.finalize().into_bytes());
        let authorization = format!(
            "ACS3-HMAC-SHA256 Credential={},SignedHeaders={names},Signature={signature}",
            signer.ak
        );
        let mut request = self.http.post(format!("{}/?{query}", self.running.ecs_url()));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.header("authorization", authorization).send().await
    }

    async fn send_rpc(
        &self,
        signer: &Signer,
        action: &str,
        mut pairs: BTreeMap<String, String>,
    ) -> reqwest::Result<reqwest::Response> {
        for (name, value) in [
            ("Action", action),
            ("Version", signer.version),
            ("Format", "JSON"),
            ("AccessKeyId", &signer.ak),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureVersion", "1.0"),
            ("SignatureType", ""),
            ("SignatureNonce", &signer.nonce()),
            ("Timestamp", &signer.date()),
        ] {
            pairs.insert(name.into(), value.into());
        }
        if let Some(token) = &signer.token {
            pairs.insert("SecurityToken".into(), token.clone());
        }
        let text = format!("POST&%2F&{}", escape(&encode(&pairs)));
        let mut mac = Hmac::<Sha1>::new_from_slice(format!("{}&", signer.sk).as_bytes()).expect("any key");
        mac.update(text.as_bytes());
        pairs.insert("Signature".into(), BASE64.encode(mac.finalize().into_bytes()));
        self.http
            .post(format!("{}/?{}", self.running.ecs_url(), encode(&pairs)))
            .send()
            .await
    }

    /// Creates an ENI in the pod vSwitch and returns its id.
    pub async fn create(&self, extra: &[(&str, &str)]) -> String {
        let mut parameters = vec![("VSwitchId", "vsw-pod-h"), ("SecurityGroupIds.1", "sg-web")];
        parameters.extend_from_slice(extra);
        let (status, answer) = self.call("CreateNetworkInterface", &parameters).await;
        assert_eq!(status, 200, "{answer}");
        answer["NetworkInterfaceId"].as_str().expect("an id").to_owned()
    }

    /// Asserts that a call is refused with this status and code.
    pub async fn refused(&self, action: &str, parameters: &[(&str, &str)], status: u16, code: &str) {
        let (got, answer) = self.call(action, parameters).await;
        assert_eq!(
            (got, answer["Code"].as_str()),
            (status, Some(code)),
            "{action}: {answer}"
        );
        assert!(
            answer["RequestId"].is_string() && answer["HostId"].is_string() && answer["Message"].is_string()
        );
    }

    /// The ENI as Describe shows it.
    pub async fn describe(&self, id: &str) -> Value {
        let (_, answer) = self
            .call("DescribeNetworkInterfaces", &[("NetworkInterfaceId.1", id)])
            .await;
        answer["NetworkInterfaceSets"]["NetworkInterfaceSet"][0].clone()
    }
}

impl Signer {
    fn date(&self) -> String {
        self.time
            .unwrap_or_else(Timestamp::now)
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string()
    }

    fn nonce(&self) -> String {
        self.nonce
            .clone()
            .unwrap_or_else(|| uuid::Uuid::new_v4().to_string())
    }
}

/// A request to the admin API; the HTTP status and the answer.
pub async fn admin(bench: &Bench, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let url = format!("http://{}{path}", bench.running.admin());
    let mut request = bench.http.request(method, url);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or(Value::Null))
}

fn encode(pairs: &BTreeMap<String, String>) -> String {
    let parts: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
        .collect();
    parts.join("&")
}

fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
