//! Sessions in which one thing is wrong, and the rule that it breaks.

use player::Rule;

use crate::world::{Ask, Packs, Reply, World};

pub type Doctored = (Rule, fn(&mut World));

/// Changes the texts of one playlist, or of both media playlists.
macro_rules! text {
    ($file:literal, $change:expr) => {
        |world| {
            world.hook(|ask, reply| {
                let both = $file == "*" && ["video.m3u8", "audio.m3u8"].contains(&&*ask.file);
                if reply.status == 200 && (both || ask.file == $file) {
                    let change: fn(&Ask, &mut Reply) = $change;
                    change(ask, reply);
                }
            })
        }
    };
}

fn without(reply: &mut Reply, line: &str) {
    reply.edit(|text| {
        let kept = text.lines().filter(|one| !one.contains(line));
        kept.map(|one| format!("{one}\n")).collect()
    });
}

/// Changes a byte of the media, the same each time.
fn spoil(reply: &mut Reply) {
    if let Some(last) = reply.body.last_mut() {
        *last ^= 1;
    }
}

pub const LOW_LATENCY: &[Doctored] = &[
    (
        Rule::PlaylistForm,
        text!("video.m3u8", |_, reply| {
            reply.replace("#EXT-X-VERSION:8", "#EXT-X-VERSION:8\n#EXT-X-VERSION:8");
        }),
    ),
    (
        Rule::Version,
        text!("video.m3u8", |_, reply| reply
            .replace("VERSION:8", "VERSION:5")),
    ),
    (Rule::TargetDuration, |world| {
        *world = World::of(&[
            &[500; 4], &[500; 4], &[500; 6], &[500; 4], &[500; 4], &[500; 4], &[500; 4], &[500; 4],
        ]);
    }),
    (
        Rule::PartInf,
        text!("*", |_, reply| without(reply, "#EXT-X-PART-INF")),
    ),
    (
        Rule::HoldBack,
        text!("*", |_, reply| reply
            .replace(",HOLD-BACK=6.0", ",HOLD-BACK=5.0")),
    ),
    (
        Rule::PartHoldBack,
        text!("*", |_, reply| reply
            .replace("PART-HOLD-BACK=2.000", "PART-HOLD-BACK=1.200")),
    ),
    (Rule::PartTooLong, |world| {
        let long: &[u64] = &[600, 500, 500, 400];
        *world = World::of(&[&[500; 4], &[500; 4], long, &[500; 4], &[500; 4], &[500; 4]]);
    }),
    (Rule::PartTooShort, |world| {
        let short: &[u64] = &[500, 300, 500, 500, 200];
        *world = World::of(&[&[500; 4], &[500; 4], short, &[500; 4], &[500; 4], &[500; 4]]);
    }),
    (Rule::PartsAddUp, |world| {
        world.video.segments[3].extinf_ms -= 10
    }),
    (
        Rule::PartsHaveParent,
        text!("video.m3u8", |_, reply| {
            if reply.body.ends_with(b"#EXT-X-ENDLIST\n") {
                without(reply, "v-9.m4s");
                reply.edit(|text| {
                    let last = text.rfind("#EXTINF").expect("segments");
                    let end = last + text[last..].find('\n').expect("a line") + 1;
                    format!("{}{}", &text[..last], &text[end..])
                });
            }
        }),
    ),
    (
        Rule::TagsBeforeParts,
        text!("video.m3u8", |_, reply| {
            reply.edit(|text| {
                let mut lines: Vec<&str> = text.lines().collect();
                let date = "#EXT-X-PROGRAM-DATE-TIME:2024-03-01T00:00:06";
                if let Some(at) = lines.iter().position(|line| line.starts_with(date))
                    && lines[at + 1].starts_with("#EXT-X-PART:")
                {
                    lines.swap(at, at + 1);
                }
                lines.join("\n") + "\n"
            });
        }),
    ),
    (
        Rule::Map,
        text!("audio.m3u8", |_, reply| without(reply, "a-init1.mp4")),
    ),
    (
        Rule::DateAfterCut,
        text!("video.m3u8", |_, reply| without(reply, "T00:00:08.000Z")),
    ),
    (
        Rule::LiveHasNoType,
        text!("video.m3u8", |_, reply| {
            reply.replace(
                "#EXT-X-VERSION:8",
                "#EXT-X-VERSION:8\n#EXT-X-PLAYLIST-TYPE:EVENT",
            );
        }),
    ),
    (Rule::SkipBoundary, |world| {
        *world = World::long();
        world.hook(|_, reply| {
            if reply.body.starts_with(b"#EXTM3U") {
                reply.replace("CAN-SKIP-UNTIL=12.0", "CAN-SKIP-UNTIL=11.0");
            }
        });
    }),
    (
        Rule::HintAfterEnd,
        text!("video.m3u8", |_, reply| {
            let hint = "#EXT-X-ENDLIST\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"v-10.0.m4s\"";
            reply.replace("#EXT-X-ENDLIST", hint);
        }),
    ),
    (
        Rule::OneHint,
        text!("video.m3u8", |ask, reply| {
            if ask.now_ms < 13_000 {
                reply.edit(|text| text + "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"v-99.0.m4s\"\n");
            }
        }),
    ),
    (
        Rule::HeaderChanged,
        text!("video.m3u8", |ask, reply| {
            if ask.now_ms > 5_000 {
                reply.replace("PART-TARGET=0.500", "PART-TARGET=0.510");
            }
        }),
    ),
    (
        Rule::MediaSequence,
        text!("video.m3u8", |ask, reply| {
            if ask.now_ms == 6_500 {
                reply.replace("#EXT-X-MEDIA-SEQUENCE:0", "#EXT-X-MEDIA-SEQUENCE:1");
            }
        }),
    ),
    (
        Rule::OnlyAppended,
        text!("video.m3u8", |ask, reply| {
            if ask.now_ms > 5_000 {
                reply.replace("2.00000,\nv-1.m4s", "1.99900,\nv-1.m4s");
            }
        }),
    ),
    (
        Rule::DiscontinuitySequence,
        text!("*", |_, reply| {
            reply.replace(
                "#EXT-X-DISCONTINUITY-SEQUENCE:1",
                "#EXT-X-DISCONTINUITY-SEQUENCE:0",
            );
        }),
    ),
    (Rule::PlaylistTooShort, |world| world.window_ms = 4_000),
    (Rule::PartsAtEdge, |world| world.parts_ms = 3_000),
    (Rule::PartsAtEdge, |world| world.parts_ms = 9_000),
    (Rule::DeltaUpdate, |world| {
        *world = World::long();
        // A segment more than there is before the boundary.
        world.hook(|ask, reply| {
            if ask.skip && reply.body.starts_with(b"#EXTM3U") {
                reply.edit(|text| {
                    let Some((head, rest)) = text.split_once("SKIPPED-SEGMENTS=1\n") else {
                        return text;
                    };
                    let first = rest.find(".m4s\n").expect("a segment") + 5;
                    format!("{head}SKIPPED-SEGMENTS=2\n{}", &rest[first..])
                });
            }
        });
    }),
    (Rule::SkipUnasked, |world| {
        *world = World::long();
        world.hook(|_, reply| {
            if reply.body.starts_with(b"#EXTM3U") {
                reply.replace(",CAN-SKIP-UNTIL=12.0", "");
            }
        });
        world.hook(|ask, reply| {
            let whole = (14_000..17_000).contains(&ask.now_ms) && ask.file == "video.m3u8";
            if whole && reply.body.starts_with(b"#EXTM3U") {
                reply.edit(|text| {
                    let body = text.find("#EXT-X-MAP").expect("a map");
                    let first = body + text[body..].find(".m4s\n").expect("a segment") + 5;
                    let (head, rest) = (&text[..body], &text[first..]);
                    format!("{head}#EXT-X-SKIP:SKIPPED-SEGMENTS=1\n{rest}")
                });
            }
        });
    }),
    (
        Rule::UriReused,
        text!("video.m3u8", |_, reply| reply
            .replace("\nv-7.m4s", "\nv-6.m4s")),
    ),
    (
        Rule::HintKept,
        text!("video.m3u8", |ask, reply| {
            if ask.now_ms == 5_000 {
                reply.replace("PART,URI=\"v-2.2.m4s", "PART,URI=\"v-other.m4s");
            }
        }),
    ),
    (Rule::SegmentOnTime, |world| {
        for index in 0..4 {
            world.delay(5, index, 900);
        }
    }),
    (Rule::PartOnTime, |world| world.delay(5, 2, 1_200)),
    (
        Rule::AfterEnd,
        text!("video.m3u8", |ask, reply| {
            if ask.now_ms >= 20_000 && ask.number.is_none() {
                reply.replace("#EXT-X-ENDLIST", "# more\n#EXT-X-ENDLIST");
            }
        }),
    ),
    (Rule::BlockedAnswer, |world| world.blocks = false),
    (Rule::BlockedTime, |world| {
        world.hook(|ask, reply| {
            let waits = ask.file == "video.m3u8" && ask.number.is_some();
            if waits && (10_000..20_000).contains(&ask.now_ms) {
                reply.held = true;
            }
        });
    }),
    (Rule::TooFar, |world| {
        world.hook(|_, reply| {
            if reply.status == 400 {
                reply.status = 404;
            }
        });
    }),
    (Rule::OldIsAnswered, |world| {
        world.hook(|ask, reply| {
            if ask.number.is_some() && ask.part.is_none() && reply.status == 200 {
                reply.status = 503;
            }
        });
    }),
    (Rule::HintIsServed, |world| world.holds_hints = false),
    (Rule::HintUnkept, |world| {
        world.end_ms += 250;
        world.hook(|ask, reply| {
            if ask.now_ms >= 20_250 && reply.status == 404 {
                reply.status = 503;
            }
        });
    }),
    (Rule::ListedIsThere, |world| {
        world.hook(|ask, reply| {
            if ask.file == "v-3.m4s" {
                reply.status = 404;
            }
        });
    }),
    (Rule::Available, |world| {
        world.hook(|ask, reply| {
            if ask.file == "v-0.m4s" && ask.now_ms > 10_000 {
                reply.status = 410;
            }
        });
    }),
    (Rule::BytesChanged, |world| {
        world.hook(|ask, reply| {
            if ask.file == "v-0.m4s" && ask.now_ms > 10_000 {
                spoil(reply);
            }
        });
    }),
    (Rule::PartsAreSegment, |world| {
        world.hook(|ask, reply| {
            if ask.file == "v-3.m4s" {
                spoil(reply);
            }
        });
    }),
    (Rule::PartsAreSegment, |world| {
        world.add_captions();
        world.hook(|ask, reply| {
            if ask.file == "c-3.vtt" {
                reply.replace("Word 6500", "Another word");
            }
        });
    }),
    (Rule::CaptionForm, |world| {
        world.add_captions();
        world.hook(|ask, reply| {
            if ["c-3.2.vtt", "c-3.vtt"].contains(&&*ask.file) && reply.status == 200 {
                reply.replace("X-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:10.000\n", "");
            }
        });
    }),
    (Rule::CaptionShown, |world| {
        world.add_captions();
        world.hook(|ask, reply| {
            // It goes on from the part before.
            if ask.file == "c-3.2.vtt" && reply.status == 200 {
                reply.edit(|text| {
                    let cues: Vec<&str> = text.split("\n\n").collect();
                    let kept: Vec<&str> = cues
                        .into_iter()
                        .filter(|cue| !cue.contains("Word 6500"))
                        .collect();
                    kept.join("\n\n")
                });
            }
        });
    }),
    (Rule::CaptionShown, |world| {
        world.add_captions();
        world.hook(|ask, reply| {
            if ["c-3.2.vtt", "c-3.vtt"].contains(&&*ask.file) && reply.status == 200 {
                reply.edit(|text| text + "\n00:01.000 --> 00:02.000\nOf long ago\n");
            }
        });
    }),
    (Rule::SubtitlesGroup, |world| {
        world.add_captions();
        world.hook(|ask, reply| {
            if ask.file == "index.m3u8" {
                reply.replace("SUBTITLES=\"text\"", "SUBTITLES=\"other\"");
            }
        });
    }),
    (Rule::InitForm, |world| {
        world.hook(|ask, reply| {
            if ask.file == "a-init1.mp4" {
                reply.body[4..8].copy_from_slice(b"free");
            }
        });
    }),
    (Rule::MediaForm, |world| {
        world.hook(|ask, reply| {
            if ["v-3.2.m4s", "v-3.m4s"].contains(&&*ask.file) && reply.status == 200 {
                // The decoding time of the third part's fragment, wherever it is in its file.
                let times: Vec<usize> = reply
                    .body
                    .windows(4)
                    .enumerate()
                    .filter(|(_, four)| four == b"tfdt")
                    .map(|(at, _)| at)
                    .collect();
                let at = times[if times.len() > 1 { 2 } else { 0 }];
                reply.body[at..at + 4].copy_from_slice(b"free");
            }
        });
    }),
    (Rule::SampleDurations, |world| {
        let segment = &mut world.video.segments[3];
        segment.parts[1].listed_ms -= 3;
        segment.extinf_ms -= 3;
    }),
    (Rule::Continuous, |world| {
        for segment in &mut world.video.segments[5..] {
            for part in &mut segment.parts {
                part.time_ms += 10;
            }
        }
    }),
    (Rule::IndependentPart, |world| {
        world.video.segments[3].parts[0].sync = false
    }),
    (Rule::IndependentSegments, |world| {
        let part = &mut world.video.segments[3].parts[0];
        (part.sync, part.independent) = (false, false);
        world.hook(|ask, reply| {
            if ask.file == "video.m3u8" && reply.status == 200 {
                let tag = "#EXT-X-VERSION:8\n#EXT-X-INDEPENDENT-SEGMENTS";
                reply.replace("#EXT-X-VERSION:8", tag);
            }
        });
    }),
    (Rule::DateDrifts, |world| {
        for segment in &mut world.video.segments[5..] {
            segment.date_ms += 80;
        }
    }),
    (
        Rule::PlaylistsAgree,
        text!("audio.m3u8", |_, reply| reply
            .replace(",HOLD-BACK=6.0", ",HOLD-BACK=7.0")),
    ),
    (Rule::DatesAgree, |world| {
        for segment in &mut world.sound.segments {
            segment.date_ms += 150;
        }
    }),
    (Rule::VariantsAligned, |world| {
        let usual: &[u64] = &[500; 4];
        let mut segments = [usual; 10];
        segments[5] = &[500, 500, 500, 400];
        segments[6] = &[500, 500, 500, 500, 100];
        *world = World::ladder(&segments);
    }),
    (Rule::VariantsAligned, |world| {
        let usual: &[u64] = &[500; 4];
        let mut segments = [usual; 10];
        segments[5] = &[480, 500, 500, 500, 20];
        *world = World::ladder(&segments);
    }),
    (Rule::DiscontinuitiesAgree, |world| {
        *world = World::ladder(&[&[500; 4][..]; 10]);
        world.hook(|ask, reply| {
            if ask.file == "video1.m3u8" && reply.status == 200 {
                reply.replace("DISCONTINUITY-SEQUENCE:", "DISCONTINUITY-SEQUENCE:3");
            }
        });
    }),
    (Rule::DiscontinuitiesAgree, |world| {
        for segment in &mut world.sound.segments {
            (segment.cut, segment.discontinuity) = (false, 0);
        }
    }),
    (
        Rule::RenditionReport,
        text!("video.m3u8", |_, reply| reply
            .replace("LAST-MSN=", "LAST-MSN=1")),
    ),
    (
        Rule::RenditionReport,
        text!("video.m3u8", |ask, reply| {
            if ask.now_ms > 4_000 {
                reply.edit(|text| {
                    let at = text.find("LAST-MSN").unwrap_or(text.len());
                    format!(
                        "{}{}",
                        &text[..at],
                        if at < text.len() {
                            "LAST-MSN=0,LAST-PART=1\n"
                        } else {
                            ""
                        }
                    )
                });
            }
        }),
    ),
    (
        Rule::ReportMissing,
        text!("video.m3u8", |_, reply| without(
            reply,
            "#EXT-X-RENDITION-REPORT"
        )),
    ),
    (
        Rule::AudioGroup,
        text!("index.m3u8", |_, reply| reply
            .replace("AUDIO=\"mix\"", "AUDIO=\"other\"")),
    ),
    (
        Rule::Codecs,
        text!("index.m3u8", |_, reply| reply
            .replace("mp4a.40.2", "mp4a.40.5")),
    ),
    (
        Rule::Codecs,
        text!("index.m3u8", |_, reply| reply
            .replace("avc1.42c00c,avc1", "avc1")),
    ),
    (
        Rule::Resolution,
        text!("index.m3u8", |_, reply| reply.replace("320x180", "320x192")),
    ),
    (
        Rule::Bandwidth,
        text!("index.m3u8", |_, reply| {
            reply.replace("BANDWIDTH=40000,AVERAGE-BANDWIDTH=30000", "BANDWIDTH=12000");
        }),
    ),
    (
        Rule::Bandwidth,
        text!("index.m3u8", |_, reply| reply
            .replace("AVERAGE-BANDWIDTH=3", "AVERAGE-BANDWIDTH=9")),
    ),
    (
        Rule::FrameRate,
        text!("index.m3u8", |_, reply| reply
            .replace("FRAME-RATE=10", "FRAME-RATE=60")),
    ),
    (Rule::ContentType, |world| {
        world.hook(|ask, reply| {
            if ask.file == "v-3.1.m4s" {
                reply.header("content-type", Some("text/plain"));
            }
        });
    }),
    (Rule::Gzip, |world| world.packs = Packs::Always),
    (
        Rule::PlaylistCache,
        text!("video.m3u8", |ask, reply| {
            if ask.number.is_none() {
                reply.header("cache-control", Some("public, max-age=60"));
            }
        }),
    ),
    (Rule::MediaCache, |world| {
        world.hook(|ask, reply| {
            if ask.file.ends_with(".m4s") {
                reply.header("cache-control", Some("no-store"));
            }
        });
    }),
    (Rule::Cors, |world| {
        world.hook(|ask, reply| {
            if ask.file == "a-3.m4s" {
                reply.header("access-control-allow-origin", None);
            }
        });
    }),
];

pub const PLAIN: &[Doctored] = &[
    (Rule::SampleDurations, |world| {
        let segment = &mut world.video.segments[3];
        segment.parts[1].listed_ms -= 3;
        segment.extinf_ms -= 3;
    }),
    (Rule::Continuous, |world| {
        for segment in &mut world.video.segments[5..] {
            for part in &mut segment.parts {
                part.time_ms += 10;
            }
        }
    }),
    (Rule::DateDrifts, |world| {
        for segment in &mut world.sound.segments[5..] {
            segment.date_ms += 80;
        }
    }),
    (Rule::ListedIsThere, |world| {
        world.hook(|ask, reply| {
            if ask.file == "v-3.m4s" {
                reply.status = 404;
            }
        });
    }),
    (
        Rule::OnlyAppended,
        text!("video.m3u8", |ask, reply| {
            if ask.now_ms > 5_000 {
                reply.replace("2.00000,\nv-1.m4s", "1.99900,\nv-1.m4s");
            }
        }),
    ),
];
