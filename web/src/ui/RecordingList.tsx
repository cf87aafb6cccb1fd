import type { Recording } from '../api'
import { followLink, pathTo } from '../router'
import { clock, dayOf, size } from '../times'
import { Icon } from './Icon'
import './recordings.css'

export function RecordingList({ recordings, testid }: { recordings: Recording[]; testid?: string }) {
  return (
    <ul class="recordings" {...(testid === undefined ? {} : { 'data-testid': testid })}>
      {recordings.map((recording) => (
        <li key={recording.id} data-id={recording.id}>
          <a href={pathTo('recording', recording.id)} onClick={followLink}>
            <span class="recording-play" aria-hidden="true">
              <Icon name="play" />
            </span>
            <span class="recording-words">
              <strong>{recording.title || recording.room}</strong>
              <span class="dim">
                {dayOf(recording.started)}
                {recording.state === 'recording' ? ', recording now' : `, ${size(recording.size_bytes)}`}
                {!recording.published && ', not published'}
                {recording.may_release && recording.keep_until !== null && `, kept until ${dayOf(recording.keep_until)}`}
              </span>
            </span>
            <span class="recording-length">
              <span class="unseen">Length </span>
              {clock(recording.duration_s)}
            </span>
          </a>
        </li>
      ))}
    </ul>
  )
}
