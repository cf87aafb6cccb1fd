//! The boxes we write (ISO/IEC 14496-12, -14, -15; CMAF, ISO/IEC 23000-19), by way of mp4-atom, whose types stay in here.

use amphi_media::VideoSize;
use amphi_media::av1::SequenceHeader;
use bytes::Bytes;
use mp4_atom::{
    Audio, Av01, Av1c, Avc1, Avcc, AvccExt, Codec, Dinf, Dops, Dref, DrefEntry, Encode, FourCC,
    Ftyp, Hdlr, Mdhd, Mdia, Mfhd, Minf, Moof, Moov, Mp4a, Mvex, Mvhd, Opus, Pasp, Smhd, Stbl, Stco,
    Stsd, Tfdt, Tfhd, Tkhd, Traf, Trak, Trex, Trun, TrunEntry, Url, Visual, Vmhd, Vp08, Vp09, VpcC,
    esds::{DecoderConfig, DecoderSpecific, EsDescriptor, SLConfig},
};

/// `sample_depends_on = 2`: a picture that needs no other (ISO/IEC 14496-12 §8.8.3.1).
pub(crate) const FLAGS_KEY: u32 = 0x0200_0000;
/// `sample_depends_on = 1`, `sample_is_non_sync_sample = 1`.
pub(crate) const FLAGS_DELTA: u32 = 0x0101_0000;
/// The bit that tells the two apart.
pub(crate) const FLAG_NON_SYNC: u32 = 0x0001_0000;

pub(crate) const VIDEO_RATE: u32 = 90_000;
pub(crate) const AUDIO_RATE: u32 = 48_000;
/// Samples of one AAC-LC access unit.
pub(crate) const AUDIO_UNIT_TICKS: i64 = 1024;
/// Samples of one Opus packet of the program's: 20 ms.
pub(crate) const OPUS_PACKET_TICKS: i64 = 960;

pub(crate) const VIDEO_TRACK: u32 = 1;
pub(crate) const AUDIO_TRACK: u32 = 2;

/// What a track's `moov` must say, enough to write it alone or beside the other one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    Video {
        size: VideoSize,
        sps: Vec<Bytes>,
        pps: Vec<Bytes>,
    },
    Audio {
        specific_config: Bytes,
    },
    /// As a member sent it, or of the program (Encapsulation of Opus in ISOBMFF §4.3).
    Opus,
    /// As a member sent it, 8 bits and 4:2:0 (VP Codec ISO Media File Format Binding).
    Vp8 {
        size: VideoSize,
    },
    Vp9 {
        size: VideoSize,
        profile: u8,
    },
    /// Likewise (AV1 Codec ISO Media File Format Binding).
    Av1 {
        sequence: SequenceHeader,
        /// The sequence header's unit with its size.
        unit: Bytes,
    },
}

impl Entry {
    pub(crate) fn track(&self) -> u32 {
        match self {
            Entry::Video { .. } | Entry::Vp8 { .. } | Entry::Vp9 { .. } | Entry::Av1 { .. } => {
                VIDEO_TRACK
            }
            Entry::Audio { .. } | Entry::Opus => AUDIO_TRACK,
        }
    }

    /// The name for `CODECS` (RFC 6381): `avc1.PPCCLL`, `mp4a.40.2` and so on.
    pub(crate) fn codecs(&self) -> String {
        match self {
            Entry::Video { sps, .. } => {
                let head = sps
                    .first()
                    .and_then(|sps| sps.get(1..4))
                    .unwrap_or(&[0, 0, 0]);
                format!("avc1.{:02x}{:02x}{:02x}", head[0], head[1], head[2])
            }
            Entry::Audio { specific_config } => {
                format!(
                    "mp4a.40.{}",
                    specific_config.first().map_or(2, |byte| byte >> 3)
                )
            }
            Entry::Opus => "opus".to_owned(),
            // Profile, level (not said: level 1), bits.
            Entry::Vp8 { .. } => "vp08.00.10.08".to_owned(),
            Entry::Vp9 { profile, .. } => format!("vp09.{profile:02}.10.08"),
            // §5 of the binding.
            Entry::Av1 { sequence, .. } => {
                let tier = if sequence.high_tier { 'H' } else { 'M' };
                let (profile, level, bits) = (sequence.profile, sequence.level, sequence.bits);
                format!("av01.{profile}.{level:02}{tier}.{bits:02}")
            }
        }
    }
}

/// One sample of a part.
pub(crate) struct PartSample {
    pub data: Bytes,
    pub duration: u32,
    pub key: bool,
}

