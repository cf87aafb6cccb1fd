/// Writes the struct, the list of its numbers for a metrics page, and the sum of two, so that none can be forgotten.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What one [`crate::Sfu`] has done since it was made. Absolute numbers that only grow.
        #[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            /// Every number with its name, for a metrics page.
            pub fn list(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }

            /// Adds another room's numbers to these.
            pub fn add(&mut self, other: &Counters) {
                $(self.$name = self.$name.saturating_add(other.$name);)*
            }
        }
    };
}

counters! {
    sessions_opened,
    sessions_closed,
    /// Sessions that ended by themselves: closed by the other side, DTLS refused, or an error in the library.
    sessions_ended,
    /// Sessions ended because the WebRTC library broke on what the other side sent. Each one is a bug to report.
    library_panics,

    datagrams_in,
    bytes_in,
    datagrams_out,
    bytes_out,
    /// For a session that is not (or no longer) here.
    dropped_unknown_session,
    /// Nothing that WebRTC sends, or cut short.
    dropped_garbage,
    /// Larger than a datagram or a payload may be here.
    dropped_oversize,
    /// DTLS or media from an address that no authenticated STUN check has come from.
    dropped_unverified,
    /// STUN with a wrong user name or without integrity.
    stun_refused,
    /// DTLS that the handshake could not use; the session goes on unless it was fatal.
    dtls_refused,
    /// Media packets with an SSRC that was never seen, above the rate at which a client starts new ones.
    dropped_ssrc_flood,

    /// RTP packets, before decryption.
    rtp_in,
    /// RTP that led to no media: failed authentication, a duplicate, padding, an unknown stream or payload type.
    rtp_unused,
    rtcp_in,
    /// Media packets that were authenticated and belong to a track.
    packets_in,
    /// Packets of nothing but padding on a track's own SSRC, taken out of its numbers.
    padding_in,
    /// Media packets handed to a subscriber's session (retransmissions not counted).
    packets_out,
    /// Media of a muted track.
    dropped_muted,
    /// Media on a line that carries no track (stopped, refused, or never announced).
    dropped_stopped,
    /// A payload type that was not negotiated as something we carry.
    dropped_payload_type,
    /// Not forwarded to one subscriber because it did not negotiate a compatible format.
    dropped_no_format,
    /// Not forwarded because it came too late: to one subscriber, from before a switch; to anybody, from so long ago that
    /// it has no number any more.
    dropped_late,

    /// Key frames that subscribers, switches and frame takers asked for.
    key_frames_asked,
    /// Requests that another one already stood for.
    key_frames_merged,
    /// Requests sent to publishers.
    key_frames_sent,
    layer_switches,
    /// Times that a publisher was told up to which layer its track is taken.
    demands_told,
    nacks_in,
    nacks_out,

    frames_out,
    /// Pictures and audio packets that could not be put together because packets were lost for good.
    frames_lost,
    /// Pictures whose packets made no sense.
    frames_broken,
    /// The reordering buffer of a frame taker was full.
    frame_buffer_full,

    data_in,
    data_out,
    /// Lossy data for a session whose channel was full or not open.
    data_dropped,
    /// Sessions ended because their reliable data queue was full.
    data_overflows,
    /// Data on a channel with a label that we do not know.
    data_unknown_channel,

    sdp_refused,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_add_up() {
        let one = Counters {
            packets_in: 2,
            frames_out: 1,
            ..Counters::default()
        };
        let mut sum = one;
        sum.add(&one);
        assert_eq!(
            sum.list().find(|(name, _)| *name == "packets_in"),
            Some(("packets_in", 4))
        );
        assert_eq!(sum.list().map(|(_, value)| value).sum::<u64>(), 6);
    }
}
