/** What is heard: one `<audio>` for each remote microphone and each shared screen's sound. */
import { useEffect, useRef } from 'preact/hooks'
import type { Call, Sound } from './call'

export function Sounds({ call }: { call: Call }) {
  return (
    <>
      {call.sounds.value.map((sound) => (
        <OneSound key={sound.key} sound={sound} />
      ))}
    </>
  )
}

function OneSound({ sound: { track, identity, source } }: { sound: Sound }) {
  const audio = useRef<HTMLAudioElement>(null)
  useEffect(() => {
    const element = audio.current
    if (!element) return
    track.attach(element)
    return () => {
      track.detach(element)
    }
  }, [track])
  return <audio ref={audio} data-testid="remote-audio" data-identity={identity} data-source={source} autoplay />
}
