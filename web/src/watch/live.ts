/** Playing a broadcast, at its live edge or earlier: what the watch page shows of it, and what it can be told. */
import { signal } from '@preact/signals'
import { newestDateHeader } from '../api'
import { remembered } from '../remember'
import { clockAhead } from '../times'
import { Calm, morePerStall } from './calm'
import { CATCH_UP_RATE, Hls, liveHls } from './hls'
import { forNative } from './native'
import { Player, type Range } from './player'
import { twins } from './twins'

/** Further than this behind the player's own target, a viewer is no longer "live". */
const EDGE_SLACK_S = 3
/** Further than this, playing faster would take minutes, where the browser plays by itself: the player jumps. With hls.js it is where
 * that no longer plays faster, see `tooLate`. */
const JUMP_BEYOND_S = 12
/** It jumps at most this often. */
const JUMP_AGAIN_AFTER_MS = 6000
/** Who has waited this long while the programme went on is not waiting for it any more: hls.js has lost the thread, and finds it
 * again where it seeks to. Seen with sound whose playlist was ahead of the picture's. */
const LOST_AFTER_MS = 2500
/** Nobody has seen anything yet: who begins too late may jump instead of catching up. */
const BEGINS_FOR_MS = 8000
const BEGINS_WITHIN_S = 0.5
const RETRY_AFTER_MS = 1500
/** Sound and picture do not begin in the very same moment, and where one is missing nothing moves. */
const FIRST_S = 0.5
/** How far behind a viewer is who would rather have no stalls: some six segments of sound and picture in hand. */
const STEADY_LATENCY_S = 8
/** A place this near to the live edge is the live edge. */
const LIVE_WITHIN_S = 1.5

export type Latency = 'low' | 'steady'

/** Numbers about how it plays, for those who look for a fault. */
export interface Facts {
  size: string
  codecs: string
  bitrate_kbps: number
  bandwidth_kbps: number
  buffer_s: number
  latency_s: number
  target_s: number
  dropped: number
  shown: number
  /** Media sequence number, and the part of it where it came in parts. */
  piece: string
}

const latencyChosen = remembered<string>('latency', 'low')

/** `range` is from the oldest moment that the server still has to the live edge. */
export class LivePlayer extends Player {
  /** Seconds between a moment in the call and its picture here; `null` before anything plays. */
  readonly behind = signal<number | null>(null)
  readonly atEdge = signal(true)
  readonly latency = signal<Latency>(latencyChosen.peek() === 'steady' ? 'steady' : 'low')
  /** The moment that was asked for is no longer here. */
  readonly missed = signal(false)

  private readonly calm = new Calm(performance.now())
  private retry = 0
  private jumpedAt = 0
  /** When it began to play; that it has begun where it should. */
  private begun: number | 'done' | null = null
  /** Keeps to the live edge; not after somebody has gone back or paused. */
  private following = true
  /** The latency that hls.js was told to keep. */
  private aimed: number | null = null
  /** Stalls that hls.js counts: those since it was told. */
  private stalls = 0
  private readonly source: string
  private goTo: number | null = null
  private piece = ''
  /** The list of playlists was read once more for captions, where the browser plays by itself. */
  private readAgain = false
  private clockAheadMs = clockAhead(newestDateHeader(), Date.now())

  /** `at` is the moment to begin with, in ms since 1970; the live edge if none is given or it is no longer there. */
  constructor(video: HTMLVideoElement, source: string, at: number | null = null) {
    super(video)
    this.source = source
    this.goTo = at
    this.on('waiting', () => this.calm.stalled(performance.now()))
    this.on('pause', () => this.follow(false))
    if (Hls.isSupported()) this.play(source)
    else this.playNatively(source)
  }

  /** Somebody writes captions in the room: what plays may have begun before, and not know of them. */
  offerCaptions(): void {
    this.captioned.value = true
    this.showCaptions()
  }

  protected override showCaptions(): void {
    const shown = this.captions.peek()
    const { hls } = this
    if (!hls) {
      const tracks = this.video.textTracks
      for (const track of tracks) track.mode = shown ? 'showing' : 'disabled'
      if (shown && tracks.length === 0 && !this.readAgain) {
        this.readAgain = true
        this.video.src = forNative(this.source)
        void this.start()
      }
      return
    }
    if (hls.subtitleTracks.length > 0) {
      hls.subtitleDisplay = shown
      hls.subtitleTrack = shown ? 0 : -1
    } else if (shown && this.captioned.peek() && hls.levels.length > 0) {
      // The list of playlists is read once; this reads it again, and goes on at the live edge.
      hls.loadSource(this.source)
    }
  }

  override close(): void {
    clearTimeout(this.retry)
    super.close()
  }

