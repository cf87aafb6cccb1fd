/** The members' own tracks of a recording, for who may record in its room. */
import { useState } from 'preact/hooks'
import * as api from '../api'
import { usePolled } from '../polling'
import { tokenToRelease } from '../recordings'
import { clock, size } from '../times'
import { Dialog } from '../ui/Dialog'
import { Icon } from '../ui/Icon'
import './moments.css'

const SOURCES: Record<api.Track['source'], string> = {
  camera: 'camera',
  microphone: 'microphone',
  screen: 'screen',
  screen_audio: 'sound of the screen',
  unknown: 'track',
}

export function RecordedTracks({ recording }: { recording: api.Recording }) {
  const token = tokenToRelease(recording)
  const running = recording.state === 'recording'
  const found = usePolled(
    `tracks ${recording.id} ${recording.state}`,
    async (signal) => (token === null ? [] : (await api.recordingTracks(recording.id, token, signal)).tracks),
    () => (running ? 10_000 : 3_600_000),
  )
  const [played, setPlayed] = useState<api.Track | null>(null)
  const tracks = found.value ?? []
  if (found.error) {
    return <p class="note bad">The members' own tracks cannot be listed: {found.error.message}</p>
  }
  if (tracks.length === 0) return null
  return (
    <section class="tracks" aria-labelledby="tracks-title">
      <h2 id="tracks-title">Members' own tracks</h2>
      <p class="dim">As they were sent. Only those who may record in this room get them, also when the recording is published.</p>
      <ul data-testid="tracks">
        {tracks.map((track) => {
          const called = `${track.name || 'Somebody'}, ${SOURCES[track.source] ?? SOURCES.unknown}`
          return (
            <li key={track.file.split('?')[0]}>
              <span class="track-words">
                <strong>{called}</strong>
                <span class="dim">
                  {clock(track.duration_s)}, from {clock(track.offset_s)} on, {size(track.size_bytes)}, {track.codec}
                </span>
              </span>
              <button type="button" class="button square" aria-label={`Play ${called}`} title="Play" onClick={() => setPlayed(track)}>
                <Icon name="play" />
              </button>
              <a class="button square" href={track.file} download={fileName(recording, track)} aria-label={`Download ${called}`} title="Download">
                <Icon name="download" />
              </a>
            </li>
          )
        })}
      </ul>
      {played && (
        <Dialog title={`${played.name || 'Somebody'}, ${SOURCES[played.source] ?? SOURCES.unknown}`} wide onClose={() => setPlayed(null)}>
          {played.codec === 'opus' ? (
            <audio data-testid="track-player" src={played.file} controls autoplay />
          ) : (
            <video data-testid="track-player" src={played.file} controls autoplay playsInline />
          )}
        </Dialog>
      )}
    </section>
  )
}

/** `town-hall-Ada-camera.mp4`; the server's own name is as good where browsers prefer that. */
function fileName(recording: api.Recording, track: api.Track): string {
  return `${recording.room}-${track.name}-${track.source}.mp4`.replaceAll(/[\\/:*?"<>|]+/g, '-')
}
