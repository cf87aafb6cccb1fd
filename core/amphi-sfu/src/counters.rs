/// What one [`crate::Sfu`] has done since it was made. Absolute numbers that only grow.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    pub sessions_opened: u64,
    pub sessions_ended: u64,
}
