//! The waiting, in made-up time, with broadcasts that the real packager makes.

use super::*;
use amphi_media::{Bitrate, MediaKind, MediaTime, Sample, VideoSize};
use amphi_mux::{Packager, PackagerConfig};
use amphi_studio::canvas::{Canvas, Colour};
use amphi_studio::{Encoded, EncoderConfig, VideoEncoder};

const LIMITS: Limits = Limits {
    broadcasts: 2,
    broadcast_bytes: 1 << 20,
    blocked_requests: 3,
    dvr: None,
    thumbnails: None,
};

fn config(epoch: u64) -> WindowConfig {
    let now_ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_millis();
    WindowConfig::new(
        epoch,
        i64::try_from(now_ms).expect("before the year 292 million"),
    )
}

/// A broadcast of sound alone, made by the real packager.
struct Show {
    origin: Arc<Origin>,
    packager: Packager,
    ticks: i64,
}

impl Show {
    fn begin(config: WindowConfig) -> Self {
        let origin = Arc::new(Origin::new(LIMITS));
        origin.begin("hall", config);
        // AAC-LC, 48 kHz, stereo (ISO/IEC 14496-3 §1.6.2.1).
        let mut packing = PackagerConfig::new(vec![0x11, 0x90]);
        packing.video_wait = Duration::ZERO;
        Self {
            origin,
            packager: Packager::new(packing),
            ticks: 0,
        }
    }

    fn play_parts(&mut self, parts: usize) {
        let mut out = 0;
        while out < parts {
            self.packager.push(&Sample {
                kind: MediaKind::Audio,
                rung: 0,
                time: MediaTime::new(self.ticks, 48_000),
                key: true,
                cut: false,
                data: Bytes::from_static(&[0x21; 64]),
            });
            self.ticks += 1_024;
            assert!(self.ticks < 100_000_000, "the packager puts parts out");
            while let Some(output) = self.packager.poll() {
                out += usize::from(matches!(output, Output::Part(_)));
                self.origin.push("hall", &output);
            }
        }
    }
}

/// A broadcast of pictures at two sizes and sound.
struct Film {
    origin: Arc<Origin>,
    packager: Packager,
    /// A key frame and what follows it, of each size.
    rungs: [[Bytes; 2]; 2],
    pictures: i64,
    units: i64,
}

impl Film {
    fn begin() -> Self {
        let origin = Arc::new(Origin::new(LIMITS));
        origin.begin("hall", config(7));
        let rungs = [VideoSize::new(128, 72), VideoSize::new(64, 36)].map(|size| {
            let mut encoder = video_codec::H264Encoder::new(&EncoderConfig {
                size,
                frames_per_second: 30,
                bitrate: Bitrate(100_000),
            })
            .expect("an encoder");
            [true, false].map(|key| {
                let canvas = Canvas::new(size, Colour::BLACK);
                let time = MediaTime::new(i64::from(!key), 30);
                match encoder.encode(&canvas, time, key).expect("a picture") {
                    Encoded::Now(coded) => coded.data,
                    other => panic!("{other:?}"),
                }
            })
        });
        Self {
            origin,
            packager: Packager::new(PackagerConfig::new(vec![0x11, 0x90])),
            rungs,
            pictures: 0,
            units: 0,
        }
    }

    /// So many of these sizes, from the largest on, with their sound; a key frame every two seconds.
    fn play(&mut self, pictures: i64, sizes: u8) {
        for _ in 0..pictures {
            let number = self.pictures;
            self.pictures += 1;
            let key = number % 60 == 0;
            for rung in 0..sizes {
                self.push(&Sample {
                    kind: MediaKind::Video,
                    rung,
                    time: MediaTime::new(number * 3_000, 90_000),
                    key,
                    cut: false,
                    data: self.rungs[usize::from(rung)][usize::from(!key)].clone(),
                });
            }
            while self.units * 1_024 * 30 < (number + 1) * 48_000 {
                self.units += 1;
                self.push(&Sample {
                    kind: MediaKind::Audio,
                    rung: 0,
                    time: MediaTime::new((self.units - 1) * 1_024, 48_000),
                    key: true,
                    cut: false,
                    data: Bytes::from_static(&[0x21; 64]),
                });
            }
        }
    }

    fn push(&mut self, sample: &Sample) {
        self.packager.push(sample);
        while let Some(output) = self.packager.poll() {
            self.origin.push("hall", &output);
        }
    }

