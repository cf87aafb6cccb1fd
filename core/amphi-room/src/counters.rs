/// What one [`crate::Room`] has refused, stopped or ignored since it was made. Absolute numbers that only grow.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    pub joins: u64,
    /// No grant to be here, or the room was full, or the description too large.
    pub joins_refused: u64,
    /// Members that left because the same identity came again.
    pub duplicates: u64,
    pub published: u64,
    /// No grant, too many tracks, or an announcement that makes no sense.
    pub publishes_refused: u64,
    /// Tracks stopped because a grant was lost.
    pub tracks_stopped_by_grant: u64,
    pub subscribes_refused: u64,
    pub describes_refused: u64,
    /// Broadcast and recording requests that were not done.
    pub switches_refused: u64,
    /// Grants that came later than a newer revision.
    pub stale_grants: u64,
    /// Inputs that named a member or a track that is not (or no longer) here.
    pub unknown: u64,
}
