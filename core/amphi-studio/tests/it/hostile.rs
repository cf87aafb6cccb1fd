use amphi_media::{Codec, Frame, MediaKind, MediaTime, MemberId, Rid, Source, TrackId};
use amphi_studio::{Input, StageTrack};
use bytes::Bytes;

use crate::world::{World, level, picture};

fn frame(track: TrackId, codec: Codec, ticks: i64, data: Bytes) -> Frame {
    Frame {
        track,
        codec,
        rid: Rid::NONE,
        rung: 0,
        lower: 0,
        time: MediaTime::new(ticks, codec.clock_rate()),
        arrived: World::new().start,
        sender_time_us: None,
        key: true,
        contiguous: true,
        size: None,
        data,
    }
}

#[test]
fn frames_of_nobody_are_counted() {
    let mut world = World::new();
    let arrived = world.start;
    for codec in [Codec::Opus, Codec::H264, Codec::Vp8, Codec::Aac] {
        world.input(Input::Frame(Frame {
            arrived,
            ..frame(TrackId(99), codec, 0, Bytes::new())
        }));
    }
    assert_eq!(world.counters().frames_unknown, 4);
}

#[test]
fn times_from_the_ends_of_the_world_break_nothing_and_nobody_else() {
    let mut world = World::new();
    world.speaks(1, 450.0);
    world.shows(1, Codec::H264);
    let (voice, camera) = (world.speaks(2, 900.0), world.shows(2, Codec::H264));
    world.leave(voice);
    world.leave(camera);
    world.hears(2, Box::new(|_| 0.0));
    world.shows(2, Codec::H264);
    let times = [
        i64::MIN,
        i64::MIN + 1,
        -1,
        0,
        1,
        i64::MAX - 1,
        i64::MAX,
        1 << 40,
    ];
    for round in 0..300_usize {
        world.run_for(10);
        let ticks = times[round % times.len()];
        let sender = times[(round / 3) % times.len()];
        let sound = Frame {
            sender_time_us: Some(sender),
            ..frame(
                voice,
                Codec::Opus,
                ticks,
                crate::codecs::packet(&[0.1; 960]),
            )
        };
        let seen = Frame {
            sender_time_us: Some(sender),
            contiguous: round % 2 == 0,
            ..frame(camera, Codec::H264, ticks, picture(camera, 0, true, 1))
        };
        let at = world.now_us;
        world.send(at, sound);
        world.send(at, seen);
    }
    world.run_for(1_000);
    assert!(level(&world.sound_ms(2_000, 3_000), 450.0) > 0.1);
    let newest = world.pictures.last().expect("pictures").1.time.micros();
    assert!(
        newest < world.now_us + 300_000,
        "{newest} µs is not in the future"
    );
}

#[test]
fn malformed_data_is_counted_and_dropped() {
    let mut world = World::new();
    let (voice, camera) = (
        world.hears(1, Box::new(|_| 0.0)),
        world.shows(1, Codec::H264),
    );
    world.microphone(voice).on = false;
    world.camera(camera).on = false;
    let arrived = world.start;
    for data in [
        &[][..],
        &[0xff, 0],
        &[0x1b, 63],
        &[0, 0, 0, 1],
        &[0, 0, 1, 0x65, 1],
    ] {
        world.input(Input::Frame(Frame {
            arrived,
            ..frame(voice, Codec::Opus, 0, Bytes::copy_from_slice(data))
        }));
        world.input(Input::Frame(Frame {
            arrived,
            ..frame(camera, Codec::H264, 0, Bytes::copy_from_slice(data))
        }));
    }
    world.input(Input::Frame(Frame {
        arrived,
        ..frame(voice, Codec::Aac, 0, Bytes::from_static(b"x"))
    }));
    assert_eq!(world.counters().keys_unusable, 5);
    assert!(world.counters().packets_bad >= 4);
    world.run_for(1_000);
    assert!(world.pictures.is_empty());
}

#[test]
fn a_flood_of_tracks_packets_and_speakers_is_bounded() {
    let mut world = World::new();
    for number in 0..2_000 {
        let kind = if number % 2 == 0 {
            MediaKind::Audio
        } else {
            MediaKind::Video
        };
        world.input(Input::Track(StageTrack {
            track: TrackId(number),
            member: MemberId(u64::from(number)),
            member_name: "x\n".repeat(10_000),
            kind,
            source: Source::Unknown,
            codec: Some(Codec::Vp8),
            muted: false,
        }));
    }
    assert_eq!(world.counters().tracks_refused, 2_000 - 64 - 256);
    let note = world.notes.last().cloned().flatten().expect("a note");
    assert!(
        note.len() < 1_000 && !note.contains('\n'),
        "{} bytes",
        note.len()
    );
    let arrived = world.start;
    for number in 0..1_000 {
        let data = crate::codecs::packet(&[0.0; 960]);
        world.input(Input::Frame(Frame {
            arrived,
            ..frame(TrackId(0), Codec::Opus, number, data)
        }));
    }
    assert_eq!(world.counters().packets_overflow, 1_000 - 64);
    world.input(Input::Speakers(
        (0..100_000).map(|n| (TrackId(n), f32::NAN)).collect(),
    ));
    world.run_for(500);
}

#[test]
fn after_a_pause_of_the_machine_sound_catches_up_without_a_hole() {
    let mut world = World::new();
    world.speaks(1, 450.0);
    world.run_for(1_000);
    world.now_us += 30_000_000;
    world.run_for(2_000);
    // The world itself checks that there is no hole.
    assert!(world.sound.len() > 48 * 32_000);
    assert!(level(&world.sound_ms(31_500, 32_500), 450.0) > 0.1);
}
