/** The frame's end of the talk with the page around it. */
import { effect } from '@preact/signals'
import type { LivePlayer } from '../watch/live'
import type { Command, Told } from './messages'

interface Frame {
  tell: (room: Pick<Told, 'live' | 'title' | 'viewers'>) => void
  control: (player: LivePlayer | null) => void
}

let frame: Frame | null = null

/** One per document. The page around may be any: what it may do here is what its visitor can do with the buttons, and
 * what it is told everybody may know. */
export function connectFrame(): Frame {
  frame ??= connect()
  return frame
}

function connect(): Frame {
  const state: Told = { amphi: 'state', live: false, title: '', viewers: 0, playing: false, muted: true, behind: null }
  let player: LivePlayer | null = null
  let stop = () => {}
  const send = () => {
    if (parent !== window) parent.postMessage(state, '*')
  }

  addEventListener('message', ({ data, source }) => {
    if (source !== parent || !isCommand(data) || !player) return
    if (data.amphi === 'live') void player.toLive()
    else if (data.amphi === 'mute' || data.amphi === 'unmute') player.setMuted(data.amphi === 'mute')
    else if ((data.amphi === 'play') === player.paused.value) player.togglePlay()
  })

  return {
    tell(room) {
      Object.assign(state, room)
      send()
    },
    control(made) {
      stop()
      player = made
      Object.assign(state, { playing: false, behind: null })
      stop = made
        ? effect(() => {
            const behind = made.behind.value
            // A tenth of a second is as fine as anybody shows it.
            const rounded = behind === null ? null : Math.round(behind * 10) / 10
            Object.assign(state, { playing: made.playing.value && !made.paused.value, muted: made.muted.value, behind: rounded })
            send()
          })
        : () => {}
    },
  }
}

function isCommand(data: unknown): data is Command {
  return typeof data === 'object' && data !== null && ['play', 'pause', 'mute', 'unmute', 'live'].includes((data as Command).amphi)
}
