/** Playing a broadcast at its live edge: what the watch page shows of it, and what it can be told. */
import { signal } from '@preact/signals'
import { newestDateHeader } from '../api'
import { clockAhead } from '../times'
import { Hls, liveHls } from './hls'

const LOOK_EVERY_MS = 250
/** A picture that stands this long gets a spinner; shorter stalls pass unseen. */
const STALL_SHOWN_AFTER_MS = 500
/** Further than this behind the player's own target, a viewer is no longer "live". */
const EDGE_SLACK_S = 3
/** Further than this, playing faster would take minutes: the player jumps, at most once in a while. */
const JUMP_BEYOND_S = 12
const JUMP_AGAIN_AFTER_MS = 6000
const RETRY_AFTER_MS = 1500

export interface Quality {
  /** hls.js's level number; -1 chooses by bandwidth. */
  level: number
  name: string
}

export class LivePlayer {
  /** Seconds between a moment in the call and its picture here; `null` before anything plays. */
  readonly behind = signal<number | null>(null)
  readonly atEdge = signal(true)
  readonly playing = signal(false)
  readonly paused = signal(false)
  readonly waiting = signal(true)
  readonly muted = signal(true)
  readonly volume = signal(1)
  readonly blocked = signal(false)
  readonly height = signal(0)
  readonly qualities = signal<Quality[]>([])
  readonly quality = signal(-1)
  readonly ended = signal(false)
  /** What is wrong with the broadcast as it arrives here, in words. */
  readonly trouble = signal<string | null>(null)

  private readonly video: HTMLVideoElement
  private hls: Hls | null = null
  private readonly listening = new AbortController()
  private readonly looking: number
  private waitingSince: number | null = performance.now()
  private retry = 0
  private jumpedAt = 0
  private clockAheadMs = clockAhead(newestDateHeader(), Date.now())

  constructor(video: HTMLVideoElement, source: string) {
    this.video = video
    video.muted = true
    this.listen()
    if (Hls.isSupported()) this.play(source)
    else this.playNatively(source)
    this.looking = window.setInterval(() => this.look(), LOOK_EVERY_MS)
  }

  close(): void {
    clearInterval(this.looking)
    clearTimeout(this.retry)
    this.listening.abort()
    this.hls?.destroy()
    this.hls = null
    this.video.removeAttribute('src')
    this.video.load()
  }

  togglePlay(): void {
    if (this.video.paused) void this.toLive()
    else this.video.pause()
  }

  async toLive(): Promise<void> {
    const edge = this.hls?.liveSyncPosition
    if (edge !== null && edge !== undefined && Math.abs(edge - this.video.currentTime) > 0.3) this.video.currentTime = edge
    await this.start()
  }

  setMuted(muted: boolean): void {
    this.video.muted = muted
    if (!muted && this.video.volume === 0) this.video.volume = 1
    if (!muted && this.video.paused && !this.ended.value) void this.start()
  }

  setVolume(volume: number): void {
    this.video.volume = Math.min(1, Math.max(0, volume))
    this.video.muted = this.video.volume === 0
  }

  setQuality(level: number): void {
    if (!this.hls) return
    this.hls.nextLevel = level
    this.quality.value = level
  }

  private play(source: string): void {
    const hls = liveHls()
    this.hls = hls
    hls.on(Hls.Events.MANIFEST_PARSED, () => {
      this.trouble.value = null
      this.qualities.value = hls.levels.map((level, index) => ({
        level: index,
        name: level.height > 0 ? `${level.height}p` : level.name || 'Original',
      }))
      void this.start()
    })
    hls.on(Hls.Events.FRAG_BUFFERED, () => {
      this.trouble.value = null
    })
    hls.on(Hls.Events.ERROR, (_, error) => {
      if (!error.fatal) return
      if (error.type === Hls.ErrorTypes.MEDIA_ERROR) {
        hls.recoverMediaError()
        return
      }
      this.trouble.value = 'The broadcast is not arriving. Trying again.'
      clearTimeout(this.retry)
      this.retry = window.setTimeout(() => {
        if (hls.levels.length > 0) hls.startLoad()
        else hls.loadSource(source)
      }, RETRY_AFTER_MS)
    })
    hls.loadSource(source)
    hls.attachMedia(this.video)
  }

  /** Browsers without media source extensions play the same playlist themselves. */
  private playNatively(source: string): void {
    this.video.src = source
    void this.start()
  }

  private async start(): Promise<void> {
    try {
      await this.video.play()
      this.blocked.value = false
    } catch (thrown) {
      // A newer load interrupts an older play(); only a refusal needs the viewer.
      this.blocked.value = thrown instanceof DOMException && thrown.name === 'NotAllowedError'
    }
  }

  private listen(): void {
    const { video } = this
    const on = (event: keyof HTMLMediaElementEventMap | 'resize', then: () => void) =>
      video.addEventListener(event, then, { signal: this.listening.signal })
    on('playing', () => {
      this.playing.value = true
      this.paused.value = false
      this.ended.value = false
      this.waitingSince = null
      this.waiting.value = false
    })
    on('waiting', () => {
      this.waitingSince ??= performance.now()
    })
    on('pause', () => {
      this.paused.value = !video.ended
    })
    on('play', () => {
      this.paused.value = false
    })
    on('ended', () => {
      this.ended.value = true
    })
    on('volumechange', () => {
      this.muted.value = video.muted
      this.volume.value = video.volume
    })
    on('resize', () => {
      this.height.value = video.videoHeight
    })
  }

  private look(): void {
    const { hls, video } = this
    this.waiting.value =
      !video.paused && this.waitingSince !== null && performance.now() - this.waitingSince > STALL_SHOWN_AFTER_MS
    const at = hls?.playingDate?.getTime()
    this.behind.value = at === undefined ? null : Math.max(0, (Date.now() - this.clockAheadMs - at) / 1000)
    const late = hls ? hls.latency - (hls.targetLatency ?? 0) : 0
    this.atEdge.value = !this.playing.value || (!video.paused && late < EDGE_SLACK_S)
    if (!video.paused && late > JUMP_BEYOND_S && performance.now() - this.jumpedAt > JUMP_AGAIN_AFTER_MS) {
      this.jumpedAt = performance.now()
      void this.toLive()
    }
  }
}
