/** Why a call is over, in words. */
import { ConnectionError, ConnectionErrorReason, DisconnectReason } from 'livekit-client'

export interface Ending {
  title: string
  words: string
  /** Whether coming back with the same token can work. */
  again: boolean
  /** The token was refused: a new one is needed. */
  refused: boolean
}

const over = (title: string, words: string, again = true): Ending => ({ title, words, again, refused: false })

/** For a call that was there and is gone. */
export function endingOf(reason: DisconnectReason | undefined): Ending {
  switch (reason) {
    case DisconnectReason.DUPLICATE_IDENTITY:
      return over('You joined from somewhere else', 'The same invitation was used in another tab or on another device, and only the newest stays in the call.')
    case DisconnectReason.SERVER_SHUTDOWN:
      return over('The server is restarting', 'It closed the call on purpose. Rejoin in a moment.')
    case DisconnectReason.PARTICIPANT_REMOVED:
      return over('You were removed from the room', 'Somebody who runs this room took you out of the call.', false)
    case DisconnectReason.ROOM_DELETED:
    case DisconnectReason.ROOM_CLOSED:
      return over('The room was closed', 'Somebody who runs this room ended the call for everybody.', false)
    case DisconnectReason.JOIN_FAILURE:
      return over('Joining did not work', 'The server could not take you into the call.')
    case DisconnectReason.MEDIA_FAILURE:
      return over('Sound and pictures cannot get through', 'The server was reached, but not its media port. A firewall may be in the way.')
    case DisconnectReason.CONNECTION_TIMEOUT:
    case DisconnectReason.SIGNAL_CLOSE:
    case DisconnectReason.STATE_MISMATCH:
      return over('The connection was lost', 'The server did not answer for too long. Check the network and rejoin.')
    default:
      return over('The call was disconnected', 'The connection was lost and could not be brought back. Check the network and rejoin.')
  }
}

/** For a call that never began. */
export function failureOf(thrown: unknown): Ending {
  if (!(thrown instanceof ConnectionError)) {
    return over('Joining did not work', thrown instanceof Error ? thrown.message : 'Something went wrong.')
  }
  const said = serverWords(thrown.message)
  switch (thrown.reason) {
    case ConnectionErrorReason.NotAllowed:
      return { title: 'The server did not let you in', words: said, again: false, refused: true }
    case ConnectionErrorReason.LeaveRequest:
      return endingOf(thrown.context as DisconnectReason | undefined)
    case ConnectionErrorReason.Timeout:
      return over('Sound and pictures cannot get through', 'The server answers, but its media port was not reached in time. A firewall may be in the way.')
    case ConnectionErrorReason.ServerUnreachable:
    case ConnectionErrorReason.WebSocket:
      return over('The server cannot be reached', 'Check the network and try again.')
    default:
      return over('Joining did not work', said)
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
