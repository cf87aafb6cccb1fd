//! Data channels: found by their label, bounded, and never in the way of media.

use std::time::Instant;

use amphi_media::SessionId;
use bytes::Bytes;
use str0m::channel::{ChannelConfig, ChannelId, Reliability};

use crate::session::{CHANNEL_BUFFERED_MAX, RELIABLE_QUEUE_BYTES_MAX, Session, guarded};
use crate::sfu::Sfu;
use crate::{Channel, Output};

impl Channel {
    pub(crate) const ALL: [Channel; 3] = [Channel::Reliable, Channel::Lossy, Channel::DataTrack];

    /// The channel's name in LiveKit's protocol.
    pub fn label(self) -> &'static str {
        match self {
            Channel::Reliable => "_reliable",
            Channel::Lossy => "_lossy",
            Channel::DataTrack => "_data_track",
        }
    }

    pub(crate) fn config(self) -> ChannelConfig {
        let lossy = Reliability::MaxRetransmits { retransmits: 0 };
        let (ordered, reliability) = match self {
            Channel::Reliable => (true, Reliability::Reliable),
            Channel::Lossy | Channel::DataTrack => (false, lossy),
        };
        ChannelConfig {
            label: self.label().to_owned(),
            ordered,
            reliability,
            ..ChannelConfig::default()
        }
    }
}

/// What became of a message.
enum Written {
    Sent,
    Full,
    Failed,
}

impl Sfu {
    pub(crate) fn channel_open(&mut self, id: SessionId, channel_id: ChannelId, label: &str) {
        let channel = Channel::ALL
            .into_iter()
            .find(|channel| channel.label() == label);
        let (Some(channel), Some(session)) = (channel, self.sessions.get_mut(&id)) else {
            return;
        };
        // The first channel of a name is the one; a second one would only be a way to fill memory.
        if session.channels.contains_key(&channel) {
            return;
        }
        session.channels.insert(channel, channel_id);
        if let Some(mut open) = session.rtc.channel(channel_id) {
            open.set_buffered_amount_low_threshold(CHANNEL_BUFFERED_MAX / 2);
        }
        self.outputs.push_back(Output::ChannelOpen {
            session: id,
            channel,
        });
        if channel == Channel::Reliable {
            self.send_waiting_data(id);
        }
    }

    pub(crate) fn channel_data(&mut self, id: SessionId, channel_id: ChannelId, data: Vec<u8>) {
        match self
            .sessions
            .get(&id)
            .and_then(|session| session.channel_of(channel_id))
        {
            Some(channel) => {
                self.counters.data_in += 1;
                self.outputs.push_back(Output::Data {
                    session: id,
                    channel,
                    bytes: data.into(),
                });
            }
            None => self.counters.data_unknown_channel += 1,
        }
    }

    pub(crate) fn send_data(
        &mut self,
        id: SessionId,
        channel: Channel,
        bytes: Bytes,
        now: Instant,
    ) {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| !session.ended) else {
            self.counters.data_dropped += 1;
            return;
        };
        if bytes.len() > CHANNEL_BUFFERED_MAX {
            self.counters.data_dropped += 1;
            return;
        }
        match channel {
            Channel::Reliable => {
                if session.reliable_queued_bytes + bytes.len() > RELIABLE_QUEUE_BYTES_MAX {
                    self.counters.data_overflows += 1;
                    return self.end(id);
                }
                session.reliable_queued_bytes += bytes.len();
                session.reliable_queue.push_back(bytes);
                self.send_waiting_data(id);
            }
            Channel::Lossy | Channel::DataTrack => match write(session, channel, &bytes) {
                Ok(Written::Sent) => self.counters.data_out += 1,
                Ok(Written::Full | Written::Failed) => self.counters.data_dropped += 1,
                Err(_) => return self.end_broken(id),
            },
        }
        self.touch(id);
        self.flush(now);
    }

    /// Hands reliable data to the library as far as it takes it.
    pub(crate) fn send_waiting_data(&mut self, id: SessionId) {
        while let Some(session) = self.sessions.get_mut(&id) {
            let Some(bytes) = session.reliable_queue.front().cloned() else {
                break;
            };
            match write(session, Channel::Reliable, &bytes) {
                Ok(Written::Full) => break,
                Ok(Written::Sent) => self.counters.data_out += 1,
                // Larger than the other side said it takes.
                Ok(Written::Failed) => self.counters.data_dropped += 1,
                Err(_) => return self.end_broken(id),
            }
            session.reliable_queued_bytes -= bytes.len();
            session.reliable_queue.pop_front();
        }
        self.touch(id);
    }
}

/// `Full` also stands for a channel that is not open (yet).
fn write(
    session: &mut Session,
    channel: Channel,
    bytes: &[u8],
) -> Result<Written, crate::session::Panicked> {
    let Some(id) = session.channels.get(&channel).copied() else {
        return Ok(Written::Full);
    };
    let rtc = &mut session.rtc;
    guarded(|| {
        let Some(mut open) = rtc.channel(id) else {
            return Written::Full;
        };
        if open.buffered_amount() >= CHANNEL_BUFFERED_MAX {
            return Written::Full;
        }
        match open.write(true, bytes) {
            Ok(true) => Written::Sent,
            Ok(false) => Written::Full,
            Err(_) => Written::Failed,
        }
    })
}
