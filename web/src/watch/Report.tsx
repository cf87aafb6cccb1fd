/** Telling who runs the room that something is wrong with its broadcast. */
import { useState } from 'preact/hooks'
import * as api from '../api'
import { timeOfDay } from '../times'
import { Dialog } from '../ui/Dialog'
import { REASONS } from '../ui/reasons'

/** The server takes no more. */
const WORDS_MAX = 500

interface Props {
  room: string
  /** The moment that is shown, in ms since 1970, while something is. */
  now: number | null
  onClose: () => void
}

type Sent = 'no' | 'on its way' | 'yes'

export function Report({ room, now, onClose }: Props) {
  // What was shown when the dialog opened, not what went by since.
  const [moment] = useState(now)
  const [reason, setReason] = useState<api.Reason | null>(null)
  const [words, setWords] = useState('')
  const [sent, setSent] = useState<Sent>('no')
  const [problem, setProblem] = useState<string | null>(null)

  async function send(event: Event) {
    event.preventDefault()
    if (sent !== 'no') return
    if (reason === null) return setProblem('Choose what is wrong.')
    setProblem(null)
    setSent('on its way')
    try {
      // The server takes one line.
      await api.report(room, { reason, words: words.replaceAll(/\s+/g, ' ').trim(), at: moment === null ? null : new Date(moment).toISOString() })
      setSent('yes')
    } catch (thrown) {
      setSent('no')
      setProblem(api.wordsOf(thrown))
    }
  }

  if (sent === 'yes') {
    return (
      <Dialog title="Report" onClose={onClose}>
        <p role="status" data-testid="reported">
          Thank you. Whoever runs this room can read your report; it does not say who you are.
        </p>
        <div class="dialog-end">
          <button type="button" class="button primary" onClick={onClose}>
            Close
          </button>
        </div>
      </Dialog>
    )
  }
  return (
    <Dialog title="Report this broadcast" onClose={onClose}>
      <form class="report" data-testid="report" noValidate onSubmit={(event) => void send(event)}>
        <p>
          Whoever runs this room reads it{moment !== null && `, with the moment that you see (${timeOfDay(moment)})`}. It does not say who you are.
        </p>
        <fieldset class="choices" aria-describedby="report-problem">
          <legend>What is wrong?</legend>
          {REASONS.map(([known, name]) => (
            <label key={known} class="choice">
              <input
                type="radio"
                name="reason"
                value={known}
                checked={reason === known}
                onChange={() => {
                  setReason(known)
                  setProblem(null)
                }}
              />
              <strong>{name}</strong>
            </label>
          ))}
        </fieldset>
        <label class="field">
          <span>In your words, if you like</span>
          <textarea data-testid="report-words" rows={3} maxLength={WORDS_MAX} value={words} onInput={(event) => setWords(event.currentTarget.value)} />
        </label>
        <p id="report-problem" class="problem" role="alert">
          {problem}
        </p>
        <div class="dialog-end">
          <button type="button" class="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="button primary" data-testid="confirm-report" aria-disabled={sent !== 'no'}>
            Send
          </button>
        </div>
      </form>
    </Dialog>
  )
}
