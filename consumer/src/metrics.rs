//! A port for Prometheus. Two pages of HTTP/1.0 need no server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::log;
use crate::status::{Board, prometheus};

const PATIENCE: Duration = Duration::from_secs(5);

/// Binds first, so that a port which is taken is told at the start.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|error| format!("INLET_METRICS_ADDR: {address}: {error}"))
}

pub(crate) async fn serve(listener: TcpListener, boards: Vec<Arc<Board>>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let boards = boards.clone();
                tokio::spawn(async move { timeout(PATIENCE, answer(stream, &boards)).await });
            }
            Err(error) => {
                log::warn("the metrics port has trouble", json!({"error": error.to_string()}));
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn answer(mut stream: TcpStream, boards: &[Arc<Board>]) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    while !request.windows(4).any(|four| four == b"\r\n\r\n") && request.len() < 16_384 {
        match stream.read(&mut piece).await? {
            0 => break,
            count => request.extend_from_slice(piece.get(..count).unwrap_or_default()),
        }
    }
    let (status, body) = page(&request, boards);
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

fn page(request: &[u8], boards: &[Arc<Board>]) -> (&'static str, String) {
    let mut words = request.split(|byte| *byte == b' ');
    match (words.next(), words.next()) {
        (Some(b"GET"), Some(b"/metrics")) => ("200 OK", prometheus(boards)),
        (Some(b"GET"), Some(b"/healthz")) => ("200 OK", "ok\n".to_owned()),
        (Some(b"GET"), _) => ("404 Not Found", "there are /metrics and /healthz\n".to_owned()),
        _ => ("405 Method Not Allowed", "there is only GET\n".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_two_pages() {
        let ask = |line: &str| page(format!("{line} HTTP/1.1\r\n\r\n").as_bytes(), &[]);
        assert!(ask("GET /metrics").1.contains("# TYPE inlet_consumer_accepted_total counter"));
        assert_eq!(ask("GET /healthz").0, "200 OK");
        assert_eq!(ask("GET /").0, "404 Not Found");
        assert_eq!(ask("POST /metrics").0, "405 Method Not Allowed");
        assert_eq!(page(b"", &[]).0, "405 Method Not Allowed");
    }
}
