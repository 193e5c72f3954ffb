//! An OpenTelemetry collector on loopback, over HTTP and over gRPC.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use parking_lot::Mutex;
use prost::Message;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// Messages with their headers, as far as a test looks at them.
#[derive(Clone, Default)]
pub struct Collected(Arc<Mutex<Vec<Post>>>);

#[derive(Clone)]
pub struct Post {
    pub path: String,
    pub content_type: String,
    pub authentication: String,
    pub message: ExportTraceServiceRequest,
}

impl Collected {
    pub fn all(&self) -> Vec<Post> {
        self.0.lock().clone()
    }
}

/// A collector that speaks both forms of OTLP over HTTP.
pub async fn over_http() -> (String, Collected) {
    let (listener, collected) = (
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
        Collected::default(),
    );
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(take).with_state(collected.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, collected)
}

async fn take(State(collected): State<Collected>, uri: Uri, headers: HeaderMap, body: Bytes) {
    let text = |name| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let content_type = text("content-type");
    let message = match content_type.as_str() {
        "application/json" => serde_json::from_slice(&body).unwrap(),
        _ => ExportTraceServiceRequest::decode(body).unwrap(),
    };
    collected.0.lock().push(Post {
        path: uri.path().to_owned(),
        authentication: text("authentication"),
        content_type,
        message,
    });
}

/// A collector that speaks OTLP over gRPC.
pub async fn over_grpc() -> (String, Collected) {
    let (listener, collected) = (
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
        Collected::default(),
    );
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = TraceServiceServer::new(collected.clone());
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    (url, collected)
}

#[tonic::async_trait]
impl TraceService for Collected {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let authentication = request.metadata().get("authentication");
        let authentication = authentication
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        self.0.lock().push(Post {
            path: String::new(),
            content_type: "application/grpc".to_owned(),
            authentication: authentication.to_owned(),
            message: request.into_inner(),
        });
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}
