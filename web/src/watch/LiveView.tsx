/** A broadcast as it plays: the picture, its controls, and its keys. */
import { useSignalEffect } from '@preact/signals'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { singleKeys, typing } from '../ui/keys'
import { KeyList, type KeyHelp } from '../ui/KeyList'
import { Icon } from '../ui/Icon'
import { LivePlayer } from './live'
import { PlayerBar } from './PlayerBar'
import { STEP_S } from './SeekBar'
import { Statistics } from './Statistics'
import { Thumbnails } from './thumbnails'
import './player.css'

/** The controls leave the picture alone after this long without a movement. */
const CONTROLS_SHOWN_MS = 3000

const KEYS: KeyHelp[] = [
  { keys: ['K', 'Space'], does: 'Play or pause' },
  { keys: ['M'], does: 'Mute or unmute' },
  { keys: ['↑', '↓'], does: 'Louder, quieter' },
  { keys: ['←', '→'], does: 'Ten seconds back, forward' },
  { keys: ['L'], does: 'To the live edge' },
  { keys: ['F'], does: 'Full screen' },
  { keys: ['T'], does: 'Theatre mode' },
  { keys: ['I'], does: 'Picture in picture' },
  { keys: ['?'], does: 'This list' },
]

interface Props {
  source: string
  /** The path of its list of thumbnails, if some are made. */
  thumbnails: string | null
  title: string
  theatre?: boolean
  /** None where the player is all there is. */
  onTheatre?: () => void
  onEnded: () => void
  /** The moment to begin with, in ms since 1970. */
  at?: number | null
  onPlayer?: (player: LivePlayer | null) => void
}

export function LiveView(props: Props) {
  const video = useRef<HTMLVideoElement>(null)
  const [player, setPlayer] = useState<LivePlayer | null>(null)

  useEffect(() => {
    if (!video.current) return
    const made = new LivePlayer(video.current, props.source, props.at ?? null)
    setPlayer(made)
    props.onPlayer?.(made)
    return () => {
      props.onPlayer?.(null)
      made.close()
    }
  }, [props.source])

  return <Frame {...props} video={video} player={player} />
}

function Frame({ title, thumbnails: path, theatre = false, onTheatre, onEnded, video, player }: Props & { video: { current: HTMLVideoElement | null }; player: LivePlayer | null }) {
  const frame = useRef<HTMLDivElement>(null)
  const [fullscreen, setFullscreen] = useState(false)
  const [help, setHelp] = useState(false)
  const [statistics, setStatistics] = useState(false)
  const [idle, wake] = useIdle()
  const thumbnails = useMemo(() => (path === null ? null : new Thumbnails(path)), [path])

  useEffect(() => {
    const changed = () => setFullscreen(document.fullscreenElement === frame.current)
    document.addEventListener('fullscreenchange', changed)
    return () => document.removeEventListener('fullscreenchange', changed)
  }, [])

  function toggleFullscreen() {
    if (document.fullscreenElement) void document.exitFullscreen()
    else void enterFullscreen(frame.current, video.current)
  }

  function pictureInPicture() {
    if (document.pictureInPictureElement) void document.exitPictureInPicture()
    // Refused before the first picture; there is nothing to show in a window yet.
    else void video.current?.requestPictureInPicture().catch(() => {})
  }

  const keys = useRef<(key: string) => boolean>(() => false)
  keys.current = (key) => {
    if (!player) return false
    switch (key) {
      case 'k':
      case ' ':
        player.togglePlay()
        return true
      case 'm':
        player.setMuted(!player.muted.value)
        return true
      case 'l':
        void player.toLive()
        return true
      case 'f':
        toggleFullscreen()
        return true
      case 't':
        onTheatre?.()
        return onTheatre !== undefined
      case 'i':
        pictureInPicture()
        return true
      case '?':
        setHelp(true)
        return true
      case 'arrowup':
      case 'arrowdown':
        player.setVolume(player.volume.value + (key === 'arrowup' ? 0.1 : -0.1))
        return true
      case 'arrowleft':
      case 'arrowright':
        player.seek(player.position.value + (key === 'arrowright' ? STEP_S : -STEP_S))
        return true
      default:
        return false
    }
  }
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !singleKeys.peek() || typing(event)) return
      if (keys.current(event.key.toLowerCase())) {
        event.preventDefault()
        wake()
      }
    }
    addEventListener('keydown', pressed)
    return () => removeEventListener('keydown', pressed)
  }, [])

  return (
    <div ref={frame} class={idle && player?.playing.value && !player.paused.value ? 'player idle' : 'player'} onPointerMove={wake} onFocusIn={wake}>
      <video ref={video} data-testid="player" aria-label={title} playsInline onDblClick={toggleFullscreen} />
      {player && (
        <>
          <Overlay player={player} onEnded={onEnded} />
          <PlayerBar
            player={player}
            thumbnails={thumbnails}
            theatre={theatre}
            onTheatre={onTheatre ?? null}
            fullscreen={fullscreen}
            onFullscreen={toggleFullscreen}
            onPictureInPicture={document.pictureInPictureEnabled ? pictureInPicture : null}
            statistics={statistics}
            onStatistics={() => setStatistics(!statistics)}
            onHelp={() => setHelp(true)}
          />
          {statistics && <Statistics player={player} onClose={() => setStatistics(false)} />}
        </>
      )}
      {help && <KeyList keys={KEYS} onClose={() => setHelp(false)} />}
    </div>
  )
}

function Overlay({ player, onEnded }: { player: LivePlayer; onEnded: () => void }) {
  useSignalEffect(() => {
    if (player.ended.value) onEnded()
  })
  return (
    <>
      {player.blocked.value && (
        <button type="button" class="button primary player-centre" onClick={() => void player.toLive()}>
          <Icon name="play" />
          Play
        </button>
      )}
      {player.waiting.value && !player.blocked.value && <span class="spinner player-centre" role="status" aria-label="Waiting for the picture" />}
      {player.trouble.value && (
        <p class="player-trouble" role="status">
          {player.trouble.value}
        </p>
      )}
      {player.missed.value && !player.trouble.value && (
        <p class="player-trouble" role="status">
          That moment is no longer in the broadcast. This is live.
        </p>
      )}
      {player.muted.value && (
        <button type="button" class="button primary player-unmute" data-testid="unmute-button" onClick={() => player.setMuted(false)}>
          <Icon name="volumeOff" />
          Unmute
        </button>
      )}
    </>
  )
}

function useIdle(): [boolean, () => void] {
  const [idle, setIdle] = useState(false)
  const timer = useRef(0)
  const wake = () => {
    setIdle(false)
    clearTimeout(timer.current)
    timer.current = window.setTimeout(() => setIdle(true), CONTROLS_SHOWN_MS)
  }
  useEffect(() => {
    wake()
    return () => clearTimeout(timer.current)
  }, [])
  return [idle, wake]
}

/** iPhones give full screen to a video only, by a name of their own. */
async function enterFullscreen(frame: HTMLElement | null, video: (HTMLVideoElement & { webkitEnterFullscreen?: () => void }) | null) {
  if (frame?.requestFullscreen) await frame.requestFullscreen().catch(() => {})
  else video?.webkitEnterFullscreen?.()
}
