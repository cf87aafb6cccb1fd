use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use amphi_media::{Codec, MediaKind, MemberId, Source, TrackId};
use amphi_policy::name::TITLE_BYTES_MAX;
use amphi_policy::{Action, Grants, Refusal};

use crate::switches::Switches;
use crate::{
    ATTRIBUTES_BYTES_MAX, Announced, Broadcast, Counters, Denied, EMPTY_BROADCAST_GRACE, Input,
    Joining, LABEL_BYTES_MAX, LAYERS_MAX, LeaveReason, MEMBERS_MAX, METADATA_BYTES_MAX, Member,
    Output, RequestId, SUBSCRIBERS_NAMED_MAX, Settings, Subscribers, TRACKS_PER_MEMBER_MAX, Track,
};

/// One room.
///
/// **After every [`Room::handle_input`], call [`Room::poll_output`] until it returns none, then ask
/// [`Room::poll_timeout`] when to come back with [`Input::Timeout`].**
///
/// Between two inputs the getters tell the state as it is *after* all outputs, so whoever performs an output may look
/// up the member or track that it names; of what is gone ([`Output::Left`], [`Output::StopTrack`]) the output says all.
pub struct Room {
    settings: Settings,
    members: BTreeMap<MemberId, Member>,
    /// Members in the order in which they came.
    order: Vec<MemberId>,
    tracks: BTreeMap<TrackId, Track>,
    next_track: u32,
    pub(crate) switches: Switches,
    /// Since when nobody is in.
    empty_since: Option<Instant>,
    outputs: VecDeque<Output>,
    pub(crate) counters: Counters,
}

