/** What is chosen once and then left alone, in a small window over the picture. */
import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'

export function PlayerMenu({ onClose, children }: { onClose: () => void; children: ComponentChildren }) {
  const menu = useRef<HTMLDivElement>(null)
  useEffect(() => {
    // The first that is shown: which one that is depends on the room that there is.
    const first = [...(menu.current?.querySelectorAll<HTMLElement>('select, button') ?? [])].find((one) => one.offsetParent !== null)
    first?.focus()
    const away = (event: PointerEvent) => {
      // A press on the button that opened it closes it by itself.
      const at = event.target
      if (at instanceof Element && !menu.current?.contains(at) && !at.closest('[data-opens-menu]')) onClose()
    }
    addEventListener('pointerdown', away)
    return () => removeEventListener('pointerdown', away)
  }, [])

  return (
    <div
      ref={menu}
      class="player-menu"
      role="group"
      aria-label="Settings"
      onKeyDown={(event) => {
        if (event.key === 'Escape') onClose()
      }}
    >
      {children}
    </div>
  )
}
