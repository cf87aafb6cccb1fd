/** A recording as it plays: the picture, its controls, and its keys. */
import { useEffect, useRef, useState } from 'preact/hooks'
import type { Recording } from '../api'
import type { Cue, Moment } from '../timeline'
import type { KeyHelp } from '../ui/KeyList'
import { secondsOf } from './moments'
import { PlayCentre, PlayerFrame } from './PlayerFrame'
import { RecordedControls } from './RecordedControls'
import { RecordedPlayer, type Beginning } from './recorded'
import { speedInWords } from './speed'

const KEYS: KeyHelp[] = [
  { keys: ['0', '9'], does: 'To the beginning, to nine tenths of it, and between' },
  { keys: ['<', ','], does: 'Slower' },
  { keys: ['>', '.'], does: 'Faster' },
]

interface Props {
  recording: Recording
  title: string
  moments: Moment[]
  cues: Cue[]
  onPlayer: (player: RecordedPlayer | null) => void
}

export function RecordedView({ recording, title, moments, cues, onPlayer }: Props) {
  const video = useRef<HTMLVideoElement>(null)
  const [player, setPlayer] = useState<RecordedPlayer | null>(null)
  /** For screen readers: the speed that was just chosen by a key. */
  const [said, setSaid] = useState('')
  const next = useRef<Beginning>({ at_s: secondsOf(location.search), speed: 1, plays: false })

  // When a recording ends, its playlist is a longer one; whoever watches goes on where they are.
  useEffect(() => {
    if (!video.current) return
    const made = new RecordedPlayer(video.current, recording, next.current)
    setPlayer(made)
    onPlayer(made)
    return () => {
      next.current = { at_s: made.position.peek(), speed: made.speed.peek(), plays: !made.paused.peek() }
      onPlayer(null)
      made.close()
    }
  }, [recording.id, recording.state])

  useEffect(() => player?.setCues(cues), [player, cues])

  function press(key: string): boolean {
    if (!player) return false
    if (/^[0-9]$/.test(key)) {
      player.seek((player.range.value?.to ?? 0) * (Number(key) / 10))
      return true
    }
    if (!'<,>.'.includes(key)) return false
    player.stepSpeed(key === '<' || key === ',' ? 'slower' : 'faster')
    setSaid(`Speed ${speedInWords(player.speed.value)}`)
    return true
  }

  return (
    <PlayerFrame
      video={video}
      player={player}
      title={title}
      keys={KEYS}
      onKey={press}
      pressable
      controls={(screen) => player && <RecordedControls player={player} screen={screen} moments={moments} />}
    >
      {player && <Overlay player={player} />}
      <span class="unseen" role="status">
        {said}
      </span>
    </PlayerFrame>
  )
}

function Overlay({ player }: { player: RecordedPlayer }) {
  const waits = player.paused.value && !player.playing.value && !player.waiting.value
  if (!waits && !player.blocked.value) return null
  return <PlayCentre onPlay={() => player.togglePlay()} />
}