/// `ftyp` and `moov` for these tracks: an initialization section, or the head of a file.
pub(crate) fn init(entries: &[&Entry]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let ftyp = Ftyp {
        major_brand: FourCC::new(b"iso6"),
        minor_version: 0,
        compatible_brands: vec![
            FourCC::new(b"iso6"),
            FourCC::new(b"cmfc"),
            FourCC::new(b"mp41"),
        ],
    };
    let moov = Moov {
        mvhd: Mvhd {
            timescale: 1000,
            rate: 1.into(),
            volume: 1.into(),
            next_track_id: AUDIO_TRACK + 1,
            ..Mvhd::default()
        },
        mvex: Some(Mvex {
            mehd: None,
            trex: entries
                .iter()
                .map(|entry| Trex {
                    track_id: entry.track(),
                    default_sample_description_index: 1,
                    ..Trex::default()
                })
                .collect(),
        }),
        trak: entries.iter().map(|entry| trak(entry)).collect(),
        ..Moov::default()
    };
    ftyp.encode(&mut out).expect("an ftyp of three brands fits");
    moov.encode(&mut out)
        .expect("parameter sets were bounded when they were read");
    out
}

fn trak(entry: &Entry) -> Trak {
    let (size, rate, handler, name, audio) = match entry {
        Entry::Video { size, .. } | Entry::Vp8 { size } | Entry::Vp9 { size, .. } => {
            (*size, VIDEO_RATE, b"vide", "picture", false)
        }
        Entry::Av1 { sequence, .. } => (sequence.size, VIDEO_RATE, b"vide", "picture", false),
        Entry::Audio { .. } | Entry::Opus => {
            (VideoSize::new(0, 0), AUDIO_RATE, b"soun", "sound", true)
        }
    };
    Trak {
        tkhd: Tkhd {
            track_id: entry.track(),
            enabled: true,
            in_movie: true,
            volume: u8::from(audio).into(),
            width: side(size.width).into(),
            height: side(size.height).into(),
            ..Tkhd::default()
        },
        mdia: Mdia {
            mdhd: Mdhd {
                timescale: rate,
                language: "und".into(),
                ..Mdhd::default()
            },
            hdlr: Hdlr {
                handler: FourCC::new(handler),
                name: name.into(),
            },
            minf: Minf {
                vmhd: (!audio).then(Vmhd::default),
                smhd: audio.then(Smhd::default),
                dinf: Dinf {
                    dref: Dref {
                        entries: vec![DrefEntry::Url(Url::default())],
                    },
                },
                stbl: Stbl {
                    stsd: Stsd {
                        codecs: vec![sample_entry(entry)],
                    },
                    // Mandatory even though every sample is in a fragment (ISO/IEC 14496-12 §8.7.5).
                    stco: Some(Stco::default()),
                    ..Stbl::default()
                },
                ..Minf::default()
            },
        },
        ..Trak::default()
    }
}

fn sample_entry(entry: &Entry) -> Codec {
    match entry {
        Entry::Video { size, sps, pps } => {
            let head = sps
                .first()
                .and_then(|sps| sps.get(1..4))
                .unwrap_or(&[0, 0, 0]);
            Codec::Avc1(Avc1 {
                visual: Visual {
                    data_reference_index: 1,
                    width: side(size.width),
                    height: side(size.height),
                    ..Visual::default()
                },
                avcc: Avcc {
                    configuration_version: 1,
                    avc_profile_indication: head[0],
                    profile_compatibility: head[1],
                    avc_level_indication: head[2],
                    length_size: 4,
                    sequence_parameter_sets: sps.iter().map(|nal| nal.to_vec()).collect(),
                    picture_parameter_sets: pps.iter().map(|nal| nal.to_vec()).collect(),
                    // WebRTC's profiles are 4:2:0 with 8 bits, which is what the default says (ISO/IEC 14496-15 §5.3.3.1).
                    ext: matches!(head[0], 100 | 110 | 122 | 144).then(AvccExt::default),
                },
                btrt: None,
                colr: None,
                pasp: Some(Pasp {
                    h_spacing: 1,
                    v_spacing: 1,
                }),
                taic: None,
                fiel: None,
                spatial: None,
            })
        }
        Entry::Audio { specific_config } => Codec::Mp4a(Mp4a {
            audio: Audio {
                data_reference_index: 1,
                channel_count: 2,
                sample_size: 16,
                sample_rate: u16::try_from(AUDIO_RATE)
                    .expect("48,000 fits in 16 bits")
                    .into(),
            },
            esds: mp4_atom::Esds {
                es_desc: EsDescriptor {
                    // ISO/IEC 14496-14 §3.1.2: 0 in a file.
                    es_id: 0,
                    dec_config: DecoderConfig {
                        // Audio ISO/IEC 14496-3, an audio stream.
                        object_type_indication: 0x40,
                        stream_type: 5,
                        dec_specific: Some(DecoderSpecific {
                            raw: specific_config.to_vec(),
                            ..DecoderSpecific::default()
                        }),
                        ..DecoderConfig::default()
                    },
                    sl_config: SLConfig::default(),
                    ..EsDescriptor::default()
                },
            },
            btrt: None,
            taic: None,
        }),
        Entry::Opus => Codec::Opus(Opus {
            audio: Audio {
                data_reference_index: 1,
                channel_count: 2,
                sample_size: 16,
                sample_rate: u16::try_from(AUDIO_RATE)
                    .expect("48,000 fits in 16 bits")
                    .into(),
            },
            dops: Dops {
                // RFC 7587 §7: what is sent may be mono at any time, and a decoder for two channels plays both.
                output_channel_count: 2,
                // Nothing is left out: the file does not begin where its encoder began.
                pre_skip: 0,
                input_sample_rate: AUDIO_RATE,
                output_gain: 0,
                channel_mapping: None,
            },
            btrt: None,
        }),
        Entry::Vp8 { size } => Codec::Vp08(Vp08 {
            visual: visual(*size),
            ..Vp08::default()
        }),
        Entry::Vp9 { size, profile } => Codec::Vp09(Vp09 {
            visual: visual(*size),
            vpcc: VpcC {
                profile: *profile,
                // §"Semantics": 1 is 4:2:0, with the chroma sample where the luma one is.
                chroma_subsampling: 1,
                ..VpcC::default()
            },
            ..Vp09::default()
        }),
        Entry::Av1 { sequence, unit } => Codec::Av01(Av01 {
            visual: visual(sequence.size),
            av1c: Av1c {
                seq_profile: sequence.profile,
                seq_level_idx_0: sequence.level,
                seq_tier_0: sequence.high_tier,
                high_bitdepth: sequence.bits > 8,
                twelve_bit: sequence.bits > 10,
                monochrome: sequence.monochrome,
                chroma_subsampling_x: sequence.halved.0,
                chroma_subsampling_y: sequence.halved.1,
                config_obus: unit.to_vec(),
                ..Av1c::default()
            },
            ..Av01::default()
        }),
    }
}

