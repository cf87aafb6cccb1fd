//! What viewers report of a broadcast: what is taken, who reads it, what the bounds are.

use axum::body::Body;
use peer::Form;
use peer::net::{Options, connect};
use serde_json::{Value, json};

use crate::air::{Voice, hum, until};
use crate::house::{House, ask, token};
use crate::process::Program;

const REPORTS: &str = "/api/rooms/hall/reports";

fn admin() -> String {
    token("hall", "ada").grant("roomAdmin", true).sign()
}

/// Ada hums in the hall, which is on air.
async fn on_air(address: std::net::SocketAddr) -> Voice {
    let options = Options::new(Form::Single);
    let ada = connect(&format!("ws://{address}"), &admin(), &options).await;
    let voice = hum(ada.expect("let in"));
    let bearer = format!("Bearer {}", admin());
    let headers = [("authorization", bearer.as_str())];
    until("it goes on air", async || {
        let path = "/api/rooms/hall/broadcast";
        let answer = ask(address, "POST", path, &headers, b"").await;
        (answer.status == 200).then_some(())
    })
    .await;
    voice
}

async fn listed(house: &House) -> Vec<Value> {
    let list = house.send("GET", REPORTS, &admin(), "").await.json();
    list["reports"].as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_needs_no_token_and_reaches_who_moderates_until_it_is_done() {
    let house = House::open().await;
    let _voice = on_air(house.address).await;
    assert_eq!(listed(&house).await, Vec::<Value>::new());
    for body in [
        json!({ "reason": "violence", "words": "  <b>Look</b> & \"see\"  ", "at": "2026-11-22T18:00:00.250Z" }),
        json!({ "reason": "against_the_law" }),
    ] {
        let made = house.send("POST", REPORTS, "", &body.to_string()).await;
        assert_eq!(made.status, 201, "{}", made.text());
        assert!(made.json()["made"].is_string());
    }
    let reports = listed(&house).await;
    let said = |report: &Value| json!([report["reason"], report["words"], report["at"]]);
    assert_eq!(
        reports.iter().map(said).collect::<Vec<_>>(),
        [
            json!(["against_the_law", "", null]),
            json!([
                "violence",
                "<b>Look</b> & \"see\"",
                "2026-11-22T18:00:00.250Z"
            ]),
        ]
    );
    let one = format!("{REPORTS}/{}", reports[0]["id"]);
    let done = house.send("DELETE", &one, &admin(), "").await;
    assert_eq!((done.status, &done.json()["id"]), (200, &reports[0]["id"]));
    house
        .send("DELETE", &one, &admin(), "")
        .await
        .refused(404, "not_found", None);
    assert_eq!(listed(&house).await, [reports[1].clone()]);
    for (outcome, expected) in [("taken", 2.0), ("done", 1.0), ("refused_bad", 0.0)] {
        let name = format!("amphi_reports_total{{outcome=\"{outcome}\"}}");
        assert_eq!(house.metric(&name).await, expected, "{outcome}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_what_was_never_on_air_is_refused_and_of_what_has_just_ended_is_not() {
    let house = House::open().await;
    let body = json!({ "reason": "other" }).to_string();
    let words = house
        .send("POST", REPORTS, "", &body)
        .await
        .refused(404, "not_found", None);
    assert!(words.contains("not on air"), "{words}");
    let voice = on_air(house.address).await;
    let path = "/api/rooms/hall/broadcast";
    assert_eq!(house.send("DELETE", path, &admin(), "").await.status, 200);
    drop(voice);
    assert_eq!(house.send("POST", REPORTS, "", &body).await.status, 201);
    house
        .send("POST", "/api/rooms/cellar/reports", "", &body)
        .await
        .refused(404, "not_found", None);
    let off_air = "amphi_reports_total{outcome=\"refused_off_air\"}";
    assert_eq!(house.metric(off_air).await, 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_report_is_refused_in_words() {
    let house = House::open().await;
    let _voice = on_air(house.address).await;
    let long = "ä".repeat(501);
    for (body, word) in [
        (json!({}), "reason"),
        (json!({ "reason": "boring" }), "against_the_law"),
        (json!({ "reason": "other", "words": long }), "500"),
        (json!({ "reason": "other", "words": "a\nb" }), "control"),
        (json!({ "reason": "other", "words": "a\u{0}b" }), "control"),
        (json!({ "reason": "other", "words": null }), "JSON"),
        (json!({ "reason": "other", "at": "just now" }), "not a time"),
        (
            json!({ "reason": "other", "at": "9999-12-31T23:59:59Z" }),
            "still to come",
        ),
        (json!({ "reason": "other", "by": "me" }), "by"),
    ] {
        let answer = house.send("POST", REPORTS, "", &body.to_string()).await;
        let words = answer.refused(400, "bad_request", None);
        assert!(words.contains(word), "{word:?} in {words:?}");
    }
    let full = json!({ "reason": "other", "words": "ä".repeat(500) }).to_string();
    assert_eq!(house.send("POST", REPORTS, "", &full).await.status, 201);
    assert_eq!(listed(&house).await.len(), 1);
    for id in ["x", "-1", "1.5", "99999999999999999999"] {
        house
            .send("DELETE", &format!("{REPORTS}/{id}"), &admin(), "")
            .await
            .refused(400, "bad_request", None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_read_and_done_by_who_moderates_this_room_alone() {
    let house = House::open().await;
    let one = format!("{REPORTS}/1");
    let others = [
        token("hall", "ada")
            .grant("roomBroadcast", true)
            .grant("roomRecord", true)
            .sign(),
        token("cellar", "ada").grant("roomAdmin", true).sign(),
    ];
    for (method, path) in [("GET", REPORTS), ("DELETE", one.as_str())] {
        house
            .send(method, path, "", "")
            .await
            .refused(401, "unauthorized", None);
        for token in &others {
            house
                .send(method, path, token, "")
                .await
                .refused(403, "not_allowed", Some("moderate"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reports_too_often_has_to_wait_and_others_do_not() {
    let house = House::open().await;
    let _voice = on_air(house.address).await;
    let doors = amphi::http::Doors::new(house.server.app().clone());
    let report = async |from: [u8; 4]| {
        let request = axum::http::Request::post(REPORTS)
            .body(Body::from(r#"{"reason":"hate"}"#))
            .expect("a request");
        let peer = amphi::http::listen::Peer((from, 1234).into());
        doors.answer(peer, request).await.status().as_u16()
    };
    let mallory = [192, 0, 2, 1];
    for _ in 0..5 {
        assert_eq!(report(mallory).await, 201);
    }
    assert_eq!(report(mallory).await, 429);
    assert_eq!(report([192, 0, 2, 2]).await, 201);
    assert_eq!(listed(&house).await.len(), 6);
    for name in [
        "amphi_bound_hit_total{bound=\"reports_per_address\"}",
        "amphi_reports_total{outcome=\"refused_too_often\"}",
    ] {
        assert_eq!(house.metric(name).await, 1.0, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_outlive_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut program = Program::start(folder.path(), &[]);
    let voice = on_air(program.address).await;
    let body = br#"{"reason":"sexual","words":"Not for children"}"#;
    let made = ask(program.address, "POST", REPORTS, &[], body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    program.kill();
    drop(voice);
    let program = Program::start(folder.path(), &[]);
    let bearer = format!("Bearer {}", admin());
    let headers = [("authorization", bearer.as_str())];
    let list = ask(program.address, "GET", REPORTS, &headers, b"").await;
    assert_eq!(list.json()["reports"][0]["words"], "Not for children");
    // What was on air before is not known any more.
    ask(program.address, "POST", REPORTS, &[], body)
        .await
        .refused(404, "not_found", None);
}
