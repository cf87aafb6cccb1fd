amphi_media::counters! {
    /// What a shard has seen that belongs to no single room. Absolute numbers that only grow.
    pub struct DoorCounters {
        rooms_opened,
        rooms_closed,
        /// Rooms closed because something in them broke. Each one is a bug to report.
        rooms_failed,
        /// Datagrams from an address that no session has verified.
        dropped_unknown_source,
        /// STUN checks with a user name that is no session's.
        dropped_unknown_ufrag,
        /// Messages of sockets that belong to no member (any more).
        dropped_unknown_connection,
        /// Clients that came while the server was draining.
        refused_draining,
        /// Clients that came when there were too many rooms.
        refused_full,
    }
}

/// What one shard has done so far, and what it holds.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counters {
    pub rooms: usize,
    pub members: usize,
    pub tracks: usize,
    pub sessions: usize,
    pub door: DoorCounters,
    pub room: amphi_room::Counters,
    pub signal: amphi_signal::Counters,
    pub sfu: amphi_sfu::Counters,
}
