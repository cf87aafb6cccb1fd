/** What happened while it was recorded, as places to play from. */
import { useMemo, useState } from 'preact/hooks'
import * as api from '../api'
import { usePolled } from '../polling'
import { passOf } from '../recordings'
import { cuesOf, momentsOf, type Cue, type Moment } from '../timeline'
import { clock } from '../times'
import type { RecordedPlayer } from '../watch/recorded'
import './moments.css'

/** Each has 10,000 events. */
const PAGES_MAX = 10
/** More come when they are asked for. */
const SHOWN_AT_ONCE = 100

/** What happened and what was said; nothing of a recording that there is not yet. */
export function useTimeline(recording: api.Recording | null): { moments: Moment[]; cues: Cue[] } {
  const running = recording?.state === 'recording'
  const found = usePolled(
    `timeline ${recording?.id} ${recording?.state}`,
    async (signal) => (recording ? timeline(recording, signal) : []),
    () => (running ? 10_000 : 600_000),
  )
  const length_s = recording?.duration_s ?? 0
  const moments = useMemo(() => momentsOf(found.value ?? [], length_s), [found.value, length_s])
  const cues = useMemo(() => cuesOf(found.value ?? []), [found.value])
  return { moments, cues }
}

interface Props {
  recording: api.Recording
  moments: Moment[]
  /** `null` until there is one. */
  player: RecordedPlayer | null
}

export function RecordingMoments({ recording, moments, player }: Props) {
  const at = player?.position.value ?? 0
  const [shown, setShown] = useState(SHOWN_AT_ONCE)

  if (moments.length === 0) return null
  const length = Math.max(recording.duration_s, 0.001)
  const share = (at_s: number) => `${Math.min(100, (at_s / length) * 100)}%`
  const now = moments.findLastIndex((moment) => moment.at_s <= at + 0.05)
  return (
    <section class="moments" aria-labelledby="moments-title">
      <h2 id="moments-title">What happened</h2>
      {/* The same as the list, for pointers. */}
      <div
        class="moments-bar"
        data-testid="moments-bar"
        aria-hidden="true"
        onClick={(event) => {
          const box = event.currentTarget.getBoundingClientRect()
          player?.seek(Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * length)
        }}
      >
        <i style={{ width: share(at) }} />
        {moments.map((moment, index) => (
          <span key={index} style={{ left: share(moment.at_s) }} title={`${clock(moment.at_s)} ${moment.words}`} />
        ))}
      </div>
      <ol data-testid="moments">
        {moments.slice(0, shown).map((moment, index) => (
          <li key={index}>
            <button type="button" aria-current={index === now ? 'true' : undefined} onClick={() => player?.seek(moment.at_s)}>
              <span class="moment-time">{clock(moment.at_s)}</span> {moment.words}
            </button>
          </li>
        ))}
      </ol>
      {moments.length > shown && (
        <button type="button" class="button" onClick={() => setShown(shown + SHOWN_AT_ONCE)}>
          Show more
        </button>
      )}
    </section>
  )
}

/** All of it: each page goes on with the time of the last event of the one before. */
async function timeline(recording: api.Recording, signal: AbortSignal): Promise<api.TimelineEvent[]> {
  const query = passOf(recording)
  let events: api.TimelineEvent[] = []
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const next = await api.recordingTimeline(recording.id, query, signal)
    const from = next.events[0]?.at_s ?? Infinity
    events = [...events.filter((event) => event.at_s < from), ...next.events]
    const last = events.at(-1)
    if (!next.more || !last) break
    query.set('from', String(last.at_s))
  }
  return events
}
