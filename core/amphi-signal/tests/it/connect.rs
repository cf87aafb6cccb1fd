//! Traps 2, 3 and 6: how a client arrives.

use amphi_policy::{Action, Refusal};
use amphi_signal::ConnectError;

use super::*;

fn parse(path: Path, query: &[(&str, &str)]) -> Result<Connect, ConnectError> {
    Connect::parse(path, query.iter().copied())
}

#[test]
fn a_join_request_is_read_gzipped_or_not_and_padded_or_not() {
    // Metadata of three lengths asks for no, one and two characters of padding.
    for filler in ["", "x", "xx"] {
        let request = proto::JoinRequest {
            metadata: filler.into(),
            ..request_with_offer(1)
        };
        for (gzip, pad) in [(false, false), (false, true), (true, false), (true, true)] {
            let encoded = encoded(&request, gzip, pad);
            let connect = parse(Path::V1, &[("join_request", &encoded)]).expect("readable");
            assert_eq!(connect.form, Form::Single);
            let join = connect.join(&claims("ada")).expect("may enter");
            assert_eq!(join.offer.map(|offer| offer.id), Some(1));
            assert!(join.auto_subscribe && join.resume.is_none());
        }
    }
}

#[test]
fn the_token_is_in_the_query_for_browsers_and_elsewhere_for_others() {
    let encoded = encoded(&request_with_offer(1), true, true);
    let with = parse(
        Path::V1,
        &[("access_token", "abc"), ("join_request", &encoded)],
    )
    .expect("readable");
    assert_eq!(with.token.as_deref(), Some("abc"));
    assert_eq!(
        parse(Path::V1, &[("join_request", &encoded)])
            .expect("readable")
            .token,
        None
    );
}

#[test]
fn the_older_address_carries_everything_in_the_query() {
    let query = [
        ("access_token", "abc"),
        ("sdk", "js"),
        ("version", "2.23.0"),
        ("protocol", "16"),
        ("client_protocol", "1"),
        ("auto_subscribe", "0"),
        ("os", "Linux"),
    ];
    let join = parse(Path::V0, &query)
        .expect("readable")
        .join(&claims("ada"))
        .expect("may enter");
    assert_eq!(
        (join.form, join.auto_subscribe, join.client.protocol),
        (Form::Dual, false, 16)
    );
    assert_eq!(join.client.sdk, i32::from(proto::client_info::Sdk::Js));
    let plain = parse(Path::V0, &[])
        .expect("readable")
        .join(&claims("ada"))
        .expect("may enter");
    assert!(
        plain.auto_subscribe,
        "subscribing is on where it is not said"
    );
    let resume = parse(Path::V0, &[("reconnect", "1"), ("sid", "PA_x")]).expect("readable");
    assert!(resume.resumes());
    assert_eq!(
        resume
            .join(&claims("ada"))
            .expect("may enter")
            .resume
            .as_deref(),
        Some("PA_x")
    );
}

#[test]
fn every_unreadable_join_request_is_refused_in_words() {
    let wrap = |compression: i32, join_request: Vec<u8>| {
        URL_SAFE.encode(
            proto::WrappedJoinRequest {
                compression,
                join_request,
            }
            .encode_to_vec(),
        )
    };
    let bomb = {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder
            .write_all(&vec![0; 20 * 1024 * 1024])
            .expect("into memory");
        encoder.finish().expect("into memory")
    };
    assert!(bomb.len() < 64 * 1024);
    let check = |value: &str, reason: ConnectError| {
        assert_eq!(
            parse(Path::V1, &[("join_request", value)]).map(|_| ()),
            Err(reason)
        );
    };
    check("", ConnectError::Missing);
    check("%%%", ConnectError::Base64);
    check("____", ConnectError::Wrapped);
    check(
        &"A".repeat(64 * 1024 + 1),
        ConnectError::TooLong(64 * 1024 + 1),
    );
    check(&wrap(7, Vec::new()), ConnectError::Compression);
    check(&wrap(1, b"not gzip".to_vec()), ConnectError::Gzip);
    check(&wrap(1, bomb), ConnectError::TooLarge);
    check(&wrap(0, vec![0xff; 9]), ConnectError::Request);
    assert_eq!(parse(Path::V1, &[]).map(|_| ()), Err(ConnectError::Missing));
    assert_eq!(
        parse(Path::V0, &[("sid", &"x".repeat(300))]).map(|_| ()),
        Err(ConnectError::Value("sid"))
    );
    assert!(ConnectError::Gzip.to_string().contains("gunzipped"));
}

#[test]
fn a_token_that_may_not_enter_is_refused_at_the_door() {
    let connect = || parse(Path::V0, &[]).expect("readable");
    let no_join = Claims {
        video: Some(VideoGrant {
            room_join: false,
            ..video_grant()
        }),
        ..claims("ada")
    };
    let nowhere = Claims {
        video: Some(VideoGrant {
            room: None,
            ..video_grant()
        }),
        ..claims("ada")
    };
    for claims in [no_join, nowhere] {
        assert_eq!(
            connect().join(&claims).map(|_| ()),
            Err(Refusal {
                action: Action::Enter
            })
        );
    }
}

#[test]
fn what_a_client_says_of_itself_counts_only_with_the_grant_to_say_it() {
    let request = proto::JoinRequest {
        metadata: "mine".into(),
        participant_attributes: [("hand".to_owned(), "up".to_owned())].into(),
        ..request_with_offer(1)
    };
    let may = join_with(&request, &claims("ada")).joining;
    assert_eq!((may.metadata.as_str(), may.attributes.len()), ("mine", 1));
    let video = VideoGrant {
        can_update_own_metadata: None,
        ..video_grant()
    };
    let token = Claims {
        metadata: "the token's".into(),
        video: Some(video),
        ..claims("ada")
    };
    let may_not = join_with(&request, &token).joining;
    assert_eq!(
        (may_not.metadata.as_str(), may_not.attributes.len()),
        ("the token's", 0)
    );
}
