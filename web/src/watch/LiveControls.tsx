/** The controls over a live picture. */
import { secondsBehind } from '../times'
import { Icon } from '../ui/Icon'
import { withKeys } from '../ui/keys'
import { CLIP_S, type Clipping } from './clip'
import { ClipButton } from './ClipPanel'
import { LiveSeek } from './LiveSeek'
import type { LivePlayer } from './live'
import { PlayerBar, QualitySelect } from './PlayerBar'
import type { Screen } from './PlayerFrame'
import type { Thumbnails } from './thumbnails'

interface Props {
  player: LivePlayer
  screen: Screen
  /** None where none are made. */
  thumbnails: Thumbnails | null
  theatre: boolean
  /** None where the player is all there is. */
  onTheatre: (() => void) | null
  /** None where nobody may make clips. */
  clipping: Clipping | null
  statistics: boolean
  onStatistics: () => void
}

export function LiveControls({ player, screen, thumbnails, theatre, onTheatre, clipping, statistics, onStatistics }: Props) {
  return (
    <PlayerBar
      player={player}
      screen={screen}
      seek={<LiveSeek player={player} thumbnails={thumbnails} />}
      where={
        <>
          <LiveBadge player={player} />
          <Behind player={player} />
        </>
      }
      tools={
        <>
          {clipping && <ClipButton clipping={clipping} player={player} />}
          <QualitySelect player={player} place="bar" />
        </>
      }
      settings={(close) => (
        <>
          <button
            type="button"
            class="menu-item"
            data-testid="start-over"
            title={withKeys('From the oldest moment there is', 'Home')}
            onClick={() => {
              close()
              player.startOver()
            }}
          >
            Start over
          </button>
          {clipping && (
            <button
              type="button"
              class="menu-item narrow-only"
              onClick={() => {
                close()
                void clipping.make(player)
              }}
            >
              Clip the last {CLIP_S} seconds
            </button>
          )}
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
        </>
      )}
      sizes={
        onTheatre && (
          <button type="button" class="bar-button wide-only" data-testid="theatre-button" aria-label="Theatre mode" aria-pressed={theatre} title={withKeys('Theatre mode', 'T')} onClick={onTheatre}>
            <Icon name="theatre" />
          </button>
        )
      }
    />
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
