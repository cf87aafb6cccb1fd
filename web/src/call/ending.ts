/** Why a call is over, in words. */
import { ConnectionError, ConnectionErrorReason, DisconnectReason } from 'livekit-client'

export interface Ending {
  title: string
  words: string
  /** Whether coming back with the same token can work. */
  again: boolean
  /** Whether coming back can work without anybody doing anything, so that it is tried. */
  byItself: boolean
}

type Back = 'by itself' | 'by hand' | 'no'

const over = (title: string, words: string, back: Back): Ending => ({
  title,
  words,
  again: back !== 'no',
  byItself: back === 'by itself',
})

/** For a call that was there and is gone. */
export function endingOf(reason: DisconnectReason | undefined): Ending {
  switch (reason) {
    case DisconnectReason.DUPLICATE_IDENTITY:
      return over('You joined from somewhere else', 'The same invitation was used in another tab or on another device, and only the newest stays in the call.', 'by hand')
    case DisconnectReason.SERVER_SHUTDOWN:
      return over('The server is restarting', 'It closed the call on purpose. It comes back in a moment.', 'by itself')
    case DisconnectReason.PARTICIPANT_REMOVED:
      return over('You were removed from the room', 'Somebody who runs this room took you out of the call.', 'no')
    case DisconnectReason.ROOM_DELETED:
    case DisconnectReason.ROOM_CLOSED:
      return over('The room was closed', 'Somebody who runs this room ended the call for everybody.', 'no')
    case DisconnectReason.JOIN_FAILURE:
      return over('Joining did not work', 'The server could not take you into the call.', 'by hand')
    case DisconnectReason.MEDIA_FAILURE:
      return over('Sound and pictures cannot get through', 'The server was reached, but not its media port. A firewall may be in the way.', 'by hand')
    case DisconnectReason.CONNECTION_TIMEOUT:
    case DisconnectReason.SIGNAL_CLOSE:
    case DisconnectReason.STATE_MISMATCH:
      return over('The connection was lost', 'The server did not answer for too long.', 'by itself')
    default:
      return over('The call was disconnected', 'The connection was lost and could not be brought back.', 'by itself')
  }
}

/** For a call that never began. */
export function failureOf(thrown: unknown): Ending {
  if (!(thrown instanceof ConnectionError)) {
    return over('Joining did not work', thrown instanceof Error ? thrown.message : 'Something went wrong.', 'by hand')
  }
  const said = serverWords(thrown.message)
  switch (thrown.reason) {
    case ConnectionErrorReason.NotAllowed:
      return { title: 'The server did not let you in', words: said, again: false, byItself: false }
    case ConnectionErrorReason.LeaveRequest:
      return endingOf(thrown.context as DisconnectReason | undefined)
    case ConnectionErrorReason.Timeout:
      return over('Sound and pictures cannot get through', 'The server answers, but its media port was not reached in time. A firewall may be in the way.', 'by hand')
    case ConnectionErrorReason.ServerUnreachable:
    case ConnectionErrorReason.WebSocket:
      return over('The server cannot be reached', 'The network may be down, or the server restarting.', 'by itself')
    default:
      return over('Joining did not work', said, 'by itself')
  }
}

/** The sentence in a refusal's body, which is our error JSON or plain text. */
function serverWords(body: string): string {
  try {
    const said: unknown = JSON.parse(body)
    const error = typeof said === 'object' && said !== null ? (said as { error?: unknown }).error : null
    const message = typeof error === 'object' && error !== null ? (error as { message?: unknown }).message : error
    return typeof message === 'string' && message !== '' ? message : body
  } catch {
    return body
  }
}
