/** Dark or light: the system's wish, until a person says otherwise. */
import { computed, effect, signal } from '@preact/signals'
import { remembered } from '../remember'

export type Look = 'dark' | 'light'

/** `''` follows the system. */
const chosen = remembered<string>('look', '')
const light = matchMedia('(prefers-color-scheme: light)')
const system = signal<Look>(light.matches ? 'light' : 'dark')

export const look = computed<Look>(() => {
  if (chosen.value === 'dark' || chosen.value === 'light') return chosen.value
  return system.value
})

export function startTheme(): void {
  light.addEventListener('change', () => {
    system.value = light.matches ? 'light' : 'dark'
  })
  effect(() => {
    document.documentElement.dataset.theme = look.value
  })
}

export function toggleLook(): void {
  const next = look.value === 'dark' ? 'light' : 'dark'
  // Choosing what the system wants anyway is following it again.
  chosen.value = next === system.value ? '' : next
}
