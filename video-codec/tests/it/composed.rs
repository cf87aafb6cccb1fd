//! Real decoders under a composer: pictures of sizes that nobody asked for.

use std::sync::{Arc, Mutex};

use amphi_media::{
    Bitrate, CameraFit, Codec, Layout, MediaKind, MediaTime, MemberId, Source, TrackId, VideoSize,
};
use amphi_studio::canvas::{Canvas, Colour};
use amphi_studio::composer::{Composer, Described, Input, Look, Output, Rung};
use amphi_studio::layout::{Area, Guest, cells};
use amphi_studio::lettering::{Image, Lettering};
use amphi_studio::{CodecError, Coded, Encoded, VideoCodecs, VideoEncoder};
use bytes::Bytes;

use crate::film::{coded, key_frame};

/// From one picture to the next.
const STEP_US: i64 = 40_000;

/// How bright the key frames are.
const GREY: u8 = 126;

const ALL: [Codec; 4] = [Codec::H264, Codec::Vp8, Codec::Vp9, Codec::Av1];

/// Keeps the newest picture.
struct Kept(Arc<Mutex<Canvas>>);

impl VideoEncoder for Kept {
    fn encode(
        &mut self,
        picture: &Canvas,
        time: MediaTime,
        key: bool,
    ) -> Result<Encoded, CodecError> {
        (self.0.lock().expect("nobody panics with it")).clone_from(picture);
        let data = Bytes::from_static(b"a picture");
        Ok(Encoded::Now(Coded { time, key, data }))
    }
}

/// Writes nothing.
struct Mute;

impl Lettering for Mute {
    fn line(&mut self, _: &str, _: u32, _: u32) -> Image {
        Image::default()
    }
}

struct Stage {
    composer: Composer,
    newest: Arc<Mutex<Canvas>>,
    layout: Layout,
    canvas: VideoSize,
    people: usize,
    now_us: i64,
    wanted: Vec<(TrackId, VideoSize)>,
}

impl Stage {
    /// So many people with cameras of which nothing came yet.
    fn new(layout: Layout, canvas: VideoSize, people: usize) -> Self {
        let newest = Arc::new(Mutex::new(Canvas::new(canvas, Colour::BLACK)));
        let kept = newest.clone();
        let codecs = VideoCodecs {
            decoders: Box::new(video_codec::decoder),
            encoders: Box::new(move |_| Ok(Box::new(Kept(kept.clone())))),
        };
        let mut stage = Self {
            composer: Composer::new(codecs, Box::new(Mute)),
            newest,
            layout,
            canvas,
            people,
            now_us: 0,
            wanted: Vec::new(),
        };
        stage.tell(Input::Look(Look {
            layout,
            fit: CameraFit::Auto,
            title: String::new(),
            logo: None,
            frames_per_second: 25,
            rungs: vec![Rung {
                size: canvas,
                bitrate: Bitrate(500_000),
            }],
        }));
        for person in 0..people {
            stage.tell(Input::Track(Described {
                track: track(person),
                member: MemberId(person as u64),
                name: String::new(),
                kind: MediaKind::Video,
                source: Source::Camera,
                muted: false,
            }));
        }
        stage
    }

    fn tell(&mut self, input: Input) {
        self.composer.handle_input(self.now_us, input);
        while let Some(output) = self.composer.poll_output() {
            match output {
                Output::Wanted { track, size } => self.wanted.push((track, size)),
                Output::Failed { reason } => panic!("{reason}"),
                Output::Sample(_) | Output::NeedKeyFrame { .. } => {}
            }
        }
    }

    fn shows(&mut self, person: usize, codec: Codec, key: bool, data: &[u8]) {
        let time_us = self.now_us;
        self.tell(Input::Frame {
            track: track(person),
            codec,
            time_us,
            key,
            contiguous: true,
            data: Bytes::copy_from_slice(data),
        });
    }

