//! Data between members: `DataPacket`, which the server stamps with who sent it and hands on.

use std::collections::BTreeSet;

use amphi_media::{Caption, MemberId};
use amphi_policy::Action;
use amphi_room::Member;
use amphi_sfu::Channel;
use bytes::Bytes;
use livekit_protocol as proto;
use livekit_protocol::data_packet::{Kind, Value};
use prost::Message;

use crate::{Counters, View};

/// Largest packet that is handed on. Clients stop at 64,000 bytes themselves.
const PACKET_BYTES_MAX: usize = 64 * 1024;

/// Most addressees that one packet may name.
const DESTINATIONS_MAX: usize = 1_000;

/// Most captions that are taken from one packet.
const CAPTIONS_MAX: usize = 16;

/// A packet on its way to some members.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    pub channel: Channel,
    pub bytes: Bytes,
}

/// What has come from one client.
#[derive(Default)]
pub(crate) struct Incoming {
    /// The newest reliable packet's number. A client that resumes sends again what may have been lost.
    last_sequence: u32,
}

impl Incoming {
    pub(crate) fn last_sequence(&self) -> u32 {
        self.last_sequence
    }

    /// What to do with a packet; none when it is not to be handed on.
    pub(crate) fn read(
        &mut self,
        view: View<'_>,
        from: &Member,
        channel: Channel,
        bytes: &Bytes,
        counters: &mut Counters,
    ) -> Option<Read> {
        counters.data_packets += 1;
        // The channel tells what a packet is: clients have written the other kind into it.
        let kind = match channel {
            Channel::Reliable => Kind::Reliable,
            Channel::Lossy => Kind::Lossy,
            Channel::DataTrack => {
                counters.data_malformed += 1;
                return None;
            }
        };
        if from.grants.allows(Action::SendData).is_err() {
            counters.data_refused += 1;
            return None;
        }
        let Some(mut packet) = parse(bytes) else {
            counters.data_malformed += 1;
            return None;
        };
        if channel == Channel::Reliable && packet.sequence > 0 {
            if packet.sequence <= self.last_sequence {
                counters.data_repeated += 1;
                return None;
            }
            self.last_sequence = packet.sequence;
        }
        let captions = captions(view, from, &packet, counters);
        let to = addressees(view, from, &packet);
        let sid = view.facts.participant_sid(from.id);
        let bytes = if packet.value.is_some() {
            stamp(&mut packet, kind, &sid, &from.identity);
            packet.encode_to_vec().into()
        } else {
            stamp_unknown(bytes, &sid, &from.identity)
        };
        Some(Read {
            to,
            packet: Packet { channel, bytes },
            captions,
        })
    }
}

/// What a packet that was understood leads to.
pub(crate) struct Read {
    pub to: Vec<MemberId>,
    pub packet: Packet,
    /// What it says that somebody said, for those who are not in the call.
    pub captions: Vec<Caption>,
}

/// The final segments of a `Transcription`: what is not final is said again. Who may speak may write down what they say; an agent or a
/// moderator, what anybody says. What is for some members only is nobody else's.
fn captions(
    view: View<'_>,
    from: &Member,
    packet: &proto::DataPacket,
    counters: &mut Counters,
) -> Vec<Caption> {
    let Some(Value::Transcription(said)) = &packet.value else {
        return Vec::new();
    };
    if !packet.destination_identities.is_empty() {
        return Vec::new();
    }
    let by = said.transcribed_participant_identity.as_str();
    let own = by.is_empty() || by == from.identity;
    let may = |action| from.grants.allows(action).is_ok();
    if !(may(Action::CaptionOthers) || own && may(Action::Microphone)) {
        counters.captions_refused += 1;
        return Vec::new();
    }
    let speaker = match own {
        true => Some(from),
        false => view.room.members().find(|member| member.identity == by),
    };
    let seen = speaker.filter(|speaker| !speaker.hidden());
    let who = seen.map_or("", |speaker| &speaker.name);
    let last = said.segments.iter().filter(|segment| segment.r#final);
    last.take(CAPTIONS_MAX)
        .filter_map(|segment| Caption::new(who, &segment.text))
        .collect()
}

fn parse(bytes: &Bytes) -> Option<proto::DataPacket> {
    if bytes.is_empty() || bytes.len() > PACKET_BYTES_MAX {
        return None;
    }
    let packet = proto::DataPacket::decode(bytes.clone()).ok()?;
    // Who speaks is the server's word, and metrics are for a server's own use.
    #[expect(deprecated, reason = "refused because clients still understand it")]
    let servers = matches!(packet.value, Some(Value::Speaker(_) | Value::Metrics(_)));
    let many = packet.destination_identities.len() > DESTINATIONS_MAX;
    (!servers && !many).then_some(packet)
}

/// Everybody else who is connected, or those of them whom the packet names.
fn addressees(view: View<'_>, from: &Member, packet: &proto::DataPacket) -> Vec<MemberId> {
    let mut identities: BTreeSet<&str> = packet
        .destination_identities
        .iter()
        .map(String::as_str)
        .collect();
    let mut members = BTreeSet::new();
    if let Some(Value::User(user)) = &packet.value {
        #[expect(deprecated, reason = "older clients write the addressees here")]
        let (older, sids) = (&user.destination_identities, &user.destination_sids);
        identities.extend(older.iter().take(DESTINATIONS_MAX).map(String::as_str));
        members.extend(
            sids.iter()
                .take(DESTINATIONS_MAX)
                .filter_map(|sid| view.facts.member_of(sid)),
        );
    }
    let all = identities.is_empty() && members.is_empty();
    view.room
        .members()
        .filter(|member| member.active && member.id != from.id)
        .filter(|member| {
            all || identities.contains(member.identity.as_str()) || members.contains(&member.id)
        })
        .map(|member| member.id)
        .collect()
}

#[expect(
    deprecated,
    reason = "older clients read the sender in the user packet, and the kind"
)]
fn stamp(packet: &mut proto::DataPacket, kind: Kind, sid: &str, identity: &str) {
    packet.kind = kind.into();
    packet.participant_sid = sid.to_owned();
    packet.participant_identity = identity.to_owned();
    if let Some(Value::User(user)) = &mut packet.value {
        user.participant_sid = sid.to_owned();
        user.participant_identity = identity.to_owned();
    }
}

/// A packet whose content is newer than this server is handed on byte for byte, with the sender after it: of a field
/// that comes twice the last counts (Protocol Buffers, "Last One Wins").
fn stamp_unknown(bytes: &Bytes, sid: &str, identity: &str) -> Bytes {
    let sender = proto::DataPacket {
        participant_sid: sid.to_owned(),
        participant_identity: identity.to_owned(),
        ..proto::DataPacket::default()
    };
    let mut whole = bytes.to_vec();
    whole.extend(sender.encode_to_vec());
    whole.into()
}
