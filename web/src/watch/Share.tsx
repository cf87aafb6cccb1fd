/** Ways to bring somebody else here: a link, a link to this moment, a player for another page. */
import { useState } from 'preact/hooks'
import { pathTo } from '../router'
import { timeOfDay } from '../times'
import { Dialog } from '../ui/Dialog'

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
    <Dialog title="Share" onClose={onClose} wide>
      <div class="share" data-testid="share">
        <ToCopy name="Link" text={link} />
        {moment !== null && <ToCopy name={`Link to this moment, ${timeOfDay(moment)}`} text={`${link}?at=${new Date(moment).toISOString()}`} />}
        <ToCopy name="Player for another page" text={embedCode(location.origin, room, title)} />
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

/** What another page needs to show a room's broadcast (docs/embed.md). */
export function embedCode(origin: string, room: string, title: string): string {
  return `<script type="module" src="${origin}/embed.js"></script>\n<amphi-player room="${attribute(room)}" label="Broadcast of ${attribute(title)}"></amphi-player>`
}

function attribute(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;')
}

/** The moment that a page's address asks for (`?at=` and an RFC 3339 time), in ms since 1970. */
export function momentOf(search: string): number | null {
  const at = Date.parse(new URLSearchParams(search).get('at') ?? '')
  return Number.isNaN(at) ? null : at
}
