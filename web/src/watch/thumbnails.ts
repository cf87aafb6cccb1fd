/** Small pictures of a broadcast, by the time at which they were on air: an image playlist of HLS (docs/operate/hls.md). */
import { signal } from '@preact/signals'

export interface Thumbnail {
  /** When what is on it was on air, in ms since 1970. */
  at: number
  url: string
  width: number
  height: number
}

interface Slot {
  at: number
  /** None where the broadcast has none. */
  thumbnail: Thumbnail | null
}

export interface ThumbnailList {
  slots: Slot[]
  /** The playlist's target duration. */
  every_ms: number
}

const NONE: ThumbnailList = { slots: [], every_ms: 10_000 }

/** Reads a playlist that was fetched from `base`; lines that it does not know it passes over. */
export function readThumbnails(text: string, base: string): ThumbnailList {
  const list: ThumbnailList = { slots: [], every_ms: NONE.every_ms }
  let at = NaN
  let gap = false
  let size = [0, 0]
  for (const line of text.split('\n').map((line) => line.trim())) {
    const [tag, value = ''] = line.split(/:(.*)/s)
    if (tag === '#EXT-X-TARGETDURATION' && Number(value) > 0) list.every_ms = Number(value) * 1000
    else if (tag === '#EXT-X-PROGRAM-DATE-TIME') at = Date.parse(value)
    else if (tag === '#EXT-X-GAP') gap = true
    else if (tag === '#EXT-X-TILES') size = (/RESOLUTION=(\d+)x(\d+)/.exec(value) ?? []).slice(1).map(Number)
    else if (line !== '' && !line.startsWith('#')) {
      const [width = 0, height = 0] = size
      if (!Number.isNaN(at)) list.slots.push({ at, thumbnail: gap ? null : { at, url: new URL(line, base).href, width, height } })
      at = NaN
      gap = false
      size = [0, 0]
    }
  }
  return list
}

/** The last one at or before a moment; none where the list says so, and none so long before it that it says nothing of it. */
export function thumbnailAt({ slots, every_ms }: ThumbnailList, at: number): Thumbnail | null {
  let [low, high] = [0, slots.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((slots[middle]?.at ?? Infinity) <= at) low = middle + 1
    else high = middle
  }
  const found = slots[low - 1]?.thumbnail ?? null
  // Key frames come when they come: one is up to some seconds later than its slot.
  return found && at - found.at < 2 * every_ms ? found : null
}

/** The thumbnails of the broadcast that plays: asked for when somebody looks for a moment, and then as often as there is a new one. */
export class Thumbnails {
  readonly list = signal<ThumbnailList>(NONE)
  private readonly url: string
  private askedAt = -Infinity

  constructor(path: string) {
    this.url = new URL(path, location.href).href
  }

  /** To be called while somebody looks. */
  look(): void {
    const now = performance.now()
    if (now - this.askedAt < this.list.peek().every_ms) return
    this.askedAt = now
    void this.load()
  }

  private async load(): Promise<void> {
    try {
      const answer = await fetch(this.url)
      if (answer.ok) this.list.value = readThumbnails(await answer.text(), this.url)
    } catch {
      // The list is a help; the player says itself when the network is gone.
    }
  }
}
