/**
 * What a room may be called, and what people type into the join box.
 *
 * The server has the last word; saying it here saves a person a round trip.
 */

const ROOM_BYTES_MAX = 128
const ALLOWED = /^[\p{L}\p{N}\-_.~ ]+$/u

/** Why a name cannot be a room's name, in words, or `null` when it can. */
export function roomNameProblem(name: string): string | null {
  if (name === '') return 'Type a room name.'
  if (new TextEncoder().encode(name).length > ROOM_BYTES_MAX) {
    return `This name is too long: a room name has at most ${ROOM_BYTES_MAX} bytes.`
  }
  if (name === '.' || name === '..') return 'A room cannot be called “.” or “..”.'
  if (!ALLOWED.test(name)) return 'A room name has letters, digits, spaces and - _ . ~ only.'
  return null
}

/** Where the join box leads: a room's name, and the token when a whole invitation link was pasted. */
export interface Destination {
  room: string
  token: string | null
}

/** Reads a room name or a pasted link to one of our pages (`/join/…`, `/stage/…`, `/watch/…`). */
export function destination(typed: string): Destination {
  const text = typed.trim()
  const link = /^https?:\/\//i.test(text) && URL.canParse(text) ? new URL(text) : null
  const found = link && /^\/(?:join|stage|watch)\/([^/]+)\/?$/.exec(link.pathname)
  if (!link || !found?.[1]) return { room: text, token: null }
  return { room: decoded(found[1]) ?? text, token: tokenOf(link.hash) }
}

/** The token in a link's fragment (`#token=…`), or `null`. */
export function tokenOf(hash: string): string | null {
  return new URLSearchParams(hash.replace(/^#/, '')).get('token') || null
}

/** One path segment as text, or `null` when its percent-encoding is broken. */
export function decoded(segment: string): string | null {
  try {
    return decodeURIComponent(segment)
  } catch {
    return null
  }
}
