use serde::{Deserialize, Serialize};

/// What the program did and what its bounds cost. They only grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Pictures that came out.
    pub pictures: u64,
    /// Pictures of lower layers that came out.
    pub pictures_lower: u64,
    /// Pictures of lower layers that did not: nothing to begin with, or too many that waited.
    pub pictures_lower_dropped: u64,
    /// Access units of sound that came out.
    pub access_units: u64,
    /// How often another source came on air.
    pub cuts: u64,
    pub key_frame_requests: u64,
    /// Frames of tracks that are unknown or muted, or of a kind or codec that the track does not have.
    pub frames_unknown: u64,
    /// On-air pictures that could not be decoded because something before them was lost.
    pub pictures_broken: u64,
    /// Pictures whose time would not have been after the one before: moved by a little.
    pub pictures_nudged: u64,
    /// Pictures that came far too late.
    pub pictures_late: u64,
    /// Key frames without parameter sets, and none known from before.
    pub keys_unusable: u64,
    /// Sound packets that came after their time had been mixed.
    pub packets_late: u64,
    /// Sound packets that did not fit into a track's buffer.
    pub packets_overflow: u64,
    /// Sound packets that are not what the codec says, or that the decoder refused.
    pub packets_bad: u64,
    /// Pieces of sound that were made up because a packet was missing.
    pub concealed: u64,
    /// Tracks whose clock jumped, so that their place in the program was found anew.
    pub resyncs: u64,
    /// Tracks beyond the bound of a program.
    pub tracks_refused: u64,
    /// Blocks in which the limiter turned the mix down.
    pub limited: u64,
    /// Errors of the encoders.
    pub encoder_errors: u64,
    /// Times that all encoders of the composed picture were made anew because one of them broke.
    pub encoders_replaced: u64,
    /// Pictures that were decoded to be composed.
    pub pictures_decoded: u64,
    /// Pictures that a decoder refused.
    pub decoder_errors: u64,
    /// Times that a source's pictures were more than may wait, so that it began anew.
    pub pictures_overflow: u64,
    /// How often the arrangement of the composed picture changed.
    pub layouts: u64,
    /// Instants in which nothing had changed, so that nothing was encoded.
    pub ticks_unchanged: u64,
    /// Instants that were left out because the program was late.
    pub ticks_left_out: u64,
}

impl std::ops::AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        // Without `..`, so that a new counter is not forgotten here.
        let Self {
            pictures,
            pictures_lower,
            pictures_lower_dropped,
            access_units,
            cuts,
            key_frame_requests,
            frames_unknown,
            pictures_broken,
            pictures_nudged,
            pictures_late,
            keys_unusable,
            packets_late,
            packets_overflow,
            packets_bad,
            concealed,
            resyncs,
            tracks_refused,
            limited,
            encoder_errors,
            encoders_replaced,
            pictures_decoded,
            decoder_errors,
            pictures_overflow,
            layouts,
            ticks_unchanged,
            ticks_left_out,
        } = other;
        self.pictures += pictures;
        self.pictures_lower += pictures_lower;
        self.pictures_lower_dropped += pictures_lower_dropped;
        self.access_units += access_units;
        self.cuts += cuts;
        self.key_frame_requests += key_frame_requests;
        self.frames_unknown += frames_unknown;
        self.pictures_broken += pictures_broken;
        self.pictures_nudged += pictures_nudged;
        self.pictures_late += pictures_late;
        self.keys_unusable += keys_unusable;
        self.packets_late += packets_late;
        self.packets_overflow += packets_overflow;
        self.packets_bad += packets_bad;
        self.concealed += concealed;
        self.resyncs += resyncs;
        self.tracks_refused += tracks_refused;
        self.limited += limited;
        self.encoder_errors += encoder_errors;
        self.encoders_replaced += encoders_replaced;
        self.pictures_decoded += pictures_decoded;
        self.decoder_errors += decoder_errors;
        self.pictures_overflow += pictures_overflow;
        self.layouts += layouts;
        self.ticks_unchanged += ticks_unchanged;
        self.ticks_left_out += ticks_left_out;
    }
}
