/** Where a broadcast plays, between the oldest moment that is still there and the live edge. */
import { useEffect, useState } from 'preact/hooks'
import { clock, timeOfDay } from '../times'
import type { LivePlayer } from './live'
import { thumbnailAt, type Thumbnails } from './thumbnails'

/** What the arrow keys move by, here and on the page. */
export const STEP_S = 10
/** Of less there is nothing to choose from. */
const SHOWN_FROM_S = 4

export function SeekBar({ player, thumbnails }: { player: LivePlayer; thumbnails: Thumbnails | null }) {
  const range = player.range.value
  const [held, setHeld] = useState<number | null>(null)
  /** From 0 to 1. */
  const [pointed, setPointed] = useState<number | null>(null)
  const [keyed, setKeyed] = useState(false)
  if (!range || range.to - range.from < SHOWN_FROM_S) return null

  const length = range.to - range.from
  const at = Math.min(range.to, Math.max(range.from, held ?? (player.atEdge.value ? range.to : player.position.value)))
  const share = (at - range.from) / length
  const looked = held !== null ? share : (pointed ?? (keyed ? share : null))

  function pressed(event: KeyboardEvent) {
    setKeyed(true)
    const to =
      event.key === 'ArrowLeft' ? at - STEP_S : event.key === 'ArrowRight' ? at + STEP_S : event.key === 'Home' ? range?.from : event.key === 'End' ? range?.to : undefined
    if (to === undefined) return
    event.preventDefault()
    setPointed(null)
    player.seek(to)
  }

  return (
    <div
      class="seek"
      style={{ '--played': `${share * 100}%` }}
      onPointerMove={(event) => {
        const box = event.currentTarget.getBoundingClientRect()
        setPointed(Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)))
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
        onKeyDown={pressed}
        onFocus={(event) => setKeyed(event.currentTarget.matches(':focus-visible'))}
        onBlur={() => setKeyed(false)}
        onPointerDown={() => setKeyed(false)}
      />
      {looked !== null && <Preview player={player} thumbnails={thumbnails} share={looked} place={range.from + looked * length} end={range.to} />}
    </div>
  )
}

/** What was on air at a place of the bar, and when that was. */
function Preview({ player, thumbnails, share, place, end }: { player: LivePlayer; thumbnails: Thumbnails | null; share: number; place: number; end: number }) {
  const [missing, setMissing] = useState('')
  const date = player.dateAt(place)
  const list = thumbnails?.list.value
  useEffect(() => thumbnails?.look())
  const thumbnail = list && date !== null ? thumbnailAt(list, date) : null
  const ago = end - place < 1 ? 'Live' : `-${clock(end - place)}`
  const shown = thumbnail !== null && thumbnail.url !== missing
  return (
    <output class={shown ? 'seek-preview with-picture' : 'seek-preview'} style={{ '--place': `${share * 100}%` }}>
      {shown && (
        <img
          data-testid="seek-thumbnail"
          data-at={thumbnail.at}
          src={thumbnail.url}
          width={thumbnail.width || undefined}
          height={thumbnail.height || undefined}
          alt=""
          onError={() => setMissing(thumbnail.url)}
        />
      )}
      <span>{date === null ? ago : `${ago} · ${timeOfDay(date)}`}</span>
    </output>
  )
}
