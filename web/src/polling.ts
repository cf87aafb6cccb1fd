/** Asking the server again and again for something that changes. */
import { useEffect, useRef, useState } from 'preact/hooks'
import { ApiError } from './api'

export interface Polled<T> {
  value: T | null
  /** The newest failure, gone as soon as an answer comes. */
  error: ApiError | null
  /** Asks at once, for after an action. */
  refresh: () => void
}

/**
 * Asks with `get` and again `everyMs` after each answer, as long as the component is there.
 *
 * `what` names what is asked for: another name starts afresh. One question at a time, so a slow server is
 * not asked faster.
 */
export function usePolled<T>(
  what: string,
  get: (signal: AbortSignal) => Promise<T>,
  everyMs: (newest: T | null) => number,
): Polled<T> {
  const [value, setValue] = useState<T | null>(null)
  const [error, setError] = useState<ApiError | null>(null)
  const latest = useRef({ get, everyMs })
  latest.current = { get, everyMs }
  const again = useRef<() => void>(() => {})

  useEffect(() => {
    const stop = new AbortController()
    let timer = 0
    let asking = false
    let wanted = false
    let newest: T | null = null
    setValue(null)
    setError(null)

    async function ask() {
      if (asking) {
        wanted = true
        return
      }
      asking = true
      clearTimeout(timer)
      try {
        newest = await latest.current.get(stop.signal)
        if (!stop.signal.aborted) {
          setValue(newest)
          setError(null)
        }
      } catch (thrown) {
        if (!stop.signal.aborted) setError(thrown instanceof ApiError ? thrown : new ApiError('unreachable', null, String(thrown)))
      }
      asking = false
      if (stop.signal.aborted) return
      const wait = wanted ? 0 : latest.current.everyMs(newest)
      wanted = false
      timer = window.setTimeout(() => void ask(), wait)
    }

    again.current = () => void ask()
    void ask()
    return () => {
      stop.abort()
      clearTimeout(timer)
      again.current = () => {}
    }
  }, [what])

  return { value, error, refresh: () => again.current() }
}

/** Renders again every second, for clocks. Answers `Date.now()`. */
export function useNow(): number {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000)
    return () => clearInterval(timer)
  }, [])
  return now
}
