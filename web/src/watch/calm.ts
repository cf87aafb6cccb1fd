/** How far a player falls back after stalls, and when it may come nearer to the live edge again. */

/** Without a stall for so long; after each time twice as long, up to the second value, so that nobody stalls again and again. */
const FIRST_AFTER_MS = 15_000
const LAST_AFTER_MS = 240_000

export class Calm {
  private since: number
  private after = FIRST_AFTER_MS

  constructor(now: number) {
    this.since = now
  }

  /** It stalls now. */
  stalled(now: number): void {
    this.since = now
  }

  /** True once it has played long enough; then it has to do so again. */
  isLongEnough(now: number): boolean {
    if (now - this.since < this.after) return false
    this.since = now
    this.after = Math.min(this.after * 2, LAST_AFTER_MS)
    return true
  }
}

/**
 * How many seconds more to keep in hand for each of so many stalls; hls.js keeps no more than one segment for all of them. One may
 * be an accident, and costs a part. Who stalls again gets the segment.
 */
export function morePerStall(stalls: number, part: number, segment: number): number {
  return stalls <= 1 && part > 0 ? part : segment
}
