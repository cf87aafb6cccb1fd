/** What a person chose last time: kept in `localStorage`, and only a convenience when that is forbidden. */
import { effect, signal, type Signal } from '@preact/signals'

/** A signal that starts with what was kept under `name` and keeps every change. A kept value of another
 * type than `first` is ignored. */
export function remembered<T extends string | boolean>(name: string, first: T): Signal<T> {
  const key = `amphi.${name}`
  const value = signal<T>(kept(key, first))
  effect(() => {
    try {
      localStorage.setItem(key, JSON.stringify(value.value))
    } catch {
      // Forbidden or full: the choice holds until the page is closed.
    }
  })
  return value
}

function kept<T extends string | boolean>(key: string, first: T): T {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(key) ?? 'null')
    return typeof found === typeof first ? (found as T) : first
  } catch {
    return first
  }
}
