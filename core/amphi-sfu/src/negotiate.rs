//! Offers and answers: the library does the negotiation, this says which line carries which track.

use std::collections::BTreeMap;
use std::time::Instant;

use amphi_media::{MediaKind, SessionId};
use str0m::change::{SdpAnswer, SdpOffer};
use str0m::media::{Direction as StrDirection, MediaKind as StrKind, Mid as StrMid};

use crate::demand::Demand;
use crate::sdp::{self, Role};
use crate::session::{Line, Pending, Receiving, guarded};
use crate::sfu::Sfu;
use crate::track::Source;
use crate::{Channel, Mid, NewLine, Output, ReceiveLine, SendLine};

/// Most m-lines that one session may come to, whoever adds them.
const LINES_MAX: usize = sdp::LINES_MAX;

impl Sfu {
    pub(crate) fn take_offer(
        &mut self,
        id: SessionId,
        text: &str,
        receives: &[ReceiveLine],
        sends: Vec<SendLine>,
        now: Instant,
    ) {
        let lines = match sdp::lines(text) {
            Ok(lines) if lines.len() <= LINES_MAX => lines,
            Ok(_) => return self.refuse(id, "the session has too many m-lines".to_owned()),
            Err(error) => return self.refuse(id, error.to_string()),
        };
        if let Some(missing) = ["a=fingerprint:", "a=ice-ufrag:", "a=ice-pwd:"]
            .into_iter()
            .find(|name| !text.contains(name))
        {
            return self.refuse(id, format!("the description has no {missing}"));
        }
        let Some(session) = self.sessions.get_mut(&id).filter(|session| !session.ended) else {
            return self.refuse(id, "the session is over".to_owned());
        };
        let rtc = &mut session.rtc;
        let answer = guarded(|| {
            let offer = SdpOffer::from_sdp_string(text).map_err(|error| error.to_string())?;
            let answer = rtc
                .sdp_api()
                .accept_offer(offer)
                .map_err(|error| error.to_string())?;
            Ok::<String, String>(answer.to_sdp_string())
        });
        let answer = match answer {
            Err(_) => {
                self.refuse(id, "the description breaks the WebRTC library".to_owned());
                return self.end_broken(id);
            }
            Ok(Err(reason)) => {
                let alive = session.rtc.is_alive();
                self.refuse(id, reason);
                if !alive {
                    self.end(id);
                }
                return;
            }
            Ok(Ok(answer)) => answer,
        };
        // The library has dropped an offer of ours that was not answered; its new lines stand at the end of the list.
        session.pending = None;
        session.lines.retain(|line| line.agreed);
        session.renegotiated();

        // What the other side sends.
        let offered: BTreeMap<&Mid, &sdp::Line> =
            lines.iter().map(|line| (&line.mid, line)).collect();
        let accepted = receives.iter().filter_map(|line| {
            let offered = offered
                .get(&line.mid)
                .filter(|offered| offered.direction.sends())?;
            Some((
                str_mid(&line.mid),
                Receiving::new(line.track, &offered.rids),
            ))
        });
        self.receive(id, accepted.collect());

        // What we send.
        let mut roles = BTreeMap::new();
        let order = sdp::formats(text);
        for line in &lines {
            let Some(kind) = line.kind.media() else {
                continue;
            };
            let mid = str_mid(&line.mid);
            let send = sends
                .iter()
                .find(|send| send.mid == line.mid)
                .filter(|_| line.direction.receives());
            let receives_it = self
                .sessions
                .get(&id)
                .is_some_and(|session| session.receiving.contains_key(&mid));
            let role = match send {
                Some(send) => {
                    self.carry(id, mid, kind, send.clone(), now);
                    sends_role(send)
                }
                None => {
                    if let Some(index) = self
                        .sessions
                        .get(&id)
                        .and_then(|session| session.line_of(mid))
                    {
                        self.detach(id, index);
                    }
                    match receives_it {
                        true => {
                            let formats = order.get(&line.mid).cloned().unwrap_or_default();
                            let codec = receives.iter().find(|receive| receive.mid == line.mid);
                            Role::Receives {
                                formats: match codec.and_then(|receive| receive.codec) {
                                    Some(codec) => sdp::preferring(text, &line.mid, formats, codec),
                                    None => formats,
                                },
                            }
                        }
                        false => Role::Inactive,
                    }
                }
            };
            roles.insert(line.mid.clone(), role);
        }
        self.say_credentials(id);
        self.outputs.push_back(Output::Answer {
            session: id,
            sdp: sdp::rewrite(&answer, &roles),
        });
        self.drive(id, now);
    }

