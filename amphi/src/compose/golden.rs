//! What composed pictures look like, held against pictures that somebody looked at and kept: `amphi/tests/golden`.
//!
//! After a change that is meant to be seen: `AMPHI_GOLDEN=keep cargo test -p amphi --lib golden`, look at them, commit them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use amphi_media::{
    Bitrate, CameraFit, Codec, Layout, MediaKind, MediaTime, MemberId, Source, TrackId, VideoSize,
};
use amphi_studio::canvas::{Canvas, Colour, Picture};
use amphi_studio::composer::{Composer, Described, Input, Look, Rung};
use amphi_studio::lettering::Image;
use amphi_studio::{CodecError, Coded, Encoded, VideoCodecs, VideoDecoder, VideoEncoder};
use bytes::Bytes;

use super::lettering::Letters;

const CANVAS: VideoSize = VideoSize {
    width: 640,
    height: 360,
};

/// So far may a sample be from the one that was kept: other processors round otherwise.
const SLACK: u8 = 3;

/// A frame that says how its picture looks: its size, and how bright it is.
struct Painted;

impl VideoDecoder for Painted {
    fn decode(
        &mut self,
        data: &[u8],
        show: &mut dyn FnMut(&Picture<'_>),
    ) -> Result<(), CodecError> {
        let &[a, b, c, d, shade] = data else {
            return Err(CodecError("no painted frame".to_owned()));
        };
        let size = VideoSize::new(
            u16::from_be_bytes([a, b]).into(),
            u16::from_be_bytes([c, d]).into(),
        );
        let (width, height) = (size.width as usize, size.height as usize);
        // Brighter to the right, warmer downwards, so that what is cropped, scaled and turned is seen.
        let luma: Vec<u8> = (0..width * height)
            .map(|at| (40 + at % width * 120 / width + usize::from(shade)) as u8)
            .collect();
        let half = (width / 2) * (height / 2);
        let blue: Vec<u8> = (0..half)
            .map(|at| (150 - at / (width / 2) * 60 / height) as u8)
            .collect();
        let red: Vec<u8> = (0..half)
            .map(|at| (100 + at / (width / 2) * 100 / height) as u8)
            .collect();
        let planes = [&luma[..], &blue[..], &red[..]];
        let picture = Picture::new(size, planes, [width, width / 2, width / 2]);
        show(&picture.ok_or_else(|| CodecError("too small".to_owned()))?);
        Ok(())
    }
}

/// Keeps the newest picture.
struct Kept(Arc<Mutex<Canvas>>);

impl VideoEncoder for Kept {
    fn encode(
        &mut self,
        picture: &Canvas,
        time: MediaTime,
        key: bool,
    ) -> Result<Encoded, CodecError> {
        self.0
            .lock()
            .expect("nobody panics with it")
            .clone_from(picture);
        let data = Bytes::from_static(b"a picture");
        Ok(Encoded::Now(Coded { time, key, data }))
    }
}

/// Somebody on stage.
#[derive(Clone, Copy)]
struct Guest {
    name: &'static str,
    /// None: the camera is off.
    camera: Option<(u16, u16)>,
    muted: bool,
    shares: bool,
}

const fn guest(name: &'static str) -> Guest {
    Guest {
        name,
        camera: Some((640, 360)),
        muted: false,
        shares: false,
    }
}

const PEOPLE: [Guest; 6] = [
    guest("Ada Lovelace"),
    Guest {
        muted: true,
        ..guest("Ελένη")
    },
    Guest {
        camera: None,
        ..guest("محمد علي")
    },
    Guest {
        camera: Some((360, 640)),
        ..guest("Žofie")
    },
    Guest {
        camera: Some((640, 480)),
        ..guest("अनीता")
    },
    Guest {
        camera: None,
        muted: true,
        ..guest("jonas")
    },
];

fn look(layout: Layout) -> Look {
    Look {
        layout,
        fit: CameraFit::Auto,
        title: String::new(),
        logo: None,
        frames_per_second: 10,
        rungs: vec![Rung {
            size: CANVAS,
            bitrate: Bitrate(1_000_000),
        }],
    }
}

/// The picture after two seconds, while the second of them speaks.
fn composed(look: Look, guests: &[Guest]) -> Canvas {
    let kept = Arc::new(Mutex::new(Canvas::new(CANVAS, Colour::BLACK)));
    let newest = kept.clone();
    let codecs = VideoCodecs {
        decoders: Box::new(|_| Ok(Box::new(Painted))),
        encoders: Box::new(move |_| Ok(Box::new(Kept(newest.clone())))),
    };
    let mut composer = Composer::new(codecs, Box::new(Letters::embedded()));
    composer.handle_input(0, Input::Look(look));
    let mut tracks = Vec::new();
    for (number, guest) in (0u8..).zip(guests) {
        let mut describe = |kind, source, of: u32| {
            let track = TrackId(u32::from(number) * 3 + of);
            composer.handle_input(
                0,
                Input::Track(Described {
                    track,
                    member: MemberId(number.into()),
                    name: guest.name.to_owned(),
                    kind,
                    source,
                    muted: kind == MediaKind::Audio && guest.muted,
                }),
            );
            track
        };
        describe(MediaKind::Audio, Source::Microphone, 0);
        if let Some(size) = guest.camera {
            let track = describe(MediaKind::Video, Source::Camera, 1);
            tracks.push((track, size, number % 6 * 9));
        }
        if guest.shares {
            let track = describe(MediaKind::Video, Source::Screen, 2);
            tracks.push((track, (800, 600), 60));
        }
    }
    let loud = vec![(MemberId(1.min(guests.len() as u64 - 1)), 0.5)];
    composer.handle_input(0, Input::Speakers(loud));
    for tenth in 0..20 {
        let time_us = tenth * 100_000;
        for (track, (width, height), shade) in &tracks {
            let [a, b] = width.to_be_bytes();
            let [c, d] = height.to_be_bytes();
            composer.handle_input(
                time_us,
                Input::Frame {
                    track: *track,
                    codec: Codec::Vp8,
                    time_us,
                    key: true,
                    contiguous: true,
                    data: Bytes::copy_from_slice(&[a, b, c, d, *shade]),
                },
            );
        }
        composer.handle_input(time_us, Input::Timeout);
        while composer.poll_output().is_some() {}
    }
    let canvas = kept.lock().expect("nobody panics with it");
    canvas.clone()
}

/// As a screen shows it: BT.601, limited range.
fn rgb(canvas: &Canvas) -> Vec<u8> {
    let [y, u, v] = canvas.planes();
    let width = canvas.size().width as usize;
    let sample = |at: usize| {
        let half = at / width / 2 * (width / 2) + at % width / 2;
        let luma = (f32::from(y[at]) - 16.0) / 219.0;
        let (blue, red) = (
            (f32::from(u[half]) - 128.0) / 224.0,
            (f32::from(v[half]) - 128.0) / 224.0,
        );
        let parts = [
            luma + 1.402 * red,
            luma - 0.344 * blue - 0.714 * red,
            luma + 1.772 * blue,
        ];
        parts.map(|part| (part * 255.0).round().clamp(0.0, 255.0) as u8)
    };
    (0..y.len()).flat_map(sample).collect()
}

/// Holds a picture against the one that was kept under this name.
#[track_caller]
fn check(name: &str, canvas: &Canvas) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.png"));
    let seen = rgb(canvas);
    if std::env::var_os("AMPHI_GOLDEN").is_some_and(|wish| wish == "keep") {
        write(&path, &seen);
        return;
    }
    let file =
        std::fs::File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut reader = png::Decoder::new(std::io::BufReader::new(file))
        .read_info()
        .expect("a PNG");
    let mut golden = vec![0; reader.output_buffer_size().expect("a small picture")];
    reader.next_frame(&mut golden).expect("a whole PNG");
    let differs = golden
        .iter()
        .zip(&seen)
        .filter(|(golden, seen)| golden.abs_diff(**seen) > SLACK)
        .count();
    if golden.len() != seen.len() || differs > seen.len() / 2_000 {
        let new = std::env::temp_dir().join(format!("amphi-{name}.png"));
        write(&new, &seen);
        panic!(
            "{name} looks otherwise in {differs} of {} samples: compare {} with {}",
            seen.len(),
            new.display(),
            path.display()
        );
    }
}

