/** Ways to bring somebody else here: a link, a link to this moment, a player for another page. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import type { Recording } from '../api'
import { pathTo } from '../router'
import { clock, timeOfDay } from '../times'
import { Dialog } from '../ui/Dialog'
import { embedCode } from './moments'

interface Props {
  room: string
  title: string
  /** The moment that is shown, in ms since 1970, while something is. */
  now: number | null
  onClose: () => void
}

export function Share({ room, title, now, onClose }: Props) {
  // What was shown when the dialog opened, not what went by since.
  const [moment] = useState(now)
  const link = location.origin + pathTo('watch', room)
  return (
    <ShareDialog onClose={onClose}>
      <ToCopy name="Link" text={link} />
      {moment !== null && <ToCopy name={`Link to this moment, ${timeOfDay(moment)}`} text={`${link}?at=${new Date(moment).toISOString()}`} />}
      <ToCopy name="Player for another page" text={embedCode(location.origin, room, title)} />
    </ShareDialog>
  )
}

/** `at_s`: what is shown of it. */
export function ShareRecording({ recording, at_s, onClose }: { recording: Recording; at_s: number; onClose: () => void }) {
  const [second] = useState(Math.floor(at_s))
  const link = location.origin + pathTo('recording', recording.id)
  return (
    <ShareDialog onClose={onClose}>
      <ToCopy name="Link" text={link} />
      {second > 0 && <ToCopy name={`Link to ${clock(second)} of it`} text={`${link}?t=${second}`} />}
      {!recording.published && <p>It is not published: the link opens only for those who may record in its room.</p>}
    </ShareDialog>
  )
}

function ShareDialog({ onClose, children }: { onClose: () => void; children: ComponentChildren }) {
  return (
    <Dialog title="Share" onClose={onClose} wide>
      <div class="share" data-testid="share">
        {children}
      </div>
    </Dialog>
  )
}

function ToCopy({ name, text }: { name: string; text: string }) {
  const [said, setSaid] = useState('Copy')
  async function copy() {
    try {
      await navigator.clipboard.writeText(text)
      setSaid('Copied')
    } catch {
      setSaid('Select it and copy')
    }
  }
  return (
    <div class="share-row">
      <label>
        {name}
        <textarea readOnly rows={text.length > 90 ? 5 : text.length > 48 ? 2 : 1} value={text} onFocus={(event) => event.currentTarget.select()} />
      </label>
      <button type="button" class="button" aria-label={`Copy: ${name}`} onClick={() => void copy()}>
        <span role="status">{said}</span>
      </button>
    </div>
  )
}
