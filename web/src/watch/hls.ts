/**
 * hls.js with our settings.
 *
 * The full build, because the light one leaves out alternate audio (`__USE_ALT_AUDIO__` in hls.js's
 * `src/config.ts`), and our sound is a rendition of its own. There is no published build in between.
 */
import Hls, { type HlsConfig } from 'hls.js'

/** Falling behind is caught up by playing a little faster, which nobody hears, instead of by jumping. */
export const CATCH_UP_RATE = 1.1

export { Hls }

const SETTINGS: Partial<HlsConfig> = {
  // Fragmented MP4 needs no transmuxing, so a worker would only copy bytes.
  enableWorker: false,
  enableWebVTT: false,
  enableIMSC1: false,
  enableCEA708Captions: false,
  enableInterstitialPlayback: false,
}

export function liveHls(): Hls {
  return new Hls({
    ...SETTINGS,
    lowLatencyMode: true,
    enableWebVTT: true,
    maxLiveSyncPlaybackRate: CATCH_UP_RATE,
    backBufferLength: 20,
  })
}

export function recordingHls(): Hls {
  return new Hls({ ...SETTINGS, lowLatencyMode: false, maxBufferLength: 60, backBufferLength: 60 })
}
