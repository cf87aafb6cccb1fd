/** A broadcast as it plays: the picture, its controls, and its keys. */
import { useSignalEffect } from '@preact/signals'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { KeyHelp } from '../ui/KeyList'
import { CLIP_S, type Clipping } from './clip'
import { ClipPanel } from './ClipPanel'
import { LiveControls } from './LiveControls'
import { LivePlayer } from './live'
import { PlayCentre, PlayerFrame } from './PlayerFrame'
import { Statistics } from './Statistics'
import { Thumbnails } from './thumbnails'

const TO_LIVE: KeyHelp = { keys: ['L'], does: 'To the live edge' }
const START_OVER: KeyHelp = { keys: ['Home'], does: 'Start over: from the oldest moment there is' }
const CLIP: KeyHelp = { keys: ['X'], does: `Clip the last ${CLIP_S} seconds` }
const THEATRE: KeyHelp = { keys: ['T'], does: 'Theatre mode' }

interface Props {
  source: string
  /** The path of its list of thumbnails, if some are made. */
  thumbnails: string | null
  /** Somebody writes captions. */
  captions: boolean
  title: string
  theatre?: boolean
  /** None where the player is all there is. */
  onTheatre?: () => void
  /** None where nobody may make clips. */
  clipping?: Clipping | null
  onEnded: () => void
  /** The moment to begin with, in ms since 1970. */
  at?: number | null
  onPlayer?: (player: LivePlayer | null) => void
}

export function LiveView({ source, thumbnails: path, captions, title, theatre = false, onTheatre, clipping = null, onEnded, at = null, onPlayer }: Props) {
  const video = useRef<HTMLVideoElement>(null)
  const [player, setPlayer] = useState<LivePlayer | null>(null)
  const [statistics, setStatistics] = useState(false)
  const thumbnails = useMemo(() => (path === null ? null : new Thumbnails(path)), [path])

  useEffect(() => {
    if (!video.current) return
    const made = new LivePlayer(video.current, source, at)
    setPlayer(made)
    onPlayer?.(made)
    return () => {
      onPlayer?.(null)
      made.close()
    }
  }, [source])

  useEffect(() => {
    if (captions) player?.offerCaptions()
  }, [player, captions])

  function press(key: string): boolean {
    switch (key) {
      case 'l':
        void player?.toLive()
        return true
      case 'home':
        player?.startOver()
        return true
      case 'x':
        if (player) void clipping?.make(player)
        return clipping !== null
      case 't':
        onTheatre?.()
        return onTheatre !== undefined
      default:
        return false
    }
  }

  return (
    <PlayerFrame
      video={video}
      player={player}
      title={title}
      keys={[TO_LIVE, START_OVER, ...(clipping ? [CLIP] : []), ...(onTheatre ? [THEATRE] : [])]}
      onKey={press}
      controls={(screen) =>
        player && (
          <LiveControls
            player={player}
            screen={screen}
            thumbnails={thumbnails}
            theatre={theatre}
            onTheatre={onTheatre ?? null}
            clipping={clipping}
            statistics={statistics}
            onStatistics={() => setStatistics(!statistics)}
          />
        )
      }
    >
      {player && <Overlay player={player} onEnded={onEnded} />}
      {clipping && <ClipPanel clipping={clipping} />}
      {player && statistics && <Statistics player={player} onClose={() => setStatistics(false)} />}
    </PlayerFrame>
  )
}

function Overlay({ player, onEnded }: { player: LivePlayer; onEnded: () => void }) {
  useSignalEffect(() => {
    if (player.ended.value) onEnded()
  })
  return (
    <>
      {player.blocked.value && <PlayCentre onPlay={() => void player.toLive()} />}
      {player.missed.value && !player.trouble.value && (
        <p class="player-trouble" role="status">
          That moment is no longer in the broadcast. This is live.
        </p>
      )}
    </>
  )
}