  /** Goes on where it was paused, if that is still there. */
  override togglePlay(): void {
    if (!this.video.paused) {
      this.video.pause()
      return
    }
    if (this.atEdge.value) this.follow(true)
    const from = this.range.value?.from
    if (from !== undefined && this.video.currentTime < from) this.video.currentTime = from
    void this.start()
  }

  async toLive(): Promise<void> {
    this.follow(true)
    const edge = this.edge()
    if (edge !== null && Math.abs(edge - this.video.currentTime) > 0.3) this.video.currentTime = edge
    await this.start()
  }

  /** To the oldest moment that the server still has. */
  startOver(): void {
    const range = this.range.value
    if (!range) return
    this.seek(range.from)
    if (this.video.paused) void this.start()
  }

  /** To a place of `range`; what is at its end is the live edge. */
  override seek(to: number): void {
    const range = this.range.value
    if (!range) return
    if (to >= range.to - LIVE_WITHIN_S) {
      void this.toLive()
      return
    }
    this.follow(false)
    this.video.currentTime = Math.max(range.from + FIRST_S, to)
    this.position.value = this.video.currentTime
  }

  /** When in the programme a place is, in ms since 1970; `null` when the playlist does not say. */
  dateAt(position: number): number | null {
    const now = this.playingDate()
    return now === null ? null : now + (position - this.video.currentTime) * 1000
  }

  setLatency(latency: Latency): void {
    this.latency.value = latency
    latencyChosen.value = latency
    this.aim()
    // Who is far back looks at something there.
    if (this.following || this.late() < JUMP_BEYOND_S) void this.toLive()
  }

  facts(): Facts {
    const { hls, video } = this
    const level = hls?.levels[hls.currentLevel]
    const quality = video.getVideoPlaybackQuality?.()
    const ahead = video.buffered.length > 0 ? video.buffered.end(video.buffered.length - 1) - video.currentTime : 0
    return {
      size: video.videoWidth > 0 ? `${video.videoWidth} × ${video.videoHeight}` : 'sound only',
      codecs: [level?.videoCodec, level?.audioCodec].filter(Boolean).join(', '),
      bitrate_kbps: Math.round((level?.bitrate ?? 0) / 1000),
      bandwidth_kbps: Math.round((hls?.bandwidthEstimate ?? 0) / 1000),
      buffer_s: Math.max(0, ahead),
      latency_s: hls?.latency ?? 0,
      target_s: hls?.targetLatency ?? 0,
      dropped: quality?.droppedVideoFrames ?? 0,
      shown: quality?.totalVideoFrames ?? 0,
      piece: this.piece,
    }
  }

  override setMuted(muted: boolean): void {
    super.setMuted(muted)
    if (!muted && this.video.paused && !this.ended.value) void this.start()
  }

