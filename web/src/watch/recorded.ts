/** Playing a recording. */
import { signal } from '@preact/signals'
import type { Recording } from '../api'
import { Hls, recordingHls } from './hls'
import { Player, type Range } from './player'
import { nextSpeed } from './speed'
import type { Cue } from '../timeline'

const RETRY_AFTER_MS = 1500
/** One that has just begun has nothing to play yet, for a second or two; one that has nothing after this has nothing. */
const READ_AGAIN_MAX = 8
/** Less than this is no picture more. */
const NOTHING_LEFT_S = 0.05
const CAPTIONS = 'Captions'

/** How it is to begin. */
export interface Beginning {
  at_s: number
  speed: number
  plays: boolean
}

export class RecordedPlayer extends Player {
  readonly speed = signal(1)

  /** What the server says, until the video knows. */
  private readonly length_s: number
  /** Where to go as soon as there is something to go in. */
  private goTo: number | null = null
  private retry = 0
  private track: TextTrack | null = null

  constructor(video: HTMLVideoElement, recording: Pick<Recording, 'hls' | 'file' | 'duration_s'>, { at_s, speed, plays }: Beginning) {
    super(video)
    this.length_s = recording.duration_s
    this.paused.value = !plays
    this.stall.ended()
    this.on('loadedmetadata', () => {
      if (this.goTo !== null) video.currentTime = this.goTo
      this.goTo = null
    })
    this.on('seeking', () => {
      this.ended.value = false
      this.paused.value = video.paused
      this.position.value = video.currentTime
      this.stall.began(performance.now())
    })
    this.on('seeked', () => {
      if (video.paused || video.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA) this.stall.ended()
    })
    this.on('timeupdate', () => {
      if (this.goTo === null) this.position.value = video.currentTime
    })
    this.on('ratechange', () => {
      this.speed.value = video.playbackRate
    })
    this.range.value = this.playable()
    if (Hls.isSupported()) this.play(recording.hls)
    else this.playNatively(recording.file)
    this.setSpeed(speed)
    if (at_s > 0) this.seek(at_s)
    if (plays) void this.start()
  }

  override close(): void {
    clearTimeout(this.retry)
    // A text track cannot be taken from its video, which another player may have next.
    if (this.track) {
      this.track.mode = 'hidden'
      for (const cue of [...(this.track.cues ?? [])]) this.track.removeCue(cue)
      this.track.mode = 'disabled'
    }
    super.close()
  }

  override togglePlay(): void {
    if (!this.video.paused) {
      this.video.pause()
      return
    }
    // Not left to the browser, which does so only where it has seen the end itself, and not while it is on its way there.
    if (this.isAtEnd()) this.seek(0)
    void this.start()
  }

  override seek(to: number): void {
    const range = this.playable()
    if (!range) return
    const place = Math.min(range.to, Math.max(range.from, to))
    if (this.video.readyState === HTMLMediaElement.HAVE_NOTHING) this.goTo = place
    this.video.currentTime = place
    this.position.value = place
  }

  setSpeed(speed: number): void {
    // A video that loads anew goes back to the default.
    this.video.defaultPlaybackRate = speed
    this.video.playbackRate = speed
    this.speed.value = speed
  }

  stepSpeed(towards: 'slower' | 'faster'): void {
    this.setSpeed(nextSpeed(this.speed.peek(), towards))
  }

  /** What was said in it; again as it grows. */
  setCues(cues: Cue[]): void {
    if (cues.length === 0) return
    this.track ??= this.video.addTextTrack('captions', CAPTIONS)
    const track = this.track
    // A track that is disabled has no cues to count.
    if (track.mode === 'disabled') track.mode = 'hidden'
    for (const { at_s, until_s, words } of cues.slice(track.cues?.length ?? 0)) track.addCue(new VTTCue(at_s, until_s, escaped(words)))
    this.captioned.value = true
    this.showCaptions()
  }

  protected override showCaptions(): void {
    if (this.track) this.track.mode = this.captions.peek() ? 'showing' : 'hidden'
  }

  protected override look(): void {
    super.look()
    if (this.goTo !== null) this.position.value = this.goTo
    // Also while paused somebody waits for the place that they went to.
    const now = performance.now()
    if (this.video.seeking) this.waiting.value = this.stall.isShown(now)
    if (this.isPlayedOut(now)) {
      this.ended.value = true
      this.video.pause()
    }
  }

  private isAtEnd(): boolean {
    const range = this.playable()
    // One that is being recorded goes on.
    const grows = this.hls?.latestLevelDetails?.live === true
    return !grows && range !== null && (this.ended.peek() || range.to - this.video.currentTime < NOTHING_LEFT_S)
  }

  protected override playable(): Range | null {
    const { duration } = this.video
    const to = Number.isFinite(duration) && duration > 0 ? duration : this.length_s
    return to > 0 ? { from: 0, to } : null
  }

  private play(source: string): void {
    const hls = recordingHls()
    this.hls = hls
    let recovered = false
    let unread = 0
    hls.on(Hls.Events.MANIFEST_PARSED, () => this.listQualities(hls))
    hls.on(Hls.Events.FRAG_BUFFERED, () => {
      this.trouble.value = null
    })
    hls.on(Hls.Events.ERROR, (_, error) => {
      if (!error.fatal) return
      if (error.type === Hls.ErrorTypes.MEDIA_ERROR && !recovered) {
        recovered = true
        hls.recoverMediaError()
      } else if (error.type === Hls.ErrorTypes.NETWORK_ERROR && (hls.levels.length > 0 || unread++ < READ_AGAIN_MAX)) {
        this.trouble.value = 'The recording is not arriving. Trying again.'
        clearTimeout(this.retry)
        this.retry = window.setTimeout(() => {
          if (hls.levels.length > 0) hls.startLoad()
          else hls.loadSource(source)
        }, RETRY_AFTER_MS)
      } else {
        this.giveUp()
      }
    })
    hls.loadSource(source)
    hls.attachMedia(this.video)
  }

  /** Browsers without media source extensions play the file. */
  private playNatively(file: string): void {
    this.on('error', () => this.giveUp())
    this.video.src = file
  }

  private giveUp(): void {
    this.trouble.value = 'The recording cannot be played here. It can still be downloaded.'
  }
}

/** As text of a cue, which may have markup. */
function escaped(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