    /// Somebody who asks for `index.m3u8`, and has had the time to be answered.
    async fn ask(&self) -> tokio::task::JoinHandle<Result<Playlist, Missing>> {
        let origin = self.origin.clone();
        let asking = tokio::spawn(async move {
            origin
                .multivariant("hall", Index::default(), Coming::No)
                .await
        });
        tokio::time::sleep(Duration::from_millis(10)).await;
        asking
    }
}

#[tokio::test(start_paused = true)]
async fn in_the_first_moments_who_asks_what_there_is_waits_for_all_sizes() {
    let mut film = Film::begin();
    film.origin.expect("hall", 2);
    // The smaller one has no key frame before the second segment.
    film.play(40, 1);
    let asking = film.ask().await;
    assert!(!asking.is_finished());
    assert_eq!(film.origin.stats().blocked, 1);
    film.play(50, 2);
    let index = text(asking.await.expect("no panic"));
    assert!(index.contains("RESOLUTION=64x36"), "{index}");
    let stats = film.origin.stats();
    assert_eq!((stats.blocked, stats.ladders_short), (0, 0));
    // Later on a size that leaves keeps nobody waiting.
    film.origin.expect("hall", 3);
    assert!(film.ask().await.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_size_that_does_not_come_is_not_waited_for_longer_than_two_seconds() {
    let mut film = Film::begin();
    film.origin.expect("hall", 2);
    film.play(40, 1);
    let asking = film.ask().await;
    tokio::time::sleep(LADDER_WAIT_MAX / 2).await;
    film.play(20, 1);
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(!asking.is_finished());
    // Nor for another part.
    tokio::time::sleep(LADDER_WAIT_MAX / 2).await;
    assert!(asking.is_finished());
    let index = text(asking.await.expect("no panic"));
    assert!(index.contains("RESOLUTION=128x72"), "{index}");
    assert!(film.ask().await.is_finished());
    assert_eq!(film.origin.stats().ladders_short, 1);
}

#[tokio::test(start_paused = true)]
async fn a_camera_that_comes_after_an_hour_of_sound_has_first_moments_too() {
    let mut film = Film::begin();
    film.play(300, 0);
    assert!(film.ask().await.is_finished(), "sound alone");
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    film.origin.expect("hall", 2);
    film.play(40, 1);
    let asking = film.ask().await;
    assert!(!asking.is_finished());
    film.play(50, 2);
    let index = text(asking.await.expect("no panic"));
    assert!(index.contains("RESOLUTION=64x36"), "{index}");
    // When it has gone again, nobody waits for it.
    film.origin.expect("hall", 0);
    assert!(film.ask().await.is_finished());
    assert_eq!(film.origin.stats().ladders_short, 0);
}

#[tokio::test(start_paused = true)]
async fn one_size_is_not_waited_for() {
    let mut film = Film::begin();
    film.play(40, 1);
    assert!(film.ask().await.is_finished(), "nothing is expected");
    film.origin.expect("hall", 1);
    assert!(film.ask().await.is_finished());
    assert_eq!(film.origin.stats().ladders_short, 0);
}

fn on_air() -> Show {
    Show::begin(config(7))
}

fn text(playlist: Result<Playlist, Missing>) -> String {
    String::from_utf8(playlist.expect("a playlist").body.to_vec()).expect("text")
}

#[tokio::test(start_paused = true)]
async fn a_room_that_is_not_on_air_has_nothing() {
    let origin = Origin::new(LIMITS);
    assert_eq!(
        origin
            .multivariant("hall", Index::default(), Coming::No)
            .await
            .err(),
        Some(Missing::NotOnAir)
    );
    assert_eq!(
        origin.media("hall", "v7-0-init.mp4").await.err(),
        Some(Missing::NotOnAir)
    );
    assert_eq!(
        (
            origin.audience("hall").viewers,
            origin.seconds_behind("hall")
        ),
        (0, None)
    );
}

#[tokio::test(start_paused = true)]
async fn each_multivariant_playlist_has_its_own_ticket() {
    let mut show = on_air();
    show.play_parts(1);
    let origin = show.origin.clone();
    let (first, second) = (
        text(
            origin
                .multivariant("hall", Index::default(), Coming::No)
                .await,
        ),
        text(
            origin
                .multivariant("hall", Index::default(), Coming::No)
                .await,
        ),
    );
    assert!(first.contains("audio.m3u8?v="), "{first}");
    assert_ne!(first, second);
}

#[tokio::test(start_paused = true)]
async fn who_is_on_stage_and_looks_at_what_the_audience_sees_is_not_counted() {
    let mut show = on_air();
    show.play_parts(1);
    let origin = show.origin.clone();
    let playlist = text(
        origin
            .multivariant(
                "hall",
                Index {
                    ticket: Some(ON_STAGE),
                    ..Index::default()
                },
                Coming::No,
            )
            .await,
    );
    assert!(playlist.contains("audio.m3u8?v=stage"), "{playlist}");
    let saw = |ticket: &str| {
        origin.saw_viewer("hall", Rendition::Audio, Some(ticket), None, "a browser");
        origin.audience("hall").viewers
    };
    assert_eq!((saw(ON_STAGE), saw("whatever")), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_request_for_the_next_part_is_answered_when_it_comes() {
    let mut show = on_air();
    show.play_parts(2);
    let origin = show.origin.clone();
    let waiting = {
        let origin = origin.clone();
        tokio::spawn(async move {
            origin
                .playlist("hall", Rendition::Audio, Some((0, Some(2))), Form::Whole)
                .await
        })
    };
    let hinted = {
        let origin = origin.clone();
        tokio::spawn(async move { origin.media("hall", "a7-0.2.m4s").await })
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(origin.stats().blocked, 2);
    assert!(!waiting.is_finished() && !hinted.is_finished());
    show.play_parts(1);
    let playlist = text(waiting.await.expect("no panic"));
    assert!(playlist.contains("a7-0.2.m4s\""), "{playlist}");
    let media = hinted.await.expect("no panic").expect("a part");
    assert_eq!(media.0.get(4..8), Some(&b"moof"[..]));
    assert_eq!(
        (origin.stats().blocked, origin.stats().blocked_total),
        (0, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn a_part_that_never_comes_is_refused_within_three_target_durations() {
    let mut show = on_air();
    show.play_parts(2);
    let origin = show.origin.clone();
    let start = tokio::time::Instant::now();
    let late = origin
        .playlist("hall", Rendition::Audio, Some((0, Some(2))), Form::Whole)
        .await;
    assert_eq!(late.err(), Some(Missing::Late));
    assert_eq!(start.elapsed(), Duration::from_secs(12));
    assert_eq!(origin.media("hall", "a7-0.2.m4s").await, Err(Missing::Late));
    assert_eq!(
        (origin.stats().blocked, origin.stats().blocked_late),
        (0, 2)
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_too_far_ahead_is_refused_at_once() {
    let mut show = on_air();
    show.play_parts(2);
    let origin = show.origin.clone();
    let start = tokio::time::Instant::now();
    assert_eq!(
        origin
            .playlist("hall", Rendition::Audio, Some((9, None)), Form::Whole)
            .await
            .err(),
        Some(Missing::TooFar)
    );
    assert_eq!(
        origin.media("hall", "a7-9.0.m4s").await,
        Err(Missing::Unknown)
    );
    assert_eq!(origin.media("hall", "a6-0.0.m4s").await, Err(Missing::Gone));
    assert_eq!(
        origin.media("hall", "../amphi.db").await,
        Err(Missing::Unknown)
    );
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(origin.stats().too_far, 1);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_requests_wait() {
    let mut show = on_air();
    show.play_parts(2);
    let origin = show.origin.clone();
    let ask = || {
        let origin = origin.clone();
        tokio::spawn(async move {
            origin
                .playlist("hall", Rendition::Audio, Some((0, Some(2))), Form::Whole)
                .await
                .err()
        })
    };
    let waiting = [ask(), ask(), ask()];
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(ask().await.expect("no panic"), Some(Missing::Busy));
    assert_eq!(origin.stats().blocked_refused, 1);
    show.play_parts(1);
    for request in waiting {
        assert_eq!(request.await.expect("no panic"), None);
    }
    assert_eq!(ask().await.expect("no panic"), None);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_no_longer_counts_as_waiting() {
    let mut show = on_air();
    show.play_parts(2);
    let origin = show.origin.clone();
    let given_up = tokio::time::timeout(
        Duration::from_secs(1),
        origin.playlist("hall", Rendition::Audio, Some((0, Some(2))), Form::Whole),
    );
    assert!(given_up.await.is_err());
    assert_eq!(origin.stats().blocked, 0);
}

#[tokio::test(start_paused = true)]
async fn an_ended_broadcast_says_so_to_who_waits_and_to_who_comes() {
    let mut show = on_air();
    show.play_parts(2);
    let origin = show.origin.clone();
    let waiting = {
        let origin = origin.clone();
        tokio::spawn(async move {
            origin
                .playlist("hall", Rendition::Audio, Some((0, Some(2))), Form::Whole)
                .await
        })
    };
    tokio::time::sleep(Duration::from_millis(1)).await;
    origin.end("hall");
    assert!(text(waiting.await.expect("no panic")).contains("#EXT-X-ENDLIST"));
    assert!(
        text(
            origin
                .playlist("hall", Rendition::Audio, None, Form::Whole)
                .await
        )
        .contains("#EXT-X-ENDLIST")
    );
    assert_eq!(origin.seconds_behind("hall"), None);
    origin.sweep();
    assert!(
        origin
            .playlist("hall", Rendition::Audio, None, Form::Whole)
            .await
            .is_ok(),
        "within the minute"
    );
}

#[tokio::test(start_paused = true)]
async fn who_waits_goes_on_with_the_next_broadcast() {
    let mut show = on_air();
    show.play_parts(2);
    let origin = show.origin.clone();
    let waiting = {
        let origin = origin.clone();
        tokio::spawn(async move { origin.media("hall", "a7-0.2.m4s").await })
    };
    tokio::time::sleep(Duration::from_millis(1)).await;
    origin.begin("hall", config(8));
    assert_eq!(waiting.await.expect("no panic"), Err(Missing::Gone));
}

#[tokio::test(start_paused = true)]
async fn who_comes_before_the_broadcast_begins_gets_its_first_playlist_and_not_the_last_one() {
    let mut old = on_air();
    old.play_parts(1);
    let origin = old.origin.clone();
    origin.end("hall");
    let early = {
        let origin = origin.clone();
        tokio::spawn(async move {
            origin
                .multivariant("hall", Index::default(), Coming::Yes)
                .await
        })
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!early.is_finished());
    origin.begin("hall", config(8));
    let mut packing = PackagerConfig::new(vec![0x11, 0x90]);
    packing.video_wait = Duration::ZERO;
    let mut show = Show {
        origin: origin.clone(),
        packager: Packager::new(packing),
        ticks: 0,
    };
    show.play_parts(1);
    assert!(text(early.await.expect("no panic")).contains("audio.m3u8?v="));
    assert_eq!(
        origin
            .multivariant("cellar", Index::default(), Coming::Yes)
            .await
            .err(),
        Some(Missing::Late)
    );
}

#[tokio::test(start_paused = true)]
async fn a_full_origin_makes_room_by_what_is_over_and_refuses_else() {
    let origin = on_air().origin;
    origin.begin("cellar", config(8));
    origin.begin("attic", config(9));
    assert_eq!(origin.stats().broadcasts_refused, 1);
    assert_eq!(
        origin
            .multivariant("attic", Index::default(), Coming::No)
            .await
            .err(),
        Some(Missing::NotOnAir)
    );
    origin.end("hall");
    origin.begin("attic", config(10));
    assert_eq!(
        origin
            .multivariant("hall", Index::default(), Coming::No)
            .await
            .err(),
        Some(Missing::NotOnAir)
    );
    assert_eq!(
        origin
            .multivariant("attic", Index::default(), Coming::No)
            .await
            .err(),
        Some(Missing::Late)
    );
}

#[test]
fn a_viewer_is_behind_by_the_age_of_the_newest_part_and_the_hold_back() {
    let now_ms = i64::try_from(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_millis(),
    )
    .expect("fits");
    let mut show = Show::begin(WindowConfig::new(7, now_ms - 2_000));
    assert_eq!(show.origin.seconds_behind("hall"), None);
    show.play_parts(3);
    // The third part ends at 1.024 s, 0.976 s ago; what the playlist says is 3.4 parts of 334 ms.
    let playlist = show.origin.channel("hall").expect("on air");
    let playlist = playlist.window().playlist(Rendition::Audio);
    let playlist = String::from_utf8(playlist.expect("a playlist").to_vec()).expect("text");
    assert!(playlist.contains("PART-HOLD-BACK=1.136,"), "{playlist}");
    let behind = show.origin.seconds_behind("hall").expect("on air");
    assert!((2.1..3.1).contains(&behind), "{behind}");
}

#[test]
fn a_playlist_is_packed_once_for_all() {
    let mut show = on_air();
    show.play_parts(1);
    let origin = show.origin.clone();
    let channel = origin.channel("hall").expect("on air");
    let body = channel
        .window()
        .playlist(Rendition::Audio)
        .expect("a playlist");
    let [first, second] =
        [0; 2].map(|_| channel.packed(Rendition::Audio, Form::Whole, body.clone()));
    assert_eq!(first.tag, second.tag);
    assert_eq!(
        first.packed.expect("packed").as_ptr(),
        second.packed.expect("packed").as_ptr()
    );
}
