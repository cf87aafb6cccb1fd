//! The description of the API is what the API is.

use crate::house::{House, token};

const COMMITTED: &str = include_str!("../../../docs/openapi.json");

#[test]
fn the_committed_description_is_the_one_of_the_code() {
    let made = amphi::http::document()
        .to_pretty_json()
        .expect("it can be written");
    assert!(
        made.trim() == COMMITTED.trim(),
        "docs/openapi.json is old; write it anew: cargo run -p amphi -- openapi > docs/openapi.json"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_described_route_is_one() {
    let house = House::open().await;
    let served = house.get("/api/openapi.json").await.json();
    let committed: serde_json::Value = serde_json::from_str(COMMITTED).expect("JSON");
    assert_eq!(served, committed);
    let admin = token("hall", "ada").grant("roomAdmin", true).sign();
    let paths = served["paths"].as_object().expect("paths");
    assert!(paths.len() >= 15, "{}", paths.len());
    for (path, methods) in paths {
        let path = path
            .replace("{room}", "hall")
            .replace("{identity}", "bo")
            .replace("{id}", "x")
            .replace("{file}", "video.m3u8");
        for method in methods.as_object().expect("methods").keys() {
            let answer = house
                .send(&method.to_uppercase(), &path, &admin, "{}")
                .await;
            let nowhere = answer.text().contains("nothing at this address");
            assert!(
                answer.status != 405 && !nowhere,
                "{method} {path}: {} {}",
                answer.status,
                answer.text()
            );
        }
    }
}
