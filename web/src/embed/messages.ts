/** What `<amphi-player>` and the page in its frame say to each other. Both come from the same server, but either may be
 * older than the other: what is not known is ignored. */

/** From the element to the frame. */
export type Command = { amphi: 'play' | 'pause' | 'mute' | 'unmute' | 'live' }

/** From the frame to the element: what the room is, and how it plays. */
export interface Told {
  amphi: 'state'
  live: boolean
  title: string
  viewers: number
  playing: boolean
  muted: boolean
  /** Seconds behind the stage; `null` before anything plays. */
  behind: number | null
}
