/** When the room goes on air next: for the watch page and the first page. */
import { useState } from 'preact/hooks'
import { pathTo } from '../router'
import { localInput } from '../times'
import { CopyLink } from '../ui/CopyLink'
import { Dialog } from '../ui/Dialog'
import type { House } from './house'

const HOUR_MS = 3_600_000
/** The furthest that the server takes. */
const AHEAD_MAX_MS = 366 * 24 * HOUR_MS

interface Props {
  room: string
  house: House
  /** What is announced, as an RFC 3339 time. */
  starts: string | null
  onClose: () => void
}

export function Announce({ room, house, starts, onClose }: Props) {
  const [now] = useState(Date.now)
  const [typed, setTyped] = useState(() => localInput(starts === null ? nextHour(now) : Date.parse(starts)))
  const [problem, setProblem] = useState<string | null>(null)

  function announce(event: Event) {
    event.preventDefault()
    const at = new Date(typed).getTime()
    const wrong = problemOf(at, Date.now())
    setProblem(wrong)
    if (wrong !== null) return
    onClose()
    void house.announce(new Date(at).toISOString())
  }

  return (
    <Dialog title="Announce a broadcast" onClose={onClose}>
      <form class="announce" data-testid="announce" noValidate onSubmit={announce}>
        <p>The page to watch, and the first page, count down to it. You go live yourself when the time has come; that takes the announcement away.</p>
        <label class="field">
          <span>Starts, in your time ({Intl.DateTimeFormat().resolvedOptions().timeZone})</span>
          <input
            type="datetime-local"
            data-testid="starts-input"
            value={typed}
            min={localInput(now)}
            max={localInput(now + AHEAD_MAX_MS)}
            required
            aria-invalid={problem !== null}
            aria-describedby="starts-problem"
            onInput={(event) => {
              setTyped(event.currentTarget.value)
              setProblem(null)
            }}
          />
        </label>
        <p id="starts-problem" class="problem" role="alert">
          {problem}
        </p>
        <CopyLink path={pathTo('watch', room)} label="Copy the link to watch" />
        <div class="dialog-end">
          {starts === null ? (
            <button type="button" class="button" onClick={onClose}>
              Not yet
            </button>
          ) : (
            <button
              type="button"
              class="button"
              data-testid="take-back"
              onClick={() => {
                onClose()
                void house.announce(null)
              }}
            >
              Take it back
            </button>
          )}
          <button type="submit" class="button primary" data-testid="confirm-announce">
            {starts === null ? 'Announce' : 'Change'}
          </button>
        </div>
      </form>
    </Dialog>
  )
}

function problemOf(at: number, now: number): string | null {
  if (Number.isNaN(at)) return 'Choose a day and a time.'
  if (at <= now) return 'That time is over: choose one that is to come.'
  if (at > now + AHEAD_MAX_MS) return 'That is more than a year ahead: announce it later.'
  return null
}

/** The first full hour that leaves an hour to tell people. */
function nextHour(now: number): number {
  return Math.ceil((now + HOUR_MS) / HOUR_MS) * HOUR_MS
}
