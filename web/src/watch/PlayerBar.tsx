/** The controls over a live picture. */
import { useState } from 'preact/hooks'
import { secondsBehind } from '../times'
import { Icon } from '../ui/Icon'
import { withKeys } from '../ui/keys'
import type { LivePlayer } from './live'
import { PlayerMenu } from './PlayerMenu'
import { SeekBar } from './SeekBar'
import type { Thumbnails } from './thumbnails'

interface Props {
  player: LivePlayer
  /** None where none are made. */
  thumbnails: Thumbnails | null
  theatre: boolean
  /** None where the player is all there is. */
  onTheatre: (() => void) | null
  fullscreen: boolean
  onFullscreen: () => void
  onPictureInPicture: (() => void) | null
  statistics: boolean
  onStatistics: () => void
  onHelp: () => void
}

export function PlayerBar({ player, thumbnails, theatre, onTheatre, fullscreen, onFullscreen, onPictureInPicture, statistics, onStatistics, onHelp }: Props) {
  const [menu, setMenu] = useState(false)
  const paused = player.paused.value
  const muted = player.muted.value
  return (
    <div class="player-bar">
      <SeekBar player={player} thumbnails={thumbnails} />
      <button type="button" class="bar-button" data-testid="play-button" aria-label={paused ? 'Play' : 'Pause'} title={withKeys(paused ? 'Play' : 'Pause', 'K')} onClick={() => player.togglePlay()}>
        <Icon name={paused ? 'play' : 'pause'} />
      </button>
      <button type="button" class="bar-button" aria-label="Mute" aria-pressed={muted} title={withKeys('Mute', 'M')} onClick={() => player.setMuted(!muted)}>
        <Icon name={muted ? 'volumeOff' : 'volume'} />
      </button>
      <input
        class="volume"
        type="range"
        min="0"
        max="1"
        step="0.05"
        aria-label="Volume"
        value={muted ? 0 : player.volume.value}
        onInput={(event) => player.setVolume(event.currentTarget.valueAsNumber)}
      />
      <LiveBadge player={player} />
      <Behind player={player} />
      <span class="bar-space" />
      <QualitySelect player={player} place="bar" />
      <button type="button" class="bar-button" data-testid="settings-button" data-opens-menu aria-label="Settings" aria-expanded={menu} title="Settings" onClick={() => setMenu(!menu)}>
        <Icon name="settings" />
      </button>
      {menu && (
        <PlayerMenu
          player={player}
          statistics={statistics}
          onStatistics={onStatistics}
          onHelp={() => {
            setMenu(false)
            onHelp()
          }}
          onClose={() => setMenu(false)}
        />
      )}
      {onPictureInPicture && (
        <button type="button" class="bar-button wide-only" aria-label="Picture in picture" title={withKeys('Picture in picture', 'I')} onClick={onPictureInPicture}>
          <Icon name="pip" />
        </button>
      )}
      {onTheatre && (
        <button type="button" class="bar-button wide-only" data-testid="theatre-button" aria-label="Theatre mode" aria-pressed={theatre} title={withKeys('Theatre mode', 'T')} onClick={onTheatre}>
          <Icon name="theatre" />
        </button>
      )}
      <button type="button" class="bar-button" data-testid="fullscreen-button" aria-label="Full screen" aria-pressed={fullscreen} title={withKeys('Full screen', 'F')} onClick={onFullscreen}>
        <Icon name="fullscreen" />
      </button>
    </div>
  )
}

function LiveBadge({ player }: { player: LivePlayer }) {
  const live = player.atEdge.value
  return (
    <button type="button" class={live ? 'live-badge' : 'live-badge late'} data-testid="live-badge" data-live={live} aria-label={live ? 'Live' : 'Go to live'} title={withKeys('To the live edge', 'L')} onClick={() => void player.toLive()}>
      {live ? 'Live' : 'Go to live'}
    </button>
  )
}

function Behind({ player }: { player: LivePlayer }) {
  const behind = player.behind.value
  return (
    <span class="bar-text" data-testid="seconds-behind" data-seconds={behind?.toFixed(2) ?? ''}>
      {behind !== null && (
        <>
          {secondsBehind(behind)}
          <span class="word"> behind</span>
        </>
      )}
    </span>
  )
}

/** In the bar, or in the menu where the bar has no room for it. */
export function QualitySelect({ player, place }: { player: LivePlayer; place: 'bar' | 'menu' }) {
  const height = player.height.value
  const automatic = player.quality.value === -1 && height > 0 ? `Auto (${height}p)` : 'Auto'
  return (
    <select
      class={place === 'bar' ? 'quality in-bar' : 'quality'}
      data-testid={place === 'bar' ? 'quality-select' : undefined}
      aria-label="Quality"
      value={String(player.quality.value)}
      onChange={(event) => player.setQuality(Number(event.currentTarget.value))}
    >
      <option value="-1">{automatic}</option>
      {player.qualities.value.map(({ level, name }) => (
        <option key={level} value={String(level)}>
          {name}
        </option>
      ))}
    </select>
  )
}
