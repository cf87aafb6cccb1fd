/** Something that is on or off, takes a while to change, and may be pressed meanwhile. */
import { signal, type ReadonlySignal } from '@preact/signals'

interface Works {
  /** How it is in truth. */
  actual: () => boolean
  /** Changes it. A throw means that it stays as it is. */
  change: (on: boolean) => Promise<void>
  failed: (thrown: unknown, on: boolean) => void
}

/**
 * Shows what was asked for, and makes it true one change at a time: the last press counts.
 *
 * Until `start` it only remembers what is asked for, so that a press while the call connects is not lost.
 */
export class Switch {
  readonly on: ReadonlySignal<boolean>

  private readonly shown = signal(false)
  private readonly works: Works
  private wanted: boolean
  private state: 'waiting' | 'idle' | 'changing' = 'waiting'

  constructor(first: boolean, works: Works) {
    this.on = this.shown
    this.works = works
    this.wanted = first
    this.shown.value = first
  }

  /** Asks for a state. Resolves when nothing is left to change. */
  async want(on: boolean): Promise<void> {
    this.wanted = on
    this.shown.value = on
    if (this.state === 'idle') await this.work()
  }

  /** From here on, what is asked for is done. */
  async start(): Promise<void> {
    if (this.state === 'waiting') await this.work()
  }

  /** Looks at the truth again, which others (a browser's "stop sharing", a host) change too. */
  look(): void {
    if (this.state !== 'idle') return
    this.wanted = this.works.actual()
    this.shown.value = this.wanted
  }

  private async work(): Promise<void> {
    this.state = 'changing'
    while (this.wanted !== this.works.actual()) {
      const on = this.wanted
      try {
        await this.works.change(on)
        // A change that does nothing and says nothing must not be tried for ever.
        if (this.works.actual() !== on) break
      } catch (thrown) {
        this.works.failed(thrown, on)
        if (this.wanted === on) break
      }
    }
    this.state = 'idle'
    this.look()
  }
}
