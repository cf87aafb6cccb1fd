/** What somebody at the door should know about a room: who is inside, and who else sees and hears it. */
import type { ApiError, RoomState } from '../api'
import { count } from '../times'
import { namesOf } from '../ui/names'

export function RoomNow({ state, error }: { state: RoomState | null; error: ApiError | null }) {
  if (error && !state) return <p class="note bad room-now" role="status">{error.message}</p>
  if (!state) return <p class="room-now">&nbsp;</p>
  const { members, broadcast, recording } = state
  return (
    <p class="room-now" role="status">
      <span>{members.length === 0 ? 'Nobody is inside yet.' : `${namesOf(members)} ${members.length === 1 ? 'is' : 'are'} inside.`}</span>
      {broadcast.state !== 'off' && (
        <>
          <span class="chip live">On air</span>
          <span>{count(broadcast.viewers)} watching.</span>
        </>
      )}
      {recording.state === 'recording' && <span class="chip">Being recorded</span>}
    </p>
  )
}
