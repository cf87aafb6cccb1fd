/** Whether a picture that should move stands long enough to say so. */

/** Shorter ones pass unseen: a spinner that comes and goes is worse than a picture that stands for a moment. */
const SHOWN_AFTER_MS = 500

export class Stall {
  private since: number | null

  /** Nothing has come yet. */
  constructor(now: number) {
    this.since = now
  }

  /** It stands; since before, if it did already. */
  began(now: number): void {
    this.since ??= now
  }

  /** It moves, or stands because somebody wants it to. */
  ended(): void {
    this.since = null
  }

  /** For how long it has stood. */
  lastedMs(now: number): number {
    return this.since === null ? 0 : now - this.since
  }

  isShown(now: number): boolean {
    return this.lastedMs(now) > SHOWN_AFTER_MS
  }
}
