amphi_media::counters! {
    /// What one [`crate::Room`] has refused, stopped or ignored since it was made. Absolute numbers that only grow.
    pub struct Counters {
        joins,
        /// No grant to be here, or the room was full, or the description too large.
        joins_refused,
        /// Members that left because the same identity came again.
        duplicates,
        published,
        /// No grant, too many tracks, or an announcement that makes no sense.
        publishes_refused,
        /// Tracks stopped because a grant was lost.
        tracks_stopped_by_grant,
        subscribes_refused,
        /// Named subscribers beyond the bound, who then are not let.
        subscribers_not_kept,
        describes_refused,
        /// Broadcast and recording requests that were not done.
        switches_refused,
        /// Grants that came later than a newer revision.
        stale_grants,
        /// Inputs that named a member or a track that is not (or no longer) here.
        unknown,
    }
}
