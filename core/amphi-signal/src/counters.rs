amphi_media::counters! {
    /// What one [`crate::Signal`] has read, refused and dropped since it was made. Absolute numbers that only grow.
    pub struct Counters {
        messages,
        /// Not a `SignalRequest`, too large, or text.
        messages_malformed,
        /// Beyond the rate that one client may have.
        messages_over_rate,
        /// Messages that were understood and about something that this server does not do.
        messages_unsupported,
        /// Messages from a socket that is not the member's any more.
        messages_stale,
        /// Messages that were lost because the client was away and too many were held for it.
        messages_not_held,
        /// Descriptions that made no sense.
        sdp_refused,
        /// Lines that a client sends on without an announced track.
        lines_unannounced,
        /// Times the client was asked to offer again, or was offered to.
        renegotiations,
        /// Such requests that were not followed in time.
        renegotiations_overdue,
        /// Subscriptions that no line could be had for, because the client has as many as are allowed.
        subscriptions_without_line,
        data_packets,
        /// Without the grant.
        data_refused,
        /// Not a `DataPacket`, too large, or of a kind that only a server sends.
        data_malformed,
        /// Reliable packets that were received before (sent again after a resume).
        data_repeated,
        /// Captions of what somebody else said, without the grant.
        captions_refused,
        resumes,
    }
}
