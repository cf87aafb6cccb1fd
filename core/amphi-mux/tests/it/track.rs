//! Members' tracks as they were sent.

use std::time::Duration;

use amphi_media::{Codec, MediaTime, VideoSize};
use amphi_mux::recording::{About, HEADER_BYTES, Place, TrackFrame, TrackWriter, about, length};
use bytes::Bytes;
use mp4_atom::{Decode, Moof};
use proptest::prelude::*;

use crate::program::*;

/// A fragment: when it begins, and how long each of its samples lasts, in milliseconds.
type Fragment = (i64, Vec<i64>);

/// A file that may fail to take a write.
#[derive(Default)]
pub struct File {
    pub bytes: Vec<u8>,
    writes: u32,
    failing: Option<u32>,
}

impl File {
    pub fn take(&mut self, writer: &mut TrackWriter) {
        while let Some(chunk) = writer.poll() {
            self.writes += 1;
            if self.failing == Some(self.writes) {
                writer.lost(&chunk);
                return;
            }
            match chunk.place {
                Place::Header => {
                    assert_eq!(chunk.bytes.len(), HEADER_BYTES);
                    self.bytes.resize(self.bytes.len().max(HEADER_BYTES), 0);
                    self.bytes[..HEADER_BYTES].copy_from_slice(&chunk.bytes);
                }
                Place::Append => self.bytes.extend_from_slice(&chunk.bytes),
            }
        }
    }

    fn fragments(&self, rate: i64) -> Vec<Fragment> {
        let mut rest = self.bytes.get(HEADER_BYTES..).unwrap_or_default();
        let mut found = Vec::new();
        while !rest.is_empty() {
            let moof = Moof::decode(&mut rest).expect("a moof");
            let size = u32::from_be_bytes(rest[..4].try_into().expect("a box"));
            assert_eq!(&rest[4..8], b"mdat");
            rest = &rest[size as usize..];
            let traf = &moof.traf[0];
            let time = traf.tfdt.as_ref().expect("a time").base_media_decode_time;
            let lasts = traf.trun[0].samples.iter();
            let lasts =
                lasts.map(|sample| i64::from(sample.duration.expect("said")) * 1_000 / rate);
            found.push((
                i64::try_from(time).expect("small") * 1_000 / rate,
                lasts.collect(),
            ));
        }
        found
    }
}

pub fn frame(ms: i64, key: bool, data: impl Into<Bytes>) -> TrackFrame {
    TrackFrame {
        time: MediaTime::new(ms, 1_000),
        key,
        contiguous: true,
        size: None,
        data: data.into(),
    }
}

/// 20 ms of something (RFC 6716 §3.1).
fn packet(ms: i64) -> TrackFrame {
    frame(ms, true, vec![0xfc; 50])
}

/// 640×360 (RFC 6386 §9.1).
fn vp8(ms: i64, key: bool) -> TrackFrame {
    let data = match key {
        true => vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01, 9],
        false => vec![0x11, 1, 2, 3],
    };
    frame(ms, key, data)
}

fn written(codec: Codec, frames: &[TrackFrame]) -> (File, TrackWriter) {
    let mut writer = TrackWriter::new(codec, b"whose").expect("it is carried");
    let mut file = File::default();
    for frame in frames {
        writer.push(frame);
        file.take(&mut writer);
    }
    writer.flush();
    file.take(&mut writer);
    (file, writer)
}

#[test]
fn a_length_is_to_the_last_whole_fragment_however_long_the_file_and_whatever_its_media_reads_like()
{
    let mut packets: Vec<_> = (0..3_000).map(|n| packet(70_000 + n * 20)).collect();
    for packet in &mut packets {
        // Media that reads like the beginning of a fragment, and is none.
        let mut data = packet.data.to_vec();
        data.extend(b"\0\0\0\x10moof\0\0\0\x08mdat");
        data.resize(900, 0);
        packet.data = data.into();
    }
    let (file, _) = written(Codec::Opus, &packets);
    let bytes = &file.bytes;
    assert!(bytes.len() > 2_000_000);
    assert_eq!(length(&bytes[..]), Some(Duration::from_secs(60)));
    let torn = bytes.len() - 10;
    assert_eq!(length(&bytes[..torn]), Some(Duration::from_millis(59_800)));
    assert_eq!(length(&bytes[..HEADER_BYTES]), None);
    assert_eq!(length(&[][..]), None);
}

