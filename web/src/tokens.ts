/**
 * The tokens of this tab: one per room, kept in `sessionStorage`, so that a reload stays in the call and
 * closing the tab forgets it.
 *
 * The pages read a token's claims only to draw the right controls. What is allowed is decided by the server.
 */
import type { Grants } from './api'
import { tokenOf } from './rooms'

const key = (room: string) => `amphi.token.${room}`
const invitedKey = (room: string) => `amphi.invited.${room}`
const audienceKey = (room: string) => `amphi.audience.${room}`

/** Where a token came from: an invitation link says who comes, a token from an open door is made anew each time. */
export type Origin = 'invitation' | 'open door'

export function keepToken(room: string, token: string, origin: Origin): void {
  try {
    sessionStorage.setItem(key(room), token)
    if (origin === 'invitation') sessionStorage.setItem(invitedKey(room), token)
    else sessionStorage.removeItem(invitedKey(room))
  } catch {
    // Storage is full or forbidden: the token lives until the page is reloaded.
  }
  held.set(room, { token, origin })
}

/** The token of the invitation this tab was opened with, or `null`. */
export function invitationFor(room: string): string | null {
  try {
    const kept = sessionStorage.getItem(invitedKey(room))
    if (kept !== null) return kept
  } catch {
    // Only what is held in memory counts.
  }
  const known = held.get(room)
  return known?.origin === 'invitation' ? known.token : null
}

export function tokenFor(room: string): string | null {
  try {
    return sessionStorage.getItem(key(room)) ?? held.get(room)?.token ?? null
  } catch {
    return held.get(room)?.token ?? null
  }
}

/** A token of somebody who watches, for what the open door lets everybody do. Who holds only that one has not come in: to go on
 * stage they still pass the door. */
export function keepAudienceToken(room: string, token: string): void {
  try {
    sessionStorage.setItem(audienceKey(room), token)
  } catch {
    // It lives until the page is reloaded.
  }
  audience.set(room, token)
}

function audienceTokenFor(room: string): string | null {
  try {
    return sessionStorage.getItem(audienceKey(room)) ?? audience.get(room) ?? null
  } catch {
    return audience.get(room) ?? null
  }
}

/** The tokens of this tab that may record in their room or moderate it, as the tokens say of themselves. One for each room. */
export function keepersTokens(): { room: string; token: string }[] {
  const rooms = new Set([...held.keys(), ...audience.keys()])
  try {
    for (const name of Object.keys(sessionStorage)) {
      for (const start of [key(''), audienceKey('')]) if (name.startsWith(start)) rooms.add(name.slice(start.length))
    }
  } catch {
    // Only what is held in memory counts.
  }
  const keeps = (token: string | null) => {
    const grants = token === null ? undefined : claimsOf(token)?.grants
    return grants?.roomAdmin === true || grants?.roomRecord === true
  }
  return [...rooms].sort().flatMap((room) => {
    const token = [tokenFor(room), audienceTokenFor(room)].find(keeps)
    return token ? [{ room, token }] : []
  })
}

export function forgetToken(room: string): void {
  try {
    sessionStorage.removeItem(key(room))
    sessionStorage.removeItem(invitedKey(room))
  } catch {
    // Nothing was kept there.
  }
  held.delete(room)
}

const held = new Map<string, { token: string; origin: Origin }>()
const audience = new Map<string, string>()

/** Takes `#token=…` out of the address bar, so that it is neither shared nor bookmarked by accident. */
export function takeTokenFromAddress(room: string): void {
  const token = tokenOf(location.hash)
  if (token === null) return
  keepToken(room, token, 'invitation')
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
