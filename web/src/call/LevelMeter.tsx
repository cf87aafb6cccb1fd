import { useEffect, useState } from 'preact/hooks'
import { measure } from './level'
import './level.css'

/** The microphone's level as a bar that moves. */
export function LevelMeter({ track }: { track: MediaStreamTrack | null }) {
  const [level, setLevel] = useState(0)
  useEffect(() => {
    if (!track) {
      setLevel(0)
      return
    }
    return measure(track, setLevel)
  }, [track])
  return (
    <div class="level" data-testid="level" role="meter" aria-label="Microphone level" aria-valuemin={0} aria-valuemax={100} aria-valuenow={level}>
      <span style={{ transform: `scaleX(${level / 100})` }} />
    </div>
  )
}