  private play(source: string): void {
    const hls = liveHls()
    this.hls = hls
    hls.on(Hls.Events.MANIFEST_PARSED, () => {
      this.trouble.value = null
      this.listQualities(hls)
      void this.start()
    })
    hls.on(Hls.Events.SUBTITLE_TRACKS_UPDATED, () => {
      // It chooses a track itself right after it has said this.
      queueMicrotask(() => {
        if (hls.subtitleTracks.length > 0) this.offerCaptions()
      })
    })
    hls.on(Hls.Events.SUBTITLE_FRAG_PROCESSED, () => {
      for (const track of this.video.textTracks) {
        for (const twin of twins([...(track.cues ?? [])])) track.removeCue(twin)
      }
    })
    hls.on(Hls.Events.FRAG_BUFFERED, (_, { frag, part }) => {
      this.trouble.value = null
      if (frag.type === 'main') this.piece = part ? `${frag.sn}, part ${part.index}` : `${frag.sn}`
    })
    hls.on(Hls.Events.LEVEL_UPDATED, () => this.aim())
    hls.on(Hls.Events.ERROR, (_, error) => {
      if (error.details === Hls.ErrorDetails.BUFFER_STALLED_ERROR) this.keepMore(hls)
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
    this.video.textTracks.addEventListener('addtrack', () => this.offerCaptions())
    this.video.src = forNative(source)
    void this.start()
  }

  private follow(following: boolean): void {
    this.following = following
    if (this.hls) this.hls.config.maxLiveSyncPlaybackRate = following ? CATCH_UP_RATE : 1
    if (!following) this.video.playbackRate = 1
  }

  /** Tells hls.js how far behind to play. */
  private aim(): void {
    const { hls } = this
    const details = hls?.latestLevelDetails
    if (!hls || !details) return
    const low = details.partHoldBack || details.holdBack || 3 * details.targetduration
    const wanted = this.latency.value === 'steady' ? Math.max(STEADY_LATENCY_S, low) : low
    // hls.js chooses the low one by itself, and adds to it when the picture stalls, for good; to be told anew makes it forget that.
    const stalled = (hls.targetLatency ?? wanted) > wanted + 0.1
    const forget = stalled && this.calm.isLongEnough(performance.now())
    if (!forget && (wanted === this.aimed || (this.aimed === null && wanted === low))) return
    this.aimed = wanted
    this.stalls = 0
    hls.targetLatency = wanted
  }

  private keepMore(hls: Hls): void {
    this.stalls += 1
    const { partTarget = 0, targetduration = 1 } = hls.latestLevelDetails ?? {}
    hls.config.liveSyncOnStallIncrease = morePerStall(this.stalls, partTarget, targetduration)
  }

  /** The place to play at by who wants to be live. */
  private edge(): number | null {
    if (this.hls) return this.hls.liveSyncPosition
    const { seekable } = this.video
    return seekable.length > 0 ? seekable.end(seekable.length - 1) : null
  }

  /** How far that place is ahead, in seconds. */
  private late(): number {
    const edge = this.edge()
    return edge === null ? 0 : edge - this.video.currentTime
  }

  private playingDate(): number | null {
    if (this.hls) return this.hls.playingDate?.getTime() ?? null
    // Safari, which plays HLS itself, knows the date of its zero.
    const video: HTMLVideoElement & { getStartDate?: () => Date } = this.video
    const zero = video.getStartDate?.().getTime() ?? NaN
    return Number.isNaN(zero) ? null : zero + video.currentTime * 1000
  }

  protected override look(): void {
    const { video } = this
    super.look()
    if (this.waiting.value) this.calm.stalled(performance.now())
    const at = this.playingDate()
    this.behind.value = at === null ? null : Math.max(0, (Date.now() - this.clockAheadMs - at) / 1000)
    const late = this.late()
    this.atEdge.value = !this.playing.value || (late < EDGE_SLACK_S && (this.following || late < LIVE_WITHIN_S))
    // Before it plays, hls.js may still move to where it wants to begin.
    if (this.goTo !== null && at !== null && this.playing.value && this.range.value) this.begin(this.goTo, at)
    const now = performance.now()
    if (this.isPlayedOut(now)) this.ended.value = true
    if (this.stall.lastedMs(now) > LOST_AFTER_MS) this.leap()
    if (video.paused || !this.following) {
      // That is neither a calm while at the live edge nor a beginning.
      this.calm.stalled(now)
      if (this.playing.value) this.begun = 'done'
      return
    }
    this.beginNearer(late, now)
    const lost = this.hls !== null && this.stall.lastedMs(now) > LOST_AFTER_MS && late > LIVE_WITHIN_S
    if ((lost || late > this.tooLate()) && now - this.jumpedAt > JUMP_AGAIN_AFTER_MS) {
      this.jumpedAt = now
      void this.toLive()
    }
  }

  /** Over a hole of less than a second, to what is there behind it. */
  private leap(): void {
    const { buffered, currentTime } = this.video
    for (let range = 0; range < buffered.length; range++) {
      const start = buffered.start(range)
      if (start > currentTime && start - currentTime < 1) {
        this.video.currentTime = start + 0.05
        return
      }
    }
  }

  /** hls.js catches up from nearer than this, and from no further (its `latency-controller.ts`). */
  private tooLate(): number {
    const details = this.hls?.latestLevelDetails
    return details ? (this.hls?.targetLatency ?? 0) + details.targetduration : JUMP_BEYOND_S
  }

  /** The first pictures may come late, where the machine is busy or the way to the server long. Once there is enough in hand to go
   * on from the place where others are, that is where to begin. */
  private beginNearer(late: number, now: number): void {
    if (!this.hls || !this.playing.value || this.begun === 'done') return
    this.begun ??= now
    const { buffered, currentTime } = this.video
    const ahead = buffered.length > 0 ? buffered.end(buffered.length - 1) - currentTime : 0
    if (now - this.begun > BEGINS_FOR_MS) {
      this.begun = 'done'
    } else if (late > BEGINS_WITHIN_S && ahead > late + BEGINS_WITHIN_S) {
      this.begun = 'done'
      void this.toLive()
    }
  }

  protected override playable(): Range | null {
    const { seekable } = this.video
    const to = this.edge()
    if (seekable.length === 0 || to === null) return null
    // hls.js knows where the playlist begins before the browser does.
    const from = Math.max(0, this.hls?.latestLevelDetails?.fragmentStart ?? seekable.start(0))
    return to > from ? { from, to } : null
  }

  /** Goes to the moment that was asked for in the page's address. */
  private begin(wanted: number, now: number): void {
    this.goTo = null
    const to = this.video.currentTime + (wanted - now) / 1000
    const range = this.range.value
    if (range && to >= range.from - 1) this.seek(to)
    else this.missed.value = true
  }
}
