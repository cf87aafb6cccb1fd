/** The button that makes a clip, and what became of it. */
import { pathTo } from '../router'
import { CopyLink } from '../ui/CopyLink'
import { Icon } from '../ui/Icon'
import { withKeys } from '../ui/keys'
import { CLIP_S, type Clipping, type ClipState } from './clip'
import type { LivePlayer } from './live'

interface ButtonProps {
  clipping: Clipping
  player: LivePlayer
}

export function ClipButton({ clipping, player }: ButtonProps) {
  const making = clipping.state.value?.is === 'making'
  return (
    <button
      type="button"
      class="bar-button bar-word in-bar"
      data-testid="clip-button"
      aria-disabled={making}
      title={withKeys(`Clip the last ${CLIP_S} seconds`, 'X')}
      onClick={() => void clipping.make(player)}
    >
      <Icon name="clip" />
      <span>{making ? 'Clipping' : 'Clip'}</span>
    </button>
  )
}

export function ClipPanel({ clipping }: { clipping: Clipping }) {
  const state = clipping.state.value
  const told = state?.is === 'made' || state?.is === 'refused'
  return (
    <div class={told ? 'clip-panel' : 'unseen'} data-testid="clip-panel">
      <p role="status">{words(state)}</p>
      {state?.is === 'made' && <Made state={state} />}
      {told && (
        <button type="button" class="bar-button" aria-label="Close the note about the clip" onClick={() => clipping.hush()}>
          <Icon name="close" />
        </button>
      )}
    </div>
  )
}

function Made({ state }: { state: Extract<ClipState, { is: 'made' }> }) {
  const { clip, recording } = state
  const path = pathTo('recording', clip.id)
  return (
    <div class="clip-actions">
      {/* In a tab of its own, so that the broadcast goes on; with this tab's token, which shows also what is not published. */}
      <a class="button small" data-testid="clip-link" href={path} target="_blank" rel="opener">
        <Icon name="play" />
        Watch it<span class="unseen"> in a new tab</span>
      </a>
      <CopyLink path={path} size="small" />
      {recording && (
        <a class="button small" data-testid="clip-download" href={recording.file} download={`${recording.room}-clip.mp4`}>
          <Icon name="download" />
          Download
        </a>
      )}
    </div>
  )
}

function words(state: ClipState): string {
  switch (state?.is) {
    case undefined:
      return ''
    case 'making':
      return 'Making the clip'
    case 'refused':
      return state.words
    case 'made': {
      const made = `Clip made, ${Math.round(state.clip.duration_s)} s.`
      return state.recording?.published === false ? `${made} Only those who may record here can watch it until it is published.` : made
    }
  }
}
