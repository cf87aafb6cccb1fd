/** Where a broadcast plays, between the oldest moment that is still there and the live edge. */
import { useState } from 'preact/hooks'
import { clock, timeOfDay } from '../times'
import type { LivePlayer } from './live'

/** What the arrow keys move by, here and on the page. */
export const STEP_S = 10
/** Of less there is nothing to choose from. */
const SHOWN_FROM_S = 4

export function SeekBar({ player }: { player: LivePlayer }) {
  const range = player.range.value
  const [held, setHeld] = useState<number | null>(null)
  const [pointed, setPointed] = useState<{ share: number; place: number } | null>(null)
  if (!range || range.to - range.from < SHOWN_FROM_S) return null

  const length = range.to - range.from
  const at = Math.min(range.to, Math.max(range.from, held ?? (player.atEdge.value ? range.to : player.position.value)))
  const share = (at - range.from) / length
  const label = (place: number) => {
    const back = range.to - place
    const date = player.dateAt(place)
    const ago = back < 1 ? 'Live' : `-${clock(back)}`
    return date === null ? ago : `${ago} · ${timeOfDay(date)}`
  }

  function keyed(event: KeyboardEvent) {
    const to =
      event.key === 'ArrowLeft' ? at - STEP_S : event.key === 'ArrowRight' ? at + STEP_S : event.key === 'Home' ? range?.from : event.key === 'End' ? range?.to : undefined
    if (to === undefined) return
    event.preventDefault()
    player.seek(to)
  }

  return (
    <div
      class="seek"
      style={{ '--played': `${share * 100}%` }}
      onPointerMove={(event) => {
        const box = event.currentTarget.getBoundingClientRect()
        const over = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width))
        setPointed({ share: over, place: range.from + over * length })
      }}
      onPointerLeave={() => setPointed(null)}
    >
      <input
        type="range"
        data-testid="seek-bar"
        aria-label="Seek"
        aria-valuetext={range.to - at < 1 ? 'Live' : `${Math.round(range.to - at)} seconds before live`}
        min="0"
        max={length.toFixed(2)}
        step="0.01"
        value={(at - range.from).toFixed(2)}
        onInput={(event) => setHeld(range.from + event.currentTarget.valueAsNumber)}
        onChange={(event) => {
          setHeld(null)
          player.seek(range.from + event.currentTarget.valueAsNumber)
        }}
        onKeyDown={keyed}
      />
      {pointed && (
        <output class="seek-time" style={{ left: `clamp(56px, ${pointed.share * 100}%, 100% - 56px)` }}>
          {label(pointed.place)}
        </output>
      )}
    </div>
  )
}