fn visual(size: VideoSize) -> Visual {
    Visual {
        data_reference_index: 1,
        width: side(size.width),
        height: side(size.height),
        ..Visual::default()
    }
}

/// Sample entries hold 16 bits; `amphi_media::h264` believes no side above 16,384.
fn side(pixels: u32) -> u16 {
    u16::try_from(pixels).unwrap_or(u16::MAX)
}

/// `moof` and `mdat` of one part. `time` is the first sample's decoding time in ticks of the track.
pub(crate) fn part(track: u32, number: u32, time: u64, samples: &[PartSample]) -> Bytes {
    let mut moof = Moof {
        mfhd: Mfhd {
            sequence_number: number,
        },
        traf: vec![Traf {
            tfhd: Tfhd {
                track_id: track,
                default_base_is_moof: true,
                ..Tfhd::default()
            },
            tfdt: Some(Tfdt {
                base_media_decode_time: time,
            }),
            trun: vec![Trun {
                data_offset: Some(0),
                samples: samples
                    .iter()
                    .map(|sample| TrunEntry {
                        duration: Some(sample.duration),
                        size: Some(
                            u32::try_from(sample.data.len())
                                .expect("samples are bounded when they come in"),
                        ),
                        flags: Some(if sample.key { FLAGS_KEY } else { FLAGS_DELTA }),
                        cts: None,
                    })
                    .collect::<Vec<_>>()
                    .into(),
            }],
            ..Traf::default()
        }],
    };
    let payload: usize = samples.iter().map(|sample| sample.data.len()).sum();
    let mut out = Vec::with_capacity(payload + 128 + samples.len() * 12);
    moof.encode(&mut out).expect("a part's moof fits");
    // Where the samples begin, counted from the moof's first byte, is known only now; its length does not depend on it.
    let offset = out.len() + 8;
    moof.traf[0].trun[0].data_offset = Some(i32::try_from(offset).expect("a part's moof fits"));
    out.clear();
    moof.encode(&mut out).expect("a part's moof fits");
    let size =
        u32::try_from(payload + 8).expect("a part is a third of a second of bounded samples");
    out.extend_from_slice(&size.to_be_bytes());
    out.extend_from_slice(b"mdat");
    for sample in samples {
        out.extend_from_slice(&sample.data);
    }
    out.into()
}

/// Where in `part`'s bytes the 8 bytes of `baseMediaDecodeTime` are, so that a recording can count from its own zero.
pub(crate) fn decode_time_at(part: &[u8]) -> Option<usize> {
    let moof = part.get(4..8) == Some(b"moof");
    // moof, its mfhd, traf, its tfhd: everything before the tfdt is of a length that we wrote ourselves.
    let at = 8 + 16 + 8 + 16;
    (moof && part.get(at + 4..at + 9) == Some(b"tfdt\x01")).then_some(at + 12)
}
