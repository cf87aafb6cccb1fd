/** A recording: the program as it was broadcast or recorded, played from the bytes on the server's disk. */
import { useEffect, useState } from 'preact/hooks'
import { usePolled } from '../polling'
import { recording as one } from '../recordings'
import { followLink, pathTo } from '../router'
import { clock, dayOf, size } from '../times'
import { Header } from '../ui/Header'
import { Icon } from '../ui/Icon'
import { Message } from '../ui/Message'
import type { RecordedPlayer } from '../watch/recorded'
import { RecordedView } from '../watch/RecordedView'
import { ShareRecording } from '../watch/Share'
import { NotFound } from './NotFound'
import { RecordedTracks } from './RecordedTracks'
import { RecordingMoments, useTimeline } from './RecordingMoments'
import { ReleaseControls } from './ReleaseControls'
import './watch.css'

export function RecordingPage({ id }: { id: string }) {
  const found = usePolled(`recording ${id}`, (signal) => one(id, signal), (newest) =>
    newest?.state === 'recording' ? 3000 : newest?.export?.state === 'waiting' ? 5000 : 60000,
  )
  const recording = found.value
  const title = recording ? recording.title || recording.room : 'Recording'
  const [deleted, setDeleted] = useState(false)
  const [sharing, setSharing] = useState(false)
  const [player, setPlayer] = useState<RecordedPlayer | null>(null)
  const { moments, cues } = useTimeline(recording)
  useEffect(() => {
    document.title = `${title} · amphi`
  }, [title])

  if (deleted) {
    return (
      <Message title="This recording is deleted">
        <p>Its files are gone from the server.</p>
      </Message>
    )
  }

  if (!recording) {
    if (found.error?.code === 'not_found' || found.error?.code === 'bad_request') return <NotFound />
    if (found.error?.code === 'not_allowed') {
      return (
        <Message title="This recording is not published">
          <p>Only those who may record in its room can watch it. Come in to the room with your invitation first, then open this page again in the same tab.</p>
        </Message>
      )
    }
    if (found.error) {
      return (
        <Message title="This recording cannot be loaded">
          <p>{found.error.message}</p>
        </Message>
      )
    }
    return <Header />
  }
  return (
    <div class="watch recording-page">
      <Header />
      <main>
        <RecordedView key={recording.id} recording={recording} title={`Recording of ${title}`} moments={moments} cues={cues} onPlayer={setPlayer} />
        <div class="watch-info">
          <div>
            <h1>{title}</h1>
            <p class="dim">
              {dayOf(recording.started)}, {recording.state === 'recording' ? 'recording now' : clock(recording.duration_s)}
              {!recording.published && ', not published'}
              {recording.gaps > 0 && `, with ${recording.gaps === 1 ? 'one gap' : `${recording.gaps} gaps`}`}
            </p>
          </div>
          <div class="watch-actions">
            <button type="button" class="button" data-testid="share-button" onClick={() => setSharing(true)}>
              <Icon name="share" />
              Share
            </button>
            <a class="button" href={pathTo('watch', recording.room)} onClick={followLink}>
              To the room
            </a>
            <a class="button primary" href={recording.file} download={`${recording.room}.mp4`}>
              <Icon name="download" />
              Download ({size(recording.size_bytes)})
            </a>
          </div>
        </div>
        {recording.note && (
          <p class="note bad" role="status">
            {recording.note}
          </p>
        )}
        <RecordingMoments recording={recording} moments={moments} player={player} />
        {recording.may_release && <RecordedTracks recording={recording} />}
        {recording.may_release && <ReleaseControls recording={recording} onChanged={found.refresh} onDeleted={() => setDeleted(true)} />}
        {sharing && <ShareRecording recording={recording} at_s={player?.position.peek() ?? 0} onClose={() => setSharing(false)} />}
      </main>
    </div>
  )
}
