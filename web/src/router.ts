/** Which page the address names, and going to another one without loading the document again. */
import { signal } from '@preact/signals'
import { decoded, roomNameProblem, tokenOf } from './rooms'

export type Place =
  | { page: 'home' }
  | { page: 'join' | 'stage' | 'watch' | 'embed'; room: string }
  | { page: 'recording'; id: string }
  | { page: 'not-found' }

/** The page a path names. */
export function placeOf(path: string): Place {
  const parts = path.split('/').filter((part) => part !== '')
  const [page, segment] = parts
  if (page === undefined) return { page: 'home' }
  const name = parts.length === 2 && segment !== undefined ? decoded(segment) : null
  if (name === null) return { page: 'not-found' }
  if (page === 'recording') return { page, id: name }
  if ((page === 'join' || page === 'stage' || page === 'watch' || page === 'embed') && roomNameProblem(name) === null) {
    return { page, room: name }
  }
  return { page: 'not-found' }
}

/** The path of a room's page. */
export function pathTo(page: 'join' | 'stage' | 'watch' | 'recording', name: string): string {
  return `/${page}/${encodeURIComponent(name)}`
}

/** Whether the page was reached from another one, so that the focus has to be brought along. */
let moved = false

export function cameFromAnotherPage(): boolean {
  return moved
}

export const place = signal<Place>({ page: 'home' })

/** Reads the address bar and follows Back and Forward. */
export function startRouter(): void {
  place.value = placeOf(location.pathname)
  addEventListener('popstate', () => {
    // An invitation pasted over a page's address changes only the fragment: start afresh with it.
    if (tokenOf(location.hash) !== null) location.reload()
    else place.value = placeOf(location.pathname)
  })
}

export function go(path: string, how: 'push' | 'replace' = 'push'): void {
  if (how === 'push') history.pushState(null, '', path)
  else history.replaceState(null, '', path)
  moved = true
  place.value = placeOf(location.pathname)
  scrollTo(0, 0)
}

/** Follows a plain click on a link inside the pages; every other click keeps its browser meaning. */
export function followLink(event: MouseEvent): void {
  const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey
  const link = event.currentTarget
  if (!plain || event.defaultPrevented || !(link instanceof HTMLAnchorElement)) return
  event.preventDefault()
  go(link.pathname + link.search + link.hash)
}
