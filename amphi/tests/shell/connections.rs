//! Connections with bad manners: heads that do not end, heads that are too long, and too many at once.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use amphi::config::Lasting;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::house::House;

const SOON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_end_is_not_waited_for() {
    let house =
        House::with(|config| config.limits.head_timeout = Lasting(Duration::from_millis(300)))
            .await;
    for begun in ["", "GET", "GET / HTTP/1.1\r\nhost: x\r\nx-slow: "] {
        let mut stream = TcpStream::connect(house.address)
            .await
            .expect("a connection");
        stream.write_all(begun.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(SOON, stream.read_to_end(&mut answer));
        // It is closed, with or without a word.
        let _ = ended.await.expect("it does not wait for ever");
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{begun}");
    }
    let timed_out = house.metric("amphi_http_timed_out_total").await;
    assert!(timed_out >= 2.0, "{timed_out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_without_measure_are_refused() {
    let house = House::open().await;
    let long_path = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(70_000));
    let many_lines = format!(
        "GET / HTTP/1.1\r\n{}\r\n",
        (0..500)
            .map(|n| format!("x-{n}: y\r\n"))
            .collect::<String>()
    );
    let not_http = "\u{16}\u{3}\u{1} what is this\r\n\r\n".to_owned();
    for head in [long_path, many_lines, not_http] {
        let mut stream = TcpStream::connect(house.address)
            .await
            .expect("a connection");
        // The server may have closed it before all is written.
        let _ = stream.write_all(head.as_bytes()).await;
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(SOON, stream.read_to_end(&mut answer));
        let _ = ended.await.expect("it is answered or closed");
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
    assert_eq!(house.get("/healthz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_bound_a_connection_waits_for_another_to_end() {
    let house = House::with(|config| config.limits.connections = 2).await;
    let first = TcpStream::connect(house.address).await.expect("a place");
    let second = TcpStream::connect(house.address).await.expect("a place");
    let counters = &house.server.app().connections;
    let start = Instant::now();
    while counters.accepted.load(Ordering::Relaxed) < 2
        || counters.waited_full.load(Ordering::Relaxed) < 1
    {
        assert!(start.elapsed() < SOON, "both are taken");
        tokio::task::yield_now().await;
    }
    let third = tokio::time::timeout(Duration::from_millis(200), house.get("/healthz"));
    assert!(third.await.is_err(), "nobody answers the third");
    drop(first);
    assert_eq!(house.get("/healthz").await.status, 200);
    drop(second);
}
