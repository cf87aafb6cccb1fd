/** Keys that do something without being typed anywhere. */
import { remembered } from '../remember'

/** Keys alone, without Ctrl, do something. Off for who speaks to the computer, or whose hand hits keys by accident (WCAG 2.1.4). */
export const singleKeys = remembered<boolean>('single-keys', true)

/** What moves the thumb of a slider. */
const SLIDER_KEYS = new Set(['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown', 'Home', 'End', 'PageUp', 'PageDown'])

/** Whether a key belongs to what has the focus, and so is nobody's shortcut. */
export function typing(event: KeyboardEvent): boolean {
  const at = event.target
  if (!(at instanceof HTMLElement)) return false
  if (document.querySelector('dialog[open]')) return true
  if (at.matches('input[type=range]')) return SLIDER_KEYS.has(event.key)
  if (at.isContentEditable || at.matches('input, textarea, select')) return true
  // Space and Enter press the button or open the link that has the focus.
  return (event.key === ' ' || event.key === 'Enter') && at.closest('button, a, summary') !== null
}

/** Whether a key, as the list of keys names it, does nothing while single keys are off. Esc leaves things everywhere. */
export function isSingle(name: string): boolean {
  return !name.startsWith('Ctrl+') && name !== 'Esc'
}

/** Words for a button, with the keys that press it. */
export function withKeys(words: string, ...names: string[]): string {
  const working = names.filter((name) => singleKeys.value || !isSingle(name))
  return working.length === 0 ? words : `${words} (${working.join(', or ')})`
}
