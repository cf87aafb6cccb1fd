/** The frame around any picture that plays: full screen, picture in picture, what is said over it, and its keys. */
import type { ComponentChildren, RefObject } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { Icon } from '../ui/Icon'
import { singleKeys, typing } from '../ui/keys'
import { KeyList, type KeyHelp } from '../ui/KeyList'
import type { Player } from './player'
import { STEP_S } from './SeekBar'
import './player.css'

/** The controls leave the picture alone after this long without a movement. */
const CONTROLS_SHOWN_MS = 3000
const VOLUME_STEP = 0.1

/** What every player's keys do; between the two come its own. */
const FIRST_KEYS: KeyHelp[] = [
  { keys: ['K', 'Space'], does: 'Play or pause' },
  { keys: ['M'], does: 'Mute or unmute' },
  { keys: ['↑', '↓'], does: 'Louder, quieter' },
  { keys: ['←', '→'], does: 'Ten seconds back, forward' },
]
const CAPTIONS: KeyHelp = { keys: ['C'], does: 'Captions' }
const LAST_KEYS: KeyHelp[] = [
  { keys: ['F'], does: 'Full screen' },
  { keys: ['I'], does: 'Picture in picture' },
  { keys: ['?'], does: 'This list' },
]

/** The frame, for the controls in it. */
export interface Screen {
  fullscreen: boolean
  toggleFullscreen: () => void
  /** None where the browser has none. */
  pictureInPicture: (() => void) | null
  showKeys: () => void
}

interface Props {
  video: RefObject<HTMLVideoElement | null>
  /** `null` until there is one. */
  player: Player | null
  /** What the picture is called. */
  title: string
  /** The keys that only this player has. */
  keys: KeyHelp[]
  /** True when the key is one of them. */
  onKey: (key: string) => boolean
  /** A press on the picture plays and pauses. */
  pressable?: boolean
  controls: (screen: Screen) => ComponentChildren
  /** What is over the picture, beside what any player says. */
  children?: ComponentChildren
}

export function PlayerFrame({ video, player, title, keys: own, onKey, pressable = false, controls, children }: Props) {
  const frame = useRef<HTMLDivElement>(null)
  /** What the picture was pressed with; not every browser says it of a click. */
  const pointer = useRef('')
  const [fullscreen, setFullscreen] = useState(false)
  const [help, setHelp] = useState(false)
  const [idle, wake] = useIdle()

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
    else void video.current?.requestPictureInPicture?.().catch(() => {})
  }

  const press = useRef<(key: string) => boolean>(() => false)
  press.current = (key) => {
    if (!player) return false
    switch (key) {
      case 'k':
      case ' ':
        player.togglePlay()
        return true
      case 'm':
        player.setMuted(!player.muted.value)
        return true
      case 'c':
        if (!player.captioned.value) return false
        player.setCaptions(!player.captions.value)
        return true
      case 'f':
        toggleFullscreen()
        return true
      case 'i':
        pictureInPicture()
        return true
      case '?':
        setHelp(true)
        return true
      case 'arrowup':
      case 'arrowdown':
        player.setVolume(player.volume.value + (key === 'arrowup' ? VOLUME_STEP : -VOLUME_STEP))
        return true
      case 'arrowleft':
      case 'arrowright':
        player.seek(player.position.value + (key === 'arrowright' ? STEP_S : -STEP_S))
        return true
      default:
        return onKey(key)
    }
  }
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !singleKeys.peek() || typing(event)) return
      if (press.current(event.key.toLowerCase())) {
        event.preventDefault()
        wake()
      }
    }
    addEventListener('keydown', pressed)
    return () => removeEventListener('keydown', pressed)
  }, [])

  const moving = player !== null && player.playing.value && !player.paused.value && !player.ended.value
  return (
    <div ref={frame} class={idle && moving ? 'player idle' : 'player'} onPointerMove={wake} onPointerDown={wake} onFocusIn={wake}>
      <video
        ref={video}
        data-testid="player"
        aria-label={title}
        playsInline
        onDblClick={toggleFullscreen}
        // A finger on the picture only brings the controls back.
        onPointerDown={(event) => (pointer.current = event.pointerType)}
        onClick={() => pressable && pointer.current === 'mouse' && player?.togglePlay()}
      />
      {player && (
        <>
          <Overlay player={player} />
          {children}
          {controls({
            fullscreen,
            toggleFullscreen,
            pictureInPicture: document.pictureInPictureEnabled ? pictureInPicture : null,
            showKeys: () => setHelp(true),
          })}
        </>
      )}
      {help && <KeyList keys={[...FIRST_KEYS, ...own, ...(player?.captioned.value ? [CAPTIONS] : []), ...LAST_KEYS]} onClose={() => setHelp(false)} />}
    </div>
  )
}

function Overlay({ player }: { player: Player }) {
  return (
    <>
      {player.waiting.value && !player.blocked.value && <span class="spinner player-centre" role="status" aria-label="Waiting for the picture" />}
      {player.trouble.value && (
        <p class="player-trouble" role="status">
          {player.trouble.value}
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

/** Over the middle of a picture that does not play yet. */
export function PlayCentre({ onPlay }: { onPlay: () => void }) {
  return (
    <button type="button" class="button primary player-centre" onClick={onPlay}>
      <Icon name="play" />
      Play
    </button>
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
