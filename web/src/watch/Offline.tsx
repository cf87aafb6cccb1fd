/** What the watch page shows while nothing is on air. */
import { useMemo } from 'preact/hooks'
import * as api from '../api'
import { followLink, pathTo } from '../router'
import { clockAhead } from '../times'
import { Countdown, StartTime } from '../ui/Announcement'
import { Seats } from '../ui/Seats'
import './player.css'

interface Props {
  state: api.RoomState | null
  error: api.ApiError | null
  recordings: api.Recording[]
  /** When the broadcast that was just watched here had started; `null` when none was. */
  ended: string | null
}

export function Offline({ state, error, recordings, ended }: Props) {
  const starting = state?.broadcast.state === 'starting'
  const starts = starting || error ? null : (state?.broadcast.starts ?? null)
  // An answer has just come: its `Date` is of now.
  const clockAheadMs = useMemo(() => clockAhead(api.newestDateHeader(), Date.now()), [state])
  const recorded = ended === null ? undefined : recordings.find((recording) => endsAfter(recording, ended))

  return (
    <div class="player player-empty" data-testid="offline">
      <Seats />
      <div role="status">
        <h2>
          {starting ? (
            'The broadcast is starting'
          ) : ended !== null ? (
            'The stream has ended'
          ) : starts !== null ? (
            <>
              Starts <StartTime starts={starts} clockAheadMs={clockAheadMs} />
            </>
          ) : (
            'Nothing is on air right now'
          )}
        </h2>
      </div>
      {starts !== null && ended === null && (
        <p class="offline-countdown">
          <Countdown starts={starts} clockAheadMs={clockAheadMs} />
        </p>
      )}
      <p>{words(state, error, starting, ended !== null)}</p>
      {starts !== null && ended !== null && (
        <p>
          The next one starts <StartTime starts={starts} clockAheadMs={clockAheadMs} /> (<Countdown starts={starts} clockAheadMs={clockAheadMs} />).
        </p>
      )}
      {recorded && (
        <a class="button primary" href={pathTo('recording', recorded.id)} onClick={followLink}>
          Play the recording
        </a>
      )}
    </div>
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
