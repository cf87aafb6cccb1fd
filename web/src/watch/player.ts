/** What a player of anything says of itself and can be told; `live.ts` plays a broadcast, `recorded.ts` a recording. */
import { signal } from '@preact/signals'
import { remembered } from '../remember'
import type { Hls } from './hls'
import { Stall } from './stall'

const LOOK_EVERY_MS = 250
/** Who stands this long this near to the end of what there will be has seen it. */
const END_STANDS_MS = 600
const END_WITHIN_S = 1

/** What can be played, in the player's own seconds. */
export interface Range {
  from: number
  to: number
}

export interface Quality {
  /** hls.js's level number; -1 chooses by bandwidth. */
  level: number
  name: string
}

const captionsChosen = remembered<boolean>('captions', false)
const silenced = remembered<boolean>('watch-muted', false)

export abstract class Player {
  /** It has begun to play. */
  readonly playing = signal(false)
  /** Somebody wants it to stand. */
  readonly paused = signal(false)
  /** It stands without being paused, for so long that it has to be said. */
  readonly waiting = signal(false)
  readonly ended = signal(false)
  readonly muted = signal(true)
  readonly volume = signal(1)
  /** The browser wants somebody to press something first. */
  readonly blocked = signal(false)
  readonly height = signal(0)
  readonly qualities = signal<Quality[]>([])
  readonly quality = signal(-1)
  /** What is said can be read. */
  readonly captioned = signal(false)
  /** … and is shown, where it can be. */
  readonly captions = signal(captionsChosen.peek())
  readonly range = signal<Range | null>(null)
  /** Where it plays, in the seconds of `range`. */
  readonly position = signal(0)
  /** What is wrong with what arrives here, in words. */
  readonly trouble = signal<string | null>(null)

  protected readonly video: HTMLVideoElement
  /** `null` where the browser plays by itself. */
  protected hls: Hls | null = null
  protected readonly stall = new Stall(performance.now())
  private readonly listening = new AbortController()
  private readonly looking: number

  constructor(video: HTMLVideoElement) {
    this.video = video
    video.muted = silenced.peek()
    this.muted.value = video.muted
    this.listen()
    this.looking = window.setInterval(() => this.look(), LOOK_EVERY_MS)
  }

  abstract togglePlay(): void

  /** To a place of `range`, or as near to it as there is something. */
  abstract seek(to: number): void

  /** Shows captions, or does not; called again whenever it may have changed what there is of them. */
  protected abstract showCaptions(): void

  /** What can be played now. */
  protected abstract playable(): Range | null

  close(): void {
    clearInterval(this.looking)
    this.listening.abort()
    this.hls?.destroy()
    this.hls = null
    this.video.removeAttribute('src')
    this.video.load()
  }

  setMuted(muted: boolean): void {
    silenced.value = muted
    this.video.muted = muted
    if (!muted && this.video.volume === 0) this.video.volume = 1
  }

  setVolume(volume: number): void {
    this.video.volume = Math.min(1, Math.max(0, volume))
    this.setMuted(this.video.volume === 0)
  }

  setCaptions(shown: boolean): void {
    captionsChosen.value = shown
    this.captions.value = shown
    this.showCaptions()
  }

  setQuality(level: number): void {
    if (!this.hls) return
    this.hls.nextLevel = level
    this.quality.value = level
  }

  /** Plays; without sound where the browser wants to be asked for that first, and not at all where it wants to be asked
   * for the picture too. */
  protected async start(): Promise<void> {
    try {
      await this.video.play()
      this.blocked.value = false
    } catch (thrown) {
      // A newer load interrupts an older play(); only a refusal needs the viewer.
      const refused = thrown instanceof DOMException && thrown.name === 'NotAllowedError'
      if (refused && !this.video.muted) {
        this.video.muted = true
        return this.start()
      }
      this.blocked.value = refused
    }
  }

  /** Once hls.js knows them. */
  protected listQualities(hls: Hls): void {
    const levels = hls.levels.map((level, index) => ({
      level: index,
      name: level.height > 0 ? `${level.height}p` : level.name || 'Original',
      opus: level.audioCodec === 'opus',
    }))
    // The same picture with sound in Opus is no quality of its own.
    this.qualities.value = levels.filter(
      ({ name, opus }) => !opus || !levels.some((other) => other.name === name && !other.opus),
    )
  }

  /** Listens to the picture's element until the player is closed. */
  protected on(event: keyof HTMLMediaElementEventMap | 'resize', then: () => void): void {
    this.video.addEventListener(event, then, { signal: this.listening.signal })
  }

  /** Called a few times a second. */
  protected look(): void {
    // Not by `video.paused`: until there is something to play, nothing has told the video to.
    this.waiting.value = !this.paused.value && !this.ended.value && this.stall.isShown(performance.now())
    this.position.value = this.video.currentTime
    this.range.value = this.playable()
  }

  /** It stands at the end of a playlist that has one. The browser says so by itself only where sound and picture end together. */
  protected isPlayedOut(now: number): boolean {
    const details = this.hls?.latestLevelDetails
    if (!details || details.live || this.video.paused || this.video.seeking) return false
    return details.edge - this.video.currentTime < END_WITHIN_S && this.stall.lastedMs(now) > END_STANDS_MS
  }

  private listen(): void {
    const { video } = this
    this.on('playing', () => {
      this.playing.value = true
      this.paused.value = false
      this.ended.value = false
      this.stall.ended()
      this.waiting.value = false
    })
    this.on('waiting', () => this.stall.began(performance.now()))
    this.on('pause', () => {
      this.paused.value = !video.ended
      this.stall.ended()
    })
    this.on('play', () => {
      this.paused.value = false
      if (video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA) this.stall.began(performance.now())
    })
    this.on('ended', () => {
      this.ended.value = true
    })
    this.on('volumechange', () => {
      this.muted.value = video.muted
      this.volume.value = video.volume
    })
    this.on('resize', () => {
      this.height.value = video.videoHeight
    })
  }
}
