/** The stage's keys. */
import { useEffect, useRef } from 'preact/hooks'
import type { KeyHelp } from '../ui/KeyList'
import { singleKeys, typing } from '../ui/keys'

export type KeyAction = 'microphone' | 'camera' | 'screen' | 'people' | 'talk' | 'keys' | 'back'

export const KEYS: KeyHelp[] = [
  { keys: ['M', 'Ctrl+D'], does: 'Mute or unmute' },
  { keys: ['V', 'Ctrl+E'], does: 'Camera on or off' },
  { keys: ['S'], does: 'Share a screen' },
  { keys: ['P'], does: 'People' },
  { keys: ['Space'], does: 'Hold to speak while muted' },
  { keys: ['Esc'], does: 'Close a panel' },
  { keys: ['?'], does: 'This list' },
]

/** What a key asks for, or `null`. `Ctrl` is `⌘` on a Mac. */
export function actionOf(key: string, control: boolean): KeyAction | null {
  if (control) {
    if (key.toLowerCase() === 'd') return 'microphone'
    return key.toLowerCase() === 'e' ? 'camera' : null
  }
  switch (key.toLowerCase()) {
    case 'm':
      return 'microphone'
    case 'v':
      return 'camera'
    case 's':
      return 'screen'
    case 'p':
      return 'people'
    case ' ':
      return 'talk'
    case '?':
      return 'keys'
    case 'escape':
      return 'back'
    default:
      return null
  }
}

/** Calls `act` for each key that means something here, unless keys alone are turned off; `held` is false when the key is let go. */
export function useKeys(act: (action: KeyAction, held: boolean) => void): void {
  const latest = useRef(act)
  latest.current = act
  useEffect(() => {
    let talking = false
    const pressed = (event: KeyboardEvent) => {
      const control = event.ctrlKey || event.metaKey
      if (event.altKey || (!control && typing(event))) return
      if (!control && !singleKeys.peek() && event.key !== 'Escape') return
      const action = actionOf(event.key, control)
      if (action === null) return
      event.preventDefault()
      if (event.repeat) return
      if (action === 'talk') talking = true
      latest.current(action, true)
    }
    const stopTalking = () => {
      if (talking) latest.current('talk', false)
      talking = false
    }
    const released = (event: KeyboardEvent) => {
      if (event.key === ' ') stopTalking()
    }
    addEventListener('keydown', pressed)
    addEventListener('keyup', released)
    // A window that loses the focus never hears the key go up.
    addEventListener('blur', stopTalking)
    return () => {
      removeEventListener('keydown', pressed)
      removeEventListener('keyup', released)
      removeEventListener('blur', stopTalking)
    }
  }, [])
}