fn write(path: &std::path::Path, rgb: &[u8]) {
    let file = std::fs::File::create(path).expect("a place for a picture");
    let mut encoder = png::Encoder::new(file, CANVAS.width, CANVAS.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(rgb).expect("pixels");
}

#[test]
fn a_grid_of_any_number_looks_as_it_was_kept() {
    for count in [1, 2, 3, 6] {
        check(
            &format!("grid-{count}"),
            &composed(look(Layout::Grid), &PEOPLE[..count]),
        );
    }
    let many: Vec<Guest> = (0..25)
        .map(|number| PEOPLE[number % PEOPLE.len()])
        .collect();
    check("grid-25", &composed(look(Layout::Grid), &many));
}

#[test]
fn every_other_layout_looks_as_it_was_kept() {
    check("speaker", &composed(look(Layout::Speaker), &PEOPLE));
    check("side-by-side", &composed(look(Layout::SideBySide), &PEOPLE));
    check("audio", &composed(look(Layout::Audio), &PEOPLE[..4]));
    let mut sharing = PEOPLE;
    sharing[0].shares = true;
    check("screen", &composed(look(Layout::Screen), &sharing));
}

/// Of the four the last is held upright.
#[test]
fn cameras_of_other_shapes_than_their_cells_look_as_they_were_kept_cropped_and_whole() {
    for (name, fit) in [
        ("fit-crop", CameraFit::Crop),
        ("fit-whole", CameraFit::Whole),
    ] {
        let look = Look {
            fit,
            ..look(Layout::SideBySide)
        };
        let upright = [PEOPLE[0], PEOPLE[3]];
        check(&format!("{name}-side-by-side"), &composed(look, &upright));
        let look = Look {
            fit,
            ..self::look(Layout::Grid)
        };
        let shapes = [PEOPLE[0], PEOPLE[4], PEOPLE[3]];
        check(&format!("{name}-grid"), &composed(look, &shapes));
    }
}

#[test]
fn a_title_and_a_logo_look_as_they_were_kept() {
    let mut logo = Image::new(VideoSize::new(200, 100));
    for (index, pixel) in logo.rgba.chunks_exact_mut(4).enumerate() {
        let (x, y) = (index as i32 % 200 - 100, index as i32 / 200 - 50);
        let inside = x * x + 4 * y * y < 9_000;
        pixel.copy_from_slice(&[255, 200, 87, if inside { 255 } else { 0 }]);
    }
    let with = Look {
        title: "Общее собрание · Town hall".to_owned(),
        logo: Some(logo),
        ..look(Layout::Grid)
    };
    check("title-and-logo", &composed(with, &PEOPLE[..4]));
}

#[test]
fn a_picture_that_looks_otherwise_is_noticed() {
    let before = composed(look(Layout::Grid), &PEOPLE[..2]);
    let muted = [
        PEOPLE[0],
        Guest {
            muted: false,
            ..PEOPLE[1]
        },
    ];
    let after = composed(look(Layout::Grid), &muted);
    let differs = rgb(&before)
        .iter()
        .zip(rgb(&after))
        .filter(|(before, after)| before.abs_diff(*after) > SLACK)
        .count();
    assert!(
        differs > rgb(&before).len() / 2_000,
        "a muted mark is seen: {differs}"
    );
}
