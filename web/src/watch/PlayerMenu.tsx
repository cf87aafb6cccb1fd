/** What is chosen once and then left alone: latency, statistics, the list of keys. */
import { useEffect, useRef } from 'preact/hooks'
import type { LivePlayer } from './live'
import { QualitySelect } from './PlayerBar'

interface Props {
  player: LivePlayer
  statistics: boolean
  onStatistics: () => void
  onHelp: () => void
  onClose: () => void
}

export function PlayerMenu({ player, statistics, onStatistics, onHelp, onClose }: Props) {
  const menu = useRef<HTMLDivElement>(null)
  useEffect(() => {
    // The first that is shown: which one that is depends on the room that there is.
    const first = [...(menu.current?.querySelectorAll('select') ?? [])].find((select) => select.offsetParent !== null)
    first?.focus()
    const away = (event: PointerEvent) => {
      // A press on the button that opened it closes it by itself.
      const at = event.target
      if (at instanceof Element && !menu.current?.contains(at) && !at.closest('[data-opens-menu]')) onClose()
    }
    addEventListener('pointerdown', away)
    return () => removeEventListener('pointerdown', away)
  }, [])

  return (
    <div
      ref={menu}
      class="player-menu"
      role="group"
      aria-label="Settings"
      onKeyDown={(event) => {
        if (event.key === 'Escape') onClose()
      }}
    >
      <label class="narrow-only">
        Quality
        <QualitySelect player={player} place="menu" />
      </label>
      <label>
        Latency
        <select
          class="quality"
          data-testid="latency-select"
          value={player.latency.value}
          onChange={(event) => player.setLatency(event.currentTarget.value === 'steady' ? 'steady' : 'low')}
        >
          <option value="low">Low: as near to live as can be</option>
          <option value="steady">Steady: some seconds later, fewer stalls</option>
        </select>
      </label>
      <button type="button" class="menu-item" data-testid="statistics-button" aria-pressed={statistics} onClick={onStatistics}>
        Statistics
      </button>
      <button type="button" class="menu-item" onClick={onHelp}>
        Keyboard
      </button>
    </div>
  )
}
