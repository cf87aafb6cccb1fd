/** Which playlist of a room plays: from when it goes on air until the player has no more. */
import { useEffect, useState } from 'preact/hooks'
import type * as api from '../api'

/** How long the player may play out what it holds after the broadcast is over. */
const PLAY_OUT_MS = 8000

interface Watched {
  /** The playlist to play. */
  source: string | null
  /** Where the list of its thumbnails is, if some are made. */
  thumbnails: string | null
  started: string | null
  /** When the broadcast that ended here had started (`''` when unknown); `null` when none ended. */
  ended: string | null
  /** To be called when the player has no more. */
  playedOut: () => void
}

/** When the room says "off", the player still holds the last seconds: they are played before the end shows. */
export function useBroadcast(state: api.RoomState | null): Watched {
  const [source, setSource] = useState<string | null>(null)
  const [thumbnails, setThumbnails] = useState<string | null>(null)
  const [started, setStarted] = useState<string | null>(null)
  const [ended, setEnded] = useState<string | null>(null)
  const [out, setOut] = useState(false)
  const broadcast = state?.broadcast
  const live = broadcast?.state === 'on_air' ? broadcast.hls : null
  const off = broadcast?.state === 'off'

  useEffect(() => {
    if (live === null || live === undefined) return
    setSource(live)
    setThumbnails(broadcast?.thumbnails ?? null)
    setStarted(broadcast?.started ?? null)
    setEnded(null)
    setOut(false)
  }, [live, broadcast?.started])

  function finish() {
    setSource(null)
    setEnded(started ?? '')
  }
  useEffect(() => {
    if (!off || source === null) return
    // A playlist that ends while the room is on air is a broadcast that was ended and started again.
    if (out) {
      finish()
      return
    }
    const timer = setTimeout(finish, PLAY_OUT_MS)
    return () => clearTimeout(timer)
  }, [off, source, out])

  return { source, thumbnails, started, ended, playedOut: () => setOut(true) }
}
