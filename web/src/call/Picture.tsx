/** A `<video>` for a bare track, muted: sound is played elsewhere. */
import { useEffect, useRef } from 'preact/hooks'

interface Props {
  track: MediaStreamTrack | null
  class?: string
  testid?: string
  label: string
}

export function Picture({ track, label, testid, ...props }: Props) {
  const video = useRef<HTMLVideoElement>(null)
  useEffect(() => {
    const element = video.current
    if (!element) return
    element.srcObject = track ? new MediaStream([track]) : null
    if (track) void element.play().catch(() => {})
    return () => {
      element.srcObject = null
    }
  }, [track])
  return (
    <video
      ref={video}
      class={props.class ?? ''}
      aria-label={label}
      muted
      playsInline
      {...(testid === undefined ? {} : { 'data-testid': testid })}
    />
  )
}
