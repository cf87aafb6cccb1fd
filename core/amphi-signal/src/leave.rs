//! Goodbye on the wire: `LeaveRequest`, with a reason and with what the client should do next.

use amphi_room::LeaveReason;
use bytes::Bytes;
use livekit_protocol::leave_request::Action;
use livekit_protocol::{DisconnectReason, LeaveRequest, SignalResponse, signal_response};
use prost::Message;

/// What a client gets that wants to resume something that is not here (any more): it joins anew.
pub fn cannot_resume() -> Bytes {
    let leave = request(DisconnectReason::StateMismatch, Action::Reconnect);
    SignalResponse {
        message: Some(signal_response::Message::Leave(leave)),
    }
    .encode_to_vec()
    .into()
}

/// What is told to a member that is out. None when it said goodbye itself.
pub(crate) fn of_reason(reason: LeaveReason) -> Option<LeaveRequest> {
    let (reason, action) = match reason {
        LeaveReason::ClientInitiated => return None,
        LeaveReason::DuplicateIdentity => (DisconnectReason::DuplicateIdentity, Action::Disconnect),
        LeaveReason::Removed => (DisconnectReason::ParticipantRemoved, Action::Disconnect),
        // If it hears this at all, its socket lives and its media connection does not: a new one may do.
        LeaveReason::ConnectionLost => (DisconnectReason::ConnectionTimeout, Action::Reconnect),
        LeaveReason::JoinFailure => (DisconnectReason::JoinFailure, Action::Disconnect),
        LeaveReason::ServerShutdown => (DisconnectReason::ServerShutdown, Action::Reconnect),
        LeaveReason::RoomFailure => (DisconnectReason::RoomClosed, Action::Reconnect),
    };
    Some(request(reason, action))
}

/// What others are told of why a member is out.
pub(crate) fn disconnect_reason(reason: LeaveReason) -> DisconnectReason {
    match reason {
        LeaveReason::ClientInitiated => DisconnectReason::ClientInitiated,
        LeaveReason::DuplicateIdentity => DisconnectReason::DuplicateIdentity,
        LeaveReason::Removed => DisconnectReason::ParticipantRemoved,
        LeaveReason::ConnectionLost => DisconnectReason::ConnectionTimeout,
        LeaveReason::JoinFailure => DisconnectReason::JoinFailure,
        LeaveReason::ServerShutdown => DisconnectReason::ServerShutdown,
        LeaveReason::RoomFailure => DisconnectReason::RoomClosed,
    }
}

pub(crate) fn request(reason: DisconnectReason, action: Action) -> LeaveRequest {
    LeaveRequest {
        // What clients before protocol 13 read.
        can_reconnect: action != Action::Disconnect,
        reason: reason.into(),
        action: action.into(),
        regions: None,
    }
}
