//! The rules that can be proved from outside, each with the place where it is written.

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident: $section:literal, $says:literal;)*) => {
        /// A rule of the protocol that a server can be seen to break.
        ///
        /// Sections are those of draft-pantos-hls-rfc8216bis (revisions 13 to 22 number them alike).
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Rule {
            $($(#[$doc])* $name,)*
        }

        impl Rule {
            pub const ALL: &'static [Rule] = &[$(Rule::$name,)*];

            /// Where it is written: `RFC 8216bis §4.4.4.9`.
            pub fn section(self) -> &'static str {
                match self {
                    $(Rule::$name => $section,)*
                }
            }

            /// What it asks for.
            pub fn says(self) -> &'static str {
                match self {
                    $(Rule::$name => $says,)*
                }
            }
        }
    };
}

rules! {
    // ---- the text of a playlist
    PlaylistForm: "RFC 8216bis §4.1", "a playlist is UTF-8 lines of known form, with the tags that it must have";
    Version: "RFC 8216bis §8", "EXT-X-VERSION is as high as the tags need";
    TargetDuration: "RFC 8216bis §4.4.3.1", "no EXTINF, rounded, is above TARGETDURATION";
    PartInf: "RFC 8216bis §4.4.3.7", "a playlist with parts says PART-TARGET";
    HoldBack: "RFC 8216bis §4.4.3.8", "HOLD-BACK is at least three target durations";
    PartHoldBack: "RFC 8216bis §4.4.3.8", "a playlist with parts says PART-HOLD-BACK, of at least three part targets";
    PartTooLong: "RFC 8216bis §4.4.4.9", "no part is longer than PART-TARGET";
    PartTooShort: "RFC 8216bis §4.4.4.9", "every part but the last of a segment, and but independent ones, lasts 85 % of PART-TARGET";
    PartsAddUp: "RFC 8216bis §3.2", "the parts of a segment add up to its EXTINF";
    PartsHaveParent: "RFC 8216bis §3.2", "when the program has ended every part belongs to a segment";
    TagsBeforeParts: "RFC 8216bis §4.4.4.9", "what is said of a segment stands before its first part";
    Map: "RFC 8216bis §4.4.4.5", "EXT-X-MAP stands before the first segment and after each discontinuity";
    DateAfterCut: "RFC 8216bis §6.2.1", "with dates anywhere, each discontinuity has one";
    LiveHasNoType: "RFC 8216bis §6.2.2", "a live playlist has no EXT-X-PLAYLIST-TYPE";
    SkipBoundary: "RFC 8216bis §4.4.3.8", "CAN-SKIP-UNTIL is at least six target durations";
    HintAfterEnd: "RFC 8216bis §4.4.5.3", "an ended playlist hints at nothing";
    OneHint: "RFC 8216bis §6.2.6", "a playlist has at most one hint of each type";

    // ---- one playlist after the other
    HeaderChanged: "RFC 8216bis §6.2.1", "TARGETDURATION, PART-TARGET and EXT-X-SERVER-CONTROL never change";
    MediaSequence: "RFC 8216bis §6.2.2", "EXT-X-MEDIA-SEQUENCE never goes back, and grows by as many segments as left";
    OnlyAppended: "RFC 8216bis §6.2.1", "what a playlist says of a segment or a part stays, and more only comes at its end";
    DiscontinuitySequence: "RFC 8216bis §6.2.2", "a segment keeps its discontinuity sequence number";
    PlaylistTooShort: "RFC 8216bis §6.2.2", "what is left when segments leave lasts three target durations";
    PartsAtEdge: "RFC 8216bis §6.2.2", "parts are listed for three target durations before the end, and not much longer";
    DeltaUpdate: "RFC 8216bis §6.2.5.1", "a delta update leaves out what was listed before and is further from the end than CAN-SKIP-UNTIL, and nothing else";
    SkipUnasked: "RFC 8216bis §6.2.5.1", "delta updates are for who asks for them, where the playlist says CAN-SKIP-UNTIL";
    UriReused: "RFC 8216bis §6.2.1", "an address names one segment or part only";
    HintKept: "RFC 8216bis §4.4.5.3", "the part that comes has the address that was hinted at";
    SegmentOnTime: "RFC 8216bis §6.2.1", "a new segment comes within one and a half target durations";
    PartOnTime: "RFC 8216bis §6.2.1", "a new part comes within a part target";
    AfterEnd: "RFC 8216bis §6.2.1", "after EXT-X-ENDLIST nothing changes, and directives are ignored";

    // ---- requests that wait
    BlockedAnswer: "RFC 8216bis §6.2.5.2", "who waited for a part gets a playlist that has it";
    BlockedTime: "RFC 8216bis §6.2.5.2", "nobody waits longer than three target durations";
    TooFar: "RFC 8216bis §6.2.5.2", "who asks for what is too far ahead, or for a part of nothing, is told 400 at once";
    OldIsAnswered: "RFC 8216bis §6.2.5.2", "who waits for what is there gets the whole playlist at once";
    HintIsServed: "RFC 8216bis §6.2.6", "who asked for the hinted part gets it when it is listed";
    HintUnkept: "RFC 8216bis §6.2.6", "who asked for a hinted part that never came is told so";

    // ---- media
    ListedIsThere: "RFC 8216bis §6.2.1", "what is listed can be had at once";
    Available: "RFC 8216bis §6.2.2", "what left the playlist can be had for its availability duration";
    BytesChanged: "RFC 8216bis §6.2.1", "an address never gets other bytes";
    PartsAreSegment: "RFC 8216bis §3.2", "the parts of a segment, one after the other, are the segment; those of captions have its cues";
    InitForm: "RFC 8216bis §3.1.2", "an initialization section is ftyp and moov of one track, and says one size";
    MediaForm: "RFC 8216bis §3.1.2", "a segment is whole movie fragments of the track, each with its decoding time";
    SampleDurations: "RFC 8216bis §4.4.4.1", "samples last as long as the playlist says, to a millisecond";
    Continuous: "RFC 8216bis §6.2.1", "decoding times go on without a hole";
    IndependentPart: "RFC 8216bis §4.4.4.9", "a part that is said to be independent begins with a sync sample";
    IndependentSegments: "RFC 8216bis §4.4.2.1", "with EXT-X-INDEPENDENT-SEGMENTS each segment begins with a sync sample";
    DateDrifts: "RFC 8216bis §4.4.4.6", "dates go as the media's own times do, to 50 ms";

    CaptionForm: "RFC 8216bis §3.1.4", "a segment of captions is WebVTT, and maps its times to the media's";
    CaptionShown: "RFC 8216bis §3.1.4", "a segment of captions has every cue that is shown during it, and no other";

    // ---- all of them together
    PlaylistsAgree: "RFC 8216bis §6.2.4", "all playlists have one target duration and one EXT-X-SERVER-CONTROL";
    DatesAgree: "RFC 8216bis §6.2.4", "all playlists map dates to the media's times alike, to 50 ms";
    VariantsAligned: "RFC 8216bis §6.2.4", "the variants show the same under the same numbers: segments of the same dates and lengths, in as many parts";
    DiscontinuitiesAgree: "RFC 8216bis §6.2.4", "what is shown together has one discontinuity sequence number";
    RenditionReport: "RFC 8216bis §4.4.5.4", "a report of another playlist is true";
    ReportMissing: "RFC 8216bis appendix B.1", "a low-latency playlist reports each other playlist";
    AudioGroup: "RFC 8216bis §4.4.6.2", "the AUDIO of a variant is a group of EXT-X-MEDIA";
    SubtitlesGroup: "RFC 8216bis §4.4.6.2", "the SUBTITLES of a variant is a group of EXT-X-MEDIA";
    Codecs: "RFC 8216bis §6.2.4", "CODECS names what the initialization sections say, and nothing else";
    Resolution: "RFC 8216bis §4.4.6.2", "RESOLUTION is that of the picture";
    Bandwidth: "RFC 8216bis §4.4.6.2", "BANDWIDTH is not below the peak segment rate, nor below the average";
    FrameRate: "RFC 8216bis §4.4.6.2", "FRAME-RATE is about that of the picture";

    // ---- HTTP
    ContentType: "RFC 8216bis §4", "playlists and media say what they are";
    Gzip: "RFC 8216bis §6.2.1", "a playlist is packed for who takes that, and for nobody else";
    PlaylistCache: "RFC 9111 §5.2.2", "a playlist that was not waited for is not kept longer than a part";
    MediaCache: "RFC 8216bis §6.2.2", "media may be kept for as long as it is listed";
    Cors: "Fetch §3.3.3", "pages of any origin may read it";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_says_where_it_is_written_and_what_it_asks_for() {
        for rule in Rule::ALL {
            assert!(rule.section().contains(['§', 'B']), "{rule:?}");
            assert!(rule.says().len() > 20, "{rule:?}");
        }
    }
}
