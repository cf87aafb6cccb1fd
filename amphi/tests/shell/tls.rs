//! HTTPS: a certificate of one's own, HTTP/2 and HTTP/1.1 over it.

use std::net::SocketAddr;
use std::sync::Arc;

use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::house::dev_config;

struct Secured {
    server: amphi::serve::Server,
    address: SocketAddr,
    roots: RootCertStore,
    _folder: tempfile::TempDir,
}

async fn open() -> Secured {
    let folder = tempfile::tempdir().expect("a folder");
    let made =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let (cert, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    std::fs::write(&cert, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let mut config = dev_config(&folder.path().join("data"));
    config.tls = amphi::config::Tls { cert, key };
    let server = amphi::serve::Server::start(config).await.expect("a house");
    let url = server.url();
    let address = url.strip_prefix("https://").expect("https");
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    Secured {
        address: address.parse().expect("an address"),
        server,
        roots,
        _folder: folder,
    }
}

async fn connect(house: &Secured, protocol: &[u8]) -> TlsStream<TcpStream> {
    let mut config = ClientConfig::builder()
        .with_root_certificates(house.roots.clone())
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(house.address)
        .await
        .expect("a connection");
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .expect("a handshake")
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_carries_many_requests_on_one_connection() {
    let house = open().await;
    let stream = connect(&house, b"h2").await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2");
    let driver = tokio::spawn(connection);
    let requests: Vec<_> = (0..20)
        .map(|_| {
            let mut sender = sender.clone();
            tokio::spawn(async move {
                let request = hyper::Request::get("https://localhost/healthz")
                    .body(Empty::<bytes::Bytes>::new())
                    .expect("a request");
                let answer = sender.send_request(request).await.expect("an answer");
                assert_eq!(answer.version(), hyper::Version::HTTP_2);
                answer
                    .into_body()
                    .collect()
                    .await
                    .expect("a body")
                    .to_bytes()
            })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.expect("no panic"), "ok\n");
    }
    driver.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_1_and_a_plain_request_on_the_tls_port() {
    let house = open().await;
    let mut stream = connect(&house, b"http/1.1").await;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await
        .expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    let answer = String::from_utf8(answer).expect("text");
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"),
        "{answer}"
    );

    let mut plain = TcpStream::connect(house.address)
        .await
        .expect("a connection");
    plain
        .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .expect("sent");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(
        !answer.starts_with(b"HTTP"),
        "no plain answer where TLS is spoken"
    );
    let failed = &house.server.app().connections.tls_failed;
    assert_eq!(failed.load(std::sync::atomic::Ordering::Relaxed), 1);
}
