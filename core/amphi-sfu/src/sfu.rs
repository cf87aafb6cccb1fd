use std::collections::VecDeque;
use std::time::Instant;

use crate::{Config, Counters, Input, Output};

/// The WebRTC sessions of one room, and which packet goes to whom.
///
/// **After every [`Sfu::handle_input`], call [`Sfu::poll_output`] until it returns none, then ask
/// [`Sfu::poll_timeout`] when to come back with [`Input::Timeout`].**
pub struct Sfu {
    config: Config,
    counters: Counters,
    outputs: VecDeque<Output>,
}

impl Sfu {
    pub fn new(config: Config) -> Self {
        Self {
            config,
            counters: Counters::default(),
            outputs: VecDeque::new(),
        }
    }

    pub fn handle_input(&mut self, _now: Instant, _input: Input<'_>) {
        let _ = &self.config;
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}
