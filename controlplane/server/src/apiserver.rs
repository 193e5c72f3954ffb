//! The connections to the API server: one for all requests and one for all watches, both HTTP/2.
//!
//! kube's own client speaks HTTP/1.1 and opens a connection for each request under way; under a burst
//! of pods their TLS buffers were most of this process's memory, at both ends. The watches have a connection of
//! their own: beside the answers of a burst their events waited, and the API server ends a watch that does not take
//! ten of them within a moment. With a thousand pods at once it ended the watch of pods every third of a second, and
//! pods were seen 0.13 s late instead of 0.02 s.

use std::time::Duration;

use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::{Client, Config};
use tower::{BoxError, ServiceBuilder, ServiceExt};

/// A connection over which nothing came for this time is asked whether it lives, as client-go does…
const PING_AFTER: Duration = Duration::from_secs(30);
/// …and given up when it does not answer within this time; requests then go by another.
const PING_ANSWER: Duration = Duration::from_secs(15);

/// Ways to the API server.
#[derive(Clone)]
pub struct Connection {
    /// For watches.
    pub watches: Client,
    /// For everything else.
    pub requests: Client,
}

impl Connection {
    /// The connections for what `config` says.
    ///
    /// # Errors
    /// When the configuration's certificates or credentials cannot be used.
    pub fn new(config: Config) -> Result<Self, kube::Error> {
        Ok(Self {
            watches: over_http2(config.clone())?,
            requests: over_http2(config)?,
        })
    }
}

/// One connection for all that is asked through it. What is rare (a proxy, a server without TLS or with another name
/// in its certificate) is left to kube's own client; a server without HTTP/2 is spoken to in HTTP/1.1.
fn over_http2(config: Config) -> Result<Client, kube::Error> {
    let plain = config.cluster_url.scheme_str() != Some("https");
    if plain || config.proxy_url.is_some() || config.tls_server_name.is_some() {
        return Client::try_from(config);
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(config.connect_timeout);
    let tls = HttpsConnectorBuilder::new()
        .with_tls_config(config.rustls_client_config()?)
        .https_only()
        .enable_all_versions()
        .wrap_connector(tcp);
    let http: HttpClient<_, Body> = HttpClient::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .http2_keep_alive_interval(PING_AFTER)
        .http2_keep_alive_timeout(PING_ANSWER)
        .http2_keep_alive_while_idle(true)
        .build(tls);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http);
    Ok(ClientBuilder::new(service.boxed(), config.default_namespace).build())
}