#[test]
fn a_file_begins_at_zero_and_tells_when_that_was_and_whose_it_is() {
    let packets: Vec<_> = (0..30).map(|n| packet(70_000 + n * 20)).collect();
    let (file, writer) = written(Codec::Opus, &packets);
    let fragments = file.fragments(48_000);
    assert_eq!(fragments[0], (0, vec![20; 10]));
    assert_eq!(fragments.len(), 3);
    assert_eq!(writer.counters().frames, 30);
    let told = about(&file.bytes[..]).expect("it tells");
    let expected = About {
        begin_us: 70_000_000,
        note: b"whose".to_vec(),
    };
    assert_eq!(told, expected);
    assert_eq!(length(&file.bytes[..]), Some(Duration::from_millis(600)));
    assert_eq!(about(&file.bytes[..100]), None);
    assert_eq!(about(&[0; 64][..]), None);
}

#[test]
fn a_pause_is_a_jump_of_times_and_no_long_sample() {
    let sound: Vec<_> = [0, 20, 40, 5_000, 5_020].map(packet).into();
    let (file, _) = written(Codec::Opus, &sound);
    assert_eq!(
        file.fragments(48_000),
        [(0, vec![20, 20, 20]), (5_000, vec![20, 20])]
    );
    let picture = [vp8(0, true), vp8(40, false), vp8(9_000, false)];
    let (file, _) = written(Codec::Vp8, &picture);
    assert_eq!(
        file.fragments(90_000),
        [(0, vec![40, 33]), (9_000, vec![33])]
    );
}

#[test]
fn a_slow_picture_lasts_until_the_next_one() {
    let picture = [vp8(0, true), vp8(1_000, false), vp8(1_100, false)];
    let (file, _) = written(Codec::Vp8, &picture);
    assert_eq!(
        file.fragments(90_000),
        [(0, vec![1_000]), (1_000, vec![100, 33])]
    );
}

#[test]
fn nothing_is_written_that_a_decoder_cannot_begin_with() {
    let lost = TrackFrame {
        contiguous: false,
        ..vp8(100, false)
    };
    let pictures = [
        vp8(0, false),
        vp8(40, true),
        vp8(80, false),
        lost,
        vp8(120, false),
        vp8(160, true),
    ];
    let (file, writer) = written(Codec::Vp8, &pictures);
    assert_eq!(file.fragments(90_000), [(0, vec![40, 80, 33])]);
    assert_eq!(writer.counters().frames_left_out, 3);
    for (codec, data) in [
        (Codec::Vp8, Bytes::from_static(&[0x10, 0, 0])),
        (Codec::Vp9, Bytes::from_static(&[0x82])),
        (Codec::Av1, Bytes::from_static(&[0x32, 1, 0x10])),
        (Codec::Av1, long_sequence_header()),
        (Codec::H264, Bytes::from_static(&[0, 0, 0, 1, 0x65, 1, 2])),
        (Codec::H264, Bytes::new()),
        (Codec::Opus, Bytes::from_static(&[0xff, 0])),
    ] {
        let (file, writer) = written(codec, &[frame(0, true, data)]);
        assert_eq!((file.bytes.len(), writer.counters().frames), (0, 0));
        assert_eq!(writer.counters().frames_left_out, 1);
    }
    assert!(TrackWriter::new(Codec::Aac, b"").is_none());
}

#[test]
fn times_that_stand_still_or_go_back_are_passed_on_in_order() {
    let (file, writer) = written(Codec::Opus, &[1_000, 1_020, 1_020, 0, 1_040].map(packet));
    let fragments = file.fragments(48_000);
    let counters = writer.counters();
    assert_eq!((counters.frames, counters.frames_left_out), (4, 1));
    let mut until = 0;
    for (begin, lasts) in fragments {
        assert!(begin >= until, "{begin} is not before {until}");
        until = begin + lasts.iter().sum::<i64>();
    }
}

/// Two publishers whose clocks are a hundredth off, fast and slow.
#[test]
fn sound_follows_without_holes_and_stays_near_the_programme_clock() {
    for (step_us, holes) in [(19_800, 0), (20_200, 4)] {
        let packets: Vec<_> = (0..1_000)
            .map(|n| TrackFrame {
                time: MediaTime::new(n * step_us, 1_000_000),
                ..packet(0)
            })
            .collect();
        let (file, writer) = written(Codec::Opus, &packets);
        let fragments = file.fragments(48_000);
        let mut jumps = 0;
        let mut until = 0;
        for (begin, lasts) in &fragments {
            jumps += usize::from(*begin > until + 1);
            until = begin + lasts.iter().sum::<i64>();
        }
        assert_eq!(jumps, holes, "{step_us}");
        assert!((until - 1_000 * step_us / 1_000).abs() <= 61, "{until}");
        assert_eq!(writer.counters().frames_left_out > 0, holes == 0);
    }
}

