//! The agent as a process, on a scripted kernel and without an API server.

use clap::Parser;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::args::Cli;
use crate::scripted::ScriptedKernel;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

struct Node {
    dir: TempDir,
    kernel: Arc<ScriptedKernel>,
}

impl Node {
    fn new() -> Node {
        Node {
            dir: tempfile::tempdir().unwrap(),
            kernel: Arc::default(),
        }
    }

    fn args(&self) -> RunArgs {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        let flags = [
            "terway-agent".to_owned(),
            "--node-name=node1".to_owned(),
            "--health=127.0.0.1:0".to_owned(),
            format!("--config={}", path("eni")),
            format!("--socket={}", path("terway.sock")),
            format!("--cni-conf-dir={}", path("net.d")),
        ];
        Cli::try_parse_from(flags).unwrap().run
    }

    /// Runs an agent until it ends. Nobody listens where it looks for the API server.
    async fn run(&self) -> anyhow::Result<()> {
        let nowhere = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let client = Client::try_from(nowhere).unwrap();
        let kernel = self.kernel.clone() as Arc<dyn Kernel>;
        let life = Lifecycle::new(AfterFailure::Drain);
        let running = run_with(self.args(), client, async |_| Ok(kernel), life);
        tokio::time::timeout(PATIENCE, running).await.unwrap()
    }
}

#[tokio::test]
async fn the_agent_ends_with_its_datapath() {
    let node = Node::new();
    node.kernel.ended.cancel();
    let error = format!("{:#}", node.run().await.unwrap_err());
    assert!(error.contains("the datapath"), "{error}");
    assert!(error.contains("panicked"), "{error}");
}

#[tokio::test]
async fn a_bad_configuration_is_named_and_keeps_the_agent_from_nothing() {
    let node = Node::new();
    std::fs::create_dir(node.dir.path().join("eni")).unwrap();
    std::fs::write(
        node.dir.path().join("eni/10-terway.conf"),
        r#"{"type": "terway", "mtu": 9000}"#,
    )
    .unwrap();
    let nowhere = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    let client = Client::try_from(nowhere).unwrap();
    let kernel = node.kernel.clone() as Arc<dyn Kernel>;
    let life = Lifecycle::new(AfterFailure::Drain);
    let health = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let args = RunArgs {
        health,
        ..node.args()
    };
    let stop = life.stopping();
    let running = tokio::spawn(run_with(args, client, async |_| Ok(kernel), life));
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !readyz(health)
        .await
        .contains("\nbut mtu in key 10-terway.conf of the ConfigMap eni-config")
    {
        assert!(tokio::time::Instant::now() < deadline, "{}", readyz(health).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    running.await.unwrap().unwrap();
}

async fn readyz(address: std::net::SocketAddr) -> String {
    let Ok(mut stream) = tokio::net::TcpStream::connect(address).await else {
        return String::new();
    };
    let request = "GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
