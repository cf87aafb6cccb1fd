/** What the audience sees, without its sound: a second or two behind the call. */
import { useEffect, useRef } from 'preact/hooks'
import { LivePlayer } from '../watch/live'
import './air.css'

export function AudienceView({ source }: { source: string }) {
  const video = useRef<HTMLVideoElement>(null)
  useEffect(() => {
    if (!video.current) return
    // Who is on stage is nobody of the audience, and not counted.
    const player = new LivePlayer(video.current, `${source}?v=stage`)
    // Whoever is in the call hears it already.
    video.current.muted = true
    return () => player.close()
  }, [source])
  return <video ref={video} class="audience-view" data-testid="audience-view" aria-label="What the audience sees" muted playsInline autoplay />
}
