/**
 * The tokens of this tab: one per room, kept in `sessionStorage`, so that a reload stays in the call and
 * closing the tab forgets it.
 *
 * The pages read a token's claims only to draw the right controls. What is allowed is decided by the server.
 */
import type { Grants } from './api'
import { tokenOf } from './rooms'

const key = (room: string) => `amphi.token.${room}`

export function keepToken(room: string, token: string): void {
  try {
    sessionStorage.setItem(key(room), token)
  } catch {
    // Storage is full or forbidden: the token lives until the page is reloaded.
  }
  held.set(room, token)
}

export function tokenFor(room: string): string | null {
  try {
    return sessionStorage.getItem(key(room)) ?? held.get(room) ?? null
  } catch {
    return held.get(room) ?? null
  }
}

export function forgetToken(room: string): void {
  try {
    sessionStorage.removeItem(key(room))
  } catch {
    // Nothing was kept there.
  }
  held.delete(room)
}

const held = new Map<string, string>()

/** Takes `#token=…` out of the address bar, so that it is neither shared nor bookmarked by accident. */
export function takeTokenFromAddress(room: string): void {
  const token = tokenOf(location.hash)
  if (token === null) return
  keepToken(room, token)
  history.replaceState(null, '', location.pathname + location.search)
}

export interface Claims {
  identity: string
  name: string
  grants: Grants
}

/** The claims of a JWT, unverified, or `null` when it is not one. */
export function claimsOf(token: string): Claims | null {
  const payload = token.split('.')[1]
  if (payload === undefined) return null
  try {
    const bytes = Uint8Array.from(atob(payload.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0))
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes))
    if (typeof claims !== 'object' || claims === null) return null
    const { sub, name, video } = claims as Record<string, unknown>
    return {
      identity: typeof sub === 'string' ? sub : '',
      name: typeof name === 'string' ? name : '',
      grants: typeof video === 'object' && video !== null ? (video as Grants) : {},
    }
  } catch {
    return null
  }
}
