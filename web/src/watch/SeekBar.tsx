/** Where a picture plays, from the first to the last moment that it can be sought to. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import type { Player, Range } from './player'

/** What the arrow keys move by, here and on the page. */
export const STEP_S = 10

/** A place of the bar that somebody looks at. */
export interface Looked {
  /** In the seconds of the player's range. */
  place: number
  /** Of the bar's length, from 0 to 1. */
  share: number
}

interface Props {
  player: Player
  range: Range
  /** Where the picture is. */
  at: number
  /** What a screen reader says for a place. */
  words: (place: number) => string
  /** Over the place that somebody looks at. */
  preview: (looked: Looked) => ComponentChildren
  /** On the bar, under its thumb. */
  children?: ComponentChildren
}

export function SeekBar({ player, range, at: now, words, preview, children }: Props) {
  const [held, setHeld] = useState<number | null>(null)
  /** From 0 to 1. */
  const [pointed, setPointed] = useState<number | null>(null)
  const [keyed, setKeyed] = useState(false)

  const length = range.to - range.from
  const at = Math.min(range.to, Math.max(range.from, held ?? now))
  const share = (at - range.from) / length
  const looked = held !== null ? share : (pointed ?? (keyed ? share : null))

  function pressed(event: KeyboardEvent) {
    setKeyed(true)
    const to =
      event.key === 'ArrowLeft' ? at - STEP_S : event.key === 'ArrowRight' ? at + STEP_S : event.key === 'Home' ? range.from : event.key === 'End' ? range.to : undefined
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
      {children}
      <input
        type="range"
        data-testid="seek-bar"
        aria-label="Seek"
        aria-valuetext={words(at)}
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
      {looked !== null && preview({ place: range.from + looked * length, share: looked })}
    </div>
  )
}