    /// Time passes, to the next picture or further.
    fn run_for(&mut self, us: i64) {
        let end_us = self.now_us + us;
        while let Some(at_us) = self.composer.poll_timeout().filter(|at| *at <= end_us) {
            self.now_us = at_us;
            self.tell(Input::Timeout);
        }
        self.now_us = end_us;
    }

    fn area(&self, person: usize) -> Area {
        let guest = Guest {
            source: Source::Camera,
            size: None,
        };
        let cells = cells(self.layout, self.canvas, &vec![guest; self.people], None);
        let cell = cells.iter().find(|cell| cell.guest == person);
        cell.expect("everybody has one").area
    }

    /// Brightness in the middle of somebody's cell.
    fn middle(&self, person: usize) -> u8 {
        let area = self.area(person);
        let at = (area.y + area.height / 2) * self.canvas.width + area.x + area.width / 2;
        self.newest.lock().expect("nobody panics with it").planes()[0][at as usize]
    }
}

fn track(person: usize) -> TrackId {
    TrackId(person as u32)
}

#[test]
fn a_camera_whose_size_changes_with_every_picture_stays_in_its_cell_and_costs_nobody_a_picture() {
    let sizes = [
        "320x180", "64x36", "1280x720", "180x320", "640x480", "16x16", "98x50",
    ];
    for codec in ALL {
        let name = codec.name();
        let keys: Vec<Vec<u8>> = sizes.iter().map(|size| key_frame(codec, size)).collect();
        let steady = coded(Codec::Vp8, 50);
        let mut stage = Stage::new(Layout::Grid, VideoSize::new(640, 360), 2);
        // Frames before somebody has a cell are not kept.
        stage.shows(0, Codec::Vp8, true, &steady[0]);
        stage.shows(1, codec, true, &keys[0]);
        stage.run_for(10 * STEP_US);
        for (number, frame) in steady.iter().enumerate() {
            stage.shows(0, Codec::Vp8, number % 25 == 0, frame);
            stage.shows(1, codec, true, &keys[number % keys.len()]);
            stage.run_for(STEP_US);
            if number > 10 {
                let seen = stage.middle(1);
                assert!(
                    seen.abs_diff(GREY) < 6,
                    "{name}: {seen} in picture {number}"
                );
            }
        }
        stage.run_for(10 * STEP_US);
        let counters = stage.composer.counters();
        assert_eq!(
            (counters.decoder_errors, counters.pictures_overflow),
            (0, 0),
            "{name}"
        );
        assert_eq!(counters.pictures_decoded, 100, "{name}: {counters:?}");
        assert_eq!(counters.layouts, 1, "{name}: nobody moves: {counters:?}");
    }
}

/// Asked for a picture of its cell's size, it sends one of 4K all the same.
#[test]
fn a_picture_of_4k_is_drawn_into_the_smallest_cell() {
    for codec in ALL {
        let key = key_frame(codec, "3840x2160");
        for (layout, people) in [(Layout::Grid, 25), (Layout::Speaker, 6)] {
            let canvas = VideoSize::new(256, 144);
            let mut stage = Stage::new(layout, canvas, people);
            let last = people - 1;
            stage.shows(last, codec, true, &key);
            stage.run_for(10 * STEP_US);
            let place = (codec.name(), layout.name(), stage.area(last));
            assert!(place.2.width < 60, "{place:?}");
            let wanted = stage.wanted.iter().rfind(|(of, _)| *of == track(last));
            assert_eq!(wanted, Some(&(track(last), place.2.size())), "{place:?}");
            assert!(stage.middle(last).abs_diff(GREY) > 6, "a card: {place:?}");
            for _ in 0..3 {
                stage.shows(last, codec, true, &key);
                stage.run_for(STEP_US);
            }
            stage.run_for(10 * STEP_US);
            let seen = stage.middle(last);
            assert!(seen.abs_diff(GREY) < 6, "{seen} in {place:?}");
            let counters = stage.composer.counters();
            assert_eq!(counters.pictures_decoded, 3, "{place:?}");
            assert_eq!(
                (counters.decoder_errors, counters.pictures_overflow),
                (0, 0)
            );
        }
    }
}