impl Room {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            members: BTreeMap::new(),
            order: Vec::new(),
            tracks: BTreeMap::new(),
            next_track: 1,
            switches: Switches::default(),
            empty_since: None,
            outputs: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Join { member, joining } => self.join(now, member, joining),
            Input::Leave { member, reason } => self.leave(now, member, reason),
            Input::Active { member } => self.activate(member),
            Input::Announce { member, track } => self.announce(member, track),
            Input::Unpublish { member, track } => self.unpublish(member, track),
            Input::Mute {
                member,
                track,
                muted,
            } => self.mute(member, track, muted),
            Input::Describe {
                member,
                request,
                name,
                metadata,
                attributes,
            } => {
                self.describe(member, request, name, metadata, attributes);
            }
            Input::Subscribe {
                member,
                track,
                wanted,
            } => self.subscribe(member, track, wanted),
            Input::AutoSubscribe { member, on } => self.auto_subscribe(member, on),
            Input::LetSubscribe { member, to } => self.let_subscribe(member, to),
            Input::GrantsChanged { member, grants } => self.change_grants(now, member, grants),
            Input::TrackLive { track, codec } => self.go_live(now, track, codec),
            Input::SettingsChanged(settings) => self.change_settings(now, settings),
            Input::StartBroadcast { request, by, wish } => {
                self.ask_broadcast(now, request, &by, wish);
            }
            Input::ChangeProgram {
                request,
                by,
                change,
            } => self.ask_program(request, &by, change),
            Input::StopBroadcast { request, by } => self.ask_no_broadcast(request, &by),
            Input::StartRecording { request, by } => self.ask_recording(now, request, &by),
            Input::StopRecording { request, by } => self.ask_no_recording(request, &by),
            Input::ProgramFailed { reason } => self.program_failed(now, &reason),
            Input::Timeout => {}
        }
        if self.grace_end().is_some_and(|end| now >= end) {
            self.stop_both("Nobody was in the room any more.");
        }
        self.retry_if_due(now);
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.grace_end(), self.retry_at()]
            .into_iter()
            .flatten()
            .min()
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Everybody who is in, in the order in which they came; hidden ones too.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.order.iter().filter_map(|id| self.members.get(id))
    }

    pub fn member(&self, id: MemberId) -> Option<&Member> {
        self.members.get(&id)
    }

    pub fn member_by_identity(&self, identity: &str) -> Option<&Member> {
        self.members
            .values()
            .find(|member| member.identity == identity)
    }

    pub fn track(&self, id: TrackId) -> Option<&Track> {
        self.tracks.get(&id)
    }

    /// Everything that is published, oldest first.
    pub fn tracks(&self) -> impl Iterator<Item = &Track> {
        self.tracks.values()
    }

    /// None while off air.
    pub fn broadcast(&self) -> Option<&Broadcast> {
        self.switches.broadcast.as_ref()
    }

    /// Since when it records; none while it does not.
    pub fn recording(&self) -> Option<Instant> {
        self.switches.recording
    }

    /// Why the newest program ended or did not begin, in words; none once another one runs.
    pub fn failure(&self) -> Option<&str> {
        self.switches.failure.as_deref()
    }

    /// Nobody is in and nothing runs.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && !self.switches.any()
    }

    fn join(&mut self, now: Instant, id: MemberId, joining: Joining) {
        if let Err(denied) = self.may_join(id, &joining) {
            self.counters.joins_refused += 1;
            self.output(Output::JoinRefused { member: id, denied });
            return;
        }
        if let Some(older) = self
            .member_by_identity(&joining.identity)
            .map(|member| member.id)
        {
            self.counters.duplicates += 1;
            self.take_out(now, older, LeaveReason::DuplicateIdentity);
        }
        self.counters.joins += 1;
        self.members.insert(id, Member::new(id, joining, now));
        self.order.push(id);
        self.empty_since = None;
        self.output(Output::Joined { member: id });
    }

    fn may_join(&self, id: MemberId, joining: &Joining) -> Result<(), Denied> {
        joining
            .grants
            .allows(Action::Enter)
            .map_err(Denied::Refused)?;
        if self.members.contains_key(&id) {
            return Err(Denied::Unavailable(
                "This member is in the room already.".to_owned(),
            ));
        }
        let returns = self.member_by_identity(&joining.identity).is_some();
        if self.members.len() >= MEMBERS_MAX && !returns {
            return Err(Denied::Limit(format!(
                "This room is full: {MEMBERS_MAX} are in it."
            )));
        }
        described_in_bounds(&joining.name, &joining.metadata, &joining.attributes)
    }

    fn leave(&mut self, now: Instant, id: MemberId, reason: LeaveReason) {
        if self.members.contains_key(&id) {
            self.take_out(now, id, reason);
            self.say_if_empty();
        } else {
            self.counters.unknown += 1;
        }
    }

    fn take_out(&mut self, now: Instant, id: MemberId, reason: LeaveReason) {
        let Some(member) = self.members.get(&id) else {
            return;
        };
        let (tracks, subscriptions) = (member.tracks.clone(), member.subscriptions.clone());
        for track in tracks {
            self.stop(track, None);
        }
        for track in subscriptions {
            self.unsubscribe(id, track);
        }
        self.order.retain(|other| *other != id);
        let member = self
            .members
            .remove(&id)
            .expect("it was there above, and stopping tracks takes nobody out");
        if self.members.is_empty() {
            self.empty_since = Some(now);
        }
        let hidden = member.hidden();
        self.output(Output::Left {
            member: id,
            identity: member.identity,
            hidden,
            reason,
        });
    }

    fn activate(&mut self, id: MemberId) {
        let Some(member) = self.members.get_mut(&id) else {
            self.counters.unknown += 1;
            return;
        };
        if !member.active {
            member.active = true;
            self.change(id);
            self.reconcile_member(id);
        }
    }

    fn announce(&mut self, id: MemberId, announced: Announced) {
        let Some(member) = self.members.get(&id) else {
            self.counters.unknown += 1;
            return;
        };
        if let Err(denied) = self.may_publish(member, &announced) {
            self.counters.publishes_refused += 1;
            self.output(Output::PublishRefused {
                member: id,
                cid: announced.cid,
                denied,
            });
            return;
        }
        // The same track announced again (a client that lost the answer, or publishes anew) keeps its id.
        let known = member
            .tracks
            .iter()
            .copied()
            .find(|track| self.tracks[track].announced.cid == announced.cid);
        let cid = announced.cid.clone();
        let track = match known {
            Some(track) => {
                self.announce_again(track, announced);
                track
            }
            None => self.publish(id, announced),
        };
        self.output(Output::Published {
            member: id,
            track,
            cid,
        });
        self.change(id);
        if known.is_none() {
            let publisher = self.members[&id].clone();
            self.say_who_may_have(track, |_| true, |identity| publisher.lets(identity, track));
        }
        self.reconcile_track(track);
    }

    fn may_publish(&self, member: &Member, announced: &Announced) -> Result<(), Denied> {
        let kind_fits = match announced.source {
            Source::Camera | Source::Screen => announced.kind == MediaKind::Video,
            Source::Microphone | Source::ScreenAudio => announced.kind == MediaKind::Audio,
            Source::Unknown => true,
        };
        if !kind_fits
            || announced
                .codec
                .is_some_and(|codec| codec.kind() != announced.kind)
        {
            // Otherwise a grant for one source would let another pass under its name.
            return Err(Denied::Unavailable(
                "The track's kind does not fit its source: a camera and a screen are video, a microphone and a screen's sound are audio."
                    .to_owned(),
            ));
        }
        member
            .grants
            .allows(publishing(announced.source))
            .map_err(Denied::Refused)?;
        let again = member
            .tracks
            .iter()
            .any(|track| self.tracks[track].announced.cid == announced.cid);
        if member.tracks.len() >= TRACKS_PER_MEMBER_MAX && !again {
            return Err(Denied::Limit(format!(
                "A member may publish at most {TRACKS_PER_MEMBER_MAX} tracks at a time."
            )));
        }
        if announced.cid.is_empty() {
            return Err(Denied::Unavailable(
                "A track needs an id of its own (cid).".to_owned(),
            ));
        }
        let longest = announced
            .cid
            .len()
            .max(announced.name.len())
            .max(announced.stream.len());
        if longest > LABEL_BYTES_MAX || announced.layers.len() > LAYERS_MAX {
            return Err(Denied::Limit(format!(
                "A track's id, name and stream may have at most {LABEL_BYTES_MAX} bytes each, and it may have at most {LAYERS_MAX} layers."
            )));
        }
        Ok(())
    }

    fn publish(&mut self, id: MemberId, announced: Announced) -> TrackId {
        let track = TrackId(self.next_track);
        self.next_track += 1;
        self.counters.published += 1;
        let codec = announced.codec;
        self.tracks.insert(
            track,
            Track {
                id: track,
                member: id,
                announced,
                codec,
                live: false,
                subscribers: BTreeSet::new(),
            },
        );
        if let Some(member) = self.members.get_mut(&id) {
            member.tracks.push(track);
        }
        if self.tracks[&track].announced.muted {
            self.output(Output::SetMuted { track, muted: true });
        }
        track
    }

    fn announce_again(&mut self, id: TrackId, announced: Announced) {
        let Some(track) = self.tracks.get_mut(&id) else {
            return;
        };
        let muted = announced.muted;
        let turned = track.announced.muted != muted;
        track.codec = announced.codec.or(track.codec);
        track.announced = announced;
        if turned {
            self.output(Output::SetMuted { track: id, muted });
        }
    }

    fn unpublish(&mut self, id: MemberId, track: TrackId) {
        if !self.owns(id, track) {
            self.counters.unknown += 1;
            return;
        }
        self.stop(track, None);
        self.change(id);
    }

    fn mute(&mut self, id: MemberId, track: TrackId, muted: bool) {
        if !self.owns(id, track) {
            self.counters.unknown += 1;
            return;
        }
        let known = self
            .tracks
            .get_mut(&track)
            .expect("an owned track is in the room");
        if known.announced.muted != muted {
            known.announced.muted = muted;
            self.output(Output::SetMuted { track, muted });
            self.change(id);
        }
    }

    fn describe(
        &mut self,
        id: MemberId,
        request: RequestId,
        name: Option<String>,
        metadata: Option<String>,
        attributes: BTreeMap<String, String>,
    ) {
        let Some(member) = self.members.get(&id) else {
            self.counters.unknown += 1;
            return;
        };
        let mut next = member.clone();
        next.name = name.unwrap_or(next.name);
        next.metadata = metadata.unwrap_or(next.metadata);
        next.attributes.extend(attributes);
        next.attributes.retain(|_, value| !value.is_empty());
        let allowed = member
            .grants
            .allows(Action::UpdateOwnMetadata)
            .map_err(Denied::Refused);
        if let Err(denied) =
            allowed.and_then(|()| described_in_bounds(&next.name, &next.metadata, &next.attributes))
        {
            self.counters.describes_refused += 1;
            self.output(Output::Refused {
                member: id,
                request: Some(request),
                denied,
            });
            return;
        }
        let changed = next != *member;
        self.members.insert(id, next);
        if changed {
            self.change(id);
        }
        self.output(Output::Described {
            member: id,
            request,
        });
    }

    fn subscribe(&mut self, id: MemberId, track: TrackId, wanted: bool) {
        let Some(member) = self.members.get_mut(&id) else {
            self.counters.unknown += 1;
            return;
        };
        let offered = self.tracks.get(&track).filter(|known| known.member != id);
        if offered.is_none() {
            self.counters.unknown += 1;
            if wanted {
                self.counters.subscribes_refused += 1;
                let denied =
                    Denied::Unavailable("There is no such track of somebody else here.".to_owned());
                self.output(Output::SubscribeRefused {
                    member: id,
                    track,
                    denied,
                });
            }
            return;
        }
        member.wishes.insert(track, wanted);
        let refusal = member.grants.allows(Action::Subscribe).err();
        if let (true, Some(refusal)) = (wanted, refusal) {
            self.counters.subscribes_refused += 1;
            self.output(Output::SubscribeRefused {
                member: id,
                track,
                denied: Denied::Refused(refusal),
            });
        }
        self.reconcile(id, track);
    }

    fn auto_subscribe(&mut self, id: MemberId, on: bool) {
        let Some(member) = self.members.get_mut(&id) else {
            self.counters.unknown += 1;
            return;
        };
        member.auto_subscribe = on;
        self.reconcile_member(id);
    }

    fn let_subscribe(&mut self, id: MemberId, mut to: Subscribers) {
        if let Subscribers::Only(named) = &mut to {
            while named.len() > SUBSCRIBERS_NAMED_MAX {
                named.pop_last();
                self.counters.subscribers_not_kept += 1;
            }
        }
        let Some(member) = self.members.get_mut(&id) else {
            self.counters.unknown += 1;
            return;
        };
        let before = std::mem::replace(&mut member.lets, to);
        let after = member.clone();
        let before = Member {
            lets: before,
            ..after.clone()
        };
        for track in &after.tracks {
            self.say_who_may_have(
                *track,
                |identity| before.lets(identity, *track),
                |identity| after.lets(identity, *track),
            );
            self.reconcile_track(*track);
        }
    }

    /// Tells those for whom it differs whether the publisher lets them have the track.
    fn say_who_may_have(
        &mut self,
        track: TrackId,
        before: impl Fn(&str) -> bool,
        after: impl Fn(&str) -> bool,
    ) {
        let Some(publisher) = self.tracks.get(&track).map(|known| known.member) else {
            return;
        };
        let others = self.members().filter(|member| member.id != publisher);
        let changed: Vec<_> = others
            .map(|member| (member.id, before(&member.identity), after(&member.identity)))
            .filter(|(_, before, after)| before != after)
            .collect();
        for (member, _, allowed) in changed {
            self.output(Output::SubscribingLet {
                member,
                track,
                allowed,
            });
        }
    }

    fn change_grants(&mut self, now: Instant, id: MemberId, grants: Grants) {
        let Some(member) = self.members.get_mut(&id) else {
            self.counters.unknown += 1;
            return;
        };
        if grants.revision <= member.grants.revision {
            self.counters.stale_grants += 1;
            return;
        }
        let before = std::mem::replace(&mut member.grants, grants);
        let after = member.grants.clone();
        if after.allows(Action::Enter).is_err() {
            self.take_out(now, id, LeaveReason::Removed);
            self.say_if_empty();
            return;
        }
        self.stop_what_may_not_be(id, &after);
        self.reconcile_member(id);
        if before.hidden() != after.hidden() {
            for track in self.members[&id].tracks.clone() {
                self.reconcile_track(track);
            }
        }
        self.output(Output::GrantsChanged { member: id });
        self.change(id);
        if let (Ok(()), Err(refusal)) = (
            before.allows(Action::Subscribe),
            after.allows(Action::Subscribe),
        ) {
            self.output(Output::Refused {
                member: id,
                request: None,
                denied: Denied::Refused(refusal),
            });
        }
    }

    fn stop_what_may_not_be(&mut self, id: MemberId, grants: &Grants) {
        for track in self.members[&id].tracks.clone() {
            let source = self.tracks[&track].announced.source;
            if let Err(refusal) = grants.allows(publishing(source)) {
                self.counters.tracks_stopped_by_grant += 1;
                self.stop(track, Some(refusal));
            }
        }
    }

    fn go_live(&mut self, now: Instant, id: TrackId, codec: Codec) {
        let Some(track) = self.tracks.get_mut(&id) else {
            self.counters.unknown += 1;
            return;
        };
        let (member, news) = (track.member, !track.live || track.codec != Some(codec));
        track.live = true;
        track.codec = Some(codec);
        if news {
            self.change(member);
        }
        self.start_by_itself(now);
    }

    fn change_settings(&mut self, now: Instant, settings: Settings) {
        let more = (settings.broadcast_auto && !self.settings.broadcast_auto)
            || (settings.record_auto && !self.settings.record_auto);
        self.settings = settings;
        if more {
            self.switches.started_itself = false;
            self.start_by_itself(now);
        }
    }

    /// Takes a track out of the room. Nothing of it is forwarded after the first output of this.
    fn stop(&mut self, id: TrackId, refusal: Option<Refusal>) {
        let Some(track) = self.tracks.remove(&id) else {
            return;
        };
        self.output(Output::StopTrack {
            member: track.member,
            track: id,
            refusal,
        });
        for subscriber in track.subscribers {
            if let Some(member) = self.members.get_mut(&subscriber) {
                member.subscriptions.remove(&id);
            }
            self.output(Output::Unsubscribed {
                member: subscriber,
                track: id,
            });
        }
        for member in self.members.values_mut() {
            member.wishes.remove(&id);
        }
        if let Some(publisher) = self.members.get_mut(&track.member) {
            publisher.tracks.retain(|other| *other != id);
        }
        if !self.tracks.values().any(|other| other.live) {
            self.switches.started_itself = false;
        }
    }

    /// Makes a member's subscriptions what they should be.
    fn reconcile_member(&mut self, id: MemberId) {
        for track in self.tracks.keys().copied().collect::<Vec<_>>() {
            self.reconcile(id, track);
        }
    }

    /// Makes everybody's subscription to one track what it should be.
    fn reconcile_track(&mut self, track: TrackId) {
        for member in self.order.clone() {
            self.reconcile(member, track);
        }
    }

    fn reconcile(&mut self, id: MemberId, track: TrackId) {
        let (Some(member), Some(known)) = (self.members.get(&id), self.tracks.get(&track)) else {
            return;
        };
        let Some(publisher) = self.members.get(&known.member) else {
            return;
        };
        let offered =
            known.member != id && !publisher.hidden() && publisher.lets(&member.identity, track);
        let gets = offered
            && member.active
            && member.wishes(track)
            && member.grants.allows(Action::Subscribe).is_ok();
        match (member.subscriptions.contains(&track), gets) {
            (false, true) => {
                self.members
                    .get_mut(&id)
                    .expect("looked up above")
                    .subscriptions
                    .insert(track);
                self.tracks
                    .get_mut(&track)
                    .expect("looked up above")
                    .subscribers
                    .insert(id);
                self.output(Output::Subscribed { member: id, track });
            }
            (true, false) => self.unsubscribe(id, track),
            (true, true) | (false, false) => {}
        }
    }

    fn unsubscribe(&mut self, id: MemberId, track: TrackId) {
        if let Some(member) = self.members.get_mut(&id) {
            member.subscriptions.remove(&track);
        }
        if let Some(known) = self.tracks.get_mut(&track) {
            known.subscribers.remove(&id);
        }
        self.output(Output::Unsubscribed { member: id, track });
    }

    /// Others see something new of this member.
    fn change(&mut self, id: MemberId) {
        if let Some(member) = self.members.get_mut(&id) {
            member.version += 1;
            self.output(Output::MemberChanged { member: id });
        }
    }

    fn owns(&self, id: MemberId, track: TrackId) -> bool {
        self.tracks
            .get(&track)
            .is_some_and(|known| known.member == id)
    }

    fn grace_end(&self) -> Option<Instant> {
        self.empty_since
            .filter(|_| self.switches.any())
            .map(|since| since + EMPTY_BROADCAST_GRACE)
    }

    /// Something starts in a room where nobody is: the grace time counts from here.
    pub(crate) fn wait_for_members(&mut self, now: Instant) {
        if self.members.is_empty() {
            self.empty_since = Some(now);
        }
    }

    pub(crate) fn say_if_empty(&mut self) {
        if self.is_empty() {
            self.output(Output::Empty);
        }
    }

    pub(crate) fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }
}

/// What has to be allowed to publish from this source.
fn publishing(source: Source) -> Action {
    match source {
        Source::Camera => Action::Camera,
        Source::Microphone => Action::Microphone,
        Source::Screen => Action::Screen,
        Source::ScreenAudio => Action::ScreenAudio,
        Source::Unknown => Action::PublishUnknown,
    }
}

fn described_in_bounds(
    name: &str,
    metadata: &str,
    attributes: &BTreeMap<String, String>,
) -> Result<(), Denied> {
    let attributes_bytes: usize = attributes
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    if name.len() > TITLE_BYTES_MAX {
        return Err(Denied::Limit(format!(
            "A shown name may have at most {TITLE_BYTES_MAX} bytes."
        )));
    }
    if metadata.len() > METADATA_BYTES_MAX {
        return Err(Denied::Limit(format!(
            "Metadata may have at most {METADATA_BYTES_MAX} bytes."
        )));
    }
    if attributes_bytes > ATTRIBUTES_BYTES_MAX {
        return Err(Denied::Limit(format!(
            "Attributes may have at most {ATTRIBUTES_BYTES_MAX} bytes together."
        )));
    }
    Ok(())
}
