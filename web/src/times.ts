/** Times as people read them. */

/** `42:18`, or `1:02:03` from an hour on. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(Number.isFinite(seconds) ? seconds : 0))
  const two = (value: number) => String(value).padStart(2, '0')
  const hours = Math.floor(whole / 3600)
  const minutes = Math.floor(whole / 60) % 60
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`
}

/** `1.4 s`, and whole seconds from ten on, where a tenth says nothing. */
export function secondsBehind(seconds: number): string {
  const late = Math.max(0, seconds)
  return late < 9.95 ? `${late.toFixed(1)} s` : `${Math.round(late)} s`
}

/** Whole seconds since an RFC 3339 time, or `null` when there is none or it cannot be read. */
export function secondsSince(started: string | null, nowMs: number): number | null {
  const at = started === null ? NaN : Date.parse(started)
  return Number.isNaN(at) ? null : Math.max(0, Math.floor((nowMs - at) / 1000))
}

/** `42 minutes`, for a sentence. */
export function inWords(seconds: number): string {
  const of = (count: number, unit: string) => `${count} ${unit}${count === 1 ? '' : 's'}`
  if (seconds < 60) return of(Math.floor(seconds), 'second')
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return of(minutes, 'minute')
  const rest = minutes % 60
  return of(Math.floor(minutes / 60), 'hour') + (rest > 0 ? ` ${of(rest, 'minute')}` : '')
}

const dayAndTime = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })

/** The reader's own way of writing a day and a time. */
export function dayOf(started: string): string {
  const at = Date.parse(started)
  return Number.isNaN(at) ? '' : dayAndTime.format(at)
}

/** How long it is until then, roughly while it is far: `in 3 days`, `in 2 h 5 min`, in the last minute `in 42 s`. */
export function countdown(seconds: number): string {
  if (!(seconds > 0)) return 'Any moment now'
  if (seconds < 60) return `in ${Math.ceil(seconds)} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `in ${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours >= 48) return `in ${Math.floor(hours / 24)} days`
  return minutes % 60 === 0 ? `in ${hours} h` : `in ${hours} h ${minutes % 60} min`
}

const shortTime = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' })
const weekday = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' })
const weekdayAndYear = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' })

/** `today at 20:00`, `tomorrow at 20:00`, `on Tuesday, 24 November at 20:00`: in the reader's own zone and way. */
export function whenInWords(at: number, now: number): string {
  const [then, today] = [new Date(at), new Date(now)]
  const tomorrow = new Date(today.getFullYear(), today.getMonth(), today.getDate() + 1)
  const isOn = (day: Date) => then.toDateString() === day.toDateString()
  const day = then.getFullYear() === today.getFullYear() ? weekday : weekdayAndYear
  return `${isOn(today) ? 'today' : isOn(tomorrow) ? 'tomorrow' : `on ${day.format(then)}`} at ${shortTime.format(then)}`
}

/** As `<input type="datetime-local">` writes a moment of the reader's own zone. */
export function localInput(at: number): string {
  const then = new Date(at)
  return new Date(at - then.getTimezoneOffset() * 60_000).toISOString().slice(0, 16)
}

const hoursAndMinutes = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' })

/** The time of day of a moment (in ms since 1970), in the reader's own way. */
export function timeOfDay(at: number): string {
  return hoursAndMinutes.format(at)
}

const grouped = new Intl.NumberFormat()

export function count(value: number): string {
  return grouped.format(value)
}

/** `12.3 MB`, in powers of ten as file managers show. */
export function size(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit += 1
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`
}

/** How far this machine's clock is ahead of the server's, in ms, from an answer's `Date` header.
 *
 * The header counts whole seconds, so anything under two seconds is its grain and the way there, and
 * reads as no difference. */
export function clockAhead(dateHeader: string | null, receivedMs: number): number {
  const at = dateHeader === null ? NaN : Date.parse(dateHeader)
  if (Number.isNaN(at)) return 0
  const ahead = receivedMs - (at + 500)
  return Math.abs(ahead) < 2000 ? 0 : ahead
}
