//! The room's two switches, broadcast and recording, and the program that both need.

use std::time::{Duration, Instant};

use amphi_policy::{Action, Grants};

use crate::{Denied, Output, RequestId, Room, Wish, WishChange};

/// A broadcast that is on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broadcast {
    pub wish: Wish,
    pub since: Instant,
}

/// What runs.
#[derive(Default)]
pub(crate) struct Switches {
    pub(crate) broadcast: Option<Broadcast>,
    pub(crate) recording: Option<Instant>,
    program: Option<Wish>,
    /// The rooms' own starting was done for the tracks that are live: what a person ends stays ended.
    pub(crate) started_itself: bool,
    /// Why the newest program ended or did not begin; until another one begins.
    pub(crate) failure: Option<String>,
    /// What goes on by itself is tried again then.
    retry_at: Option<Instant>,
}

/// How long a room that goes on air by itself waits after a program that failed.
const RETRY_AFTER: Duration = Duration::from_secs(10);

impl Switches {
    pub(crate) fn any(&self) -> bool {
        self.broadcast.is_some() || self.recording.is_some()
    }
}

impl Room {
    pub(crate) fn ask_broadcast(
        &mut self,
        now: Instant,
        request: RequestId,
        by: &Grants,
        wish: Wish,
    ) {
        let result = by.allows(Action::Broadcast).map_err(Denied::Refused);
        if result.is_ok() {
            self.start_broadcast(now, wish);
        }
        self.reply(request, result);
    }

    pub(crate) fn ask_program(&mut self, request: RequestId, by: &Grants, change: WishChange) {
        let result = by
            .allows(Action::Broadcast)
            .map_err(Denied::Refused)
            .and_then(|()| self.change_program(change));
        self.reply(request, result);
    }

    pub(crate) fn ask_no_broadcast(&mut self, request: RequestId, by: &Grants) {
        let result = by.allows(Action::Broadcast).map_err(Denied::Refused);
        if result.is_ok() {
            self.switches.retry_at = None;
            self.stop_broadcast(None);
            self.stop_program_if_unused();
        }
        self.reply(request, result);
    }

    pub(crate) fn ask_recording(&mut self, now: Instant, request: RequestId, by: &Grants) {
        let result = by.allows(Action::Record).map_err(Denied::Refused);
        if result.is_ok() {
            self.start_recording(now);
        }
        self.reply(request, result);
    }

    pub(crate) fn ask_no_recording(&mut self, request: RequestId, by: &Grants) {
        let result = by.allows(Action::Record).map_err(Denied::Refused);
        if result.is_ok() {
            self.switches.retry_at = None;
            self.stop_recording(None);
            self.stop_program_if_unused();
        }
        self.reply(request, result);
    }

    /// Starts what the settings say should start without asking, once somebody's media is there.
    pub(crate) fn start_by_itself(&mut self, now: Instant) {
        if self.switches.started_itself || !self.tracks().any(|track| track.live) {
            return;
        }
        self.switches.started_itself = true;
        if self.settings().broadcast_auto {
            let wish = self.settings().wish.clone();
            self.start_broadcast(now, wish);
        }
        if self.settings().record_auto {
            self.start_recording(now);
        }
    }

    /// The program is gone, or there was no place for one. What the settings say should run is tried again after a while.
    pub(crate) fn program_failed(&mut self, now: Instant, reason: &str) {
        let by_itself = self.settings().broadcast_auto && self.switches.broadcast.is_some()
            || self.settings().record_auto && self.switches.recording.is_some();
        self.stop_both(reason);
        self.switches.failure = Some(reason.to_owned());
        self.switches.retry_at = by_itself.then(|| now + RETRY_AFTER);
    }

    pub(crate) fn retry_at(&self) -> Option<Instant> {
        self.switches.retry_at
    }

    pub(crate) fn retry_if_due(&mut self, now: Instant) {
        if self.switches.retry_at.is_some_and(|at| now >= at) {
            self.switches.retry_at = None;
            self.switches.started_itself = false;
            self.start_by_itself(now);
        }
    }

    /// Ends both, when the program is gone or nobody came back.
    pub(crate) fn stop_both(&mut self, reason: &str) {
        self.stop_broadcast(Some(reason));
        self.stop_recording(Some(reason));
        self.stop_program_if_unused();
    }

    fn start_broadcast(&mut self, now: Instant, wish: Wish) {
        if self.switches.broadcast.is_none() {
            self.start_program_if_unused(now, &wish);
            // A recording may run a program already: who goes on air has the say.
            self.set_wish(&wish);
            self.output(Output::BroadcastStarted { wish: wish.clone() });
            self.switches.broadcast = Some(Broadcast { wish, since: now });
        }
    }

    fn change_program(&mut self, change: WishChange) -> Result<(), Denied> {
        let Some(wish) = self.switches.program.clone() else {
            return Err(Denied::Unavailable(
                "This room is not on air: start its broadcast with the program and the layout that you want.".to_owned(),
            ));
        };
        let wish = Wish {
            program: change.program.unwrap_or(wish.program),
            layout: change.layout.unwrap_or(wish.layout),
            fit: change.fit.unwrap_or(wish.fit),
            title: change.title.unwrap_or(wish.title),
        };
        self.set_wish(&wish);
        if let Some(broadcast) = &mut self.switches.broadcast {
            broadcast.wish = wish;
        }
        Ok(())
    }

    /// Of the program that runs.
    fn set_wish(&mut self, wish: &Wish) {
        if let Some(present) = &mut self.switches.program
            && present != wish
        {
            present.clone_from(wish);
            let wish = wish.clone();
            self.output(Output::ChangeProgram { wish });
        }
    }

    fn start_recording(&mut self, now: Instant) {
        if self.switches.recording.is_none() {
            let wish = self.settings().wish.clone();
            self.start_program_if_unused(now, &wish);
            self.switches.recording = Some(now);
            self.output(Output::RecordingStarted);
        }
    }

    fn stop_broadcast(&mut self, reason: Option<&str>) {
        if self.switches.broadcast.take().is_some() {
            self.output(Output::BroadcastStopped {
                reason: reason.map(str::to_owned),
            });
        }
    }

    fn stop_recording(&mut self, reason: Option<&str>) {
        if self.switches.recording.take().is_some() {
            self.output(Output::RecordingStopped {
                reason: reason.map(str::to_owned),
            });
        }
    }

    fn start_program_if_unused(&mut self, now: Instant, wish: &Wish) {
        if self.switches.program.is_none() {
            self.wait_for_members(now);
            self.switches.program = Some(wish.clone());
            self.switches.failure = None;
            self.switches.retry_at = None;
            self.output(Output::StartProgram { wish: wish.clone() });
        }
    }

    fn stop_program_if_unused(&mut self) {
        if !self.switches.any() && self.switches.program.take().is_some() {
            self.output(Output::StopProgram);
            self.say_if_empty();
        }
    }

    fn reply(&mut self, request: RequestId, result: Result<(), Denied>) {
        if result.is_err() {
            self.counters.switches_refused += 1;
        }
        self.output(Output::Reply { request, result });
    }
}
