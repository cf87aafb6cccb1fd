/** The controls over any picture that plays: those that every player has, and room for its own. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { Icon } from '../ui/Icon'
import { withKeys } from '../ui/keys'
import type { Player } from './player'
import type { Screen } from './PlayerFrame'
import { PlayerMenu } from './PlayerMenu'

interface Props {
  player: Player
  screen: Screen
  seek: ComponentChildren
  /** Beside play and volume: where in it the picture is. */
  where: ComponentChildren
  /** At the other end, before the settings. */
  tools: ComponentChildren
  settings: (close: () => void) => ComponentChildren
  /** Before full screen. */
  sizes?: ComponentChildren
}

export function PlayerBar({ player, screen, seek, where, tools, settings, sizes }: Props) {
  const [menu, setMenu] = useState(false)
  const stands = player.paused.value || player.ended.value
  const muted = player.muted.value
  return (
    <div class="player-bar">
      {seek}
      <button type="button" class="bar-button" data-testid="play-button" aria-label={stands ? 'Play' : 'Pause'} title={withKeys(stands ? 'Play' : 'Pause', 'K')} onClick={() => player.togglePlay()}>
        <Icon name={stands ? 'play' : 'pause'} />
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
      {where}
      <span class="bar-space" />
      {tools}
      {player.captioned.value && (
        <button type="button" class="bar-button" data-testid="captions-button" aria-label="Captions" aria-pressed={player.captions.value} title={withKeys('Captions', 'C')} onClick={() => player.setCaptions(!player.captions.value)}>
          <Icon name="captions" />
        </button>
      )}
      <button type="button" class="bar-button" data-testid="settings-button" data-opens-menu aria-label="Settings" aria-expanded={menu} title="Settings" onClick={() => setMenu(!menu)}>
        <Icon name="settings" />
      </button>
      {menu && (
        <PlayerMenu onClose={() => setMenu(false)}>
          {settings(() => setMenu(false))}
          <button
            type="button"
            class="menu-item"
            data-testid="keys-button"
            onClick={() => {
              setMenu(false)
              screen.showKeys()
            }}
          >
            Keyboard
          </button>
        </PlayerMenu>
      )}
      {screen.pictureInPicture && (
        <button type="button" class="bar-button wide-only" aria-label="Picture in picture" title={withKeys('Picture in picture', 'I')} onClick={screen.pictureInPicture}>
          <Icon name="pip" />
        </button>
      )}
      {sizes}
      <button type="button" class="bar-button" data-testid="fullscreen-button" aria-label="Full screen" aria-pressed={screen.fullscreen} title={withKeys('Full screen', 'F')} onClick={screen.toggleFullscreen}>
        <Icon name="fullscreen" />
      </button>
    </div>
  )
}

/** In the bar, or in the menu where the bar has no room for it. */
export function QualitySelect({ player, place }: { player: Player; place: 'bar' | 'menu' }) {
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
