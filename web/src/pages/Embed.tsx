/** The player alone, for a frame in somebody else's page: what `<amphi-player>` shows (`embed/element.ts`). */
import { useEffect } from 'preact/hooks'
import * as api from '../api'
import { usePolled } from '../polling'
import { useBroadcast } from '../watch/broadcast'
import { connectFrame } from '../embed/frame'
import { LiveView } from '../watch/LiveView'
import { Offline } from '../watch/Offline'
import './embed.css'

const LOOK_EVERY_MS = 4000
const LOOK_WHILE_STARTING_MS = 1000

export function Embed({ room }: { room: string }) {
  const state = usePolled(
    `embed ${room}`,
    (signal) => api.roomState(room, signal),
    (newest) => (newest?.broadcast.state === 'starting' ? LOOK_WHILE_STARTING_MS : LOOK_EVERY_MS),
  )
  const { source, thumbnails, started, ended, playedOut } = useBroadcast(state.value)
  const title = state.value?.title || room
  const live = source !== null

  useEffect(() => {
    document.title = `${title} · amphi`
  }, [title])
  const frame = connectFrame()
  useEffect(() => frame.tell({ live, title, viewers: state.value?.broadcast.viewers ?? 0 }), [live, title, state.value?.broadcast.viewers])

  return (
    <main class="embed">
      {live ? (
        <LiveView key={`${source} ${started}`} source={source} thumbnails={thumbnails} captions={state.value?.broadcast.captions ?? false} title={`Broadcast of ${title}`} onEnded={playedOut} onPlayer={frame.control} />
      ) : (
        <Offline state={state.value} error={state.error} recordings={[]} ended={ended} />
      )}
    </main>
  )
}
