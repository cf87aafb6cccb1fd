/** What the watch page shows while nothing is on air. */
import * as api from '../api'
import { usePolled } from '../polling'
import { followLink, pathTo } from '../router'
import { RecordingList } from '../ui/RecordingList'
import { Seats } from '../ui/Seats'
import './player.css'

const SHOWN = 6

interface Props {
  room: string
  state: api.RoomState | null
  error: api.ApiError | null
  /** When the broadcast that was just watched here had started; `null` when none was. */
  ended: string | null
}

export function Offline({ room, state, error, ended }: Props) {
  const all = usePolled('recordings', api.recordings, () => 10000)
  const mine = (all.value?.recordings ?? []).filter((recording) => recording.room === room)
  const starting = state?.broadcast.state === 'starting'
  const recorded = ended === null ? undefined : mine.find((recording) => endsAfter(recording, ended))

  return (
    <>
      <div class="player player-empty" data-testid="offline">
        <Seats />
        <div role="status">
          <h2>{starting ? 'The broadcast is starting' : ended !== null ? 'The stream has ended' : 'Nothing is on air right now'}</h2>
        </div>
        <p>{words(state, error, starting, ended !== null)}</p>
        {recorded && (
          <a class="button primary" href={pathTo('recording', recorded.id)} onClick={followLink}>
            Play the recording
          </a>
        )}
      </div>
      {mine.length > 0 && (
        <section class="watch-recordings" aria-label="Recordings of this room">
          <h2>Recordings of this room</h2>
          <RecordingList recordings={mine.slice(0, SHOWN)} />
        </section>
      )}
    </>
  )
}

function words(state: api.RoomState | null, error: api.ApiError | null, starting: boolean, ended: boolean): string {
  if (error) return error.message
  if (starting) return 'The picture comes in a moment.'
  if (ended) return 'Thank you for watching. This page wakes up by itself when the room goes on air again.'
  const inside = state?.members.length ?? 0
  if (inside > 0) return 'People are on stage already. This page starts playing when they go live.'
  return 'This page starts playing when the room goes live.'
}

/** Whether a recording covers some of what came after `started`. */
function endsAfter(recording: api.Recording, started: string): boolean {
  const from = Date.parse(started)
  if (Number.isNaN(from)) return true
  return recording.state === 'recording' || Date.parse(recording.started) + recording.duration_s * 1000 > from
}