    pub(crate) fn make_offer(
        &mut self,
        id: SessionId,
        add: Vec<NewLine>,
        remove: &[Mid],
        ice_restart: bool,
        now: Instant,
    ) {
        for mid in remove {
            self.release(id, mid);
        }
        let Some(session) = self.sessions.get_mut(&id).filter(|session| !session.ended) else {
            return self.refuse(id, "the session is over".to_owned());
        };
        // An offer that was never answered is thrown away: its lines do not exist, or go back to what they were.
        if let Some(pending) = session.pending.take() {
            for index in pending.lines {
                if let Some(line) = session.lines.get_mut(index) {
                    line.track = None;
                }
            }
            session.lines.retain(|line| line.agreed);
        }
        let idle: Vec<StrMid> = session
            .lines
            .iter()
            .filter(|line| line.track.is_none())
            .map(|line| line.mid)
            .collect();
        let fresh = |kind: MediaKind| {
            let wanted = add.iter().filter(|new| new.kind == kind).count();
            let asleep = |line: &&Line| line.kind == kind && line.track.is_none();
            wanted.saturating_sub(session.lines.iter().filter(asleep).count())
        };
        if session.lines.len() + fresh(MediaKind::Audio) + fresh(MediaKind::Video) > LINES_MAX {
            return self.refuse(id, "the session has too many m-lines".to_owned());
        }
        let first = !session.offered_channels;
        let mut changes = session.rtc.sdp_api();
        if first {
            for channel in Channel::ALL {
                changes.add_channel_with_config(channel.config());
            }
        }
        // Lines that carry nothing go to sleep, and are the first to be used again: m-lines can never be taken away.
        let mut reusable: Vec<(usize, MediaKind)> = Vec::new();
        for (index, line) in session
            .lines
            .iter()
            .enumerate()
            .filter(|(_, line)| idle.contains(&line.mid))
        {
            reusable.push((index, line.kind));
        }
        let mut taken: Vec<(usize, NewLine)> = Vec::new();
        let mut added: Vec<(StrMid, NewLine)> = Vec::new();
        for new in add {
            match reusable.iter().position(|(_, kind)| *kind == new.kind) {
                Some(at) => taken.push((reusable.remove(at).0, new)),
                None => {
                    let (stream, track) = (new.stream_label.clone(), new.track_label.clone());
                    let mid = changes.add_media(
                        str_kind(new.kind),
                        StrDirection::SendOnly,
                        Some(stream),
                        Some(track),
                        None,
                    );
                    added.push((mid, new));
                }
            }
        }
        for (index, _) in &reusable {
            changes.set_direction(session.lines[*index].mid, StrDirection::Inactive);
        }
        for (index, _) in &taken {
            changes.set_direction(session.lines[*index].mid, StrDirection::SendOnly);
        }
        let new_ufrag = ice_restart.then(|| changes.ice_restart(true).ufrag);
        let Some((offer, pending)) = changes.apply() else {
            return self.refuse(id, "there is nothing to negotiate".to_owned());
        };
        session.offered_channels = true;

        let mut fresh = Vec::new();
        let mut mids = Vec::new();
        for (index, new) in taken {
            let line = &mut session.lines[index];
            line.name = named(line.mid, &new);
            line.track = None;
            mids.push((new.track, Mid(line.mid.to_string())));
            fresh.push(index);
        }
        for (mid, new) in added {
            mids.push((new.track, Mid(mid.to_string())));
            fresh.push(session.lines.len());
            session
                .lines
                .push(Line::new(mid, named(mid, &new), new.kind));
        }
        let mut roles = BTreeMap::new();
        for (index, line) in session.lines.iter().enumerate() {
            let carries = line.track.is_some() || fresh.contains(&index);
            let role = if carries {
                sends_role(&line.name)
            } else {
                Role::Inactive
            };
            roles.insert(Mid(line.mid.to_string()), role);
        }
        session.pending = Some(Pending {
            offer: pending,
            lines: fresh,
        });
        let text = sdp::rewrite(&offer.to_sdp_string(), &roles);
        if let Some(ufrag) = new_ufrag {
            session.ufrag.clone_from(&ufrag);
            self.outputs
                .push_back(Output::Credentials { session: id, ufrag });
        }
        self.outputs.push_back(Output::Offer {
            session: id,
            sdp: text,
            lines: mids,
        });
        self.drive(id, now);
    }

