/** When a room goes on air next, as everybody reads it. */
import { useNow } from '../polling'
import { countdown, whenInWords } from '../times'
import './announcement.css'

interface Props {
  /** RFC 3339. */
  starts: string
  /** How far this machine's clock is ahead of the server's, in ms. */
  clockAheadMs?: number
}

/** `today at 20:00`. */
export function StartTime({ starts, clockAheadMs = 0 }: Props) {
  return <time dateTime={starts}>{whenInWords(Date.parse(starts), Date.now() - clockAheadMs)}</time>
}

/** `in 2 h 5 min`. A timer: screen readers read it when they come by, and not every second. */
export function Countdown({ starts, clockAheadMs = 0 }: Props) {
  const now = useNow() - clockAheadMs
  return (
    <span class="countdown" role="timer" data-testid="countdown">
      {countdown((Date.parse(starts) - now) / 1000)}
    </span>
  )
}
