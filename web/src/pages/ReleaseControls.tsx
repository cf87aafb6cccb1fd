/** What somebody who may record in the room decides about one of its recordings. */
import { useState } from 'preact/hooks'
import * as api from '../api'
import { copyInWords, tokenToRelease } from '../recordings'
import { dayOf } from '../times'
import { Dialog } from '../ui/Dialog'
import '../ui/recordings.css'

const SPANS = [
  ['for ever', 'For ever'],
  ['1day', 'One day from now'],
  ['7days', 'One week from now'],
  ['30days', '30 days from now'],
  ['365days', 'One year from now'],
] as const

interface Props {
  recording: api.Recording
  onChanged: () => void
  onDeleted: () => void
}

export function ReleaseControls({ recording, onChanged, onDeleted }: Props) {
  const [busy, setBusy] = useState(false)
  const [said, setSaid] = useState<{ words: string; bad: boolean } | null>(null)
  const [asks, setAsks] = useState(false)
  const token = tokenToRelease(recording)
  if (token === null) return null

  async function perform(work: () => Promise<unknown>, words: string, then: () => void) {
    setBusy(true)
    setSaid(null)
    try {
      await work()
      if (words !== '') setSaid({ words, bad: false })
      then()
    } catch (thrown) {
      setSaid({ words: api.wordsOf(thrown), bad: true })
    }
    setBusy(false)
  }
  const change = (wanted: api.Release, words: string) =>
    void perform(() => api.releaseRecording(recording.id, token, wanted), words, onChanged)

  return (
    <section class="release" aria-labelledby="release-title">
      <h2 id="release-title">For those who record here</h2>
      <div class="release-row">
        <p data-testid="published">
          {recording.published ? 'Published: everybody may watch it.' : 'Not published: only those who may record in this room can watch it.'}
        </p>
        <button
          type="button"
          class={recording.published ? 'button' : 'button primary'}
          data-testid="publish"
          disabled={busy}
          onClick={() =>
            recording.published
              ? change({ published: false }, 'It is taken back. Who has saved the file still has it.')
              : change({ published: true }, 'It is published.')
          }
        >
          {recording.published ? 'Unpublish' : 'Publish'}
        </button>
      </div>
      <div class="release-row">
        <p data-testid="kept">{recording.keep_until === null ? 'Kept for ever.' : `Kept until ${dayOf(recording.keep_until)}, then deleted.`}</p>
        <label class="field">
          <span class="unseen">Keep it</span>
          <select
            data-testid="keep-for"
            disabled={busy}
            value=""
            onChange={(event) => {
              const span = event.currentTarget.value
              event.currentTarget.value = ''
              if (span !== '') change({ keep_for: span }, '')
            }}
          >
            <option value="" disabled>
              Change how long…
            </option>
            {SPANS.map(([span, words]) => (
              <option key={span} value={span}>
                {words}
              </option>
            ))}
          </select>
        </label>
      </div>
      {recording.export && (
        <div class="release-row">
          <p data-testid="export">{copyInWords(recording.export, recording.state)}</p>
        </div>
      )}
      <form
        class="release-row"
        onSubmit={(event) => {
          event.preventDefault()
          const title = new FormData(event.currentTarget).get('title')
          change({ title: typeof title === 'string' ? title.trim() : '' }, 'The title is saved.')
        }}
      >
        <label class="field">
          <span class="unseen">Title</span>
          <input name="title" data-testid="recording-title" maxLength={120} defaultValue={recording.title} placeholder={`Title (${recording.room})`} autocomplete="off" />
        </label>
        <button type="submit" class="button" disabled={busy}>
          Save title
        </button>
      </form>
      <div class="release-row">
        <p>{recording.state === 'recording' ? 'It can be deleted when the recording has ended.' : 'Deleting removes its files from the server.'}</p>
        <button type="button" class="button danger" data-testid="delete" disabled={busy || recording.state === 'recording'} onClick={() => setAsks(true)}>
          Delete…
        </button>
      </div>
      <p class={said?.bad ? 'note bad' : 'note'} role="status" hidden={said === null}>
        {said?.words}
      </p>
      {asks && (
        <Dialog title="Delete this recording?" onClose={() => setAsks(false)}>
          <p>It is deleted for good, for everybody, with its files.</p>
          <div class="dialog-end">
            <button type="button" class="button" onClick={() => setAsks(false)}>
              Keep it
            </button>
            <button
              type="button"
              class="button danger"
              data-testid="confirm-delete"
              disabled={busy}
              onClick={() => {
                setAsks(false)
                void perform(() => api.deleteRecording(recording.id, token), '', onDeleted)
              }}
            >
              Delete for good
            </button>
          </div>
        </Dialog>
      )}
    </section>
  )
}
