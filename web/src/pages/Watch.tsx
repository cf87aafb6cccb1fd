/** The watch page: a room's broadcast, or what to do while there is none. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import * as api from '../api'
import { useNow, usePolled } from '../polling'
import { recordings as listed } from '../recordings'
import { followLink, pathTo } from '../router'
import { count, inWords, secondsSince } from '../times'
import { RecordingList } from '../ui/RecordingList'
import { Header } from '../ui/Header'
import { Icon } from '../ui/Icon'
import { useBroadcast } from '../watch/broadcast'
import { Clipping, mayClip } from '../watch/clip'
import type { LivePlayer } from '../watch/live'
import { LiveView } from '../watch/LiveView'
import { Offline } from '../watch/Offline'
import { momentOf } from '../watch/moments'
import { Report } from '../watch/Report'
import { Share } from '../watch/Share'
import { namesOf } from '../ui/names'
import './watch.css'

const LOOK_EVERY_MS = 2000
const LOOK_WHILE_STARTING_MS = 1000
const RECORDINGS_EVERY_MS = 10_000
const RECORDINGS_SHOWN = 6

export function Watch({ room }: { room: string }) {
  const state = usePolled(
    `watch ${room}`,
    (signal) => api.roomState(room, signal),
    (newest) => (newest?.broadcast.state === 'starting' ? LOOK_WHILE_STARTING_MS : LOOK_EVERY_MS),
  )
  const server = usePolled('server', api.server, () => 60000)
  const [theatre, setTheatre] = useState(false)
  const [sharing, setSharing] = useState(false)
  const [reporting, setReporting] = useState(false)
  const player = useRef<LivePlayer | null>(null)
  const clips = mayClip(room, server.value)
  const clipping = useMemo(() => (clips ? new Clipping(room, server.value) : null), [room, clips])
  const { source, thumbnails, started, ended, playedOut } = useBroadcast(state.value)
  const recordings = usePolled('recordings', listed, () => RECORDINGS_EVERY_MS)
  const mine = (recordings.value?.recordings ?? []).filter((recording) => recording.room === room)
  const title = state.value?.title || room
  const shown = () => (source === null ? null : (player.current?.dateAt(player.current.position.value) ?? null))

  useEffect(() => {
    document.title = `${title} · amphi`
  }, [title])

  return (
    <div class={theatre && source !== null ? 'watch theatre' : 'watch'}>
      <Header />
      <main>
        {source !== null ? (
          <LiveView
            key={`${source} ${started}`}
            source={source}
            thumbnails={thumbnails}
            captions={state.value?.broadcast.captions ?? false}
            title={`Broadcast of ${title}`}
            theatre={theatre}
            onTheatre={() => setTheatre(!theatre)}
            clipping={clipping}
            onEnded={playedOut}
            at={momentOf(location.search)}
            onPlayer={(made) => (player.current = made)}
          />
        ) : (
          <Offline state={state.value} error={state.error} recordings={mine} ended={ended} />
        )}
        <div class="watch-info">
          <div>
            <h1>{title}</h1>
            {state.value && source !== null && <Facts state={state.value} />}
          </div>
          <div class="watch-actions">
            <button type="button" class="button" data-testid="share-button" onClick={() => setSharing(true)}>
              <Icon name="share" />
              Share
            </button>
            {(source !== null || ended !== null) && (
              <button type="button" class="button plain" data-testid="report-button" onClick={() => setReporting(true)}>
                <Icon name="flag" />
                Report
              </button>
            )}
            {server.value?.access === 'open' && (
              <a class="button primary" href={pathTo('join', room)} onClick={followLink}>
                Join the stage
              </a>
            )}
          </div>
        </div>
        {source !== null && state.value?.broadcast.audience_note && <p class="note">{state.value.broadcast.audience_note}</p>}
        {source === null && mine.length > 0 && (
          <section class="watch-recordings" aria-labelledby="watch-recordings">
            <h2 id="watch-recordings">Recordings of this room</h2>
            <RecordingList recordings={mine.slice(0, RECORDINGS_SHOWN)} />
          </section>
        )}
        {source !== null && state.error && (
          <p class="note bad" role="status">
            {state.error.message}
          </p>
        )}
        {sharing && <Share room={room} title={title} now={shown()} onClose={() => setSharing(false)} />}
        {reporting && <Report room={room} now={shown()} onClose={() => setReporting(false)} />}
      </main>
    </div>
  )
}

function Facts({ state }: { state: api.RoomState }) {
  const { viewers, started } = state.broadcast
  const since = secondsSince(started, useNow())
  const parts = [`${count(viewers)} watching`]
  if (since !== null && since >= 60) parts.push(`live for ${inWords(since)}`)
  if (state.members.length > 0) parts.push(`with ${namesOf(state.members)}`)
  return <p class="dim">{parts.join(', ')}</p>
}
