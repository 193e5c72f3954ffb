//! A server on loopback that answers each HTTP request as a closure says: a few lines in place of a cloud,
//! for failures no simulator needs to know.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with one request.
pub enum Reply {
    Http(u16, String),
    /// Close the connection without a word.
    Hang,
    /// Say nothing for so long.
    Silent(Duration),
    /// Promise more than is sent.
    Half,
}

/// A request as it came: first line, headers and body.
pub type Request = String;

/// The server; its tasks end with the test's runtime.
pub struct Stub {
    pub url: String,
    pub requests: Arc<Mutex<Vec<Request>>>,
}

impl Stub {
    pub async fn start(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Stub {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let answer = Arc::new(answer);
        let log = requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer.clone(), log.clone()));
            }
        });
        Stub { url, requests }
    }

    pub fn count(&self) -> usize {
        self.requests.lock().len()
    }
}

async fn serve(mut stream: TcpStream, answer: Arc<impl Fn(&str) -> Reply>, log: Arc<Mutex<Vec<Request>>>) {
    let mut buffer = Vec::new();
    loop {
        let length = loop {
            if let Some(length) = whole_request(&buffer) {
                break length;
            }
            let mut chunk = [0u8; 4096];
            match stream.read(&mut chunk).await {
                Ok(0) | Err(_) => return,
                Ok(n) => buffer.extend_from_slice(&chunk[..n]),
            }
        };
        let rest = buffer.split_off(length);
        let request = String::from_utf8_lossy(&std::mem::replace(&mut buffer, rest)).into_owned();
        log.lock().push(request.clone());
        let (status, body, promised) = match answer(&request) {
            Reply::Http(status, body) => (status, body.clone(), body.len()),
            Reply::Hang => return,
            Reply::Silent(time) => {
                tokio::time::sleep(time).await;
                return;
            }
            Reply::Half => (200, "{\"RequestId\":".to_owned(), 500),
        };
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {promised}\r\n\r\n{body}");
        if stream.write_all(head.as_bytes()).await.is_err() || promised > body.len() {
            return;
        }
    }
}

/// Bytes of the first request, its body included, if they are all there.
fn whole_request(buffer: &[u8]) -> Option<usize> {
    let head = buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
    let body: usize = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .map_or(0, |length| length.trim().parse().unwrap());
    (buffer.len() >= head + body).then_some(head + body)
}
