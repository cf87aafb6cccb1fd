/** Addresses and code that lead others to a broadcast. */

/** What another page needs to show a room's broadcast (docs/embed.md). */
export function embedCode(origin: string, room: string, title: string): string {
  return `<script type="module" src="${origin}/embed.js"></script>\n<amphi-player room="${attribute(room)}" label="Broadcast of ${attribute(title)}"></amphi-player>`
}

function attribute(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;')
}

/** The second of a recording that a page's address asks for (`?t=`); 0 where it asks for none. */
export function secondsOf(search: string): number {
  const text = new URLSearchParams(search).get('t') ?? ''
  return /^\d{1,7}(\.\d{1,3})?$/.test(text) ? Number(text) : 0
}

/** The moment that a page's address asks for (`?at=` and an RFC 3339 time), in ms since 1970. */
export function momentOf(search: string): number | null {
  const text = new URLSearchParams(search).get('at') ?? ''
  const at = /^\d{4}-\d\d-\d\dT/.test(text) ? Date.parse(text) : NaN
  return Number.isNaN(at) ? null : at
}