    pub(crate) fn take_answer(&mut self, id: SessionId, text: &str, now: Instant) {
        if let Err(error) = sdp::lines(text) {
            return self.refuse(id, error.to_string());
        }
        let Some(session) = self.sessions.get_mut(&id).filter(|session| !session.ended) else {
            return self.refuse(id, "the session is over".to_owned());
        };
        let Some(pending) = session.pending.take() else {
            return self.refuse(id, "nothing was offered".to_owned());
        };
        let rtc = &mut session.rtc;
        let accepted = guarded(|| {
            let answer = SdpAnswer::from_sdp_string(text).map_err(|error| error.to_string())?;
            rtc.sdp_api()
                .accept_answer(pending.offer, answer)
                .map_err(|error| error.to_string())
        });
        match accepted {
            Err(_) => {
                self.refuse(id, "the description breaks the WebRTC library".to_owned());
                return self.end_broken(id);
            }
            Ok(Err(reason)) => {
                session.lines.retain(|line| line.agreed);
                let alive = session.rtc.is_alive();
                self.refuse(id, reason);
                if !alive {
                    self.end(id);
                }
                return;
            }
            Ok(Ok(())) => {}
        }
        session.renegotiated();
        for index in pending.lines {
            let Some(line) = self
                .sessions
                .get_mut(&id)
                .and_then(|session| session.lines.get_mut(index))
            else {
                continue;
            };
            line.agreed = true;
            let track = line.name.track;
            self.attach(id, index, track, now);
        }
        self.drive(id, now);
    }

    /// Takes the lines that the other side sends on from now on, all of them.
    fn receive(&mut self, id: SessionId, receiving: BTreeMap<StrMid, Receiving>) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let before = std::mem::replace(&mut session.receiving, receiving.clone());
        for line in before
            .values()
            .filter(|line| receiving.values().all(|other| other.track != line.track))
        {
            if let Some(track) = self.tracks.get_mut(&line.track) {
                track.lose_source();
            }
        }
        for (mid, line) in receiving {
            let track = self.tracks.entry(line.track).or_default();
            let source = Some(Source { session: id, mid });
            if track.source != source {
                track.source = source;
                track.demand = Demand::default();
                track.forget_numbers();
            }
            for (layer, rid) in track.layers.iter_mut().zip(line.rids) {
                layer.rid = rid.unwrap_or_default();
            }
            self.weigh_demand(line.track);
        }
    }

    /// Puts a track on a line of the other side's offer, unless it is there already.
    fn carry(&mut self, id: SessionId, mid: StrMid, kind: MediaKind, send: SendLine, now: Instant) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let index = session.line_of(mid).unwrap_or_else(|| {
            session.lines.push(Line::new(mid, send.clone(), kind));
            session.lines.len() - 1
        });
        let line = &mut session.lines[index];
        line.agreed = true;
        let track = send.track;
        line.name = send;
        if line.track == Some(track) {
            return;
        }
        self.detach(id, index);
        self.attach(id, index, track, now);
    }

    /// Says the user name fragment when it is another one than before: the other side restarted ICE.
    fn say_credentials(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let ufrag = session.rtc.direct_api().local_ice_credentials().ufrag;
        if session.ufrag != ufrag {
            session.ufrag.clone_from(&ufrag);
            self.outputs
                .push_back(Output::Credentials { session: id, ufrag });
        }
    }

    fn refuse(&mut self, id: SessionId, reason: String) {
        self.counters.sdp_refused += 1;
        self.outputs.push_back(Output::SdpRefused {
            session: id,
            reason,
        });
    }
}

fn sends_role(send: &SendLine) -> Role {
    Role::Sends {
        stream_label: send.stream_label.clone(),
        track_label: send.track_label.clone(),
    }
}

fn named(mid: StrMid, new: &NewLine) -> SendLine {
    SendLine {
        mid: Mid(mid.to_string()),
        track: new.track,
        stream_label: new.stream_label.clone(),
        track_label: new.track_label.clone(),
    }
}

fn str_mid(mid: &Mid) -> StrMid {
    StrMid::from(mid.0.as_str())
}

fn str_kind(kind: MediaKind) -> StrKind {
    match kind {
        MediaKind::Audio => StrKind::Audio,
        MediaKind::Video => StrKind::Video,
    }
}