/// Every write fails once, on its own.
#[test]
fn whichever_write_fails_what_is_in_the_file_is_whole_and_goes_on_at_a_key_frame() {
    let pictures: Vec<_> = (0..90).map(|n| vp8(n * 40, n % 20 == 0)).collect();
    let (whole, _) = written(Codec::Vp8, &pictures);
    for failing in 1..=whole.writes {
        let mut writer = TrackWriter::new(Codec::Vp8, b"").expect("it is carried");
        let mut file = File {
            failing: Some(failing),
            ..File::default()
        };
        for picture in &pictures {
            writer.push(picture);
            file.take(&mut writer);
        }
        writer.flush();
        file.take(&mut writer);
        let fragments = file.fragments(90_000);
        assert!(about(&file.bytes[..]).is_some(), "write {failing}");
        let frames: usize = fragments.iter().map(|(_, lasts)| lasts.len()).sum();
        assert!((60..90).contains(&frames), "write {failing}: {frames}");
    }
}

#[test]
fn size_and_profile_of_vp9_are_in_the_header() {
    let key = TrackFrame {
        size: Some(VideoSize::new(320, 180)),
        // frame_marker 2, profile 1 (its low bit first).
        ..frame(0, true, vec![0b1010_0010, 0x49, 0x83, 0x42])
    };
    let (file, _) = written(Codec::Vp9, &[key]);
    let at = file.bytes.windows(4).position(|four| four == b"vpcC");
    let at = at.expect("a vpcC");
    assert_eq!(file.bytes[at + 8], 1, "the profile");
}

/// Nobody's header is as long as that.
fn long_sequence_header() -> Bytes {
    [
        &[0x0a, 0x8b, 0x04],
        AV1_SEQUENCE,
        &[0; 512],
        &[0x32, 1, 0x10],
    ]
    .concat()
    .into()
}

/// libaom's for 320 × 180.
const AV1_SEQUENCE: &[u8] = &[
    0x00, 0x00, 0x00, 0x04, 0x3c, 0xfe, 0xcc, 0xda, 0xf9, 0x00, 0x40,
];

#[test]
fn the_sequence_header_of_av1_is_in_the_files_header() {
    let unit = [&[0x0a, 11], AV1_SEQUENCE].concat();
    let key = frame(0, true, [&unit[..], &[0x32, 1, 0x10]].concat());
    let (file, _) = written(Codec::Av1, &[key]);
    let at = file.bytes.windows(4).position(|four| four == b"av1C");
    let at = at.expect("an av1C") + 4;
    // Version, profile 0 and level 2.0, 4:2:0, no delay told.
    assert_eq!(file.bytes[at..at + 4], [0x81, 0x00, 0x0c, 0x00]);
    assert_eq!(file.bytes[at + 4..at + 4 + unit.len()], unit);
}

proptest! {
    #[test]
    fn no_frames_break_it(frames in prop::collection::vec(
        (any::<i32>(), any::<bool>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..40)), 0..60,
    )) {
        for codec in [Codec::Opus, Codec::H264, Codec::Vp8, Codec::Vp9, Codec::Av1] {
            let mut writer = TrackWriter::new(codec, b"x").expect("it is carried");
            let mut file = File::default();
            for (ms, key, contiguous, data) in &frames {
                let size = Some(VideoSize::new(u32::from(*key) * 16, 16));
                writer.push(&TrackFrame { contiguous: *contiguous, size, ..frame((*ms).into(), *key, data.clone()) });
                file.take(&mut writer);
            }
            writer.flush();
            file.take(&mut writer);
            let kept = writer.counters().frames + writer.counters().frames_left_out;
            prop_assert_eq!(kept, frames.len() as u64);
            file.fragments(1_000);
        }
    }
}

/// For `tools`: a film in H.264 as a member's track.
pub fn film() -> Vec<u8> {
    let shot = shot(CAMERA, 0.0, 30.0, 90);
    let frames: Vec<_> = shot
        .iter()
        .map(|sample| TrackFrame {
            time: sample.time,
            ..frame(0, sample.key, sample.data.clone())
        })
        .collect();
    written(Codec::H264, &frames).0.bytes
}
