//! The API: what it says, what it refuses, and in which form.

use serde_json::{Value, json};

use crate::house::{House, ask, token};

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_nobody_is_in_is_an_empty_one() {
    let house = House::open().await;
    let state = house.get("/api/rooms/hall").await.json();
    assert_eq!(state["room"], "hall");
    assert_eq!(state["members"], json!([]));
    assert_eq!(state["broadcast"]["state"], "off");
    assert_eq!(state["broadcast"]["hls"], Value::Null);
    assert_eq!(state["recording"]["state"], "off");
    assert_eq!(
        house.get("/api/rooms").await.json(),
        json!({ "rooms": [], "announced": [] })
    );
    assert_eq!(
        house.get("/api/recordings").await.json(),
        json!({ "recordings": [] })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_that_lead_elsewhere_lead_nowhere() {
    let house = House::open().await;
    for room in [
        "..",
        "%2e%2e",
        "..%2f..%2fetc%2fpasswd",
        "a%2fb",
        "a%5cb",
        "%00",
        "a%0d%0ab",
        "%3Cscript%3E",
        ".hidden",
        "%20a",
        &"a".repeat(129),
    ] {
        let answer = house.get(&format!("/api/rooms/{room}")).await;
        answer.refused(400, "bad_request", None);
        let answer = house.get(&format!("/hls/{room}/index.m3u8")).await;
        answer.refused(400, "bad_request", None);
    }
    house
        .get("/api/rooms/%ff")
        .await
        .refused(400, "bad_request", None);
    for id in ["..", "%2e%2e", "..%2famphi.db", "A", "a%00", "a.b"] {
        for path in [
            format!("/recordings/{id}/program.mp4"),
            format!("/recordings/{id}/index.m3u8"),
            format!("/api/recordings/{id}"),
        ] {
            house.get(&path).await.refused(400, "bad_request", None);
        }
    }
    for path in [
        "/recordings/../amphi.db",
        "/recordings/../../etc/passwd",
        "/recordings/x/../../amphi.db",
        "/recordings/x/lock",
        "/hls/hall/../../amphi.db",
        "/api//rooms",
        "/api/rooms/",
        "/api",
    ] {
        house.get(path).await.refused(404, "not_found", None);
    }
    for path in ["/../amphi.toml", "/assets/../../Cargo.toml", "//etc/passwd"] {
        let answer = house.get(path).await;
        assert!(
            matches!(answer.status, 404 | 503),
            "{path}: {}",
            answer.status
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_too_large_or_not_json_are_refused() {
    let house = House::open().await;
    let admin = token("hall", "ada").grant("roomAdmin", true).sign();
    let put = async |body: &str| {
        house
            .send("PUT", "/api/rooms/hall/settings", &admin, body)
            .await
    };
    let large = format!(r#"{{"title":"{}"}}"#, "x".repeat(100_000));
    put(&large).await.refused(413, "too_large", None);
    let deep = "[".repeat(10_000);
    for bad in [
        "{",
        "[]",
        "null",
        r#"{"title":1}"#,
        r#"{"titel":"x"}"#,
        r#"{"broadcast":"always"}"#,
        "{\"title\":\"\\ud800\"}",
        &deep,
    ] {
        put(bad).await.refused(400, "bad_request", None);
    }
    let bearer = format!("Bearer {admin}");
    let headers = [("authorization", bearer.as_str())];
    ask(
        house.address,
        "PUT",
        "/api/rooms/hall/settings",
        &headers,
        &[0xff, 0xfe, 0],
    )
    .await
    .refused(400, "bad_request", None);
    assert_eq!(
        house.get("/api/rooms/hall/settings").await.json()["title"],
        ""
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_and_other_addresses_get_the_same_form() {
    let house = House::open().await;
    let answer = house.send("POST", "/api/rooms", "", "").await;
    answer.refused(405, "method_not_allowed", None);
    assert!(answer.header("allow").contains("GET"));
    house
        .get("/api/nothing")
        .await
        .refused(404, "not_found", None);
    house
        .get("/hls/hall/video.m3u8")
        .await
        .refused(404, "not_found", None);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_switch_needs_its_grant_and_says_so() {
    let house = House::open().await;
    let plain = token("hall", "ada").sign();
    let elsewhere = token("cellar", "ada").grant("roomAdmin", true).sign();
    for (method, path, action) in [
        ("POST", "/api/rooms/hall/broadcast", "broadcast"),
        ("DELETE", "/api/rooms/hall/broadcast", "broadcast"),
        ("POST", "/api/rooms/hall/recording", "record"),
        ("DELETE", "/api/rooms/hall/recording", "record"),
        ("PUT", "/api/rooms/hall/settings", "configure"),
        ("PATCH", "/api/rooms/hall/members/bo", "moderate"),
        ("DELETE", "/api/rooms/hall/members/bo", "moderate"),
    ] {
        house
            .send(method, path, "", "")
            .await
            .refused(401, "unauthorized", None);
        for token in [&plain, &elsewhere] {
            let answer = house.send(method, path, token, "").await;
            let words = answer.refused(403, "not_allowed", Some(action));
            assert!(words.contains("You may not"), "{words}");
        }
    }
    let expired = token("hall", "ada").claim("exp", 1).sign();
    house
        .send("POST", "/api/rooms/hall/broadcast", &expired, "")
        .await
        .refused(401, "unauthorized", None);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_its_grant_a_switch_of_an_empty_room_says_that_it_is_empty() {
    let house = House::open().await;
    let able = token("hall", "ada")
        .grant("roomBroadcast", true)
        .grant("roomRecord", true)
        .sign();
    for path in ["/api/rooms/hall/broadcast", "/api/rooms/hall/recording"] {
        house
            .send("POST", path, &able, "")
            .await
            .refused(409, "conflict", None);
        let off = house.send("DELETE", path, &able, "").await;
        assert_eq!((off.status, &off.json()["state"]), (200, &json!("off")));
    }
    house
        .send(
            "POST",
            "/api/rooms/hall/broadcast",
            &able,
            r#"{"program":"opera"}"#,
        )
        .await
        .refused(400, "bad_request", None);
    let admin = token("hall", "ada").grant("roomAdmin", true).sign();
    house
        .send("DELETE", "/api/rooms/hall/members/bo", &admin, "")
        .await
        .refused(404, "not_found", None);
    house
        .send(
            "PATCH",
            "/api/rooms/hall/members/bo",
            &admin,
            r#"{"canPublishSources":["telescope"]}"#,
        )
        .await
        .refused(400, "bad_request", None);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_kept_and_what_is_left_out_stays() {
    let house = House::open().await;
    let creator = token("hall", "ada").grant("roomCreate", true).sign();
    let title = "<b>Hall</b> \"quoted\"";
    let put = async |body: Value| {
        let answer = house
            .send(
                "PUT",
                "/api/rooms/hall/settings",
                &creator,
                &body.to_string(),
            )
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    put(json!({ "title": title, "record": "auto" })).await;
    put(json!({ "broadcast": "auto" })).await;
    let kept = json!({ "title": title, "broadcast": "auto", "record": "auto", "starts": null });
    assert_eq!(house.get("/api/rooms/hall/settings").await.json(), kept);
    assert_eq!(house.get("/api/rooms/hall").await.json()["title"], title);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_assets_come_with_a_strict_policy() {
    let house = House::open().await;
    for path in ["/", "/join/hall", "/watch/hall", "/stage/hall", "/nothing"] {
        let answer = house.get(path).await;
        let policy = answer.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self';"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        if answer.status == 503 {
            assert_eq!(answer.text(), "pages were not built: run ./run\n");
        } else {
            assert_eq!(answer.status, if path == "/nothing" { 404 } else { 200 });
            assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_embedded_player_may_be_in_a_frame_and_only_its_script_is_for_other_pages() {
    let house = House::open().await;
    for path in ["/", "/join/hall", "/watch/hall", "/stage/hall", "/embed"] {
        let answer = house.get(path).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.ends_with("frame-ancestors 'none'"), "{path}");
        assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
    }
    let player = house.get("/embed/hall").await;
    let policy = player.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"));
    assert!(policy.ends_with("frame-ancestors *"), "{policy}");
    assert_eq!(player.header("x-frame-options"), "");
    let devices = player.header("permissions-policy");
    assert!(devices.contains("camera=()"), "{devices}");
    let script = house.get("/embed.js").await;
    assert_eq!(script.header("access-control-allow-origin"), "*");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_page_says_in_its_head_what_it_is() {
    let house = House::open().await;
    let admin = token("hall", "ada").grant("roomAdmin", true).sign();
    let settings = json!({ "title": "Town <hall> & more" }).to_string();
    let put = house.send("PUT", "/api/rooms/hall/settings", &admin, &settings);
    assert_eq!(put.await.status, 200);
    let page = house.get("/watch/hall").await;
    if page.status == 503 {
        assert_eq!(page.text(), "pages were not built: run ./run\n");
        return;
    }
    let address = house.address;
    let text = page.text();
    for line in [
        "<title>Town &lt;hall&gt; &amp; more · amphi</title>".to_owned(),
        "<meta property=\"og:title\" content=\"Town &lt;hall&gt; &amp; more\">".to_owned(),
        format!("<meta property=\"og:url\" content=\"http://{address}/watch/hall\">"),
        format!("<meta property=\"og:image\" content=\"http://{address}/card.png\">"),
        "<meta name=\"twitter:card\" content=\"summary_large_image\">".to_owned(),
    ] {
        assert!(text.contains(&line), "{line} in {text}");
    }
    let picture = house.get("/card.png").await;
    assert_eq!(picture.header("content-type"), "image/png");
    // The tag is of this head: another title is another page.
    let tag = page.header("etag").to_owned();
    let again = [("if-none-match", tag.as_str())];
    let same = crate::house::ask(house.address, "GET", "/watch/hall", &again, b"").await;
    assert_eq!(same.status, 304);
    let put = house.send(
        "PUT",
        "/api/rooms/hall/settings",
        &admin,
        "{\"title\":\"x\"}",
    );
    assert_eq!(put.await.status, 200);
    let other = crate::house::ask(house.address, "GET", "/watch/hall", &again, b"").await;
    assert_eq!(other.status, 200);
    // Home is nobody's, and a room's own pages are for those inside.
    for path in ["/", "/stage/hall", "/recording/not-there"] {
        assert!(!house.get(path).await.text().contains("og:title"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_name_what_the_house_does_and_no_name_of_a_room() {
    let house = House::open().await;
    house.get("/api/rooms/a-secret-room").await;
    let page = house.get("/metrics").await;
    assert!(
        page.header("content-type")
            .starts_with("text/plain; version=0.0.4")
    );
    let page = page.text();
    for name in [
        "amphi_rooms 0",
        "amphi_members 0",
        "amphi_tracks 0",
        "amphi_packets_in_total 0",
        "amphi_packets_out_total 0",
        "amphi_packets_dropped_total{",
        "amphi_key_frame_requests_total{what=\"asked\"} 0",
        "amphi_parts_total 0",
        "amphi_viewers 0",
        "amphi_hls_blocked_requests 0",
        "amphi_bound_hit_total{bound=\"shard_queue\"} 0",
        "amphi_thread_cpu_seconds_total{thread=\"shard-0\"}",
        "process_resident_memory_bytes ",
        "amphi_http_requests_total{route=\"/api/rooms/{room}\",status=\"200\"} 1",
    ] {
        assert!(page.contains(name), "{name} in\n{page}");
    }
    assert!(!page.contains("a-secret-room"));
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (_, value) = line.rsplit_once(' ').expect("a name and a value");
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_house_that_stops_is_alive_and_not_ready() {
    let house = House::open().await;
    assert_eq!(house.get("/readyz").await.status, 200);
    house.server.app().drain();
    assert_eq!(house.get("/readyz").await.status, 503);
    assert_eq!(house.get("/healthz").await.status, 200);
    let good = token("hall", "ada").sign();
    let options = peer::net::Options::new(peer::Form::Single);
    let refused = peer::net::connect(&house.web_socket(), &good, &options)
        .await
        .err()
        .expect("nobody new");
    assert!(format!("{refused:#}").contains("503"), "{refused:#}");
}
