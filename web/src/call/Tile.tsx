/** One picture on stage: a member's camera or screen, with their name and whether they are heard. */
import { useEffect, useRef } from 'preact/hooks'
import { hueOf, initials } from '../ui/hue'
import { Icon } from '../ui/Icon'
import type { MemberView, Quality, VideoTrack } from './call'
import './tile.css'

interface Props {
  member: MemberView
  source: 'camera' | 'screen'
  size?: { width: number; height: number } | undefined
}

export function Tile({ member, source, size }: Props) {
  const track = source === 'camera' ? member.camera : member.screen
  const called = member.isMe ? `${member.name} (you)` : member.name
  const hue = hueOf(member.identity)
  const speaking = source === 'camera' && member.speaking
  return (
    <div
      class={['tile', `tile-${source}`, speaking && 'speaking', member.isMe && source === 'camera' && 'mine'].filter(Boolean).join(' ')}
      data-testid="tile"
      data-identity={member.identity}
      data-source={source}
      data-speaking={speaking}
      style={{
        backgroundImage: `linear-gradient(160deg, ${hue.from}, ${hue.to})`,
        ...(size ? { width: `${size.width}px`, height: `${size.height}px` } : {}),
      }}
    >
      {!track && (
        <span class="tile-letters" aria-hidden="true" style={{ backgroundColor: hue.solid }}>
          {initials(member.name)}
        </span>
      )}
      <TrackVideo track={track} label={source === 'camera' ? `Camera of ${called}` : `Screen of ${called}`} />
      <div class="tile-name">
        {source === 'screen' ? (
          <>
            <Icon name="screen" />
            <span>{member.isMe ? 'You are sharing' : `${member.name} is sharing`}</span>
          </>
        ) : (
          <>
            <Icon name={member.microphone ? 'microphone' : 'microphoneOff'} />
            <span class="unseen">{member.microphone ? '' : 'Muted: '}</span>
            <span>{called}</span>
          </>
        )}
      </div>
      {member.quality !== 'good' && source === 'camera' && <span class="tile-quality">{qualityWords(member.quality)}</span>}
    </div>
  )
}

export function qualityWords(quality: Quality): string {
  switch (quality) {
    case 'good':
      return ''
    case 'weak':
      return 'Weak connection'
    case 'lost':
      return 'Connection lost'
  }
}

/** LiveKit attaches its tracks itself, so that it knows where they are seen. */
function TrackVideo({ track, label }: { track: VideoTrack | null; label: string }) {
  const video = useRef<HTMLVideoElement>(null)
  useEffect(() => {
    const element = video.current
    if (!element || !track) return
    track.attach(element)
    return () => {
      track.detach(element)
    }
  }, [track])
  return <video ref={video} class={track ? '' : 'without'} aria-label={label} muted playsInline autoplay />
}
