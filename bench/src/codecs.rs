//! What codecs cost by themselves: each decoder of pictures, and all of a program's sound. CPU time as fast as it goes, on one thread.

use std::time::{Duration, Instant};

use amphi::codec::{Opus, program_codecs};
use amphi_media::{Codec, Frame, MediaKind, MediaTime, MemberId, Rid, Sample, Source, TrackId};
use amphi_studio::{Config, Input, Output, Program, StageTrack};
use anyhow::ensure;
use bytes::Bytes;

use crate::media::{self, FRAME_RATE};
use crate::process::own_thread_cpu_ns;

/// Of each film and voice.
const SECONDS: usize = 8;

/// Size and kbit/s of the films.
const LAYER: (u32, u32, u32) = (640, 360, 500);

const VOICES: u32 = 4;
const PACKETS_A_SECOND: usize = 50;

/// Codec, ffmpeg's encoder, and what that is told so that the film is one of a call: no picture waits for a later one.
const FILMS: [(Codec, &str, &[&str]); 4] = [
    (Codec::H264, "libx264", &[]),
    (
        Codec::Vp8,
        "libvpx",
        &[
            "-deadline",
            "realtime",
            "-cpu-used",
            "6",
            "-lag-in-frames",
            "0",
            "-auto-alt-ref",
            "0",
        ],
    ),
    (
        Codec::Vp9,
        "libvpx-vp9",
        &[
            "-deadline",
            "realtime",
            "-cpu-used",
            "7",
            "-lag-in-frames",
            "0",
        ],
    ),
    (
        Codec::Av1,
        "libaom-av1",
        &[
            "-usage",
            "realtime",
            "-cpu-used",
            "8",
            "-lag-in-frames",
            "0",
        ],
    ),
];

#[derive(serde::Serialize)]
pub struct Decoded {
    pub codec: &'static str,
    pub encoder: &'static str,
    pub kbit_s: f64,
    /// One for each round; none where this ffmpeg cannot make the film.
    pub pictures_per_core_s: Vec<f64>,
}

#[derive(serde::Serialize)]
pub struct Sound {
    pub voices: u32,
    /// Of a core, one for each round: decoding, levelling, mixing, and encoding to AAC.
    pub aac: Vec<f64>,
    /// With Opus beside it.
    pub aac_and_opus: Vec<f64>,
}

pub fn decoded(rounds: usize) -> anyhow::Result<Vec<Decoded>> {
    let films = FILMS.into_iter().map(|(codec, encoder, told)| {
        let film = match codec {
            Codec::H264 => {
                let coded = media::film(0, LAYER.0, LAYER.1, LAYER.2, SECONDS)?;
                Some(media::pictures(&coded))
            }
            _ => media::film_by(encoder, told, LAYER, SECONDS)?,
        };
        Ok((codec, encoder, film.unwrap_or_default()))
    });
    let films = films.collect::<anyhow::Result<Vec<(Codec, &str, Vec<Bytes>)>>>()?;
    let mut rows: Vec<Decoded> = films
        .iter()
        .map(|(codec, encoder, film)| Decoded {
            codec: codec.name(),
            encoder,
            kbit_s: film.iter().map(Bytes::len).sum::<usize>() as f64 * 8.0
                / 1_000.0
                / SECONDS as f64,
            pictures_per_core_s: Vec::new(),
        })
        .collect();
    for _ in 0..rounds {
        for ((codec, _, film), row) in films.iter().zip(&mut rows) {
            if !film.is_empty() {
                row.pictures_per_core_s.push(decode(*codec, film)?);
            }
        }
    }
    Ok(rows)
}

fn decode(codec: Codec, film: &[Bytes]) -> anyhow::Result<f64> {
    let before = own_thread_cpu_ns()?;
    let mut decoder = video_codec::decoder(codec)?;
    let mut pictures = 0;
    for coded in film {
        decoder.decode(coded, &mut |_| pictures += 1)?;
    }
    let cpu_ns = own_thread_cpu_ns()? - before;
    ensure!(
        pictures == SECONDS * FRAME_RATE as usize,
        "{pictures} pictures came of {}",
        codec.name()
    );
    Ok(pictures as f64 * 1e9 / cpu_ns as f64)
}

pub fn sound(rounds: usize) -> anyhow::Result<Sound> {
    let voices = (0..VOICES)
        .map(|member| media::voice(member.into(), SECONDS))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut figures = Sound {
        voices: VOICES,
        aac: Vec::new(),
        aac_and_opus: Vec::new(),
    };
    for _ in 0..rounds {
        figures.aac.push(mixed(&voices, Opus::None)?);
        let both = mixed(&voices, Opus::Beside)?;
        figures.aac_and_opus.push(both);
    }
    Ok(figures)
}

/// A program without pictures, in virtual time.
fn mixed(voices: &[Vec<Bytes>], opus: Opus) -> anyhow::Result<f64> {
    let zero = Instant::now();
    let (codecs, _) = program_codecs(opus)?;
    let mut program = Program::new(zero, Config::default(), codecs);
    for (member, _) in (0..).zip(voices) {
        let track = StageTrack {
            track: TrackId(member),
            member: MemberId(member.into()),
            member_name: format!("Member {member}"),
            kind: MediaKind::Audio,
            source: Source::Microphone,
            codec: Some(Codec::Opus),
            muted: false,
        };
        program.handle_input(zero, Input::Track(track));
    }
    let before = own_thread_cpu_ns()?;
    let (mut units, mut packets) = (0, 0);
    for number in 0..SECONDS * PACKETS_A_SECOND {
        let at = zero + Duration::from_secs(1) * number as u32 / PACKETS_A_SECOND as u32;
        while let Some(due) = program.poll_timeout().filter(|due| *due <= at) {
            program.handle_input(due, Input::Timeout);
        }
        for (member, voice) in (0..).zip(voices) {
            let frame = Frame {
                track: TrackId(member),
                codec: Codec::Opus,
                rid: Rid::NONE,
                rung: 0,
                lower: 0,
                time: MediaTime::new(number as i64 * 960, 48_000),
                arrived: at,
                sender_time_us: None,
                key: true,
                contiguous: true,
                size: None,
                data: voice[number].clone(),
            };
            program.handle_input(at, Input::Frame(frame));
        }
        while let Some(output) = program.poll_output() {
            match output {
                Output::Sample(Sample { rung: 0, .. }) => units += 1,
                Output::Sample(_) => packets += 1,
                Output::Failed { reason } => anyhow::bail!("{reason}"),
                _ => {}
            }
        }
    }
    let cpu_ns = own_thread_cpu_ns()? - before;
    let counters = program.counters();
    let spoilt = counters.packets_late + counters.packets_bad + counters.concealed;
    ensure!(
        spoilt + counters.encoder_errors == 0,
        "not all of the fixture was heard: {counters:?}"
    );
    // 46.9 of AAC and 50 of Opus a second, but for what is still to be mixed.
    let most = (SECONDS * 47, SECONDS * PACKETS_A_SECOND);
    let wanted = match opus {
        Opus::Beside => most.1 * 9 / 10..=most.1,
        Opus::None => 0..=0,
    };
    ensure!(
        (most.0 * 9 / 10..=most.0).contains(&units) && wanted.contains(&packets),
        "{units} access units of AAC and {packets} packets of Opus came"
    );
    Ok(cpu_ns as f64 / 1e9 / SECONDS as f64)
}
