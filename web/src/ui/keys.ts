/** Whether a key belongs to what has the focus, and so is nobody's shortcut. */
export function typing(event: KeyboardEvent): boolean {
  const at = event.target
  if (!(at instanceof HTMLElement)) return false
  if (document.querySelector('dialog[open]')) return true
  if (at.isContentEditable || at.matches('input, textarea, select')) return true
  // Space and Enter press the button or open the link that has the focus.
  return (event.key === ' ' || event.key === 'Enter') && at.closest('button, a, summary') !== null
}
