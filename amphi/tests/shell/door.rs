//! Who is let in: tokens of every wrong kind, the open door, and what it says.

use amphi::config::{AccessMode, FitWord, LayoutWord, ProgramWord};
use axum::body::Body;
use serde_json::{Value, json};

use crate::house::{Answer, House, now_s, token};

async fn validate(house: &House, form: &str, token: &str) -> Answer {
    house
        .get(&format!("/rtc{form}validate?access_token={token}"))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_token_is_let_in_by_query_and_by_header() {
    let house = House::open().await;
    let good = token("hall", "ada").sign();
    let by_query = validate(&house, "/", &good).await;
    assert_eq!(
        (by_query.status, by_query.text().as_str()),
        (200, "success")
    );
    let by_header = house.send("GET", "/rtc/validate", &good, "").await;
    assert_eq!(by_header.status, 200);
    for answer in [by_query, by_header] {
        assert_eq!(answer.header("access-control-allow-origin"), "*");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_token_is_refused_in_words_that_do_not_repeat_it() {
    let house = House::open().await;
    let good = || token("hall", "ada");
    let other_secret = peer::token::Token {
        secret: "another secret".into(),
        ..good()
    };
    let mut none = good();
    none.header = json!({ "alg": "none" });
    let mut other_algorithm = good();
    other_algorithm.header = json!({ "alg": "HS512" });
    let mut no_video = good();
    no_video
        .claims
        .as_object_mut()
        .expect("an object")
        .remove("video");
    let forged = {
        let good = good().sign();
        let (front, back) = good.split_at(good.len() - 10);
        let other = if back.starts_with('A') { "B" } else { "A" };
        format!("{front}{other}{}", &back[1..])
    };
    for (wrong, status, word) in [
        (String::new(), 401, "no token"),
        ("x".to_owned(), 401, "three parts"),
        ("a.b.c".to_owned(), 401, "three parts"),
        ("a".repeat(20_000), 401, "too long"),
        (forged, 401, "signature"),
        (other_secret.sign(), 401, "signature"),
        (none.sign(), 401, "HS256"),
        (other_algorithm.sign(), 401, "HS256"),
        (good().claim("iss", "otherkey").sign(), 401, "issuer"),
        (good().claim("exp", now_s() - 60).sign(), 401, "expired"),
        (good().claim("exp", Value::Null).sign(), 401, "three parts"),
        (
            good().claim("nbf", now_s() + 60).sign(),
            401,
            "not valid yet",
        ),
        (good().claim("sub", "").sign(), 401, "subject"),
        (good().claim("sub", "a\u{1}").sign(), 401, "subject"),
        (no_video.sign(), 401, "no video grant"),
        (good().grant("roomJoin", false).sign(), 403, "join"),
        (good().grant("room", Value::Null).sign(), 403, "join"),
        (good().grant("room", "../etc").sign(), 400, "room's name"),
    ] {
        let answer = validate(&house, "/", &wrong).await;
        let words = answer.text();
        assert_eq!(answer.status, status, "{words}");
        assert!(words.contains(word), "{word:?} in {words:?}");
        assert!(words.len() < 200 && (wrong.len() < 5 || !words.contains(&wrong)));
        assert!(answer.header("content-type").starts_with("text/plain"));
    }
    assert_eq!(house.metric("amphi_members").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newer_form_wants_a_join_request_that_is_one() {
    let house = House::open().await;
    let good = token("hall", "ada").sign();
    for (request, word) in [
        (String::new(), "join_request is required"),
        ("&join_request=%21%21".to_owned(), "base64url"),
        (
            // What base64 of these bytes says is a field of a length that does not come.
            "&join_request=EgUB".to_owned(),
            "WrappedJoinRequest",
        ),
    ] {
        let answer = house
            .get(&format!("/rtc/v1/validate?access_token={good}{request}"))
            .await;
        let words = answer.text();
        assert_eq!(answer.status, 400, "{words}");
        assert!(words.contains(word), "{word:?} in {words:?}");
    }
    let without_token = house.get("/rtc/v1/validate?join_request=%21").await;
    assert_eq!(
        without_token.status, 401,
        "who has no token learns nothing more"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_call_address_without_an_upgrade_says_what_it_is_for() {
    let house = House::open().await;
    let good = token("hall", "ada").sign();
    let answer = house.get(&format!("/rtc?access_token={good}")).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("WebSocket"), "{}", answer.text());
    assert_eq!(house.get("/rtc").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_open_door_gives_a_token_that_is_let_in() {
    let house = House::open().await;
    let answer = house
        .send(
            "POST",
            "/api/rooms/town%20hall/join",
            "",
            r#"{"name":"Ada"}"#,
        )
        .await;
    assert_eq!(answer.status, 200);
    let body = answer.json();
    assert_eq!(body["room"], "town hall");
    assert_eq!(body["grants"]["roomBroadcast"], true);
    let told = house.get("/api/server").await.json();
    let told = told["open_grants"].as_array().expect("a list").clone();
    assert!(told.contains(&json!("roomRecord")), "{told:?}");
    for grant in told {
        assert_eq!(body["grants"][grant.as_str().expect("a word")], true);
    }
    assert!(
        body["identity"]
            .as_str()
            .expect("an identity")
            .starts_with("ada-")
    );
    let given = body["token"].as_str().expect("a token");
    assert_eq!(validate(&house, "/", given).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_markup_stays_text() {
    let house = House::open().await;
    let markup = r#"<img src=x onerror=alert(1)>"#;
    let body = json!({ "name": markup }).to_string();
    let answer = house.send("POST", "/api/rooms/hall/join", "", &body).await;
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let given = answer.json();
    let payload = given["token"].as_str().expect("a token");
    let identity = given["identity"].as_str().expect("an identity");
    assert!(
        identity
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-'),
        "{identity}"
    );
    assert_eq!(validate(&house, "/", payload).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_cannot_be_are_refused() {
    let house = House::open().await;
    for name in ["", "   ", "a\u{0}b", &"x".repeat(300)] {
        let body = json!({ "name": name }).to_string();
        let answer = house.send("POST", "/api/rooms/hall/join", "", &body).await;
        answer.refused(400, "bad_request", None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_house_with_tokens_gives_none_away() {
    let house = House::with(|config| config.access.mode = AccessMode::Token).await;
    let refused = house
        .send("POST", "/api/rooms/hall/join", "", r#"{"name":"Ada"}"#)
        .await;
    let words = refused.refused(403, "not_allowed", Some("enter"));
    assert!(words.contains("invitation"), "{words}");
    let told = house.get("/api/server").await.json();
    assert_eq!(told["access"], "token");
    assert_eq!(told["open_grants"], json!([]));
}

/// The page begins its questions with what the house says.
#[tokio::test(flavor = "multi_thread")]
async fn a_house_says_what_it_makes_where_nobody_says_otherwise() {
    let house = House::with(|config| {
        config.program.kind = ProgramWord::Compose;
        config.program.layout = LayoutWord::SideBySide;
        config.program.fit = FitWord::Crop;
    })
    .await;
    let says = house.get("/api/server").await.json();
    let said = [&says["program"], &says["layout"], &says["fit"]];
    assert_eq!(said, ["compose", "side-by-side", "crop"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_knocks_too_often_has_to_wait_and_others_do_not() {
    let house = House::with(|config| config.limits.joins_at_once = 2).await;
    let doors = amphi::http::Doors::new(house.server.app().clone());
    let knock = async |from: [u8; 4]| {
        let request = axum::http::Request::post("/api/rooms/hall/join")
            .body(Body::from(r#"{"name":"Ada"}"#))
            .expect("a request");
        let peer = amphi::http::listen::Peer((from, 1234).into());
        doors.answer(peer, request).await.status().as_u16()
    };
    let mallory = [192, 0, 2, 1];
    assert_eq!(knock(mallory).await, 200);
    assert_eq!(knock(mallory).await, 200);
    assert_eq!(knock(mallory).await, 429);
    assert_eq!(knock([192, 0, 2, 2]).await, 200);
    let refused = house
        .metric("amphi_bound_hit_total{bound=\"joins_per_address\"}")
        .await;
    assert_eq!(refused, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_dev_pages_of_others_are_refused_and_with_a_secret_they_are_not() {
    let good = token("hall", "ada").sign();
    let upgrade = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let ask = async |house: &House, path: &str, origin: Option<&str>| {
        let mut headers = Vec::new();
        if path.starts_with("/rtc?") {
            headers.extend(upgrade);
        }
        headers.extend(origin.map(|origin| ("origin", origin)));
        crate::house::head(house.address, "GET", path, &headers).await
    };
    let dev = House::open().await;
    let own = House::with(|config| config.dev = false).await;
    let socket = format!("/rtc?access_token={good}");
    let validate = format!("/rtc/validate?access_token={good}");
    for (path, fine) in [
        (socket.as_str(), 101),
        (validate.as_str(), 200),
        ("/api/rooms", 200),
        ("/recordings/x/program.mp4", 404),
        ("/hls/hall/index.m3u8", 404),
    ] {
        for origin in [None, Some("http://localhost:5173"), Some("http://[::1]")] {
            assert_eq!(ask(&dev, path, origin).await, fine, "{path} {origin:?}");
        }
        for origin in ["https://example.org", "null"] {
            assert_eq!(ask(&dev, path, Some(origin)).await, 403, "{path} {origin}");
            assert_eq!(ask(&own, path, Some(origin)).await, fine, "{path} {origin}");
        }
    }
    assert_ne!(ask(&dev, "/", Some("https://example.org")).await, 403);
}
